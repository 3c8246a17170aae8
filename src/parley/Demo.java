package parley;

import static parley.Json.object;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.stream.Stream;
import java.util.zip.CRC32;
import java.util.zip.DeflaterOutputStream;

/**
 * A stand-in for both services on a loopback port. It speaks their wire formats, so that the rest of Parley cannot tell it from
 * them: {@link Eliza} talks, a landscape is painted for each prompt, and some words bring the services' failures.
 */
final class Demo implements AutoCloseable {
    private static final int PAINTING = 900; // ms
    private static final int SIZE = 512; // pixels of an image, each way
    private static final Map<String, Integer> COLOURS = Map.of("red", 0xD7263D, "orange", 0xF46036, "yellow", 0xFFD23F, "green", 0x2E933C,
            "blue", 0x2364AA, "purple", 0x7B2D8B, "pink", 0xFF6FA3, "brown", 0x7A4A2B, "white", 0xF7F4EC, "grey", 0x7D8491);

    private final int pace;
    private final Eliza eliza = new Eliza();
    private final HttpServer server;
    private final ExecutorService threads = Executors.newCachedThreadPool(Thread.ofPlatform().daemon().factory());

    /** @param pace ms between two words */
    Demo(int pace) throws IOException {
        this.pace = pace;
        server = Api.listen(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
        server.createContext("/", this::handle);
        server.setExecutor(threads);
        server.start();
    }

    /** The variables with every address turned to this stand-in, and with histories of their own. */
    Map<String, String> redirect(Map<String, String> variables) {
        var redirected = new HashMap<>(variables);
        redirected.values().removeIf(String::isBlank);
        String address = "http://127.0.0.1:" + server.getAddress().getPort() + "/v1";
        for (String use : List.of("CHAT", "IMAGE")) {
            String provider = redirected.getOrDefault(use + "_PROVIDER", Settings.DEFAULTS.get(use + "_PROVIDER"));
            String prefix = provider.strip().toUpperCase(Locale.ROOT).replace('-', '_');
            redirected.put(prefix + "_BASE_URL", address);
            redirected.put(prefix + "_API_KEY", "key-of-the-stand-in");
            String model = prefix + "_" + use + "_MODEL";
            redirected.putIfAbsent(model, Settings.DEFAULTS.getOrDefault(model, "demo"));
        }
        redirected.put("HISTORY_DIR", redirected.getOrDefault("HISTORY_DIR", "histories") + "/demo");
        // Who says "timeout" to a demo does not want to wait for two minutes.
        String timeout = Settings.DEFAULTS.get("PROVIDER_TIMEOUT");
        if (redirected.getOrDefault("PROVIDER_TIMEOUT", timeout).equals(timeout)) redirected.put("PROVIDER_TIMEOUT", "8");
        return redirected;
    }

    private void handle(HttpExchange http) throws IOException {
        try (http) {
            String path = http.getRequestURI().getPath();
            byte[] bytes = http.getRequestBody().readAllBytes();
            Object body = bytes.length == 0 ? null : Json.parse(new String(bytes, StandardCharsets.UTF_8));
            boolean gemini = path.contains(":");
            boolean image = path.endsWith("/images/generations") || Json.at(body, "generationConfig", "responseModalities") != null;
            if (http.getRequestMethod().equals("GET")) models(http, path);
            else if (image) image(http, gemini ? said(Json.items(body, "contents"), "parts", 0, "text").getLast() : Json.string(body, "prompt"), gemini);
            else if (gemini) chat(http, said(Json.items(body, "contents"), "parts", 0, "text"), path.contains(":stream"), true);
            else chat(http, said(Json.items(body, "messages"), "content"), Boolean.TRUE.equals(Json.at(body, "stream")), false);
        } catch (Json.Malformed e) {
            json(http, 400, error(400, e.getMessage()));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static void models(HttpExchange http, String path) throws IOException {
        List<Map<String, Object>> known = Settings.DEFAULTS.values().stream().map(model -> object("id", model)).toList();
        json(http, 200, object("name", path, "data", known));
    }

    private static List<String> said(List<?> messages, Object... path) {
        return messages.stream().filter(each -> "user".equals(Json.string(each, "role"))).map(each -> Json.string(each, path)).toList();
    }

    private void chat(HttpExchange http, List<String> said, boolean stream, boolean gemini) throws IOException, InterruptedException {
        String now = said.getLast().toLowerCase(Locale.ROOT);
        if (failed(http, now)) return;
        boolean blocked = now.contains("blocked");
        boolean cut = now.contains("cut off");
        String[] words = blocked ? new String[0] : eliza.answer(said).split("(?<=\\s)(?=\\S)");
        int prompt = said.stream().mapToInt(each -> each.length() / 4 + 1).sum();
        Map<String, Object> end = answer(gemini, stream ? "" : String.join("", words), stream, blocked ? "SAFETY" : "STOP");
        if (gemini) end.put("usageMetadata", object("promptTokenCount", prompt, "candidatesTokenCount", words.length, "totalTokenCount", prompt + words.length));
        else end.put("usage", object("prompt_tokens", prompt, "completion_tokens", words.length, "total_tokens", prompt + words.length));
        if (stream) stream(http, words, cut ? words.length / 2 : words.length, gemini, end);
        else if (cut) http.sendResponseHeaders(200, 1); // and that byte never comes
        else json(http, 200, end);
    }

    private void stream(HttpExchange http, String[] words, int spoken, boolean gemini, Map<String, Object> end) throws IOException, InterruptedException {
        http.getResponseHeaders().set("Content-Type", "text/event-stream");
        http.sendResponseHeaders(200, 0);
        for (int i = 0; i < spoken; i++) {
            event(http, answer(gemini, words[i], true, null));
            Thread.sleep(pace);
        }
        if (spoken == words.length) event(http, end);
    }

    /** A whole answer or an event, with the reason where it is the last one: in Gemini's words. */
    private static Map<String, Object> answer(boolean gemini, String text, boolean stream, String reason) {
        if (gemini) {
            Map<String, Object> content = object("role", "model", "parts", List.of(object("text", text)));
            return object("candidates", List.of(object("content", content, "finishReason", reason)));
        }
        String finish = "SAFETY".equals(reason) ? "content_filter" : "stop";
        Map<String, Object> message = object("role", "assistant", "content", text);
        return object("choices", List.of(object("index", 0, stream ? "delta" : "message", message, "finish_reason", reason == null ? null : finish)));
    }

    /** Fails as a service does where the words ask for it. */
    private static boolean failed(HttpExchange http, String words) throws IOException, InterruptedException {
        if (words.contains("error 429")) http.getResponseHeaders().set("Retry-After", "10");
        if (words.contains("error 429")) json(http, 429, error(429, "The demo has had enough for now: you said \"error 429\""));
        else if (words.contains("error 500")) json(http, 500, error(500, "The demo has failed: you said \"error 500\""));
        else if (words.contains("timeout")) Thread.sleep(60_000);
        else return false;
        return true;
    }

    private static Map<String, Object> error(int status, String message) {
        return object("error", object("code", status, "message", message));
    }

    private static void image(HttpExchange http, String prompt, boolean gemini) throws IOException, InterruptedException {
        String words = prompt.toLowerCase(Locale.ROOT);
        if (failed(http, words)) return;
        if (words.contains("blocked")) {
            Object refused = gemini ? object("promptFeedback", object("blockReason", "IMAGE_SAFETY")) : object("error", object("code", "moderation_blocked"));
            json(http, gemini ? 200 : 400, refused);
            return;
        }
        Thread.sleep(PAINTING);
        String data = Base64.getEncoder().encodeToString(paint(prompt));
        Object part = object("inlineData", object("mimeType", "image/png", "data", data));
        json(http, 200, gemini ? object("candidates", List.of(object("content", object("parts", List.of(part)), "finishReason", "STOP")))
                : object("data", List.of(object("b64_json", data))));
    }

    /** A PNG of the prompt: the same for the same words. */
    static byte[] paint(String prompt) throws IOException {
        return png(landscape(prompt.strip().toLowerCase(Locale.ROOT)));
    }

    private static void json(HttpExchange http, int status, Object value) throws IOException {
        byte[] bytes = Json.write(value).getBytes(StandardCharsets.UTF_8);
        http.getResponseHeaders().set("Content-Type", "application/json");
        http.sendResponseHeaders(status, bytes.length);
        http.getResponseBody().write(bytes);
    }

    private static void event(HttpExchange http, Object value) throws IOException {
        http.getResponseBody().write(("data: " + Json.write(value) + "\n\n").getBytes(StandardCharsets.UTF_8));
        http.getResponseBody().flush();
    }

    /** A sky with a sun in it and five ranges of hills, the same for the same words, in the colours that they name. */
    private static int[] landscape(String words) {
        var random = new Random(words.hashCode() * 0x9E3779B97F4A7C15L);
        List<Integer> named = Stream.of(words.split("\\W+")).filter(COLOURS::containsKey).map(COLOURS::get).toList();
        List<Integer> any = List.copyOf(COLOURS.values());
        int hills = named.isEmpty() ? any.get(random.nextInt(any.size())) : named.getFirst();
        int sky = named.size() < 2 ? 0x2364AA : named.get(1);
        double sunX = SIZE * (0.15 + 0.7 * random.nextDouble());
        double sunY = SIZE * (0.15 + 0.25 * random.nextDouble());
        double[] phases = random.doubles(10, 0, 2 * Math.PI).toArray();
        int[] pixels = new int[SIZE * SIZE];
        for (int i = 0; i < pixels.length; i++) {
            int x = i % SIZE;
            int y = i / SIZE;
            double away = Math.hypot(x - sunX, y - sunY) / 40;
            pixels[i] = mix(mix(sky, 0xFFF1D6, y / (SIZE * 0.8)), 0xFFE9B0, away < 1 ? 0.95 : 0.5 / (away * away));
            for (int range = 0; range < 5; range++) {
                double wave = Math.sin(x * (range + 2) / 90.0 + phases[range]) + Math.sin(x * (range + 3) / 37.0 + phases[range + 5]) / 3;
                boolean behind = y > SIZE * (0.45 + 0.1 * range) - 22 * wave;
                if (behind) pixels[i] = mix(mix(hills, 0xFFF1D6, 0.6 - 0.13 * range), 0x101018, 0.12 * range);
            }
        }
        return pixels;
    }

    private static int mix(int from, int to, double share) {
        double part = Math.clamp(share, 0.0, 1.0);
        int mixed = 0;
        for (int shift = 0; shift <= 16; shift += 8) {
            mixed |= (int) Math.round((from >> shift & 255) * (1 - part) + (to >> shift & 255) * part) << shift;
        }
        return mixed;
    }

    /** The file of the pixels, as https://www.w3.org/TR/png-3/ has it: RGB of 8 bits, no filter. */
    private static byte[] png(int[] pixels) throws IOException {
        var packed = new ByteArrayOutputStream();
        try (var out = new DeflaterOutputStream(packed)) {
            for (int i = 0; i < pixels.length; i++) {
                if (i % SIZE == 0) out.write(0); // a row without a filter begins
                out.write(new byte[] {(byte) (pixels[i] >> 16), (byte) (pixels[i] >> 8), (byte) pixels[i]});
            }
        }
        var file = new ByteArrayOutputStream();
        var out = new DataOutputStream(file);
        out.writeLong(0x89504E470D0A1A0AL);
        chunk(out, "IHDR", new byte[] {0, 0, SIZE >> 8, (byte) SIZE, 0, 0, SIZE >> 8, (byte) SIZE, 8, 2, 0, 0, 0});
        chunk(out, "IDAT", packed.toByteArray());
        chunk(out, "IEND", new byte[0]);
        return file.toByteArray();
    }

    private static void chunk(DataOutputStream out, String type, byte[] data) throws IOException {
        var sum = new CRC32();
        sum.update(type.getBytes(StandardCharsets.US_ASCII));
        sum.update(data);
        out.writeInt(data.length);
        out.writeBytes(type);
        out.write(data);
        out.writeInt((int) sum.getValue());
    }

    @Override
    public void close() {
        server.stop(0);
        threads.shutdownNow();
    }
}
