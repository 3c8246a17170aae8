package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.lang.management.ManagementFactory;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What hostile clients send, on raw sockets: nothing is answered 200 by mistake, and a normal client is always served.
 */
class AbuseTest extends OneServer {
    private static final String BODY = "{\"user_id\":\"a\",\"message\":\"hi\"}";

    @AfterEach
    void normalClientIsServed() throws Exception {
        assertEquals(200, running.chat("normal", "hi").status());
    }

    private static Socket connect() throws IOException {
        return connect(running.parley.port());
    }

    private static Socket connect(int port) throws IOException {
        var socket = new Socket("127.0.0.1", port);
        socket.setSoTimeout(20_000);
        return socket;
    }

    private static void send(Socket socket, String text) throws IOException {
        socket.getOutputStream().write(text.getBytes(StandardCharsets.ISO_8859_1));
        socket.getOutputStream().flush();
    }

    /** All that comes until the other end closes; a reset counts as its end. */
    private static String answer(Socket socket) throws IOException {
        var answer = new StringBuilder();
        byte[] bytes = new byte[4096];
        try {
            InputStream in = socket.getInputStream();
            for (int n; (n = in.read(bytes)) >= 0; )
                answer.append(new String(bytes, 0, n, StandardCharsets.ISO_8859_1));
        } catch (SocketException e) {
            answer.append("[reset]");
        }
        return answer.toString();
    }

    private static String post(String headers, String body) {
        return "POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
                + headers + "\r\n" + body;
    }

    /** Whole requests that are wrong in one way each; | stands for CRLF. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "Content-Length: 31|Content-Length: 32|", "Content-Length: -1|", "Content-Length: x|",
                        "Content-Length: 99999999999999999999|", "Content-Length: 31|Transfer-Encoding: chunked|",
                "Transfer-Encoding: gzip, chunked|", "Transfer-Encoding: identity|", "Content-Length: |",
                        "Content-Length : 31|", "Host: other|Content-Length: 31|"
            })
    void refusesFramingThatCouldSmuggle(String headers) throws Exception {
        try (Socket socket = connect()) {
            send(socket, post(headers.replace("|", "\r\n"), BODY));
            socket.shutdownOutput();
            String answer = answer(socket);
            assertFalse(answer.startsWith("HTTP/1.1 200"), answer);
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "zz\r\n",
                "-1\r\n",
                "ffffffffffffffffff\r\n",
                "5\r\n{}\r\n0\r\n\r\n",
                "1e\r\nshort",
                "80000001\r\n{}"
            })
    void refusesChunksThatLie(String chunks) throws Exception {
        try (Socket socket = connect()) {
            send(socket, post("Transfer-Encoding: chunked\r\n", chunks));
            socket.shutdownOutput();
            assertFalse(answer(socket).startsWith("HTTP/1.1 200"));
        }
    }

    /**
     * What Parley may answer gets a problem document. The JDK's server answers by itself, before any handler: a chunk's
     * size that wraps
     * or Content-Length with Transfer-Encoding, twice, negative or not a number (400 as HTML); chunk trailers and more
     * than 200 header
     * fields (it closes with no answer); headers or bodies that trickle for over 30 s (it closes).
     */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "Transfer-Encoding: chunked||zz|",
                "Transfer-Encoding: chunked||5|{}|0||",
                "Transfer-Encoding: chunked||1e|short",
                "Transfer-Encoding: chunked||-1|",
                "Content-Length: 31||{\"user_id\":\"a\"",
                "Content-Length: +46||{\"user_id\":\"a\",\"message\":\"hi\"}"
            })
    void answersAMalformedOrBrokenBodyWithAProblem(String rest) throws Exception {
        try (Socket socket = connect()) {
            send(
                    socket,
                    "POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
                            + rest.replace("|", "\r\n"));
            socket.shutdownOutput();
            String answer = answer(socket);
            assertTrue(answer.startsWith("HTTP/1.1 400") && answer.contains("\"code\":\"invalid_request\""), answer);
        }
    }

    @Test
    void takesARightChunkedBody() throws Exception {
        try (Socket socket = connect()) {
            send(
                    socket,
                    post(
                            "Transfer-Encoding: chunked\r\n",
                            Integer.toHexString(BODY.length()) + "\r\n" + BODY + "\r\n0\r\n\r\n"));
            assertTrue(answer(socket).startsWith("HTTP/1.1 200 OK"));
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '!',
            value = {
                "GET /health HTTP/1.1|Host: evil.example||!421",
                "GET /health HTTP/1.1|Host: evil.example:80||!421",
                "GET /health HTTP/1.1|Host: localhost.evil.example||!421",
                "GET /health HTTP/1.1|Host: 127.0.0.1.evil.example||!421",
                "GET http://evil.example/health HTTP/1.1|Host: localhost||!421",
                "OPTIONS /chat HTTP/1.1|Host: evil.example||!421",
                "GET /health HTTP/1.1|Host: LOCALHOST:1||!200",
                "GET /health HTTP/1.1|Host: 192.168.1.5:8080||!200",
                "GET /health HTTP/1.1|Host: [fe80::1]||!200",
                "GET /health HTTP/1.1|Host: 127.0.0.1||!200",
                "GET /health HTTP/1.1|Host: 127.9.9.9||!200",
                "GET /health HTTP/1.1|Host: [::1]:80||!200",
                "GET http://localhost/health HTTP/1.1|Host: localhost||!200",
                "GET /health HTTP/1.0||!200",
                "GET /health HTTP/1.1|Host: ||!4",
                "GET /health HTTP/1.1||!400",
                "GET /health HTTP/1.1|Host: localhost|Host: localhost||!400",
                "TRACE /health HTTP/1.1|Host: localhost||!405",
                "CONNECT evil.example:443 HTTP/1.1|Host: localhost||!4",
                "GET * HTTP/1.1|Host: localhost||!4",
                "OPTIONS * HTTP/1.1|Host: localhost||!4",
                "GET //evil/health HTTP/1.1|Host: localhost||!4",
                "GET /x/../health HTTP/1.1|Host: localhost||!404",
                "GET /%68ealth HTTP/1.1|Host: localhost||!404",
                "GET /health%00 HTTP/1.1|Host: localhost||!404",
                "GET /%zz HTTP/1.1|Host: localhost||!400",
                "GET /health?%zz HTTP/1.1|Host: localhost||!400",
                "FOO<> /health HTTP/1.1|Host: localhost||!405",
                "nonsense||!4"
            })
    void answersEachKindOfTargetAndHost(String request, String status) throws Exception {
        try (Socket socket = connect()) {
            send(socket, request.replace("|", "\r\n").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
            socket.shutdownOutput();
            String answer = answer(socket);
            assertTrue(answer.isEmpty() && status.equals("4") || answer.startsWith("HTTP/1.1 " + status), answer);
        }
    }

    /** A foreign page can send each of these with one fetch, once its own name leads to this address. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            textBlock =
                    """
                    //127.0.0.1/history?user_id=normal       | evil.example | 421 400
                    //127.0.0.1/history?user_id=normal       | localhost    | 404 400
                    //evil.example/history?user_id=normal    | localhost    | 404 400
                    ///history?user_id=normal                | evil.example | 421 400
                    http://evil_host/history?user_id=normal  | localhost    | 421
                    http://localhost@evil_host/history       | localhost    | 421
                    http:///history?user_id=normal           | localhost    | 421
                    http:/history?user_id=normal             | localhost    | 421
                    http://localhost:1/history?user_id=b     | evil.example | 200
                    """)
    void takesAHostFromATargetOnlyBehindAScheme(String target, String host, String statuses) throws Exception {
        try (var socket = connect()) {
            send(socket, "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n");
            String answer = answer(socket);
            assertTrue(List.of(statuses.split(" ")).contains(answer.split(" ")[1]), answer); // 400: JDK 21 itself
            assertFalse(answer.contains("\"content\""), answer);
        }
    }

    @Test
    void takesTheHostsThatAreAllowed() throws Exception {
        running.settings("ALLOWED_HOSTS=Chat.example, other.example");
        for (String host : List.of("chat.example", "CHAT.example:443", "other.example", "localhost"))
            assertTrue(health(host).startsWith("HTTP/1.1 200"), host);
        assertTrue(health("evil.example").startsWith("HTTP/1.1 421"));
        assertTrue(health("evil.example").contains("misdirected_request"));
        running.settings("ALLOWED_HOSTS=*");
        assertTrue(health("evil.example").startsWith("HTTP/1.1 200"));
        running.settings();
    }

    private static String health(String host) throws IOException {
        try (Socket socket = connect()) {
            send(socket, "GET /health HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n");
            return answer(socket);
        }
    }

    @Test
    void answersPipelinedRequestsInTheirOrder() throws Exception {
        try (Socket socket = connect()) {
            send(
                    socket,
                    "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\nGET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            List<String> statuses = answer(socket)
                    .lines()
                    .flatMap(line ->
                            Pattern.compile("HTTP/1\\.1 (\\d+)").matcher(line).results())
                    .map(match -> match.group(1))
                    .toList();
            assertEquals(List.of("200", "404", "200"), statuses);
        }
    }

    @ParameterizedTest
    @CsvSource({"10000, 10", "1, 1000000"})
    void refusesHeadersWithoutEnd(int count, int length) throws Exception {
        try (Socket socket = connect()) {
            var request = new StringBuilder("GET /health HTTP/1.1\r\nHost: localhost\r\n");
            for (int i = 0; i < count; i++)
                request.append("X-")
                        .append(i)
                        .append(": ")
                        .append("x".repeat(length))
                        .append("\r\n");
            try {
                send(socket, request + "Connection: close\r\n\r\n");
            } catch (SocketException e) {
                return; // hung up on in the middle: as good a refusal
            }
            assertFalse(answer(socket).startsWith("HTTP/1.1 200"));
        }
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
            assertEquals(200, running.get("/health").status());
            long begun = System.nanoTime();
            for (int i = 0; i < 20; i++)
                assertEquals(200, running.get("/health").status());
            assertTrue((System.nanoTime() - begun) / 20 < 100_000_000, "within 100 ms each");
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
            exchange.event(Scripted.openAiPiece("word"));
            all.pass();
            exchange.event("[DONE]");
        };
        var sockets = new ArrayList<Socket>();
        try (var provider = new Scripted(held).forgetting();
                var server = new CrashTest.Server(
                        env, Map.of("LOCAL_BASE_URL", provider.address() + "/v1", "JAVA_TOOL_OPTIONS", "-Xmx48m"))) {
            for (int i = 0; i < 600; i++) {
                Socket socket = connect(server.port());
                sockets.add(socket);
                String body = "{\"user_id\":\"" + i + "\",\"message\":\"hi\",\"stream\":true}";
                send(socket, post("Connection: close\r\nContent-Length: " + body.length() + "\r\n", body));
            }
            var heads = new ArrayList<String>();
            for (Socket socket : sockets)
                heads.add(new String(socket.getInputStream().readNBytes(12), StandardCharsets.US_ASCII));
            all.open();
            for (int i = 0; i < heads.size(); i++) {
                String rest = answer(sockets.get(i));
                assertTrue(
                        heads.get(i).equals("HTTP/1.1 200")
                                ? rest.contains("event: done")
                                : heads.get(i).equals("HTTP/1.1 503") && rest.contains("overloaded"),
                        heads.get(i) + rest);
            }
            long served = heads.stream().filter("HTTP/1.1 200"::equals).count();
            assertTrue(served > 100, served + " were served");
        } finally {
            for (Socket socket : sockets) socket.close();
        }
    }

    @Test
    void keepsNoMoreIdleConnectionsThanItsHeapHolds(@TempDir Path folder) throws Exception {
        Path env = Files.writeString(folder.resolve(".env"), "");
        var sockets = new ArrayList<Socket>();
        try (var server = new CrashTest.Server(env, Map.of("JAVA_TOOL_OPTIONS", "-Xmx32m"))) {
            for (int i = 0; i < 2000; i++) {
                Socket socket = connect(server.port());
                sockets.add(socket);
                send(socket, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
                assertEquals(
                        "HTTP/1.1 200",
                        new String(socket.getInputStream().readNBytes(12), StandardCharsets.US_ASCII),
                        "the answer to number " + i);
            }
        } finally {
            for (Socket socket : sockets) socket.close();
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "half a header",
                "half a body",
                "a stream that nobody reads",
                "a history that nobody reads",
                "half closed"
            })
    void servesANormalClientBesideSlowOnes(String how) throws Exception {
        String large = "x".repeat(1_000_000);
        running.post("/chat", "{\"user_id\":\"slow\",\"message\":\"" + large + "\"}");
        var slow = new ArrayList<Socket>();
        try {
            for (int i = 0; i < 80; i++) {
                Socket socket = connect();
                slow.add(socket);
                switch (how) {
                    case "half a header" -> send(socket, "GET /health HTTP/1.1\r\nHost: loc");
                    case "half a body" -> send(socket, post("Content-Length: 31\r\n", "{\"user"));
                    case "a stream that nobody reads" -> {
                        String body = "{\"user_id\":\"slow" + i + "\",\"message\":\"hi\",\"stream\":true}";
                        send(socket, post("Content-Length: " + body.length() + "\r\n", body));
                    }
                    case "a history that nobody reads" ->
                        send(socket, "GET /history?user_id=slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
                    default -> {
                        send(socket, post("Content-Length: " + BODY.length() + "\r\n", BODY.substring(0, 10)));
                        socket.shutdownOutput();
                    }
                }
            }
            for (int i = 0; i < 5; i++)
                assertEquals(200, running.chat("normal", "hi").status());
            assertEquals(200, running.get("/health").status());
        } finally {
            for (Socket socket : slow) socket.close();
        }
    }

    /** Sent whole, and not only announced: in one piece, and in chunks that announce nothing. */
    @ParameterizedTest
    @ValueSource(strings = {"Content-Length: 104857600", "Transfer-Encoding: chunked"})
    void refusesABodyOfAHundredMegabytes(String framing) throws Exception {
        try (Socket socket = connect()) {
            send(socket, post(framing + "\r\n", ""));
            String mebibyte = "x".repeat(1 << 20);
            try {
                for (int i = 0; i < 100; i++)
                    send(socket, framing.startsWith("C") ? mebibyte : "100000\r\n" + mebibyte + "\r\n");
            } catch (SocketException e) {
                return; // hung up on in the middle
            }
            assertTrue(answer(socket).startsWith("HTTP/1.1 413"));
        }
    }

    @Test
    void leavesNoMemoryBehind() throws Exception {
        misbehave(0); // classes and pools
        long before = used();
        for (int round = 1; round <= 4; round++) misbehave(round);
        Running.await(() -> used() - before < 4 << 20);
    }

    /** 250 requests that end badly, of 25 MB together, each of a user that was never seen before. */
    private static void misbehave(int round) throws Exception {
        String text = "x".repeat(300_000);
        for (int i = 0; i < 50; i++) {
            String user = "stranger" + round + "-" + i;
            assertEquals(
                    400,
                    running.post("/chat", "{\"user_id\":\"" + user + "\",\"message\":\"" + text)
                            .status());
            assertEquals(200, running.get("/history?user_id=" + user).status());
            assertEquals(204, running.delete("/history?user_id=" + user).status());
            String body = "{\"user_id\":\"" + user + "\",\"message\":\"" + "y".repeat(200_000) + "\",\"stream\":true}";
            for (int sent : new int[] {body.length(), body.length() / 2}) {
                try (Socket socket = connect()) {
                    socket.setSoLinger(true, 0); // closes with a reset
                    send(socket, post("Content-Length: " + body.length() + "\r\n", body.substring(0, sent)));
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

    /**
     * The JDK's own limit, whose unit is not what its documentation says: a trickling request is ended after 30 s in
     * all.
     */
    @Test
    @Execution(ExecutionMode.CONCURRENT) // beside the others: it only waits
    void endsARequestThatTricklesAfterThirtySeconds() throws Exception {
        assertEquals("30", System.getProperty("sun.net.httpserver.maxReqTime"));
        try (Socket header = connect();
                Socket body = connect()) {
            header.setSoTimeout(45_000);
            body.setSoTimeout(45_000);
            send(header, "GET /health HTTP/1.1\r\nHost: loc");
            send(body, post("Content-Length: 31\r\n", "{\"user"));
            long begun = System.nanoTime();
            assertFalse(answer(header).startsWith("HTTP/1.1 200"));
            assertFalse(answer(body).startsWith("HTTP/1.1 200"));
            long seconds = (System.nanoTime() - begun) / 1_000_000_000;
            assertTrue(seconds >= 20 && seconds <= 44, seconds + " s");
        }
    }
}
