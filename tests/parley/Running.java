package parley;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.text.ParseException;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.stream.Stream;

/** A real Parley on a free port, in a folder of its own, with a scripted provider for both services. */
final class Running implements AutoCloseable {
    static final String KEY = "secret-key-0123456789";

    final Path folder;
    final Path env;
    final Scripted provider;
    final Parley parley;
    final HttpClient client =
            HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private final ByteArrayOutputStream console = new ByteArrayOutputStream();
    private final PrintStream before = System.out;

    /** @param settings more lines of .env, which win over the usual ones */
    Running(Scripted.Script usual, String... settings) throws IOException {
        folder = Files.createTempDirectory("parley");
        env = folder.resolve(".env");
        provider = new Scripted(usual);
        settings(settings);
        System.setOut(new PrintStream(console, true, StandardCharsets.UTF_8));
        parley = Parley.start(env);
    }

    /** Writes .env anew: the usual settings, and then these. */
    void settings(String... more) throws IOException {
        String usual =
                """
                PORT=0
                GEMINI_API_KEY=%1$s
                NEBIUS_API_KEY=%1$s
                GEMINI_BASE_URL=%2$s
                NEBIUS_BASE_URL=%2$s/v1/
                PROVIDER_TIMEOUT=10
                """
                        .formatted(KEY, provider.address());
        Path edited = Files.writeString(folder.resolve("edited"), usual + String.join("\n", more) + "\n");
        Files.setLastModifiedTime(edited, FileTime.from(Instant.now().minusSeconds(1))); // so it counts at once
        Files.move(edited, env, StandardCopyOption.REPLACE_EXISTING);
    }

    /** A whole answer. */
    record Answer(int status, HttpResponse<byte[]> response) {
        String text() {
            return new String(response.body(), StandardCharsets.UTF_8);
        }

        Object json() {
            try {
                return Json.parse(text());
            } catch (ParseException e) {
                throw new AssertionError(text(), e);
            }
        }

        Object at(Object... path) {
            return Json.at(json(), path);
        }

        String header(String name) {
            return response.headers().firstValue(name).orElse(null);
        }
    }

    HttpRequest.Builder request(String path) {
        return HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + parley.port() + path))
                .timeout(Duration.ofSeconds(50));
    }

    Answer send(HttpRequest.Builder request) throws IOException, InterruptedException {
        HttpResponse<byte[]> response = client.send(request.build(), HttpResponse.BodyHandlers.ofByteArray());
        return new Answer(response.statusCode(), response);
    }

    Answer get(String path) throws IOException, InterruptedException {
        return send(request(path).GET());
    }

    Answer delete(String path) throws IOException, InterruptedException {
        return send(request(path).DELETE());
    }

    Answer post(String path, String json) throws IOException, InterruptedException {
        return send(posting(path, json));
    }

    HttpRequest.Builder posting(String path, String json) {
        return request(path).header("Content-Type", "application/json").POST(HttpRequest.BodyPublishers.ofString(json));
    }

    Answer chat(String user, String message) throws IOException, InterruptedException {
        return post("/chat", Json.toJson(Json.object("user_id", user, "message", message)));
    }

    CompletableFuture<Answer> chatting(String user, String message) {
        return client.sendAsync(
                        posting("/chat", Json.toJson(Json.object("user_id", user, "message", message)))
                                .build(),
                        HttpResponse.BodyHandlers.ofByteArray())
                .thenApply(response -> new Answer(response.statusCode(), response));
    }

    /** A stream's lines, as they come. */
    HttpResponse<Stream<String>> stream(String user, String message) throws IOException, InterruptedException {
        String json = Json.toJson(Json.object("user_id", user, "message", message, "stream", true));
        return client.send(posting("/chat", json).build(), HttpResponse.BodyHandlers.ofLines());
    }

    /** The roles and contents of a user's history: "user: Hi". */
    List<String> said(String user) throws IOException, InterruptedException {
        Answer history = get("/history?user_id=" + user);
        if (history.status() != 200) throw new AssertionError(history.text());
        return Json.items(history.json(), "messages").stream()
                .map(each -> Json.string(each, "role") + ": " + Json.string(each, "content"))
                .toList();
    }

    Path file(String user) {
        return folder.resolve("histories").resolve(Histories.fileName(user));
    }

    /** Waits for what has no signal of its own, such as a line of the console. */
    static void await(BooleanSupplier condition) throws InterruptedException {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() > end) throw new AssertionError("what was waited for did not come");
            Thread.sleep(5);
        }
    }

    String console() {
        return console.toString(StandardCharsets.UTF_8);
    }

    @Override
    public void close() throws IOException {
        parley.close();
        provider.close();
        client.shutdownNow();
        System.setOut(before);
        if (!provider.broken.isEmpty()) throw new AssertionError("a script broke", provider.broken.get(0));
        if (console().contains(KEY)) throw new AssertionError("the key is on the console");
    }
}
