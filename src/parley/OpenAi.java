package parley;

import static java.util.regex.Pattern.compile;
import static java.util.stream.Collectors.joining;
import static parley.Json.at;
import static parley.Json.items;
import static parley.Json.members;
import static parley.Json.object;
import static parley.Json.string;
import static parley.Provider.alternating;
import static parley.ProviderError.isEmpty;
import static parley.ProviderError.wordsIn;

import java.net.http.HttpRequest.Builder;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import parley.Settings.Generation;

/**
 * The dialect of OpenAI (https://platform.openai.com/docs/api-reference/chat), which Nebius and most other services
 * speak.
 */
record OpenAi(Upstream upstream, ProviderProblems problems, Generation generation) implements Provider {
    private static final Pattern NO_REASON = compile("(?i)\\s*|null|none");
    private static final Pattern LENGTH = compile("(?i)length|max.{0,20}tokens|token.?limit");
    private static final Pattern REFUSAL =
            compile("(?i)filter|safety|moderat|blocked|refus|sensitive|prohibited|recitation|guardrail|flagged");
    private static final Pattern FAILURE =
            compile("(?i)error|exception|fail|abort|cancel|time.?out|overload|unavailable"
                    + "|insufficient|interrupt|malformed|tool|function");

    /** Members of a message that hold thoughts, or parts of the content that are no words. */
    private static final List<String> THOUGHTS =
            List.of("reasoning_content", "reasoning", "reasoning_details", "reasoning_text", "thinking", "content");

    @Override
    public Reply chat(List<Message> messages, ReplyStream stream) {
        var body = object(
                "model", problems.account().model(),
                "messages", messages(messages),
                "temperature", generation.temperature(),
                "top_p", generation.topP(),
                "top_k", generation.topK(),
                "max_tokens", generation.maxOutputTokens(),
                "stream", !stream.isWhole(),
                "stream_options", stream.isWhole() ? null : object("include_usage", true));
        return upstream.chat(upstream.post(request("/chat/completions"), body), stream, this::read);
    }

    private List<?> messages(List<Message> messages) {
        var said = new ArrayList<Object>();
        String instructions = generation.systemInstructions();
        if (instructions != null) said.add(object("role", "system", "content", instructions));
        for (Message message : alternating(messages)) {
            said.add(object("role", message.byUser() ? "user" : "assistant", "content", message.content()));
        }
        return said;
    }

    /** Takes a whole answer or an event: they have the same members but for {@code message} and {@code delta}. */
    private boolean read(Object answer, ReplyBuilder reply) {
        Object choice = upstream.first(answer, "choices");
        Object message = message(choice, reply.length() == 0);
        String words = text(at(message, "content"));
        if (!repeats(answer, words, reply)) reply.text(words);
        String refusal = text(at(message, "refusal")) + text(at(message, "content", 0, "refusal"));
        reply.refusal(refusal);
        if (THOUGHTS.stream().anyMatch(name -> !isEmpty(at(message, name)))) reply.thought();
        reply.usage(members(at(answer, "usage")));
        String reason = string(choice, "finish_reason");
        if (!NO_REASON.matcher("" + reason).matches()) reply.finish(finishReason(reason, refusal));
        return at(answer, "choices") instanceof List;
    }

    /** Whether this is MiniMax's last event: a whole answer, with all that its deltas have said. */
    private static boolean repeats(Object answer, String words, ReplyBuilder reply) {
        boolean isWhole = at(answer, "choices", 0, "delta") == null && "chat.completion".equals(at(answer, "object"));
        return isWhole && reply.length() > 0 && words.endsWith(reply.toString());
    }

    /** What holds the words. A message beside deltas repeats them; an empty delta beside a whole message is none. */
    private static Object message(Object choice, boolean wordless) {
        Object delta = at(choice, "delta");
        Object message = at(choice, "message");
        boolean whole =
                wordless && !isEmpty(message) && text(at(delta, "content")).isEmpty();
        return whole || !(delta instanceof Map) ? message : delta;
    }

    /** The words of a content: a text, a part that holds one, or a list of these. Parts that think are passed over. */
    private static String text(Object content) {
        if (content instanceof String text) return text;
        String type = string(content, "type");
        String text = string(content, "text");
        if (text != null && (type == null || type.endsWith("text"))) return text;
        return items(content).stream().map(OpenAi::text).collect(joining());
    }

    /**
     * {@code stop} or {@code length}. Services have words of their own: only those of a refusal, an error or a call are
     * failures.
     */
    private String finishReason(String reason, String refusal) {
        if (LENGTH.matcher(reason).find()) return "length";
        if (REFUSAL.matcher(reason).find()) throw problems.refused(reason, refusal);
        if (FAILURE.matcher(reason).find()) throw problems.ended(reason);
        return "stop";
    }

    @Override
    public List<Image> generateImages(String prompt) {
        var body = object("model", problems.account().model(), "prompt", prompt, "response_format", "b64_json");
        Object answer = upstream.ask(upstream.post(request("/images/generations"), body));
        var images = new ArrayList<Image>();
        for (Object item : upstream.objects(answer, "data")) {
            String base64 = string(item, "b64_json");
            String url = string(item, "url");
            if (isEmpty(base64) && isEmpty(url)) continue;
            images.add(problems.checked(isEmpty(base64) ? image(url) : Image.of(base64)));
        }
        if (images.isEmpty()) throw problems.noImage(wordsIn(answer));
        return images;
    }

    private Image image(String url) {
        return url.matches("(?is)data:.*") ? Image.of(url) : Image.of(upstream.fetch(url));
    }

    /** A service may list the model with {@code models/} before it, a tag behind it, or without its variant. */
    @Override
    public void check() {
        String model = problems.account().model();
        var names = List.of(model, "models/" + model, model + ":latest", model.replaceFirst(":[^:]*$", ""));
        Object answer = upstream.ask(request("/models"));
        if (items(answer, "data").stream().noneMatch(each -> names.contains("" + at(each, "id")))) {
            throw problems.unknownModel("does not list %s", model);
        }
    }

    private Builder request(String path) {
        return upstream.request(path, "Authorization", "Bearer ");
    }
}
