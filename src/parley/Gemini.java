package parley;

import static java.lang.Boolean.TRUE;
import static java.net.URLEncoder.encode;
import static java.nio.charset.StandardCharsets.UTF_8;
import static java.util.Collections.disjoint;
import static java.util.regex.Pattern.compile;
import static parley.Json.at;
import static parley.Json.items;
import static parley.Json.members;
import static parley.Json.object;
import static parley.Json.string;
import static parley.Provider.alternating;
import static parley.ProviderError.isEmpty;
import static parley.ReplyStream.noStream;

import java.net.http.HttpRequest.Builder;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import parley.Settings.Generation;

/** Google's own dialect: https://ai.google.dev/api/generate-content. */
record Gemini(Upstream upstream, ProviderProblems problems, Generation generation) implements Provider {
    private static final Pattern REFUSAL =
            compile("(IMAGE_)?(SAFETY|RECITATION|PROHIBITED_CONTENT)|LANGUAGE|BLOCKLIST|SPII");

    /** What tells an answer of this dialect, also where it offers no reply. */
    private static final Set<String> MEMBERS =
            Set.of("candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId");

    @Override
    public Reply chat(List<Message> messages, ReplyStream stream) {
        String instructions = generation.systemInstructions();
        var config = object(
                "temperature", generation.temperature(),
                "topP", generation.topP(),
                "topK", generation.topK(),
                "maxOutputTokens", generation.maxOutputTokens());
        var body = object(
                "systemInstruction", instructions == null ? null : content(null, instructions),
                "contents",
                        alternating(messages).stream()
                                .map(message -> content(message.byUser() ? "user" : "model", message.content()))
                                .toList(),
                "generationConfig", config.isEmpty() ? null : config);
        String method = stream.isWhole() ? ":generateContent" : ":streamGenerateContent?alt=sse";
        return upstream.chat(upstream.post(request(method), body), stream, this::read);
    }

    /** @param role null for the instructions, which have none */
    private static Map<String, Object> content(String role, String text) {
        return object("role", role, "parts", List.of(object("text", text)));
    }

    /** Takes a whole answer or an event: they have the same members. */
    private boolean read(Object answer, ReplyBuilder reply) {
        Object candidate = upstream.first(answer, "candidates");
        for (Object part : items(candidate, "content", "parts")) {
            String text = string(part, "text");
            if (text != null && isThought(part)) reply.thought();
            else if (text != null) reply.text(text);
        }
        Object usage = at(answer, "usageMetadata");
        reply.usage(object(
                "prompt_tokens", at(usage, "promptTokenCount"),
                "completion_tokens", completion(usage),
                "total_tokens", at(usage, "totalTokenCount")));
        finish(answer, candidate, reply);
        if (candidate != null) return true;
        boolean known = !disjoint(MEMBERS, members(answer).keySet());
        if (known) reply.declined();
        return known;
    }

    /**
     * The tokens of the reply, thinking included, so that prompt and completion add up to the total; null where none
     * are told.
     */
    private static Object completion(Object usage) {
        Object said = at(usage, "candidatesTokenCount");
        if (!(at(usage, "thoughtsTokenCount") instanceof Number thought)) return said;
        return thought.longValue() + (said instanceof Number number ? number.longValue() : 0);
    }

    /** Takes the finish reason. What went wrong by chance, without a word, is worth another try. */
    private void finish(Object answer, Object candidate, ReplyBuilder reply) {
        String blocked = reason(answer, "promptFeedback", "blockReason");
        String reason = reason(candidate, "finishReason");
        if (!blocked.isEmpty()) {
            throw problems.refused(blocked, string(answer, "promptFeedback", "blockReasonMessage"));
        }
        if (REFUSAL.matcher(reason).matches()) throw problems.refused(reason, string(candidate, "finishMessage"));
        switch (reason) {
            case "" -> {} // the reply goes on
            case "STOP", "NO_IMAGE" -> reply.finish("stop");
            case "MAX_TOKENS" -> reply.finish("length");
            default ->
                throw problems.ended(reason).withRetry(null, reply.length() == 0 && reason.startsWith("MALFORMED_"));
        }
    }

    /** The reason at the path; empty where there is none, or Google's default value, which stands for none. */
    private static String reason(Object json, Object... path) {
        String reason = string(json, path);
        return reason == null || reason.endsWith("_UNSPECIFIED") ? "" : reason;
    }

    @Override
    public List<Image> generateImages(String prompt) {
        var body = object(
                "contents",
                List.of(content("user", prompt)),
                "generationConfig",
                object("responseModalities", List.of("TEXT", "IMAGE")));
        Object answer = upstream.ask(upstream.post(request(":generateContent"), body));
        var images = new ArrayList<Image>();
        for (Object part : items(upstream.first(answer, "candidates"), "content", "parts")) {
            String data = string(part, "inlineData", "data");
            if (!isEmpty(data) && !isThought(part)) {
                images.add(problems.checked(Image.of(data)));
            }
        }
        if (!images.isEmpty()) return images;
        var words = new ReplyBuilder(noStream());
        read(answer, words); // throws where it is a refusal
        throw problems.noImage(words.toString());
    }

    private static boolean isThought(Object part) {
        return TRUE.equals(at(part, "thought"));
    }

    @Override
    public void check() {
        upstream.ask(request(""));
    }

    /** A request of the model's method, or of the model itself. */
    private Builder request(String method) {
        String name = problems.account().model().replaceFirst("^models/", "");
        String encoded = encode(name, UTF_8).replace("+", "%20");
        boolean hasVersion = problems.account().base().getPath().matches(".*/v\\d\\w*");
        String path = (hasVersion ? "" : "/v1beta") + "/models/" + encoded + method;
        return upstream.request(path, "x-goog-api-key", "");
    }
}
