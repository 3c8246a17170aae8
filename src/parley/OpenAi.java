package parley;

import static parley.Json.object;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * The dialect of OpenAI (https://platform.openai.com/docs/api-reference/chat), which Nebius and most other services
 * speak.
 */
record OpenAi(Upstream upstream, Settings settings) implements Provider {
    private ProviderProblems problems() {
        return upstream.problems();
    }

    private static final Pattern LENGTH = Pattern.compile("(?i)length|max.{0,20}tokens|token.?limit");
    private static final Pattern REFUSAL =
            Pattern.compile("(?i)filter|safety|moderat|blocked|refus|sensitive|prohibited|recitation");
    private static final Pattern CALL = Pattern.compile("(?i)tool|function");
    private static final Pattern ERROR = Pattern.compile(
            "(?i)error|fail|abort|cancel|time.?out|overload|unavailable" + "|insufficient|interrupt|malformed");
    private static final List<String> THOUGHTS =
            List.of("reasoning_content", "reasoning", "thinking"); // services' names for them

    @Override
    public Reply chat(List<Message> messages, ReplyStream stream) {
        Settings.Generation generation = settings.generation();
        Map<String, Object> body = object(
                "model", upstream.account().model(),
                "messages", messages(messages),
                "temperature", generation.temperature(),
                "top_p", generation.topP(),
                "top_k", generation.topK(),
                "max_tokens", generation.maxOutputTokens(),
                "stream", !stream.isWhole(),
                "stream_options", stream.isWhole() ? null : object("include_usage", true));
        return upstream.chat(upstream.post(upstream.uri("/chat/completions"), body), stream, this::read);
    }

    private List<?> messages(List<Message> messages) {
        var said = new ArrayList<Object>();
        String instructions = settings.generation().systemInstructions();
        if (instructions != null) said.add(object("role", "system", "content", instructions));
        for (Message message : Provider.alternating(messages)) {
            said.add(object("role", message.byUser() ? "user" : "assistant", "content", message.content()));
        }
        return said;
    }

    /** Takes a whole answer or an event: they have the same members but for {@code message} and {@code delta}. */
    private boolean read(Object answer, ReplyBuilder reply) {
        Object choice = upstream.first(answer, "choices");
        Object message = message(choice, reply.length() == 0);
        reply.text(text(Json.at(message, "content")));
        String refusal = text(Json.at(message, "refusal"));
        reply.refusal(refusal);
        if (hasThought(message)) reply.thought();
        Object usage = Json.at(answer, "usage");
        reply.usage(
                Json.at(usage, "prompt_tokens"), Json.at(usage, "completion_tokens"), Json.at(usage, "total_tokens"));
        String reason = Json.string(choice, "finish_reason");
        if (reason != null && !reason.isBlank()) reply.finish(finishReason(reason, refusal));
        return Json.at(answer, "choices") instanceof List;
    }

    /** What holds the words. A message beside deltas repeats them; an empty delta beside a whole message is none. */
    private static Object message(Object choice, boolean wordless) {
        Object delta = Json.at(choice, "delta");
        Object message = Json.at(choice, "message");
        if (!(delta instanceof Map)) return message;
        boolean whole = wordless && text(Json.at(delta, "content")).isEmpty();
        return whole && !ProviderError.isEmpty(message) ? message : delta;
    }

    private static boolean hasThought(Object message) {
        for (String name : THOUGHTS) {
            if (!ProviderError.isEmpty(Json.at(message, name))) return true;
        }
        for (Object part : Json.items(message, "content")) {
            if (!"text".equals(Json.at(part, "type"))) return true;
        }
        return false;
    }

    /** The words of a content: a text, or a list of parts, of which those that think are passed over. */
    private static String text(Object content) {
        if (content instanceof String text) return text;
        var text = new StringBuilder();
        for (Object part : Json.items(content)) {
            if (part instanceof String words) text.append(words);
            String type = Json.string(part, "type");
            if (Json.string(part, "text") != null && (type == null || type.endsWith("text")))
                text.append(Json.string(part, "text"));
        }
        return text.toString();
    }

    /**
     * {@code stop} or {@code length}. Services have words of their own: only those of a refusal, an error or a call are
     * failures.
     */
    private String finishReason(String reason, String refusal) {
        if (LENGTH.matcher(reason).find()) return "length";
        if (REFUSAL.matcher(reason).find()) throw problems().refused(reason, refusal);
        if (CALL.matcher(reason).find()) {
            throw problems()
                    .failed("ended its reply with %s, but no tools are offered: send it in other words", reason);
        }
        if (ERROR.matcher(reason).find()) {
            throw problems().failed("ended its reply with %s: send it again", reason);
        }
        return "stop";
    }

    @Override
    public List<Image> generateImages(String prompt) {
        Map<String, Object> body =
                object("model", upstream.account().model(), "prompt", prompt, "response_format", "b64_json");
        Object answer = upstream.ask(upstream.post(upstream.uri("/images/generations"), body));
        var images = new ArrayList<Image>();
        for (Object item : upstream.objects(answer, "data")) {
            String base64 = Json.string(item, "b64_json");
            String url = Json.string(item, "url");
            if (!ProviderError.isEmpty(base64)) images.add(problems().checked(Image.of(base64)));
            else if (!ProviderError.isEmpty(url)) images.add(problems().checked(image(url)));
        }
        if (images.isEmpty()) throw problems().noImage(ProviderError.wordsIn(answer));
        return images;
    }

    private Image image(String url) {
        if (url.startsWith("data:")) return Image.of(url);
        try {
            return Image.of(
                    upstream.fetch(ImageAddress.of(url, upstream.account().base())));
        } catch (ImageAddress.Refused e) {
            throw problems().failed("gave an image's address that %s", e.getMessage());
        }
    }

    /** A service may list the model with {@code models/} before it, a tag behind it, or without its variant. */
    @Override
    public void check() {
        String model = upstream.account().model();
        List<String> names = List.of(model, "models/" + model, model + ":latest", model.replaceFirst(":[^:]*$", ""));
        Object answer = upstream.ask(upstream.request(upstream.uri("/models")).GET());
        boolean listed = Json.items(answer, "data").stream()
                .map(each -> String.valueOf(Json.at(each, "id")))
                .anyMatch(names::contains);
        if (!listed) throw upstream.problems().unknownModel("does not list %s", model);
    }
}
