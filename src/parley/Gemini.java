package parley;

import static parley.Json.object;

import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpRequest;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import java.util.regex.Pattern;

/** Google's own dialect: https://ai.google.dev/api/generate-content. */
record Gemini(Upstream upstream, Settings settings) implements Provider {
    private static final Set<String> REFUSALS = Set.of("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII",
            "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION");

    private static final Pattern VERSIONED = Pattern.compile("/v\\d\\w*$");

    @Override
    public Reply chat(List<Message> messages, Consumer<String> onText) throws InterruptedException {
        Settings.Generation generation = settings.generation();
        Map<String, Object> config = object("temperature", generation.temperature(), "topP", generation.topP(), "topK", generation.topK(),
                "maxOutputTokens", generation.maxOutputTokens());
        Map<String, Object> body = object(
                "systemInstruction", settings.instructions() == null ? null : object("parts", parts(settings.instructions())),
                "contents", Provider.alternating(messages).stream()
                        .map(message -> object("role", message.byUser() ? "user" : "model", "parts", parts(message.content()))).toList(),
                "generationConfig", config.isEmpty() ? null : config);
        var answer = new Answer(onText);
        upstream.stream(post(":streamGenerateContent?alt=sse", body), answer, event -> read(event, answer));
        return answer.reply(upstream.name());
    }

    private void read(Object event, Answer answer) {
        for (Object part : Json.items(event, "candidates", 0, "content", "parts")) {
            String text = Json.string(part, "text");
            if (text != null && !Boolean.TRUE.equals(Json.at(part, "thought"))) answer.say(text);
        }
        Object usage = Json.at(event, "usageMetadata");
        answer.cost(Json.at(usage, "promptTokenCount"), completion(usage), Json.at(usage, "totalTokenCount"));
        String reason = finishReason(event);
        if (reason != null) answer.finish(reason);
    }

    /** The tokens of the reply, thinking included, so that prompt and completion add up to the total; null where none are told. */
    private static Object completion(Object usage) {
        Object said = Json.at(usage, "candidatesTokenCount");
        return Json.at(usage, "thoughtsTokenCount") instanceof Number thought ? thought.longValue() + (said instanceof Number n ? n.longValue() : 0) : said;
    }

    /** {@code stop} or {@code length}; null while the reply goes on. */
    private String finishReason(Object event) {
        String refused = Json.string(event, "promptFeedback", "blockReason");
        if (refused != null) throw upstream.blocked(refused);
        return switch (Json.string(event, "candidates", 0, "finishReason")) {
            case null -> null;
            case "STOP" -> "stop";
            case "MAX_TOKENS" -> "length";
            case String reason when REFUSALS.contains(reason) -> throw upstream.blocked(reason);
            case String reason -> throw upstream.failed("ended its reply with " + reason);
        };
    }

    @Override
    public List<Image> draw(String prompt) throws InterruptedException {
        Object answer = upstream.ask(post(":generateContent", object("contents", List.of(object("role", "user", "parts", parts(prompt))),
                "generationConfig", object("responseModalities", List.of("TEXT", "IMAGE")))));
        var images = new ArrayList<Image>();
        var words = new StringBuilder();
        for (Object part : Json.items(answer, "candidates", 0, "content", "parts")) {
            String data = Json.string(part, "inlineData", "data");
            if (data != null && !Boolean.TRUE.equals(Json.at(part, "thought"))) images.add(upstream.image(data));
            else if (Json.string(part, "text") != null) words.append(Json.string(part, "text"));
        }
        if (!images.isEmpty()) return images;
        String reason = Json.string(answer, "candidates", 0, "finishReason");
        if (!"NO_IMAGE".equals(reason)) finishReason(answer); // throws where that is a refusal
        throw new Problem(Problem.Code.EMPTY_REPLY, upstream.name() + " drew nothing" + (words.isEmpty() ? ": try other words" : ", but said: " + words));
    }

    @Override
    public void check() throws InterruptedException {
        upstream.ask(upstream.request(model("")).GET());
    }

    private HttpRequest.Builder post(String method, Map<String, Object> body) {
        return upstream.post(model(method), body);
    }

    private URI model(String method) {
        String base = upstream.account().base().toString();
        String name = upstream.account().model();
        String bare = URLEncoder.encode(name.startsWith("models/") ? name.substring(7) : name, StandardCharsets.UTF_8).replace("+", "%20");
        return URI.create(base + (VERSIONED.matcher(base).find() ? "" : "/v1beta") + "/models/" + bare + method);
    }

    private static List<Object> parts(String text) {
        return List.of(object("text", text));
    }
}
