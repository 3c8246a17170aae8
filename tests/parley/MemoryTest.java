package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.Socket;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.function.IntFunction;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * More is asked for at once than a heap of 64 MB holds: each answer comes whole, or is a 503, and nobody else is
 * harmed. The long form: {@code ./run.sh test -Dtest=MemoryTest -DargLine=-Dmemory.requests=100}.
 */
class MemoryTest {
    private static final int AT_ONCE = Integer.getInteger("memory.requests", 10);
    private static final int WINDOW = 2000;

    @TempDir
    private static Path folder;

    private static Scripted provider;
    private static CrashTest.Server server;
    private static HttpClient client;

    /** One server for all: what a test leaves behind in its heap is in the way of the next one. */
    @BeforeAll
    static void start() throws Exception {
        client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        provider = new Scripted(Scripted.openAi("Hello")).forgetting();
        Path env = Files.writeString(
                folder.resolve(".env"),
                """
                CHAT_PROVIDER=local
                LOCAL_CHAT_MODEL=m
                IMAGE_PROVIDER=local
                LOCAL_IMAGE_MODEL=m
                LOCAL_BASE_URL=%s/v1
                HISTORY_WINDOW=%d
                """
                        .formatted(provider.address(), WINDOW));
        // The usual collector, in one thread: where it has two, each spins while it waits for the other.
        String options = "-Xmx64m -XX:+UseG1GC -XX:ParallelGCThreads=1 -XX:+ExitOnOutOfMemoryError";
        server = new CrashTest.Server(env, Map.of("JAVA_TOOL_OPTIONS", options));
    }

    @AfterAll
    static void stop() throws Exception {
        server.close();
        provider.close();
        client.shutdownNow();
    }

    @BeforeEach
    void startAgainWhatAnotherTestHasEnded() throws Exception {
        if (!server.isAlive()) server.start();
    }

    @AfterEach
    void servesANormalClientAndLogsNoDefect() throws Exception {
        provider.usually(Scripted.openAi("Hello"));
        assertEquals(List.of(200), statuses(List.of(chat("normal", "hi"))));
        try (Stream<Path> files = Files.list(folder)) {
            for (Path console :
                    files.filter(file -> file.toString().endsWith(".log")).toList()) {
                assertEquals(
                        List.of(),
                        Files.readAllLines(console).stream()
                                .filter(line -> line.contains("defect") || line.contains("OutOfMemoryError:"))
                                .toList());
            }
        }
    }

    private static HttpRequest.Builder to(String path) {
        return HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + server.port() + path));
    }

    private static HttpRequest post(String path, Map<String, Object> body) {
        return to(path).header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(Json.toJson(body)))
                .build();
    }

    private static HttpRequest chat(String user, String message) {
        return post("/chat", Json.object("user_id", user, "message", message));
    }

    private static HttpRequest image(int number) {
        return post("/image", Json.object("user_id", "painter" + number, "prompt", "fox"));
    }

    /** The body of an answer that holds an image of so many bytes. */
    private static String imageOf(int bytes) {
        byte[] png = ("\u0089PNG\r\n\u001a\n" + "x".repeat(bytes)).getBytes(StandardCharsets.ISO_8859_1);
        return "{\"data\":[{\"b64_json\":\"" + Base64.getEncoder().encodeToString(png) + "\"}]}";
    }

    private static List<Integer> statuses(int count, IntFunction<HttpRequest> request) {
        return statuses(IntStream.range(0, count).mapToObj(request).toList());
    }

    /** The statuses of the requests, which are sent at once. Throws where a body is shorter than its head says. */
    private static List<Integer> statuses(List<HttpRequest> requests) {
        List<CompletableFuture<HttpResponse<Void>>> answers = requests.stream()
                .map(request -> client.sendAsync(request, HttpResponse.BodyHandlers.discarding()))
                .toList();
        return answers.stream().map(answer -> answer.join().statusCode()).toList();
    }

    private static void assertEachOf(Set<Integer> allowed, List<Integer> statuses) {
        assertTrue(allowed.containsAll(statuses), statuses.toString());
    }

    private static void assertServedOrRefused(List<Integer> statuses) {
        assertEachOf(Set.of(200, 503), statuses);
        assertTrue(statuses.contains(200), statuses.toString());
    }

    /** Gives each of so many users a history of 8 MB, or of 40,000 messages, whose objects take more than that. */
    private static void histories(String users, int count, String content) throws IOException {
        String turn =
                """
                {"role":"user","content":"%1$s","time":"2026-11-23T23:16:39Z"},
                {"role":"assistant","content":"%1$s","time":"2026-11-23T23:16:39Z"}"""
                        .formatted(content);
        int turns = Math.min(8_000_000 / turn.getBytes(StandardCharsets.UTF_8).length, 20_000);
        String history = "[\n" + String.join(",\n", Collections.nCopies(turns, turn)) + "\n]\n";
        for (int i = 0; i < count; i++) {
            Files.writeString(folder.resolve("histories/history_" + users + i + ".json"), history);
        }
    }

    /** Characters that take twice as much memory as in the file; and so few of them that their objects take most. */
    private static List<String> contents() {
        return List.of("word \u2014 ".repeat(30_000), "hi");
    }

    @ParameterizedTest
    @MethodSource("contents")
    void readsManyLongHistories(String content) throws Exception {
        histories("reader", 6, content);
        assertServedOrRefused(statuses(6, i -> to("/history?user_id=reader" + i).build()));
    }

    @ParameterizedTest
    @MethodSource("contents")
    void takesManyTurnsWithLongWindows(String content) throws Exception {
        histories("talker", AT_ONCE, content);
        assertServedOrRefused(statuses(AT_ONCE, i -> chat("talker" + i, "hi")));
    }

    @Test
    void takesManyLongMessages() throws Exception {
        String message = "word \u2014 ".repeat(100_000);
        assertServedOrRefused(statuses(AT_ONCE, i -> chat("long" + i, message)));
    }

    /** A reply that is longer than what a history's reader takes for a message would be stored, and never be seen. */
    @Test
    void storesNoReplyThatIsTooLongToBeShown() throws Exception {
        String reply = "x".repeat(4_300_000); // a sixteenth of the heap has 4,194,304 bytes
        provider.usually(Scripted.openAi(reply));
        assertEquals(List.of(503), statuses(List.of(chat("wordy", "hi"))));
        assertTrue(Files.notExists(folder.resolve("histories/history_wordy.json")));
    }

    @Test
    void refusesBodiesOfManyValues() {
        List<Object> values = Collections.nCopies(300_000, Map.of());
        List<Integer> statuses = statuses(
                AT_ONCE, i -> post("/chat", Json.object("user_id", "many" + i, "message", "hi", "more", values)));
        assertEachOf(Set.of(400, 503), statuses);
        assertTrue(statuses.contains(400), statuses.toString());
    }

    @Test
    void refusesOrMakesManyImagesOfTwentyMegabytesAtOnce() throws Exception {
        byte[] answer = imageOf(15_000_000).getBytes(StandardCharsets.US_ASCII);
        provider.usually(exchange -> {
            exchange.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n");
            exchange.out().write(answer); // no length has announced it
        });
        assertEachOf(Set.of(200, 503), statuses(AT_ONCE, MemoryTest::image));
    }

    @Test
    void makesManyImages() {
        String answer = imageOf(1_500_000);
        provider.usually(exchange -> exchange.json(200, answer));
        assertServedOrRefused(statuses(AT_ONCE, MemoryTest::image));
    }

    @Test
    void takesMostBodiesOfAMebibyteAtOnce() throws Exception {
        String message = "x".repeat((1 << 20) - 60);
        List<Integer> statuses = statuses(2 * AT_ONCE, i -> chat("large" + i, message));
        assertServedOrRefused(statuses);
        assertTrue(statuses.stream().filter(status -> status == 200).count() >= AT_ONCE, statuses.toString());
    }

    /** 300 KB on each of many connections, at whose end nothing comes. */
    @ParameterizedTest
    @ValueSource(strings = {"GET /", "GET /health HTTP/1.1\r\nHost: localhost\r\nX: "})
    void endsManyHeadersThatHaveNoEnd(String start) throws Exception {
        byte[] header = (start + "x".repeat(300_000)).getBytes(StandardCharsets.US_ASCII);
        var sockets = new ArrayList<Socket>();
        try {
            for (int i = 0; i < 300; i++) {
                var socket = new Socket("127.0.0.1", server.port());
                sockets.add(socket);
                sendAsFarAsItIsTaken(socket, header);
            }
            assertEquals(0, sockets.stream().filter(MemoryTest::isStillOpen).count());
        } finally {
            for (Socket socket : sockets) socket.close();
        }
    }

    private static void sendAsFarAsItIsTaken(Socket socket, byte[] bytes) throws IOException {
        try {
            socket.getOutputStream().write(bytes);
        } catch (SocketException e) {
            // refused while it was sent; whether it is closed is looked for later
        }
    }

    /** Whether the server has not closed its end, five seconds later. */
    private static boolean isStillOpen(Socket socket) {
        try {
            socket.setSoTimeout(5_000);
            socket.getInputStream().readAllBytes();
            return false;
        } catch (SocketTimeoutException e) {
            return true;
        } catch (IOException e) {
            return false; // a reset closes too
        }
    }

    /** Small values take some 30 times their text. */
    @Test
    void refusesAnswersOfMoreValuesThanTheHeapHolds() {
        provider.usually(exchange -> exchange.json(200, "{\"x\":[" + "{},".repeat(1_200_000) + "0]}"));
        List<Integer> statuses = statuses(2, i -> chat("valued" + i, "hi"));
        assertTrue(Set.of(502, 503).containsAll(statuses) && statuses.contains(502), statuses.toString());
        assertTrue(server.isAlive());
    }

    @Test
    void reservesNoMoreForAnErrorThanIsReadOfIt() {
        provider.usually(exchange -> {
            exchange.send("HTTP/1.1 401 X\r\nContent-Length: 30000000\r\n\r\n" + "x".repeat(200_000));
            exchange.awaitHangUp();
        });
        assertEquals(List.of(502), statuses(List.of(chat("announced", "hi"))));
    }
}
