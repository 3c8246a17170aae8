package parley;

import static parley.Json.object;

import java.net.URI;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

/** Google's own dialect: https://ai.google.dev/api/generate-content. */
record Gemini(Upstream upstream, Settings settings) implements Provider {
    private ProviderProblems problems() {
        return upstream.problems();
    }

    private static final Set<String> REFUSALS = Set.of(
            "SAFETY",
            "RECITATION",
            "LANGUAGE",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "IMAGE_SAFETY",
            "IMAGE_PROHIBITED_CONTENT",
            "IMAGE_RECITATION");

    /** What tells an answer of this dialect, also where it offers no reply. */
    private static final Set<String> MEMBERS =
            Set.of("candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId");

    private static final Pattern VERSIONED = Pattern.compile("/v\\d\\w*$");

    @Override
    public Reply chat(List<Message> messages, ReplyStream stream) {
        String instructions = settings.generation().systemInstructions();
        Map<String, Object> config = config(settings.generation());
        Map<String, Object> body = object(
                "systemInstruction", instructions == null ? null : object("parts", parts(instructions)),
                "contents", contents(Provider.alternating(messages)),
                "generationConfig", config.isEmpty() ? null : config);
        String method = stream.isWhole() ? ":generateContent" : ":streamGenerateContent?alt=sse";
        return upstream.chat(upstream.post(model(method), body), stream, this::read);
    }

    private static List<?> contents(List<Message> messages) {
        return messages.stream()
                .map(message -> object("role", message.byUser() ? "user" : "model", "parts", parts(message.content())))
                .toList();
    }

    private static Map<String, Object> config(Settings.Generation generation) {
        return object(
                "temperature", generation.temperature(),
                "topP", generation.topP(),
                "topK", generation.topK(),
                "maxOutputTokens", generation.maxOutputTokens());
    }

    /** Takes a whole answer or an event: they have the same members. */
    private boolean read(Object answer, ReplyBuilder reply) {
        Object candidate = upstream.first(answer, "candidates");
        for (Object part : Json.items(candidate, "content", "parts")) {
            String text = Json.string(part, "text");
            if (text != null && isThought(part)) reply.thought();
            else if (text != null) reply.text(text);
        }
        Object usage = Json.at(answer, "usageMetadata");
        reply.usage(Json.at(usage, "promptTokenCount"), completion(usage), Json.at(usage, "totalTokenCount"));
        String finishReason = finishReason(answer, candidate, reply.length() == 0);
        if (finishReason != null) reply.finish(finishReason);
        if (candidate != null) return true;
        boolean known = MEMBERS.stream().anyMatch(Json.members(answer)::containsKey);
        if (known) reply.declined();
        return known;
    }

    /**
     * The tokens of the reply, thinking included, so that prompt and completion add up to the total; null where none
     * are told.
     */
    private static Object completion(Object usage) {
        Object said = Json.at(usage, "candidatesTokenCount");
        if (!(Json.at(usage, "thoughtsTokenCount") instanceof Number thought)) return said;
        return thought.longValue() + (said instanceof Number number ? number.longValue() : 0);
    }

    /**
     * {@code stop} or {@code length}; null while the reply goes on. What went wrong by chance, without a word, is worth
     * another try.
     */
    private String finishReason(Object answer, Object candidate, boolean wordless) {
        String blocked = reason(answer, "promptFeedback", "blockReason");
        if (!blocked.isEmpty()) throw refused(blocked, Json.string(answer, "promptFeedback", "blockReasonMessage"));
        String reason = reason(candidate, "finishReason");
        String message = Json.string(candidate, "finishMessage");
        if (REFUSALS.contains(reason)) throw refused(reason, message);
        return switch (reason) {
            case "" -> null;
            case "STOP", "NO_IMAGE" -> "stop";
            case "MAX_TOKENS" -> "length";
            default -> {
                String why = reason.contains("CALL") ? ", but no tools are offered: send it again" : ": send it again";
                Problem problem = problems().failed("ended its reply with %s" + why, reason);
                throw wordless && reason.startsWith("MALFORMED_") ? ProviderProblems.again(problem) : problem;
            }
        };
    }

    /** The reason at the path; empty where there is none, or Google's default value, which stands for none. */
    private static String reason(Object json, Object... path) {
        String reason = Json.string(json, path);
        return reason == null || reason.endsWith("_UNSPECIFIED") ? "" : reason;
    }

    private Problem refused(String reason, String message) {
        return problems().refused(reason, message == null ? "" : message);
    }

    @Override
    public List<Image> generateImages(String prompt) {
        Map<String, Object> body = object(
                "contents",
                List.of(object("role", "user", "parts", parts(prompt))),
                "generationConfig",
                object("responseModalities", List.of("TEXT", "IMAGE")));
        Object answer = upstream.ask(upstream.post(model(":generateContent"), body));
        var images = new ArrayList<Image>();
        for (Object part : Json.items(upstream.first(answer, "candidates"), "content", "parts")) {
            String data = Json.string(part, "inlineData", "data");
            if (!ProviderError.isEmpty(data) && !isThought(part))
                images.add(problems().checked(Image.of(data)));
        }
        if (!images.isEmpty()) return images;
        var words = new ReplyBuilder(ReplyStream.none());
        read(answer, words); // throws where it is a refusal
        throw problems().noImage(words.toString());
    }

    private static boolean isThought(Object part) {
        return Boolean.TRUE.equals(Json.at(part, "thought"));
    }

    @Override
    public void check() {
        upstream.ask(upstream.request(model("")).GET());
    }

    private URI model(String method) {
        String name = upstream.account().model();
        String bare = URLEncoder.encode(name.startsWith("models/") ? name.substring(7) : name, StandardCharsets.UTF_8)
                .replace("+", "%20");
        String path = String.valueOf(upstream.account().base().getPath());
        return upstream.uri((VERSIONED.matcher(path).find() ? "" : "/v1beta") + "/models/" + bare + method);
    }

    private static List<Object> parts(String text) {
        return List.of(object("text", text));
    }
}
