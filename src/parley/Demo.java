package parley;

import static parley.Json.object;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.awt.Color;
import java.awt.GradientPaint;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List; // and not that of java.awt
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Executors;
import java.util.stream.Stream;
import javax.imageio.ImageIO;

/**
 * A stand-in for both services on a loopback port. It speaks their wire formats, so that the rest of Parley cannot tell
 * it from
 * them: {@link Eliza} talks, a landscape is painted for each prompt, and some words bring the services' failures.
 */
final class Demo implements AutoCloseable {
    private static final int PAINTING = 900; // ms
    private static final int SIZE = 512; // pixels of an image, each way
    private static final Map<String, Integer> COLOURS = Map.of(
            "red", 0xD7263D, "orange", 0xF46036, "yellow", 0xFFD23F, "green", 0x2E933C, "blue", 0x2364AA, "purple",
            0x7B2D8B, "pink", 0xFF6FA3, "brown", 0x7A4A2B, "white", 0xF7F4EC, "grey", 0x7D8491);

    private final int pace;
    private final Eliza eliza = new Eliza();
    private final HttpServer server;

    /** @param pace ms between two words */
    Demo(int pace) throws IOException {
        this.pace = pace;
        System.setProperty("java.awt.headless", "true"); // for painting
        server = JdkServer.listen(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
        server.createContext("/", this::handle);
        server.setExecutor(
                Executors.newCachedThreadPool(Thread.ofPlatform().daemon().factory()));
        server.start();
    }

    /**
     * A file's variables and the environment's, with every address turned to this stand-in, and with histories of their
     * own.
     */
    Map<String, String> redirect(Map<String, String> file) {
        var redirected = new HashMap<>(Settings.DEFAULTS);
        DotEnv.withEnvironment(file)
                .forEach((name, value) -> redirected.compute(name, (same, usual) -> value.isBlank() ? usual : value));
        String address = "http://127.0.0.1:" + server.getAddress().getPort() + "/v1";
        for (String use : List.of("CHAT", "IMAGE")) {
            for (String provider : Settings.providers(redirected.get(use + "_PROVIDER"))) {
                String prefix = Settings.prefix(provider);
                redirected.put(prefix + "_BASE_URL", address);
                redirected.put(prefix + "_API_KEY", "key-of-the-stand-in");
                redirected.putIfAbsent(prefix + "_" + use + "_MODEL", "demo");
            }
        }
        // Who says "timeout" to a demo does not want to wait for two minutes.
        redirected.replace("PROVIDER_TIMEOUT", Settings.DEFAULTS.get("PROVIDER_TIMEOUT"), "8");
        redirected.merge("HISTORY_DIR", "/demo", String::concat);
        return redirected;
    }

    private void handle(HttpExchange http) throws IOException {
        try (http) {
            String path = http.getRequestURI().getPath();
            byte[] bytes = http.getRequestBody().readAllBytes();
            Object body = bytes.length == 0 ? null : Json.parse(new String(bytes, StandardCharsets.UTF_8));
            boolean gemini = path.contains(":");
            boolean image = path.endsWith("/images/generations")
                    || Json.at(body, "generationConfig", "responseModalities") != null;
            List<String> asked = said(Json.items(body, "contents"), "parts", 0, "text");
            if (http.getRequestMethod().equals("GET")) models(http, path);
            else if (image) image(http, gemini ? asked.getLast() : Json.string(body, "prompt"), gemini);
            else if (gemini) chat(http, asked, path.contains(":stream"), true);
            else
                chat(
                        http,
                        said(Json.items(body, "messages"), "content"),
                        Boolean.TRUE.equals(Json.at(body, "stream")),
                        false);
        } catch (Json.Malformed | InterruptedException e) {
            throw new IOException(e);
        }
    }

    private static void models(HttpExchange http, String path) throws IOException {
        json(
                http,
                200,
                object(
                        "name",
                        path,
                        "data",
                        Settings.DEFAULTS.values().stream()
                                .map(model -> object("id", model))
                                .toList()));
    }

    private static List<String> said(List<?> messages, Object... path) {
        return messages.stream()
                .filter(each -> "user".equals(Json.string(each, "role")))
                .map(each -> Json.string(each, path))
                .toList();
    }

    private void chat(HttpExchange http, List<String> said, boolean stream, boolean gemini)
            throws IOException, InterruptedException {
        String now = said.getLast().toLowerCase(Locale.ROOT);
        if (failed(http, now, gemini)) return;
        boolean cut = now.contains("cut off");
        String[] words = eliza.answer(said).split("(?<=\\s)(?=\\S)");
        int in = said.stream().mapToInt(each -> each.length() / 4 + 1).sum();
        int out = words.length;
        Map<String, Object> end = answer(gemini, stream ? "" : String.join("", words), stream, "STOP");
        if (gemini)
            end.put(
                    "usageMetadata",
                    object("promptTokenCount", in, "candidatesTokenCount", out, "totalTokenCount", in + out));
        else end.put("usage", object("prompt_tokens", in, "completion_tokens", out, "total_tokens", in + out));
        if (stream) {
            List<Map<String, Object>> events = new ArrayList<>(Stream.of(words)
                    .map(word -> answer(gemini, word, true, null))
                    .toList());
            events.add(end);
            stream(http, cut ? events.subList(0, words.length / 2) : events);
        } else if (cut) http.sendResponseHeaders(200, 1); // and that byte never comes
        else json(http, 200, end);
    }

    private void stream(HttpExchange http, List<Map<String, Object>> events) throws IOException, InterruptedException {
        http.getResponseHeaders().set("Content-Type", "text/event-stream");
        http.sendResponseHeaders(200, 0);
        for (Object event : events) {
            http.getResponseBody().write(("data: " + Json.write(event) + "\n\n").getBytes(StandardCharsets.UTF_8));
            http.getResponseBody().flush();
            Thread.sleep(pace);
        }
    }

    /** A whole answer or an event, with the reason where it is the last one: in Gemini's words. */
    private static Map<String, Object> answer(boolean gemini, String text, boolean stream, String reason) {
        if (gemini) {
            Map<String, Object> content = object("role", "model", "parts", List.of(object("text", text)));
            return object("candidates", List.of(object("content", content, "finishReason", reason)));
        }
        String finish = reason == null ? null : "stop";
        Map<String, Object> message = object("role", "assistant", "content", text);
        return object(
                "choices", List.of(object("index", 0, stream ? "delta" : "message", message, "finish_reason", finish)));
    }

    /** Fails as a service does where the words ask for it. */
    private static boolean failed(HttpExchange http, String words, boolean gemini)
            throws IOException, InterruptedException {
        if (words.contains("error 429")) http.getResponseHeaders().set("Retry-After", "10");
        if (words.contains("error 429"))
            json(http, 429, error(429, "The demo has had enough for now: you said \"error 429\""));
        else if (words.contains("error 500"))
            json(http, 500, error(500, "The demo has failed: you said \"error 500\""));
        else if (words.contains("blocked") && gemini)
            json(http, 200, object("promptFeedback", object("blockReason", "SAFETY")));
        else if (words.contains("blocked")) json(http, 400, object("error", object("code", "content_filter")));
        else if (words.contains("timeout")) Thread.sleep(60_000);
        else return false;
        return true;
    }

    private static Object error(int status, String message) {
        return object("error", object("code", status, "message", message));
    }

    private static void image(HttpExchange http, String prompt, boolean gemini)
            throws IOException, InterruptedException {
        if (failed(http, prompt.toLowerCase(Locale.ROOT), gemini)) return;
        Thread.sleep(PAINTING);
        String data = Base64.getEncoder().encodeToString(paint(prompt));
        Object part = object("inlineData", object("mimeType", "image/png", "data", data));
        json(
                http,
                200,
                gemini
                        ? object(
                                "candidates",
                                List.of(object("content", object("parts", List.of(part)), "finishReason", "STOP")))
                        : object("data", List.of(object("b64_json", data))));
    }

    private static void json(HttpExchange http, int status, Object value) throws IOException {
        byte[] bytes = Json.write(value).getBytes(StandardCharsets.UTF_8);
        http.getResponseHeaders().set("Content-Type", "application/json");
        http.sendResponseHeaders(status, bytes.length);
        http.getResponseBody().write(bytes);
    }

    /** A PNG of hills under a sun, in the colours that the words name: the same for the same words. */
    static byte[] paint(String prompt) throws IOException {
        String words = prompt.strip().toLowerCase(Locale.ROOT);
        var random = new Random(words.hashCode() * 0x9E3779B97F4A7C15L);
        Color hills = Stream.of(words.split("\\W+"))
                .filter(COLOURS::containsKey)
                .map(COLOURS::get)
                .map(Color::new)
                .findFirst()
                .orElseGet(() -> Color.getHSBColor(random.nextFloat(), 0.7f, 0.7f));
        var image = new BufferedImage(SIZE, SIZE, BufferedImage.TYPE_INT_RGB);
        Graphics2D brush = image.createGraphics();
        brush.setRenderingHint(RenderingHints.KEY_ANTIALIASING, RenderingHints.VALUE_ANTIALIAS_ON);
        brush.setPaint(new GradientPaint(0, 0, new Color(0x2364AA), 0, SIZE, new Color(0xFFF1D6)));
        brush.fillRect(0, 0, SIZE, SIZE);
        brush.setPaint(new Color(0xFFE9B0));
        brush.fillOval(60 + random.nextInt(300), 60 + random.nextInt(120), 90, 90);
        for (int hill = 0; hill < 7; hill++) {
            brush.setPaint(new Color(hills.getRed(), hills.getGreen(), hills.getBlue(), 110 + 20 * hill));
            brush.fillOval(random.nextInt(SIZE) - SIZE, 200 + 40 * hill, SIZE + random.nextInt(2 * SIZE), SIZE);
        }
        var png = new ByteArrayOutputStream();
        ImageIO.write(image, "png", png);
        return png.toByteArray();
    }

    @Override
    public void close() {
        server.stop(0);
    }
}
