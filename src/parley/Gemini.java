package parley;

import static parley.Json.object;

import java.net.URI;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import java.util.regex.Pattern;

/** Google's own dialect: https://ai.google.dev/api/generate-content. */
record Gemini(Upstream upstream, Settings settings) implements Provider {
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
    private static final Pattern VERSIONED = Pattern.compile("/v\\d\\w*$");

    @Override
    public Reply chat(List<Message> messages, Consumer<String> onText) throws InterruptedException {
        Settings.Generation generation = settings.generation();
        Map<String, Object> config = object(
                "temperature",
                generation.temperature(),
                "topP",
                generation.topP(),
                "topK",
                generation.topK(),
                "maxOutputTokens",
                generation.maxOutputTokens());
        Map<String, Object> body = object(
                "systemInstruction",
                        generation.systemInstructions() == null
                                ? null
                                : object("parts", parts(generation.systemInstructions())),
                "contents",
                        Provider.alternating(messages).stream()
                                .map(message -> object(
                                        "role", message.byUser() ? "user" : "model", "parts", parts(message.content())))
                                .toList(),
                "generationConfig", config.isEmpty() ? null : config);
        String method = onText == null ? ":generateContent" : ":streamGenerateContent?alt=sse";
        return upstream.chat(upstream.post(model(method), body), onText, this::read);
    }

    /** Takes a whole answer or an event: they have the same members. */
    private void read(Object answer, ReplyBuilder reply) {
        Object candidate = Provider.first(Json.items(answer, "candidates"));
        for (Object part : Json.items(candidate, "content", "parts")) {
            String text = Json.string(part, "text");
            if (text != null && Boolean.TRUE.equals(Json.at(part, "thought"))) reply.thought();
            else if (text != null) reply.text(text);
        }
        Object usage = Json.at(answer, "usageMetadata");
        reply.usage(Json.at(usage, "promptTokenCount"), completion(usage), Json.at(usage, "totalTokenCount"));
        String finishReason = finishReason(answer, candidate, reply.length() == 0);
        if (finishReason != null) reply.finish(finishReason);
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
        String blocked = Json.string(answer, "promptFeedback", "blockReason");
        if (blocked != null && !blocked.isEmpty()) throw upstream.blocked(blocked);
        String reason = Json.string(candidate, "finishReason");
        return switch (reason) {
            case null -> null;
            case "", "FINISH_REASON_UNSPECIFIED" -> null;
            case "STOP" -> "stop";
            case "MAX_TOKENS" -> "length";
            case String refusal when REFUSALS.contains(refusal) -> throw upstream.blocked(refusal);
            default -> {
                String why = reason.contains("CALL") ? ", but no tools are offered: send it again" : ": send it again";
                String detail = upstream.name() + " ended its reply with " + reason + why;
                throw new Problem(
                        Problem.Code.PROVIDER_ERROR, detail, null, wordless && reason.startsWith("MALFORMED_"));
            }
        };
    }

    @Override
    public List<Image> generateImages(String prompt) throws InterruptedException {
        Map<String, Object> body = object(
                "contents",
                List.of(object("role", "user", "parts", parts(prompt))),
                "generationConfig",
                object("responseModalities", List.of("TEXT", "IMAGE")));
        Object answer = upstream.ask(upstream.post(model(":generateContent"), body));
        Object candidate = Provider.first(Json.items(answer, "candidates"));
        var images = new ArrayList<Image>();
        var words = new StringBuilder();
        for (Object part : Json.items(candidate, "content", "parts")) {
            if (Boolean.TRUE.equals(Json.at(part, "thought"))) continue;
            String data = Json.string(part, "inlineData", "data");
            if (data != null) images.add(upstream.checked(Image.of(data)));
            else if (Json.string(part, "text") != null) words.append(Json.string(part, "text"));
        }
        if (!images.isEmpty()) return images;
        boolean none = "NO_IMAGE".equals(Json.string(candidate, "finishReason"));
        if (!none) finishReason(answer, candidate, false); // throws where it is a refusal
        throw upstream.noImage(words.toString());
    }

    @Override
    public void check() throws InterruptedException {
        upstream.ask(upstream.request(model("")).GET());
    }

    private URI model(String method) {
        String base = upstream.account().base().toString();
        String name = upstream.account().model();
        String bare = URLEncoder.encode(name.startsWith("models/") ? name.substring(7) : name, StandardCharsets.UTF_8)
                .replace("+", "%20");
        return URI.create(base + (VERSIONED.matcher(base).find() ? "" : "/v1beta") + "/models/" + bare + method);
    }

    private static List<Object> parts(String text) {
        return List.of(object("text", text));
    }
}
