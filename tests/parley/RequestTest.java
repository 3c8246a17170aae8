package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.http.HttpRequest;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Requests as clients and proxies send them, and what each answer says of itself. */
class RequestTest extends OneServer {
    private static RawClient connect() throws IOException {
        return new RawClient(running.parley.port());
    }

    /**
     * Requests that a proxy before Parley may part otherwise than the JDK does: what stands behind is never answered.
     * | stands for CRLF. JDK 25 takes some of what 21 refuses, such as a chunk's size that wraps to 0.
     */
    @ParameterizedTest
    @CsvSource(
            delimiter = '!',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    target          ! headers                                           ! body            ! status
                    POST /chat      ! Transfer-Encoding: chunked                        ! 100000000||     ! 400
                    POST /chat      ! Transfer-Encoding: chunked                        ! zz||            ! 400
                    POST /chat      ! Transfer-Encoding: chunked                        ! -3||            ! 400
                    POST /chat      ! Transfer-Encoding: chunked                        ! +2|{}|0||       ! 400
                    POST /chat      ! Transfer-Encoding: chunked                        ! 0x2|{}|0||      ! 400
                    POST /chat      ! Transfer-Encoding: chunked                        ! 80000000||      ! 400
                    POST /chat      ! Transfer-Encoding: chunked                        ! fffffffff||     ! 400
                    POST /chat      ! Transfer-Encoding: chunked                        ! 2|{}|0||        ! 400
                    POST /chat      ! Transfer-Encoding: chunked                        ! 2|{}0||         ! 400
                    POST /nothing   ! Transfer-Encoding: chunked                        ! 100000000||     ! 404
                    GET /health     ! Transfer-Encoding: chunked                        ! 100000000||     ! 200
                    GET /           ! Transfer-Encoding: chunked                        ! 100000000||     ! 200
                    HEAD /health    ! Transfer-Encoding: chunked                        ! 100000000||     ! 200
                    OPTIONS /chat   ! Transfer-Encoding: chunked                        ! 100000000||     ! 204
                    DELETE /history ! Transfer-Encoding: chunked                        ! 100000000||     ! 400
                    POST /chat      ! Transfer-Encoding: CHUNKED                        ! 100000000||     ! 400
                    GET /health     ! Transfer-Encoding: gzip, chunked                  ! 0||             ! 501
                    GET /health     ! Transfer-Encoding: identity                       ! ''              ! 501
                    GET /health     ! Content-Length: +5                                ! ''              ! 400
                    GET /health     ! Content-Length: -5                                ! ''              ! 400
                    GET /health     ! Content-Length: 0x5                               ! ''              ! 400
                    GET /health     ! Content-Length: 0, 5                              ! ''              ! 400
                    GET /health     ! Content-Length: 0|Content-Length: 5               ! ''              ! 400
                    GET /health     ! Content-Length: 5|Transfer-Encoding: chunked      ! 0||             ! 400
                    POST /chat      ! Content-Length: +2                                ! {}              ! 400
                    GET /health     ! Host: other                                       ! ''              ! 400
                    GET /health     ! Transfer-Encoding : chunked                       ! 0||             ! 400
                    """)
    void answersNothingBehindARequestThatOthersMayPartOtherwise(
            String target, String headers, String body, String status) throws Exception {
        String behind = "GET /behind HTTP/1.1|Host: localhost||";
        try (RawClient client = connect()) {
            String head = target + " HTTP/1.1|Host: localhost|Content-Type: application/json|" + headers + "||";
            client.send((head + body + behind).replace("|", "\r\n"));
            String received = client.answer();
            assertEquals(List.of(status), RawClient.statuses(received), received);
        }
        assertFalse(running.console().contains("GET /behind"), "no handler has seen it");
    }

    /** As clients do that add a header of their own to a default one. */
    @Test
    void takesAMediaTypeThatIsSentTwice() throws Exception {
        String body = "{\"user_id\":\"twice\",\"message\":\"hi\"}";
        try (RawClient client = connect()) {
            client.send("POST /chat HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                    + "Content-Type: application/json\r\n".repeat(2)
                    + "Content-Length: %d\r\n\r\n%s".formatted(body.length(), body));
            assertEquals(List.of("200"), RawClient.statuses(client.answer()));
        }
    }

    @Test
    void takesARightBodyInChunks() throws Exception {
        String body = "{\"user_id\":\"chunks\",\"message\":\"hi\"}";
        try (RawClient client = connect()) {
            client.send("POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    + "Transfer-Encoding: chunked\r\n\r\n" + Integer.toHexString(body.length()) + "\r\n" + body
                    + "\r\n0\r\n\r\n");
            assertTrue(client.answer().startsWith("HTTP/1.1 200 OK\r\n"));
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '!',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    request                                                            ! status
                    POST /chat HTTP/1.1|Content-Type: text/plain|Content-Length: 2||{} ! 415
                    GET /nothing HTTP/1.1||                                            ! 404
                    PUT /chat HTTP/1.1|Content-Length: 2||{}                           ! 405
                    """)
    void goesOnWithTheConnectionBehindOtherRefusals(String request, String status) throws Exception {
        String next = "GET /health HTTP/1.1|Host: localhost|Connection: close||";
        try (RawClient client = connect()) {
            String first = request.replace(" HTTP/1.1", " HTTP/1.1|Host: localhost");
            client.send((first + next).replace("|", "\r\n"));
            assertEquals(List.of(status, "200"), RawClient.statuses(client.answer()));
        }
    }

    /** JDK-8387598: the day on which the JDK reads maxReqTime in milliseconds, 30 would cut every slow request off. */
    @Test
    void takesARequestThatArrivesSlowly() throws Exception {
        String body = "{\"user_id\":\"slow\",\"message\":\"hi\"}";
        try (RawClient client = connect()) {
            client.send("POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n");
            Thread.sleep(1100); // the client's own pace, which is what is tested
            client.send("Connection: close\r\nContent-Length: " + body.length() + "\r\n\r\n" + body.substring(0, 9));
            Thread.sleep(1100);
            client.send(body.substring(9));
            assertTrue(client.answer().startsWith("HTTP/1.1 200 OK\r\n"));
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    query                                 | the user, or the status
                    user_id=x                             | x
                    &&user_id=x                           | x
                    user_id=x&                            | x
                    &limit=1&&user_id=x&&                 | x
                    user_id=a+b%2Bc                       | a b+c
                    user_id=%C3%A9                        | é
                    us%65r_id=x                           | x
                    user_id=a=b                           | a=b
                    user_id=x&_=1&_=2                     | x
                    user_id=x&debug                       | x
                    user_id=x&=                           | x
                    user_id=x&user_id=x                   | 400
                    user_id=x&user_id=y                   | 400
                    user_id=%FF                           | 400
                    user_id=x&other=%FF                   | 400
                    user_id=x&%C3=1                       | 400
                    user_id=%ED%A0%80                     | 400
                    user_id=%C0%AF                        | 400
                    user_id=                              | 400
                    user_id                               | 400
                    &&                                    | 400
                    User_id=x                             | 400
                    """)
    void readsTheQueryAsFormsAreRead(String query, String expected) throws Exception {
        Running.Answer answer = running.get("/history?" + query);
        assertEquals(expected, answer.status() == 200 ? answer.at("user_id") : Integer.toString(answer.status()));
    }

    @ParameterizedTest
    @ValueSource(strings = {"gzip", "GZIP", "deflate", "br", "zstd", "identity, gzip", "x-own"})
    void refusesABodyInAnEncoding(String encoding) throws Exception {
        var packed = new ByteArrayOutputStream();
        try (var out = new GZIPOutputStream(packed)) {
            out.write("{\"user_id\":\"a\",\"message\":\"hi\"}".getBytes(StandardCharsets.UTF_8));
        }
        Running.Answer answer = running.send(running.request("/chat")
                .header("Content-Type", "application/json")
                .header("Content-Encoding", encoding)
                .POST(HttpRequest.BodyPublishers.ofByteArray(packed.toByteArray())));
        assertEquals("415 unsupported_media_type", answer.status() + " " + answer.at("code"));
        assertEquals("identity", answer.header("Accept-Encoding"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"identity", "Identity"})
    void takesABodyInNoEncoding(String encoding) throws Exception {
        String json = "{\"user_id\":\"a\",\"message\":\"hi\"}";
        assertEquals(
                200,
                running.send(running.posting("/chat", json).header("Content-Encoding", encoding))
                        .status());
    }

    @ParameterizedTest
    @CsvSource(
            nullValues = "-",
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    request,                     its type,                                  what caches are told
                    GET /health,                 application/json; charset=utf-8,           no-store
                    HEAD /health,                application/json; charset=utf-8,           no-store
                    GET /history?user_id=none,   application/json; charset=utf-8,           no-store
                    GET /history,                application/problem+json; charset=utf-8,   no-store
                    GET /nothing,                application/problem+json; charset=utf-8,   no-store
                    POST /chat,                  application/problem+json; charset=utf-8,   no-store
                    PUT /chat,                   application/problem+json; charset=utf-8,   no-store
                    DELETE /history?user_id=no,  -,                                         no-store
                    OPTIONS /chat,               -,                                         no-store
                    GET /,                       text/html; charset=utf-8,                  no-cache
                    """)
    void saysWhatAnAnswerIsAndThatNoneIsKept(String request, String type, String caches) throws Exception {
        String[] words = request.split(" ");
        Running.Answer answer =
                running.send(running.request(words[1]).method(words[0], HttpRequest.BodyPublishers.noBody()));
        assertEquals(type, answer.header("Content-Type"));
        assertEquals(caches, answer.header("Cache-Control"));
    }

    @Test
    void saysTheSameOfATurnAndLetsAStreamBe() throws Exception {
        Running.Answer turn = running.chat("types", "hi");
        assertEquals("application/json; charset=utf-8", turn.header("Content-Type"));
        assertEquals("no-store", turn.header("Cache-Control"));
        var stream = running.stream("types", "hi").headers();
        assertEquals(List.of("text/event-stream"), stream.allValues("Content-Type"));
        assertEquals(List.of("no-cache"), stream.allValues("Cache-Control"));
    }

    @Test
    void cutsAProblemsDetail() throws Exception {
        String name = "x".repeat(2_000);
        running.settings("CHAT_PROVIDER=" + name, name.toUpperCase() + "_BASE_URL=https://a.example");
        Running.Answer answer = running.chat("long", "hi");
        running.settings();
        assertEquals("not_configured", answer.at("code"));
        assertEquals("X".repeat(999) + "…", answer.at("detail"));
    }

    @ParameterizedTest
    @CsvSource({"1000, x, 1000, x", "1001, x, 999, x", "500, 🦊, 500, 🦊", "501, 🦊, 499, 🦊"})
    void cutsADetailBehindAWholeCharacter(int count, String character, int left, String last) {
        String detail = Problem.invalid(character.repeat(count)).getMessage();
        assertEquals(last.repeat(left) + (left < count ? "…" : ""), detail);
    }

    /** A stop waits for 10 s; what runs even then is told, and fails. */
    @Test
    void tellsARequestThatAStopHasNoTimeFor() throws Exception {
        var never = new Scripted.Gate();
        try (var stopped = new Running(never.before(Scripted.gemini("late")), "PROVIDER_TIMEOUT=50");
                var image = new RawClient(stopped.parley.port());
                var chat = new RawClient(stopped.parley.port())) {
            image.post("/image", "{\"user_id\":\"a\",\"prompt\":\"fox\"}");
            chat.post("/chat", "{\"user_id\":\"a\",\"message\":\"hi\"}");
            Running.await(() -> stopped.provider.exchanges.size() == 2);
            stopped.parley.close();
            never.open();
            for (RawClient client : List.of(image, chat)) {
                String answer = client.answer();
                assertTrue(answer.startsWith("HTTP/1.1 503 "), answer + stopped.console());
                assertTrue(answer.contains("\"code\":\"overloaded\""), answer + stopped.console());
            }
            assertFalse(stopped.console().contains("a defect"), stopped.console());
        }
    }

    /** An interrupt that meets a write would break the connection. */
    @Test
    void tellsStreamsWithoutAPauseOfAStop() throws Exception {
        String pieces = ("data: " + Scripted.geminiDelta("on and ") + "\n\n").repeat(200);
        var late = new Scripted.Gate();
        Scripted.Script endless = exchange -> {
            exchange.stream();
            exchange.send(pieces);
            late.pass();
            while (true) exchange.send(pieces);
        };
        int count = 4;
        try (var stopped = new Running(endless);
                var readers = Executors.newCachedThreadPool()) {
            var ends = new ArrayList<Future<String>>();
            for (int i = 0; i < count; i++) {
                var client = new RawClient(stopped.parley.port());
                client.post("/chat", "{\"user_id\":\"u%d\",\"message\":\"hi\",\"stream\":true}".formatted(i));
                ends.add(readers.submit(() -> client.end(400)));
            }
            Running.await(() -> stopped.provider.exchanges.size() == count);
            // They begin just before their time is over: for all of the ten seconds, they would fill the processors.
            long begin = Parley.SHUTDOWN_TIMEOUT.toMillis() - 700;
            CompletableFuture.delayedExecutor(begin, TimeUnit.MILLISECONDS).execute(late::open);
            stopped.parley.close();
            for (var end : ends) assertTrue(end.get().contains("\nevent: error\n"), end.get());
        }
    }
}
