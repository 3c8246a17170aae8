package parley;

import static java.lang.Boolean.TRUE;
import static java.lang.Thread.sleep;
import static java.net.InetAddress.getLoopbackAddress;
import static java.nio.charset.StandardCharsets.UTF_8;
import static java.util.Base64.getEncoder;
import static java.util.Locale.ROOT;
import static java.util.stream.Stream.concat;
import static parley.DotEnv.withEnvironment;
import static parley.JdkServer.listen;
import static parley.JdkServer.threads;
import static parley.Json.at;
import static parley.Json.decode;
import static parley.Json.items;
import static parley.Json.parse;
import static parley.Json.string;
import static parley.Json.toJson;
import static parley.Landscape.paint;
import static parley.Settings.DEFAULTS;
import static parley.Settings.prefix;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.text.ParseException;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * A stand-in for the services, on a loopback port. It speaks their wire formats, so that the rest of Parley cannot tell
 * it from them: {@link Eliza} talks, {@link Landscape} paints, and some words bring the services' failures.
 */
final class Demo implements AutoCloseable {
    /**
     * What a service answers, in the shape of its documentation.
     *
     * @param delta         a part of a reply: %s is its text in JSON
     * @param end           of a stream, before its usage
     * @param reply         a whole one, before its usage
     * @param usage         the members with the tokens of the prompt, of the reply, and of both
     * @param image         %s is its bytes in base64
     * @param refusalStatus of the refusal
     * @param refusal       of a subject
     */
    private record Dialect(
            String delta, String end, String reply, String usage, String image, int refusalStatus, String refusal) {}

    private static final Dialect GEMINI = new Dialect(
            """
            {"candidates":[{"content":{"role":"model","parts":[{"text":%s}]}}]}""",
            """
            {"candidates":[{"content":{"role":"model","parts":[{"text":""}]},"finishReason":"STOP"}],""",
            """
            {"candidates":[{"content":{"role":"model","parts":[{"text":%s}]},"finishReason":"STOP"}],""",
            """
            "usageMetadata":{"promptTokenCount":%d,"candidatesTokenCount":%d,"totalTokenCount":%d}}""",
            """
            {"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"%s"}}]},\
            "finishReason":"STOP"}]}""",
            200,
            """
            {"promptFeedback":{"blockReason":"SAFETY"}}""");

    private static final Dialect OPENAI = new Dialect(
            """
            {"choices":[{"index":0,"delta":{"role":"assistant","content":%s}}]}""",
            """
            {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],""",
            """
            {"choices":[{"index":0,"message":{"role":"assistant","content":%s},"finish_reason":"stop"}],""",
            """
            "usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}""",
            """
            {"data":[{"b64_json":"%s"}]}""",
            400,
            """
            {"error":{"code":"content_filter","message":"The subject is refused"}}""");

    private static final String FAILURE = """
            {"error":{"message":"The demo fails, as it was told"}}""";

    private final int pace;
    private final HttpServer server;

    /** @param pace ms between two words */
    Demo(int pace) throws IOException {
        this.pace = pace;
        server = listen(new InetSocketAddress(getLoopbackAddress(), 0));
        server.createContext("/", this::handle);
        server.setExecutor(threads());
        server.start();
    }

    /**
     * A file's variables and the environment's, with every address turned to this stand-in, and with histories of their
     * own.
     */
    Map<String, String> redirect(Map<String, String> file) {
        var redirected = new DotEnv(withEnvironment(file), Map.of())
                .withDefaults(DEFAULTS)
                .values();
        String services = redirected.get("CHAT_PROVIDER") + "," + redirected.get("IMAGE_PROVIDER");
        for (String service : services.split(",")) {
            String prefix = prefix(service);
            redirected.put(
                    prefix + "_BASE_URL",
                    "http://127.0.0.1:" + server.getAddress().getPort() + "/v1");
            redirected.put(prefix + "_API_KEY", "key-of-the-stand-in");
            redirected.putIfAbsent(prefix + "_CHAT_MODEL", "demo");
            redirected.putIfAbsent(prefix + "_IMAGE_MODEL", "demo");
        }
        // Who says "timeout" to a demo does not want to wait for two minutes.
        redirected.replace("PROVIDER_TIMEOUT", DEFAULTS.get("PROVIDER_TIMEOUT"), "8");
        redirected.merge("HISTORY_DIR", "/demo", String::concat);
        return redirected;
    }

    private void handle(HttpExchange http) throws IOException {
        try (http) {
            Object request = parse(decode(http.getRequestBody().readAllBytes()));
            answer(http, request, http.getRequestURI().getPath().contains(":") ? GEMINI : OPENAI);
        } catch (ParseException | InterruptedException e) {
            throw new IOException(e);
        }
    }

    /** Fails as a service does where the words ask for it. */
    private void answer(HttpExchange http, Object request, Dialect dialect) throws IOException, InterruptedException {
        var texts = texts(request);
        String words = texts.getLast().toLowerCase(ROOT);
        boolean isImage =
                at(request, "prompt") != null || at(request, "generationConfig", "responseModalities") != null;
        boolean isStream = http.getRequestURI().getPath().contains(":stream") || TRUE.equals(at(request, "stream"));
        if (words.contains("error 429")) send(http, 429, FAILURE);
        else if (words.contains("error 500")) send(http, 500, FAILURE);
        else if (words.contains("blocked")) send(http, dialect.refusalStatus, dialect.refusal);
        else if (words.contains("timeout")) sleep(60_000);
        else if (isImage) image(http, words, dialect);
        else chat(http, texts, dialect, isStream);
    }

    /** The beginnings of what is said in a request of either dialect, oldest first. */
    private static List<String> texts(Object request) {
        var ofGemini = items(request, "contents").stream().map(message -> string(message, "parts", 0, "text"));
        var ofOpenAi = items(request, "messages").stream().map(message -> string(message, "content"));
        String prompt = string(request, "prompt");
        return (prompt == null ? concat(ofGemini, ofOpenAi) : Stream.of(prompt))
                .map("%.500s"::formatted) // patterns take their time for each character
                .toList();
    }

    private void chat(HttpExchange http, List<String> texts, Dialect dialect, boolean isStream)
            throws IOException, InterruptedException {
        boolean isCutOff = texts.getLast().toLowerCase(ROOT).contains("cut off");
        String reply = Eliza.answer(texts);
        String[] words = reply.split("(?<=\\s)(?=\\S)");
        int prompt = texts.stream().mapToInt(text -> text.length() / 4 + 1).sum();
        String usage = dialect.usage.formatted(prompt, words.length, prompt + words.length);
        if (isStream) stream(http, words, dialect, isCutOff ? null : dialect.end + usage);
        else if (isCutOff) http.sendResponseHeaders(200, 1); // and that byte never comes
        else send(http, 200, dialect.reply.formatted(toJson(reply)) + usage);
    }

    /** @param end the last event; null for a connection that breaks behind the first word */
    private void stream(HttpExchange http, String[] words, Dialect dialect, String end)
            throws IOException, InterruptedException {
        http.getResponseHeaders().set("Content-Type", "text/event-stream");
        http.sendResponseHeaders(200, 0);
        for (String word : words) {
            event(http, dialect.delta.formatted(toJson(word)));
            if (end == null) return;
            sleep(pace);
        }
        event(http, end);
    }

    private static void event(HttpExchange http, String json) throws IOException {
        http.getResponseBody().write(("data: " + json + "\n\n").getBytes(UTF_8));
        http.getResponseBody().flush();
    }

    private static void image(HttpExchange http, String prompt, Dialect dialect)
            throws IOException, InterruptedException {
        sleep(900); // as if it took its time
        send(http, 200, dialect.image.formatted(getEncoder().encodeToString(paint(prompt))));
    }

    private static void send(HttpExchange http, int status, String json) throws IOException {
        byte[] bytes = json.getBytes(UTF_8);
        http.getResponseHeaders().set("Content-Type", "application/json");
        if (status == 429) http.getResponseHeaders().set("Retry-After", "10");
        http.sendResponseHeaders(status, bytes.length);
        http.getResponseBody().write(bytes);
    }

    @Override
    public void close() {
        server.stop(0);
    }
}
