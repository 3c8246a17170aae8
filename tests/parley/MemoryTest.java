package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.Socket;
import java.net.SocketException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * More is asked for at once than a heap of 64 MB holds: each answer comes whole, or is a 503, and nobody else is
 * harmed.
 */
class MemoryTest {
    private static final int AT_ONCE = Integer.getInteger("memory.requests", 20); // the long form has 100

    private static final String PNG = Base64.getEncoder()
            .encodeToString(("\u0089PNG\r\n\u001a\n" + "x".repeat(1_500_000)).getBytes(StandardCharsets.ISO_8859_1));

    @TempDir
    private Path folder;

    private Path env;
    private Scripted provider;
    private CrashTest.Server server;
    private final HttpClient client =
            HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

    @BeforeEach
    void start() throws Exception {
        env = Files.writeString(
                folder.resolve(".env"),
                "CHAT_PROVIDER=local\nLOCAL_CHAT_MODEL=m\nIMAGE_PROVIDER=local\nLOCAL_IMAGE_MODEL=m\n");
        provider = new Scripted(Scripted.openAi("Hello")).forgetting();
        server = new CrashTest.Server(
                env,
                Map.of(
                        "LOCAL_BASE_URL",
                        provider.address() + "/v1",
                        "JAVA_TOOL_OPTIONS",
                        "-Xmx64m -XX:+ExitOnOutOfMemoryError"));
    }

    @AfterEach
    void servesANormalClientAndSaysNothingOfADefect() throws Exception {
        try {
            assertEquals(List.of(200), statuses(List.of(post("/chat", "normal", "\"message\":\"hi\""))));
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
        } finally {
            server.close();
            provider.close();
        }
    }

    private HttpRequest.Builder to(String path) {
        return HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + server.port() + path));
    }

    private HttpRequest post(String path, String user, String members) {
        return to(path).header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString("{\"user_id\":\"" + user + "\"," + members + "}"))
                .build();
    }

    /**
     * The statuses of the requests, which are sent at once. A body that is shorter than its head says makes it fail.
     */
    private List<Integer> statuses(List<HttpRequest> requests) {
        List<CompletableFuture<HttpResponse<Void>>> answers = requests.stream()
                .map(request -> client.sendAsync(request, HttpResponse.BodyHandlers.discarding()))
                .toList();
        return answers.stream().map(answer -> answer.join().statusCode()).toList();
    }

    private static void assertServedOrRefused(List<Integer> statuses) {
        assertTrue(statuses.stream().allMatch(status -> status == 200 || status == 503), statuses.toString());
        assertTrue(statuses.contains(200), statuses.toString());
    }

    /** Gives each of so many users a history of 8 MB. */
    private void histories(int users, String content) throws IOException {
        String message = "{\"role\":\"%s\",\"content\":\"" + content + "\",\"time\":\"2026-11-23T23:16:39Z\"}";
        String turn = message.formatted("user") + ",\n" + message.formatted("assistant");
        int turns = 8_000_000 / turn.getBytes(StandardCharsets.UTF_8).length;
        for (int i = 0; i < users; i++) {
            Files.writeString(
                    folder.resolve("histories/history_u" + i + ".json"),
                    "[\n" + (turn + ",\n").repeat(turns - 1) + turn + "\n]\n");
        }
    }

    /**
     * Texts whose characters take twice as much memory as in the file, and such short ones that most of it goes to what
     * is around them.
     */
    private static List<String> contents() {
        return List.of("word \u2014 ".repeat(30_000), "hi");
    }

    @ParameterizedTest
    @MethodSource("contents")
    void readsManyLongHistories(String content) throws Exception {
        histories(6, content);
        assertServedOrRefused(statuses(IntStream.range(0, 6)
                .mapToObj(i -> to("/history?user_id=u" + i).build())
                .toList()));
    }

    @ParameterizedTest
    @MethodSource("contents")
    void takesManyTurnsWithLongWindows(String content) throws Exception {
        Files.writeString(env, Files.readString(env) + "HISTORY_WINDOW=2000\n");
        histories(AT_ONCE, content);
        assertServedOrRefused(statuses(IntStream.range(0, AT_ONCE)
                .mapToObj(i -> post("/chat", "u" + i, "\"message\":\"hi\""))
                .toList()));
    }

    @Test
    void takesManyLongMessages() throws Exception {
        String message = "\"message\":\"" + "word \u2014 ".repeat(100_000) + "\"";
        assertServedOrRefused(statuses(IntStream.range(0, 24)
                .mapToObj(i -> post("/chat", "u" + i, message))
                .toList()));
    }

    @Test
    void refusesBodiesOfManyValues() {
        String values = "\"message\":\"hi\",\"more\":[" + "{},".repeat(300_000) + "0]";
        List<Integer> statuses = statuses(IntStream.range(0, 24)
                .mapToObj(i -> post("/chat", "u" + i, values))
                .toList());
        assertTrue(
                statuses.stream().allMatch(status -> status == 400 || status == 503) && statuses.contains(400),
                statuses.toString());
    }

    @Test
    void refusesOrMakesAHundredImagesOfTwentyMegabytesAtOnce() throws Exception {
        byte[] answer = ("{\"data\":[{\"b64_json\":\""
                        + Base64.getEncoder()
                                .encodeToString(("\u0089PNG\r\n\u001a\n" + "x".repeat(15_000_000))
                                        .getBytes(StandardCharsets.ISO_8859_1))
                        + "\"}]}")
                .getBytes(StandardCharsets.US_ASCII);
        provider.usually(exchange -> {
            exchange.send(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"); // no length
            // announces it
            exchange.out().write(answer);
        });
        List<Integer> statuses = statuses(IntStream.range(0, 100)
                .mapToObj(i -> post("/image", "u" + i, "\"prompt\":\"fox\""))
                .toList());
        assertTrue(Set.of(200, 502, 503).containsAll(statuses), statuses.toString());
        provider.usually(Scripted.openAi("Hello"));
    }

    @Test
    void takesMostOfAHundredBodiesOfAMebibyteAtOnce() throws Exception {
        String message = "\"message\":\"" + "x".repeat((1 << 20) - 60) + "\"";
        List<Integer> statuses = statuses(IntStream.range(0, 100)
                .mapToObj(i -> post("/chat", "u" + i, message))
                .toList());
        assertServedOrRefused(statuses);
        assertTrue(statuses.stream().filter(status -> status == 200).count() >= 50, statuses.toString());
    }

    /** 300 KB on each of many connections, at whose end nothing comes. */
    @ParameterizedTest
    @ValueSource(strings = {"GET /", "GET /health HTTP/1.1\r\nHost: localhost\r\nX: "})
    void endsManyHeadersThatHaveNoEnd(String start) throws Exception {
        byte[] header = (start + "x".repeat(300_000)).getBytes(StandardCharsets.US_ASCII);
        var sockets = new ArrayList<Socket>();
        try {
            for (int i = 0; i < 500; i++) {
                var socket = new Socket("127.0.0.1", server.port());
                sockets.add(socket);
                try {
                    socket.getOutputStream().write(header);
                } catch (SocketException e) {
                    // refused while it was sent
                }
            }
        } finally {
            for (Socket socket : sockets) socket.close();
        }
    }

    @Test
    void drawsManyImages() throws Exception {
        provider.usually(exchange -> exchange.json(200, "{\"data\":[{\"b64_json\":\"" + PNG + "\"}]}"));
        assertServedOrRefused(statuses(IntStream.range(0, 24)
                .mapToObj(i -> post("/image", "u" + i, "\"prompt\":\"fox\""))
                .toList()));
        provider.usually(Scripted.openAi("Hello"));
    }
}
