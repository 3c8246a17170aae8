package parley;

import static parley.Json.object;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * A stand-in for both services on a loopback port. It speaks their wire formats, so that the rest of Parley cannot tell it from
 * them: {@link Eliza} talks, {@link Painter} draws, and some words in a message bring the services' failures.
 */
final class Demo implements AutoCloseable {
    private static final int PAINTING = 900; // ms

    private final int pace;
    private final HttpServer server;
    private final ExecutorService threads = Executors.newCachedThreadPool(Thread.ofPlatform().daemon().factory());

    /** @param pace ms between two words */
    Demo(int pace) throws IOException {
        this.pace = pace;
        server = Server.bound(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
        server.createContext("/", this::handle);
        server.setExecutor(threads);
        server.start();
    }

    /** The variables with every address turned to this stand-in, and with histories of their own. */
    Map<String, String> redirect(Map<String, String> variables) {
        var redirected = new HashMap<>(variables);
        String address = "http://127.0.0.1:" + server.getAddress().getPort() + "/v1";
        for (String name : List.of("gemini", "nebius", variables.getOrDefault("CHAT_PROVIDER", ""), variables.getOrDefault("IMAGE_PROVIDER", ""))) {
            String prefix = name.strip().toUpperCase(Locale.ROOT).replace('-', '_');
            redirected.put(prefix + "_BASE_URL", address);
            redirected.put(prefix + "_API_KEY", "key-of-the-stand-in");
            for (String use : List.of("_CHAT_MODEL", "_IMAGE_MODEL")) {
                if (redirected.getOrDefault(prefix + use, "").isBlank() && !Settings.DEFAULTS.containsKey(prefix + use)) redirected.put(prefix + use, "demo");
            }
        }
        redirected.put("HISTORY_DIR", variables.getOrDefault("HISTORY_DIR", "histories") + "/demo");
        // Who says "timeout" to a demo does not want to wait for the usual minute.
        if (variables.getOrDefault("PROVIDER_TIMEOUT", "60").equals("60")) redirected.put("PROVIDER_TIMEOUT", "8");
        return redirected;
    }

    private void handle(HttpExchange exchange) throws IOException {
        try (exchange) {
            String path = exchange.getRequestURI().getPath();
            byte[] bytes = exchange.getRequestBody().readAllBytes();
            Object body = bytes.length == 0 ? null : Json.parse(bytes);
            if (path.endsWith("/images/generations")) draw(exchange, Json.string(body, "prompt"), false);
            else if (path.endsWith(":generateContent")) draw(exchange, Json.string(body, "contents", 0, "parts", 0, "text"), true);
            else if (path.endsWith(":streamGenerateContent")) chat(exchange, said(Json.items(body, "contents"), "parts", 0, "text"), true);
            else if (path.endsWith("/chat/completions")) chat(exchange, said(Json.items(body, "messages"), "content"), false);
            else if (path.endsWith("/models")) json(exchange, 200, object("data", Settings.DEFAULTS.values().stream().map(model -> object("id", model)).toList()));
            else json(exchange, 200, object("name", path));
        } catch (Json.Malformed e) {
            json(exchange, 400, error(400, e.getMessage()));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static List<String> said(List<?> messages, Object... path) {
        return messages.stream().filter(each -> "user".equals(Json.string(each, "role"))).map(each -> Json.string(each, path)).toList();
    }

    private void chat(HttpExchange exchange, List<String> said, boolean gemini) throws IOException, InterruptedException {
        String now = said.getLast().toLowerCase(Locale.ROOT);
        if (failed(exchange, now)) return;
        exchange.getResponseHeaders().set("Content-Type", "text/event-stream");
        exchange.sendResponseHeaders(200, 0);
        OutputStream out = exchange.getResponseBody();
        if (now.contains("blocked")) {
            event(out, gemini ? object("promptFeedback", object("blockReason", "SAFETY")) : object("choices", List.of(object("delta", object(), "finish_reason", "content_filter"))));
            return;
        }
        String[] words = Eliza.answer(said).split("(?<=\\s)(?=\\S)");
        int spoken = now.contains("cut off") ? words.length / 2 : words.length;
        for (int i = 0; i < spoken; i++) {
            event(out, gemini ? gemini(words[i], null) : object("choices", List.of(object("delta", object("content", words[i])))));
            Thread.sleep(pace);
        }
        if (spoken < words.length) return;
        long prompt = said.stream().mapToLong(each -> each.length() / 4 + 1).sum();
        long total = prompt + words.length;
        if (gemini) {
            Map<String, Object> last = gemini("", "STOP");
            last.put("usageMetadata", object("promptTokenCount", prompt, "candidatesTokenCount", words.length, "totalTokenCount", total));
            event(out, last);
        } else {
            event(out, object("choices", List.of(object("delta", object(), "finish_reason", "stop"))));
            event(out, object("choices", List.of(), "usage", object("prompt_tokens", prompt, "completion_tokens", words.length, "total_tokens", total)));
            out.write("data: [DONE]\n\n".getBytes(StandardCharsets.US_ASCII));
        }
    }

    private static Map<String, Object> gemini(String text, String finishReason) {
        return object("candidates", List.of(object("content", object("role", "model", "parts", List.of(object("text", text))), "finishReason", finishReason)));
    }

    /** Fails as a service does where the words ask for it. */
    private static boolean failed(HttpExchange exchange, String words) throws IOException, InterruptedException {
        if (words.contains("error 429")) {
            exchange.getResponseHeaders().set("Retry-After", "10");
            json(exchange, 429, error(429, "The demo has had enough for now: you said \"error 429\""));
        } else if (words.contains("error 500")) json(exchange, 500, error(500, "The demo has failed: you said \"error 500\""));
        else if (words.contains("timeout")) Thread.sleep(60_000);
        else return false;
        return true;
    }

    private static Map<String, Object> error(int status, String message) {
        return object("error", object("code", status, "message", message));
    }

    private static void draw(HttpExchange exchange, String prompt, boolean gemini) throws IOException, InterruptedException {
        String words = prompt.toLowerCase(Locale.ROOT);
        if (failed(exchange, words)) return;
        if (words.contains("blocked")) {
            json(exchange, gemini ? 200 : 400, gemini ? object("promptFeedback", object("blockReason", "IMAGE_SAFETY")) : object("error", object("code", "content_policy_violation")));
            return;
        }
        Thread.sleep(PAINTING);
        String data = Base64.getEncoder().encodeToString(Painter.paint(prompt));
        json(exchange, 200, gemini ? object("candidates", List.of(object("content", object("parts", List.of(object("inlineData", object("mimeType", "image/png", "data", data)))), "finishReason", "STOP")))
                : object("data", List.of(object("b64_json", data))));
    }

    private static void json(HttpExchange exchange, int status, Object value) throws IOException {
        byte[] bytes = Json.bytes(value);
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(status, bytes.length);
        exchange.getResponseBody().write(bytes);
    }

    private static void event(OutputStream out, Object value) throws IOException {
        out.write(("data: " + Json.write(value) + "\n\n").getBytes(StandardCharsets.UTF_8));
        out.flush();
    }

    @Override
    public void close() {
        server.stop(0);
        threads.shutdownNow();
    }
}
