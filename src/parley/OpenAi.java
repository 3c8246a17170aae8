package parley;

import static parley.Json.object;

import java.io.IOException;
import java.net.InetAddress;
import java.net.URI;
import java.net.URISyntaxException;
import java.net.URL;
import java.net.http.HttpRequest;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * The dialect of OpenAI (https://platform.openai.com/docs/api-reference/chat), which Nebius and most other services
 * speak.
 */
record OpenAi(Upstream upstream, Settings settings) implements Provider {
    private static final Pattern LENGTH = Pattern.compile("(?i).*(length|max.*tokens|token.?limit).*");
    private static final Pattern REFUSAL =
            Pattern.compile("(?i).*(filter|safety|moderat|blocked|refus|sensitive|prohibited|recitation).*");
    private static final Pattern CALL = Pattern.compile("(?i).*(tool|function).*");
    private static final Pattern ERROR = Pattern.compile(
            "(?i).*(error|fail|abort|cancel|time.?out|overload|unavailable|insufficient" + "|interrupt|malformed).*");
    private static final List<String> THOUGHTS =
            List.of("reasoning_content", "reasoning", "thinking"); // services' names for them

    @Override
    public Reply chat(List<Message> messages, Consumer<String> onText) throws InterruptedException {
        var said = new ArrayList<Object>();
        String instructions = settings.generation().systemInstructions();
        if (instructions != null) said.add(object("role", "system", "content", instructions));
        for (Message message : Provider.alternating(messages)) {
            said.add(object("role", message.byUser() ? "user" : "assistant", "content", message.content()));
        }
        Settings.Generation generation = settings.generation();
        boolean stream = onText != null;
        Map<String, Object> body = object(
                "model",
                upstream.account().model(),
                "messages",
                said,
                "temperature",
                generation.temperature(),
                "top_p",
                generation.topP(),
                "top_k",
                generation.topK(),
                "max_tokens",
                generation.maxOutputTokens(),
                "stream",
                stream,
                "stream_options",
                stream ? object("include_usage", true) : null);
        return upstream.chat(upstream.post(path("/chat/completions"), body), onText, this::read);
    }

    /** Takes a whole answer or an event: they have the same members but for {@code message} and {@code delta}. */
    private void read(Object answer, ReplyBuilder reply) {
        Object choice = Provider.first(Json.items(answer, "choices"));
        Object message = Json.at(
                choice,
                Json.at(choice, "delta") instanceof Map ? "delta" : "message"); // beside a delta, it repeats words
        reply.text(text(Json.at(message, "content")));
        reply.refusal(text(Json.at(message, "refusal")));
        boolean otherParts =
                Json.items(message, "content").stream().anyMatch(part -> !"text".equals(Json.string(part, "type")));
        if (otherParts) reply.thought();
        for (String name : THOUGHTS)
            if (Json.at(message, name) instanceof String thought && !thought.isEmpty()) reply.thought();
        Object usage = Json.at(answer, "usage");
        reply.usage(
                Json.at(usage, "prompt_tokens"), Json.at(usage, "completion_tokens"), Json.at(usage, "total_tokens"));
        String reason = Json.string(choice, "finish_reason");
        if (reason != null && !reason.isEmpty()) reply.finish(finishReason(reason));
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
    private String finishReason(String reason) {
        if (LENGTH.matcher(reason).matches()) return "length";
        if (REFUSAL.matcher(reason).matches()) throw upstream.blocked(reason);
        String ended = "ended its reply with " + reason;
        if (CALL.matcher(reason).matches())
            throw upstream.failed(ended + ", but no tools are offered: send it in other words");
        if (ERROR.matcher(reason).matches()) throw upstream.failed(ended + ": send it again");
        return "stop";
    }

    @Override
    public List<Image> generateImages(String prompt) throws InterruptedException {
        Object answer = upstream.ask(upstream.post(
                path("/images/generations"),
                object("model", upstream.account().model(), "prompt", prompt, "response_format", "b64_json")));
        var images = new ArrayList<Image>();
        for (Object item : Json.items(answer, "data")) {
            String url = Json.string(item, "url");
            if (Json.string(item, "b64_json") != null)
                images.add(upstream.checked(Image.of(Json.string(item, "b64_json"))));
            else if (url != null) images.add(url.startsWith("data:") ? upstream.checked(Image.of(url)) : fetch(url));
        }
        if (images.isEmpty()) throw upstream.noImage("");
        return images;
    }

    /**
     * The image at an address that a provider gave: https of the public internet, or the provider's own host and port.
     */
    private Image fetch(String url) throws InterruptedException {
        try {
            URL image = URI.create(url).toURL();
            URL service = upstream.account().base().toURL();
            boolean own = image.getHost().equalsIgnoreCase(service.getHost()) && port(image) == port(service);
            if (!own && !image.getProtocol().equals("https"))
                throw upstream.failed("gave an image's address that is not https");
            boolean hidden =
                    !own && Stream.of(InetAddress.getAllByName(image.getHost())).anyMatch(OpenAi::isPrivate);
            if (hidden) throw upstream.failed("gave an image's address in a private network");
            return upstream.checked(Image.of(upstream.download(HttpRequest.newBuilder(image.toURI()))));
        } catch (IllegalArgumentException | URISyntaxException | IOException e) {
            throw upstream.failed("gave an image's address that leads nowhere");
        }
    }

    private static int port(URL url) {
        return url.getPort() < 0 ? url.getDefaultPort() : url.getPort();
    }

    /**
     * Whether an address is not of the public internet (RFC 6890): this machine's, a private network's, a link's or a
     * group's.
     */
    private static boolean isPrivate(InetAddress address) {
        byte[] bytes = address.getAddress();
        boolean shared = bytes.length == 4 && bytes[0] == 100 && (bytes[1] & 0xC0) == 64; // 100.64.0.0/10
        boolean unique = bytes.length == 16 && (bytes[0] & 0xFE) == 0xFC; // fc00::/7
        boolean own = address.isAnyLocalAddress() || address.isLoopbackAddress() || address.isLinkLocalAddress();
        return shared || unique || bytes[0] == 0 || own || address.isSiteLocalAddress() || address.isMulticastAddress();
    }

    @Override
    public void check() throws InterruptedException {
        List<?> models =
                Json.items(upstream.ask(upstream.request(path("/models")).GET()), "data");
        if (models.stream().noneMatch(model -> upstream.account().model().equals(Json.string(model, "id")))) {
            throw upstream.unknownModel("it is not on its list");
        }
    }

    private URI path(String path) {
        return URI.create(upstream.account().base() + path);
    }
}
