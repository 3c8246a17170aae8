package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTimeout;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** What hostile clients send, on raw sockets: each gets its answer, and a normal client is always served. */
class AbuseTest extends OneServer {
    private static final String BODY = "{\"user_id\":\"a\",\"message\":\"hi\"}";
    private static final Pattern CODE = Pattern.compile("\"code\":\"(\\w+)\"");
    private static final int FEATURE = Runtime.version().feature();

    @BeforeEach
    void usual() throws Exception {
        running.settings();
        running.provider.usually(Scripted.gemini("ok"));
    }

    @AfterEach
    void normalClientIsServed() throws Exception {
        assertEquals(200, running.chat("normal", "hi").status());
    }

    private static RawClient connect() throws IOException {
        return new RawClient(running.parley.port());
    }

    /**
     * What answers a request: "closed", or the status, and behind it a problem's code, or "html" where the JDK's server
     * answers by itself, before any handler.
     */
    private static String outcome(String request) throws IOException {
        try (RawClient client = connect()) {
            client.send(request);
            client.shutdownOutput();
            return outcomeOf(client.answer());
        }
    }

    private static String outcomeOf(String answer) {
        if (answer.isEmpty()) return "closed";
        String status = answer.split(" ")[1];
        Matcher code = CODE.matcher(answer);
        if (code.find()) return status + " " + code.group(1);
        return answer.contains("<h1>") ? status + " html" : status;
    }

    private static String post(String headers, String body) {
        return "POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
                + headers + "\r\n" + body;
    }

    /** | stands for CRLF. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '!',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    headers                                         ! outcome on JDK 21 ! from 25 on
                    Content-Length: 31|Content-Length: 32|          ! 400 html          ! 400 html
                    Content-Length: -1|                             ! 400 html          ! 400 html
                    Content-Length: x|                              ! 400 html          ! 400 html
                    Content-Length: 99999999999999999999|           ! 400 html          ! 400 html
                    Content-Length: 31|Transfer-Encoding: chunked|  ! 400 html          ! 400 html
                    Content-Length: |                               ! 400 html          ! 400 html
                    Content-Length : 31|                            ! 400 html          ! 400 html
                    Transfer-Encoding: gzip, chunked|               ! 501 html          ! 501 html
                    Transfer-Encoding: identity|                    ! 501 html          ! 501 html
                    Host: other|Content-Length: 31|                 ! 400 html          ! 400 invalid_request
                    """)
    void refusesFramingThatCouldSmuggle(String headers, String on21, String on25) throws Exception {
        assertEquals(FEATURE < 25 ? on21 : on25, outcome(post(headers.replace("|", "\r\n"), BODY)));
    }

    /** | stands for CRLF; what is missing behind the last one never comes. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '!',
            quoteCharacter = '~',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    header                     ! body
                    Transfer-Encoding: chunked ! zz|
                    Transfer-Encoding: chunked ! -1|
                    Transfer-Encoding: chunked ! ffffffffffffffffff|
                    Transfer-Encoding: chunked ! 80000001|{}
                    Transfer-Encoding: chunked ! 5|{}|0||
                    Transfer-Encoding: chunked ! 1e|short
                    Content-Length: 31         ! {"user_id":"a"
                    Content-Length: +46        ! {"user_id":"a","message":"hi"}
                    """)
    void answersAMalformedOrBrokenBodyWithAProblem(String header, String body) throws Exception {
        assertEquals("400 invalid_request", outcome(post(header + "\r\n", body.replace("|", "\r\n"))));
    }

    @Test
    void takesARightChunkedBody() throws Exception {
        String chunks = Integer.toHexString(BODY.length()) + "\r\n" + BODY + "\r\n0\r\n\r\n";
        assertEquals("200", outcome(post("Transfer-Encoding: chunked\r\n", chunks)));
    }

    /** | stands for CRLF. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '!',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    request                                              ! outcome
                    GET /health HTTP/1.1|Host: evil.example              ! 421 misdirected_request
                    GET /health HTTP/1.1|Host: evil.example:80           ! 421 misdirected_request
                    GET /health HTTP/1.1|Host: localhost.evil.example    ! 421 misdirected_request
                    GET /health HTTP/1.1|Host: 127.0.0.1.evil.example    ! 421 misdirected_request
                    GET http://evil.example/health HTTP/1.1|Host: [::1]  ! 421 misdirected_request
                    OPTIONS /chat HTTP/1.1|Host: evil.example            ! 421 misdirected_request
                    GET /health HTTP/1.1|Host:                           ! 421 misdirected_request
                    GET /health HTTP/1.1|Host: LOCALHOST:1               ! 200
                    GET /health HTTP/1.1|Host: 192.168.1.5:8080          ! 200
                    GET /health HTTP/1.1|Host: [fe80::1]                 ! 200
                    GET /health HTTP/1.1|Host: 127.0.0.1                 ! 200
                    GET /health HTTP/1.1|Host: 127.9.9.9                 ! 200
                    GET /health HTTP/1.1|Host: [::1]:80                  ! 200
                    GET http://localhost/health HTTP/1.1|Host: evil      ! 200
                    GET /health HTTP/1.0                                 ! 200
                    TRACE /health HTTP/1.1|Host: localhost               ! 405 method_not_allowed
                    FOO<> /health HTTP/1.1|Host: localhost               ! 405 method_not_allowed
                    CONNECT evil.example:443 HTTP/1.1|Host: localhost    ! closed
                    GET * HTTP/1.1|Host: localhost                       ! 404 html
                    OPTIONS * HTTP/1.1|Host: localhost                   ! 404 html
                    GET /x/../health HTTP/1.1|Host: localhost            ! 404 not_found
                    GET /%68ealth HTTP/1.1|Host: localhost               ! 404 not_found
                    GET /health%00 HTTP/1.1|Host: localhost              ! 404 not_found
                    GET /%zz HTTP/1.1|Host: localhost                    ! 400 html
                    GET /health?%zz HTTP/1.1|Host: localhost             ! 400 html
                    nonsense                                             ! 400 html
                    """)
    void answersEachKindOfTargetAndHost(String request, String outcome) throws Exception {
        assertEquals(outcome, outcome(request.replace("|", "\r\n") + "\r\nConnection: close\r\n\r\n"));
    }

    /** | stands for CRLF. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '!',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    request                                              ! outcome on JDK 21 ! from 25 on
                    GET /health HTTP/1.1                                 ! 400 html          ! 400 invalid_request
                    GET /health HTTP/1.1|Host: localhost|Host: localhost ! 400 html          ! 400 invalid_request
                    GET //evil/health HTTP/1.1|Host: localhost           ! 400 html          ! 404 not_found
                    """)
    void answersForItselfWhatItsJdkDoesNotRefuse(String request, String on21, String on25) throws Exception {
        String outcome = outcome(request.replace("|", "\r\n") + "\r\nConnection: close\r\n\r\n");
        assertEquals(FEATURE < 25 ? on21 : on25, outcome);
    }

    private static String history(String target, String host) throws Exception {
        return outcome("GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n");
    }

    /** A foreign page can send each of these with one fetch, once its own name leads to this address. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    target                                   | host         | outcome
                    http://evil_host/history?user_id=normal  | localhost    | 421 misdirected_request
                    http://localhost@evil_host/history       | localhost    | 421 misdirected_request
                    http:///history?user_id=normal           | localhost    | 421 misdirected_request
                    http:/history?user_id=normal             | localhost    | 421 misdirected_request
                    http://localhost:1/history?user_id=b     | evil.example | 200
                    """)
    void takesAHostFromATargetBehindAScheme(String target, String host, String outcome) throws Exception {
        assertEquals(outcome, history(target, host));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    target                                 | host         | on JDK 21 | from 25 on
                    //127.0.0.1/history?user_id=normal     | evil.example | 400 html  | 421 misdirected_request
                    //127.0.0.1/history?user_id=normal     | localhost    | 400 html  | 404 not_found
                    //evil.example/history?user_id=normal  | localhost    | 400 html  | 404 not_found
                    ///history?user_id=normal              | evil.example | 400 html  | 421 misdirected_request
                    """)
    void takesNoHostFromATargetWithoutAScheme(String target, String host, String on21, String on25) throws Exception {
        assertEquals(FEATURE < 25 ? on21 : on25, history(target, host));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    ALLOWED_HOSTS               | Host             | outcome
                    Chat.example, other.example | chat.example     | 200
                    Chat.example, other.example | CHAT.example:443 | 200
                    Chat.example, other.example | other.example    | 200
                    Chat.example, other.example | localhost        | 200
                    Chat.example, other.example | evil.example     | 421 misdirected_request
                    *                           | evil.example     | 200
                    """)
    void takesTheHostsThatAreAllowed(String allowed, String host, String outcome) throws Exception {
        running.settings("ALLOWED_HOSTS=" + allowed);
        assertEquals(outcome, outcome("GET /health HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n"));
    }

    @Test
    void answersPipelinedRequestsInTheirOrder() throws Exception {
        String requests =
                """
                GET /health HTTP/1.1
                Host: localhost

                GET /nothing HTTP/1.1
                Host: localhost

                GET /health HTTP/1.1
                Host: localhost
                Connection: close

                """;
        try (RawClient client = connect()) {
            client.send(requests.replace("\n", "\r\n"));
            assertEquals(List.of("200", "404", "200"), RawClient.statuses(client.answer()));
        }
    }

    @ParameterizedTest
    @CsvSource(
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    headers, bytes of each
                    10000,   10
                    1,       1000000
                    """)
    void closesWhereHeadersHaveNoEnd(int count, int length) throws Exception {
        String headers = ("X: " + "x".repeat(length) + "\r\n").repeat(count);
        try (RawClient client = connect()) {
            assertEquals("", answerWhileSending(client, "GET /health HTTP/1.1\r\nHost: localhost\r\n" + headers));
        }
    }

    /** What answers while the parts are sent, as far as they are taken. */
    private static String answerWhileSending(RawClient client, String... parts) throws Exception {
        var answer = CompletableFuture.supplyAsync(() -> {
            try {
                return client.answer();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
        try {
            for (String part : parts) client.send(part);
        } catch (SocketException e) {
            // closed in the middle
        }
        return answer.get();
    }

    @Test
    void servesANormalClientBesideTwoThousandIdleConnections() throws Exception {
        var idle = new ArrayList<Socket>();
        try {
            for (int i = 0; i < 2000; i++) {
                var socket = new Socket();
                socket.connect(new InetSocketAddress("127.0.0.1", running.parley.port()), 10_000);
                idle.add(socket);
            }
            for (int i = 0; i < 20; i++) {
                assertEquals(200, running.get("/health").status());
            }
        } finally {
            for (Socket socket : idle) socket.close();
        }
    }

    @Test
    void refusesStreamsThatItsHeapDoesNotHold(@TempDir Path folder) throws Exception {
        Path env = Files.writeString(folder.resolve(".env"), "CHAT_PROVIDER=local\nLOCAL_CHAT_MODEL=m\n");
        var all = new Scripted.Gate();
        Scripted.Script held = exchange -> {
            exchange.stream();
            exchange.event(Scripted.openAiDelta("word"));
            all.pass();
            exchange.event("[DONE]");
        };
        var clients = new ArrayList<RawClient>();
        try (var provider = new Scripted(held).forgetting();
                var server = new CrashTest.Server(
                        env, Map.of("LOCAL_BASE_URL", provider.address() + "/v1", "JAVA_TOOL_OPTIONS", "-Xmx32m"))) {
            for (int i = 0; i < 400; i++) {
                var client = new RawClient(server.port());
                clients.add(client);
                String body = "{\"user_id\":\"" + i + "\",\"message\":\"hi\",\"stream\":true}";
                client.send(post("Content-Length: " + body.length() + "\r\n", body));
            }
            var heads = new ArrayList<String>();
            for (RawClient client : clients) heads.add(client.answer(12));
            all.open();
            int served = 0;
            for (int i = 0; i < heads.size(); i++) {
                String answer = heads.get(i) + clients.get(i).answer();
                if (answer.contains("event: done")) served++;
                else assertEquals("503 overloaded", outcomeOf(answer));
            }
            assertTrue(served > 100, served + " of 400 were served");
            assertTrue(served < 400, "all were served");
        } finally {
            for (RawClient client : clients) client.close();
        }
    }

    @Test
    void keepsNoMoreIdleConnectionsThanItsHeapHolds(@TempDir Path folder) throws Exception {
        Path env = Files.writeString(folder.resolve(".env"), "");
        var clients = new ArrayList<RawClient>();
        try (var server = new CrashTest.Server(env, Map.of("JAVA_TOOL_OPTIONS", "-Xmx32m"))) {
            for (int i = 0; i < 1500; i++) {
                var client = new RawClient(server.port());
                clients.add(client);
                client.send("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
                assertEquals("HTTP/1.1 200", client.answer(12), "the answer to number " + i);
            }
        } finally {
            for (RawClient client : clients) client.close();
        }
    }

    /** What is sent, with a number of two digits, and then nothing is read. */
    static Stream<Arguments> slow() {
        String stream = "{\"user_id\":\"reader%02d\",\"message\":\"at length\",\"stream\":true}";
        int length = stream.length() - "%02d".length() + 2;
        return Stream.of(
                Arguments.argumentSet("half a header", "GET /health HTTP/1.1\r\nHost: loc%02d"),
                Arguments.argumentSet("half a body", post("Content-Length: 31\r\n", "{\"user%02d")),
                Arguments.argumentSet("a long stream", post("Content-Length: " + length + "\r\n", stream)),
                Arguments.argumentSet(
                        "a long history", "GET /history?user_id=large&n=%02d HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    }

    @ParameterizedTest
    @MethodSource("slow")
    void servesANormalClientBesideSlowOnes(String request) throws Exception {
        String text = "x".repeat(1_000_000);
        String turn = "{\"role\":\"user\",\"content\":\"%s\"},\n{\"role\":\"assistant\",\"content\":\"%s\"}";
        String turns = String.join(",\n", Collections.nCopies(2, turn.formatted(text, text)));
        Files.writeString(running.file("large"), "[\n" + turns + "\n]\n");
        String delta = Scripted.geminiDelta(text);
        running.provider.usually(exchange -> {
            if (!exchange.body().contains("at length")) {
                Scripted.gemini("ok").play(exchange);
                return;
            }
            exchange.stream();
            exchange.event(delta);
            exchange.event(Scripted.GEMINI_END);
        });
        var slow = new ArrayList<RawClient>();
        try {
            for (int i = 0; i < 24; i++) { // more than the threads that the server always has
                slow.add(RawClient.ofASmallWindow(running.parley.port()));
                slow.getLast().send(request.formatted(i));
            }
            // Not only once the slow ones are given up, after thirty seconds.
            assertTimeout(Duration.ofSeconds(25), () -> {
                for (int i = 0; i < 5; i++) {
                    assertEquals(200, running.chat("normal", "hi").status());
                }
            });
        } finally {
            for (RawClient client : slow) client.close();
        }
    }

    @Test
    void servesANormalClientBesideHalfClosedOnes() throws Exception {
        var closed = new ArrayList<RawClient>();
        try {
            for (int i = 0; i < 40; i++) {
                closed.add(connect());
                closed.getLast().send(post("Content-Length: " + BODY.length() + "\r\n", BODY.substring(0, 10)));
                closed.getLast().shutdownOutput();
            }
            for (int i = 0; i < 5; i++) {
                assertEquals(200, running.chat("normal", "hi").status());
            }
        } finally {
            for (RawClient client : closed) client.close();
        }
    }

    /** Sent whole, and not only announced: in one piece, and in chunks that announce nothing. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    framing                    | before each mebibyte | behind it
                    Content-Length: 104857600  | ''                   | ''
                    Transfer-Encoding: chunked | 100000⏎              | ⏎
                    """)
    void refusesABodyOfAHundredMegabytes(String framing, String before, String behind) throws Exception {
        String part = (before + "x".repeat(1 << 20) + behind).replace("⏎", "\r\n");
        var parts = new ArrayList<>(Collections.nCopies(100, part));
        parts.addFirst(post(framing + "\r\n", ""));
        try (RawClient client = connect()) {
            assertEquals("413 too_large", outcomeOf(answerWhileSending(client, parts.toArray(String[]::new))));
        }
    }

    @Test
    void leavesNoMemoryBehind() throws Exception {
        misbehave(0); // classes and pools
        long before = used();
        for (int round = 1; round <= 4; round++) misbehave(round);
        Running.await(() -> used() - before < 4 << 20);
    }

    /** 250 requests that end badly, of 6 MB together, each of a user that was never seen before. */
    private static void misbehave(int round) throws Exception {
        String text = "x".repeat(60_000);
        for (int i = 0; i < 50; i++) {
            String user = "stranger" + round + "-" + i;
            assertEquals(
                    400,
                    running.post("/chat", "{\"user_id\":\"" + user + "\",\"message\":\"" + text)
                            .status());
            assertEquals(200, running.get("/history?user_id=" + user).status());
            assertEquals(204, running.delete("/history?user_id=" + user).status());
            String body = "{\"user_id\":\"" + user + "\",\"message\":\"" + "y".repeat(40_000) + "\",\"stream\":true}";
            for (int sent : new int[] {body.length(), body.length() / 2}) {
                try (RawClient client = connect()) {
                    client.setSoLinger(true, 0); // closes with a reset
                    client.send(post("Content-Length: " + body.length() + "\r\n", body.substring(0, sent)));
                }
            }
        }
        running.provider.exchanges.clear();
    }

    /** Bytes of the heap that are in use, once what nobody refers to is gone. */
    private static long used() {
        System.gc();
        return ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed();
    }

    /** The JDK's own limit, whose unit is not what its documentation says: seconds for a whole request. */
    @Test
    void closesWhereARequestDoesNotComeInTime(@TempDir Path folder) throws Exception {
        Path env = Files.writeString(folder.resolve(".env"), "");
        var environment = Map.of("JAVA_TOOL_OPTIONS", "-Dsun.net.httpserver.maxReqTime=1");
        try (var server = new CrashTest.Server(env, environment);
                var header = new RawClient(server.port());
                var body = new RawClient(server.port())) {
            header.send("GET /health HTTP/1.1\r\nHost: loc");
            body.send(post("Content-Length: " + BODY.length() + "\r\n", BODY.substring(0, 10)));
            assertEquals("", header.answer());
            assertEquals("", body.answer());
        }
    }

    @Test
    void givesARequestThirtySecondsToArrive() {
        assertEquals("30", System.getProperty("sun.net.httpserver.maxReqTime"));
    }
}
