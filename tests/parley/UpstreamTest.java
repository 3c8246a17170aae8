package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.ServerSocket;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.time.Duration;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Whatever a provider does, in both dialects, whole and streamed: the right problem, the history as it was, the key
 * nowhere.
 */
class UpstreamTest extends OneServer {
    @BeforeEach
    void forget() throws Exception {
        running.provider.exchanges.clear();
        running.settings("PROVIDER_TIMEOUT=10");
    }

    private static Scripted.Script json(int status, String text) {
        return exchange -> exchange.json(status, text);
    }

    private static Scripted.Script events(String... events) {
        return exchange -> {
            exchange.stream();
            for (String event : events) exchange.event(event);
        };
    }

    private static Scripted.Script bytes(String text) {
        return exchange -> exchange.send(text);
    }

    private static final List<String> DIALECTS = List.of("gemini", "nebius");

    private static String delta(String dialect, String text) {
        return dialect.equals("gemini") ? Scripted.geminiDelta(text) : Scripted.openAiDelta(text);
    }

    /** What comes as no text, in either dialect alike. */
    static Stream<Arguments> broken() {
        Scripted.Script gzip = exchange -> {
            exchange.send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n");
            exchange.out().write(new byte[] {0x1f, (byte) 0x8b, 0, 0});
        };
        Scripted.Script nothing = exchange -> {};
        Scripted.Script reset = Scripted.Exchange::reset;
        Scripted.Script headAndReset = exchange -> {
            exchange.stream();
            exchange.reset();
        };
        return DIALECTS.stream()
                .flatMap(dialect -> Stream.of(
                        Arguments.of(dialect, gzip, "sent what cannot be read: broken gzip", 1),
                        Arguments.of(dialect, nothing, "cannot be reached", 3),
                        Arguments.of(dialect, reset, "cannot be reached", 3),
                        Arguments.of(dialect, headAndReset, "cannot be reached, or broke", 3)));
    }

    @ParameterizedTest
    @MethodSource("broken")
    void tellsWhatBreaksOnTheWire(String dialect, Scripted.Script script, String words, int asked) throws Exception {
        answersTheRightProblemAndStoresNothing(dialect, script, "502 provider_error", words, asked);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            textBlock =
                    """
                    # how it comes | what comes, in either dialect | words of the detail | how often it is asked
                    200 | <html>hello</html> | <html>hello</html> | 1
                    200 | {"choices":[{"candidates": | not JSON | 1
                    200 | `` | cut its reply off | 1
                    200 | {"error":{"message":"said so","code":"oops"}} | said so | 1
                    307 Location: /elsewhere | moved | 307 | 1
                    events | not json | not JSON | 1
                    events | [1] | not its own format | 1
                    events | say "some" | cut its reply off | 1
                    events | {"error":{"message":"said so","code":400}} | said so | 1
                    events | say "some" ⏎ {"error":{"message":"said so","code":400}} | said so | 1
                    bytes | no HTTP at all\\r\\n\\r\\n | _BASE_URL | 3
                    bytes | HTTP/1.1 200 OK\\r\\nContent-Length: <key>\\r\\n\\r\\n | cannot be reached, or broke | 3
                    bytes | HTTP/1.1 200 OK\\r\\nContent-Length: 99\\r\\n\\r\\ndata: | cannot be reached, or broke | 3
                    """)
    void tellsWhatBreaksInEitherDialect(String how, String what, String words, int asked) throws Exception {
        for (String dialect : DIALECTS) {
            Scripted.Script script = Scripted.of(dialect, how, what);
            running.provider.exchanges.clear();
            answersTheRightProblemAndStoresNothing(dialect, script, "502 provider_error", words, asked);
        }
    }

    /** Once the words are there: Java's client may lose those that came just before the end of a connection. */
    @ParameterizedTest
    @ValueSource(strings = {"gemini", "nebius"})
    void isNotAskedAgainBehindWords(String dialect) throws Exception {
        var gate = new Scripted.Gate();
        Scripted.Script broken = Scripted.of(dialect, "breaks off", "say \"some\"");
        running.settings("PROVIDER_TIMEOUT=10", "CHAT_PROVIDER=" + dialect);
        running.provider.exchanges.clear();
        running.provider.usually(exchange -> {
            broken.play(exchange);
            gate.pass();
        });
        try (var lines = running.stream("alice", "hi").body()) {
            Iterator<String> each = lines.iterator();
            assertEquals("data: {\"text\":\"some\"}", each.next());
            gate.open();
            var rest = new ArrayList<String>();
            each.forEachRemaining(rest::add);
            assertTrue(rest.contains("event: error"), rest.toString());
            assertTrue(rest.toString().contains("cannot be reached, or broke"), rest.toString());
        }
        assertEquals(1, running.provider.exchanges.size());
        assertEquals(List.of(), running.said("alice"));
    }

    /** With a request to be asked again at once. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            textBlock =
                    """
                    # statuses                            | the problem              | how often it is asked
                    400, 402, 405, 409, 413, 415, 422, 501 | 502 provider_error       | 1
                    401, 403                               | 502 provider_refused_key | 1
                    404                                    | 502 unknown_model        | 1
                    429                                    | 429 rate_limited         | 3
                    408, 500, 502, 503, 504, 520, 524, 529 | 502 provider_error       | 3
                    """)
    void tellsEachStatus(String statuses, String problem, int asked) throws Exception {
        for (String dialect : DIALECTS) {
            for (String status : statuses.split(", ")) {
                Scripted.Script script = Scripted.of(
                        dialect, status + " Retry-After: 0", "{\"error\":{\"message\":\"said so\",\"code\":null}}");
                String words = dialect + " answered " + status + ": said so";
                running.provider.exchanges.clear();
                answersTheRightProblemAndStoresNothing(dialect, script, problem, words, asked);
            }
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            textBlock =
                    """
                    # dialect | how it comes | what comes | the problem | words of its detail | how often it is asked
                    # statuses, each with its body
                    gemini | 400 | {"error":{"code":400,"status":"X","message":"said so"}} | 502 provider_error | \
                    gemini answered 400: said so | 1
                    gemini | 400 | {"error":{"code":400,"message":"API key not valid",\
                    "details":[{"reason":"API_KEY_INVALID"}]}} | 502 provider_refused_key | GEMINI_API_KEY | 1
                    gemini | 403 | {"error":{"code":403,"status":"X","message":"said so"}} | \
                    502 provider_refused_key | GEMINI_API_KEY | 1
                    gemini | 404 | {"error":{"code":404,"status":"X","message":"said so"}} | 502 unknown_model | \
                    GEMINI_CHAT_MODEL | 1
                    gemini | 429 | {"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"Quota exceeded",\
                    "details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure",\
                    "violations":[{"quotaId":"RequestsPerMinute"}]},\
                    {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"36.429760048s"}]}} | \
                    429 rate_limited | Quota exceeded | 1
                    gemini | 429 | {"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"Quota exceeded",\
                    "details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure",\
                    "violations":[{"quotaId":"RequestsPerDay"}]},\
                    {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"0.1s"}]}} | \
                    429 rate_limited | Quota exceeded | 1
                    gemini | 429 | {"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"Quota exceeded",\
                    "details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure",\
                    "violations":[{"quotaId":"RequestsPerMinute"}]},\
                    {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"0s"}]}} | 429 rate_limited | \
                    Quota exceeded | 3
                    nebius | 400 | {"error":{"message":"said so","type":"t","code":"content_filter"}} | \
                    422 blocked | content_filter | 1
                    nebius | 401 | {"detail":"Incorrect key <key>"} | 502 provider_refused_key | \
                    Incorrect key *** (set NEBIUS_API_KEY | 1
                    nebius | 404 | {"error":{"message":"said so","type":"t","code":"model_not_found"}} | \
                    502 unknown_model | NEBIUS_CHAT_MODEL | 1
                    nebius | 422 | {"detail":[{"loc":["body"],"msg":"field required","type":"x"}]} | \
                    502 provider_error | field required | 1
                    nebius | 429 | {"error":{"message":"said so","type":"t","code":"insufficient_quota"}} | \
                    429 rate_limited | said so | 1
                    nebius | 429 | {"error":{"message":"said so","type":"t","code":null}} | 429 rate_limited | \
                    said so | 3
                    nebius | 502 | <html>Bad gateway</html> | 502 provider_error | <html>Bad gateway</html> | 3
                    nebius | 500 | `` | 502 provider_error | 500 | 3
                    # what no provider should send
                    gemini | events | {"error":{"code":503,"status":"X","message":"said so"}} | \
                    502 provider_error | said so | 3
                    gemini | events | say "some" ⏎ {"error":{"code":503,"status":"X","message":"said so"}} | \
                    502 provider_error | said so | 1
                    nebius | 200 | {"error":{"message":"said so","type":"t","code":429}} | 429 rate_limited | \
                    said so | 3
                    # refusals and endings
                    gemini | events | {"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"}} | 422 blocked | \
                    PROHIBITED_CONTENT | 1
                    gemini | events | say "so" ⏎ finish SAFETY | 422 blocked | SAFETY | 1
                    gemini | events | finish RECITATION | 422 blocked | RECITATION | 1
                    gemini | events | finish BRAND_NEW | 502 provider_error | BRAND_NEW | 1
                    gemini | events | finish MALFORMED_FUNCTION_CALL | 502 provider_error | \
                    MALFORMED_FUNCTION_CALL | 3
                    gemini | events | finish STOP | 502 empty_reply | without a word | 1
                    gemini | events | {"candidates":[{"content":{"parts":[{"text":"hm","thought":true}]},\
                    "finishReason":"MAX_TOKENS"}]} | 502 empty_reply | MAX_OUTPUT_TOKENS | 1
                    nebius | events | {"choices":[{"delta":{},"finish_reason":"content_filter"}]} | 422 blocked | \
                    content_filter | 1
                    nebius | events | {"choices":[{"delta":{"content":null},"finish_reason":"stop"}]} ⏎ [DONE] | \
                    502 empty_reply | without a word | 1
                    nebius | events | [DONE] | 502 empty_reply | without a word | 1
                    nebius | events | {"choices":[{"delta":{},"finish_reason":"tool_calls"}]} | \
                    502 provider_error | tool_calls | 1
                    """)
    void answersTheRightProblem(String dialect, String how, String what, String problem, String words, int asked)
            throws Exception {
        answersTheRightProblemAndStoresNothing(dialect, Scripted.of(dialect, how, what), problem, words, asked);
    }

    private static void answersTheRightProblemAndStoresNothing(
            String dialect, Scripted.Script script, String problem, String words, int asked) throws Exception {
        running.settings("PROVIDER_TIMEOUT=10", "CHAT_PROVIDER=" + dialect);
        running.provider.usually(script);
        Running.Answer answer = running.chat("alice", "hi");
        assertEquals(problem, answer.status() + " " + answer.at("code"), answer.text());
        assertEquals("application/problem+json; charset=utf-8", answer.header("Content-Type"));
        assertTrue(answer.text().contains(words.replace("\"", "\\\"")), answer.text());
        assertFalse(answer.text().contains(Running.KEY), answer.text());
        assertEquals(asked, running.provider.exchanges.size());
        assertEquals(List.of(), running.said("alice"));
        try (var stream = running.stream("alice", "hi").body()) {
            List<String> lines = stream.toList();
            String last = String.join("\n", lines);
            assertTrue(last.contains("\"code\":\"" + problem.split(" ")[1] + "\""), last);
            assertFalse(last.contains("event: done"), last);
            assertFalse(last.contains(Running.KEY), last);
        }
        assertEquals(List.of(), running.said("alice"));
        Running.await(() -> running.provider.connections() == 0);
    }

    @Test
    void readsGeminisRetryDelay() throws Exception {
        running.provider.then(
                json(
                        429,
                        """
                {"error":{"code":429,"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo",\
                "retryDelay":"36.429760048s"}]}}"""));
        assertEquals("37", running.chat("alice", "hi").header("Retry-After"));
    }

    @Test
    void readsARetryAfterInSeconds() throws Exception {
        running.settings("CHAT_PROVIDER=nebius");
        running.provider.then(exchange -> exchange.answer(429, "application/json", "Retry-After: 12\r\n", "{}"));
        assertEquals("12", running.chat("alice", "hi").header("Retry-After"));
        running.provider.then(
                exchange -> exchange.answer(429, "application/json", "Retry-After: 12345678901\r\n", "{}"));
        assertEquals("12345678901", running.chat("alice", "hi").header("Retry-After"));
    }

    @Test
    void readsARetryAfterThatIsADate() throws Exception {
        running.settings("CHAT_PROVIDER=nebius");
        String date = DateTimeFormatter.RFC_1123_DATE_TIME.format(
                ZonedDateTime.now(ZoneOffset.UTC).plusSeconds(100));
        running.provider.then(
                exchange -> exchange.answer(429, "application/json", "Retry-After: " + date + "\r\n", "{}"));
        int seconds = Integer.parseInt(running.chat("alice", "hi").header("Retry-After"));
        assertTrue(seconds > 80, "" + seconds);
        assertTrue(seconds <= 100, "" + seconds);
    }

    /** How long Parley says that it waits, in milliseconds, before the last retries of any test. */
    private static List<Integer> lastPauses(int count) {
        List<Integer> pauses = Pattern.compile("retry \\d of 2 in (\\d+) ms")
                .matcher(running.console())
                .results()
                .map(match -> Integer.valueOf(match.group(1)))
                .toList();
        return pauses.subList(pauses.size() - count, pauses.size());
    }

    @Test
    void waitsBeforeEachRetryAsTheProviderSays() throws Exception {
        var times = new ArrayList<Long>();
        running.provider.usually(exchange -> {
            times.add(System.nanoTime());
            exchange.answer(503, "application/json", "Retry-After: 1\r\n", "{}");
        });
        running.chat("alice", "hi");
        assertEquals(3, times.size());
        assertTrue(times.get(1) - times.get(0) >= 1_000_000_000, "it waited before the first retry");
        assertTrue(times.get(2) - times.get(1) >= 1_000_000_000, "it waited before the second retry");
        assertEquals(List.of(1000, 1000), lastPauses(2));
    }

    @Test
    void waitsUpToHalfASecondAndThenUpToASecondWhereTheProviderSaysNothing() throws Exception {
        running.provider.usually(json(503, "{}"));
        running.chat("alice", "hi");
        List<Integer> pauses = lastPauses(2);
        assertTrue(pauses.get(0) < 500, pauses.toString());
        assertTrue(pauses.get(1) < 1000, pauses.toString());
    }

    @Test
    void triesNothingAgainPastTheTimeout() throws Exception {
        running.settings("PROVIDER_TIMEOUT=0.9");
        running.provider.usually(exchange -> exchange.answer(503, "application/json", "Retry-After: 1\r\n", "{}"));
        running.chat("alice", "hi");
        assertEquals(1, running.provider.exchanges.size());
    }

    /** As many threads as before, once the idle ones have gone: none waits for a provider for ever. */
    @ParameterizedTest
    @ValueSource(strings = {"gemini", "nebius"})
    void leavesNoThreadBehind(String dialect) throws Exception {
        running.provider.usually(Scripted.gemini("ok"));
        running.chat("warm", "hi");
        long before = waiting();
        running.settings("PROVIDER_TIMEOUT=0.5", "CHAT_PROVIDER=" + dialect);
        running.provider.usually(Scripted.Exchange::awaitHangUp);
        var answers = new ArrayList<CompletableFuture<Running.Answer>>();
        for (int i = 0; i < 40; i++) answers.add(running.chatting("user" + i, "hi"));
        for (var answer : answers) assertEquals(504, answer.join().status());
        Running.await(() -> waiting() <= before && running.provider.connections() == 0);
    }

    /** Threads that are in the middle of Parley's own code. */
    private static long waiting() {
        return Thread.getAllStackTraces().values().stream()
                .filter(stack -> Arrays.stream(stack)
                        .anyMatch(frame -> frame.getClassName().startsWith("parley.Upstream")))
                .count();
    }

    @ParameterizedTest
    @ValueSource(strings = {"gemini", "nebius"})
    void namesTheAddressWhenTheConnectionIsRefused(String dialect) throws Exception {
        int closed;
        try (var port = new ServerSocket(0)) {
            closed = port.getLocalPort();
        }
        String variable = dialect.toUpperCase(Locale.ROOT) + "_BASE_URL";
        running.settings("CHAT_PROVIDER=" + dialect, variable + "=http://127.0.0.1:" + closed);
        Running.Answer answer = running.chat("alice", "hi");
        assertEquals("502 provider_error", answer.status() + " " + answer.at("code"), answer.text());
        assertTrue(answer.text().contains(variable), answer.text());
        assertFalse(answer.text().contains(Running.KEY), answer.text());
        assertFalse(answer.text().contains("Exception"), answer.text());
        assertEquals(List.of(), running.said("alice"));
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void namesNoClassOfJavasWhereTheAnswerIsNoHttp(boolean stream) throws Exception {
        running.provider.usually(bytes("no HTTP at all\r\n\r\n"));
        String told = stream
                ? String.join("\n", running.stream("alice", "hi").body().toList())
                : running.chat("alice", "hi").text();
        assertTrue(told.contains("Invalid status line"), told);
        assertFalse(told.contains("Exception"), told);
    }

    @Test
    void triesAgainUntilItWorksAndRepeatsNoDelta() throws Exception {
        running.provider.usually(Scripted.gemini("a", "b"));
        running.provider.then(json(503, "{}"), Scripted.Exchange::reset);
        Running.Answer answer = running.chat("bob", "hi");
        assertEquals("ab", answer.at("reply"), answer.text());
        assertEquals(3, running.provider.exchanges.size());
        var arrived = new Scripted.Gate();
        running.provider.then(exchange -> {
            exchange.stream();
            exchange.event(Scripted.geminiDelta("only once"));
            arrived.pass();
            exchange.reset();
        });
        try (var stream = running.stream("bob", "again").body()) {
            List<String> lines = stream.peek(line -> arrived.open()).toList();
            assertEquals(
                    1, lines.stream().filter(line -> line.contains("only once")).count());
            assertTrue(lines.contains("event: error"));
        }
        assertEquals(4, running.provider.exchanges.size());
    }

    @ParameterizedTest
    @ValueSource(strings = {"gemini", "nebius"})
    void boundsAnEndlessReply(String dialect) throws Exception {
        running.settings("CHAT_PROVIDER=" + dialect, "PROVIDER_TIMEOUT=60"); // a busy machine needs its time for 32 MiB
        String delta = delta(dialect, "x".repeat(100_000));
        running.provider.then(exchange -> {
            exchange.stream();
            while (true) exchange.event(delta);
        });
        Running.Answer answer = running.chat("alice", "hi");
        assertEquals("502 provider_error", answer.status() + " " + answer.at("code"));
        assertTrue(answer.text().contains("more than"), answer.text());
        Running.await(() -> running.provider.connections() == 0);
    }

    /** Of which no dialect hears anything. */
    @Test
    void boundsAnEndlessLine() throws Exception {
        running.settings("PROVIDER_TIMEOUT=60");
        String part = "x".repeat(100_000);
        running.provider.then(exchange -> {
            exchange.stream();
            for (int i = 0; i < 500; i++) exchange.send(part);
        });
        Running.Answer answer = running.chat("alice", "hi");
        assertEquals("provider_error", answer.at("code"));
        assertTrue(answer.text().contains("more than"), answer.text());
        Running.await(() -> running.provider.connections() == 0);
    }

    @ParameterizedTest
    @ValueSource(strings = {"gemini", "nebius"})
    void readsEventsThatAreSplitAtEveryByte(String dialect) throws Exception {
        running.settings("CHAT_PROVIDER=" + dialect);
        String event = "data: " + delta(dialect, "é🦊") + "\r\n\r\ndata: "
                + (dialect.equals("gemini") ? Scripted.GEMINI_END : "[DONE]") + "\r\n\r\n";
        running.provider.then(exchange -> {
            exchange.stream();
            exchange.socket().setTcpNoDelay(true);
            for (byte b : event.getBytes(StandardCharsets.UTF_8)) {
                exchange.out().write(b);
                exchange.out().flush();
            }
        });
        assertEquals("é🦊", running.chat("carol " + dialect, "hi").at("reply"));
    }

    @Test
    void neverSplitsACharacterBetweenPieces() throws Exception {
        running.provider.then(events(
                "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\\ud83e\"}]}}]}",
                "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\\udd8ab\"}]}}]}",
                Scripted.GEMINI_END));
        try (var stream = running.stream("dave", "hi").body()) {
            assertEquals(
                    List.of("data: {\"text\":\"a\"}", "data: {\"text\":\"🦊b\"}"),
                    stream.filter(line -> line.startsWith("data: {\"text\"")).toList());
        }
    }

    @Test
    void readsOneObjectWhereAStreamWasAskedFor() throws Exception {
        running.provider.then(
                json(
                        200,
                        Scripted.GEMINI_END.replace(
                                "\"role\":\"model\"",
                                """
                                "parts":[{"text":"whole"},{"text":" and more"},{"text":"no","thought":true}]""")));
        assertEquals("whole and more", running.chat("erin", "hi").at("reply"));
        running.settings("CHAT_PROVIDER=nebius");
        running.provider.then(
                json(200, "{\n\"choices\":[{\"message\":{\"content\":\"whole\"},\n\"finish_reason\":\"length\"}]}"));
        Running.Answer answer = running.chat("erin", "hi");
        assertEquals("whole", answer.at("reply"), answer.text());
        assertEquals("length", answer.at("finish_reason"));
        assertNull(answer.at("usage"));
    }

    @Test
    void endsAtDoneThoughTheServiceLeavesTheConnectionOpen() throws Exception {
        running.settings("CHAT_PROVIDER=nebius");
        running.provider.then(exchange -> {
            Scripted.openAi("said").play(exchange);
            exchange.awaitHangUp();
        });
        assertEquals("said", running.chat("judy", "hi").at("reply"));
        Running.await(() -> running.provider.connections() == 0);
    }

    @Test
    void tellsTheStatusOfAnErrorWhoseBodyIsLong() throws Exception {
        running.provider.usually(json(500, "x".repeat(1_000_000)));
        Running.Answer answer = running.chat("alice", "hi");
        assertTrue(answer.text().contains("gemini answered 500: xxx"), answer.text());
        assertEquals(3, running.provider.exchanges.size());
    }

    @Test
    void putsNothingOfTheProvidersOnTheConsoleThatCouldForgeALineOrColourIt() throws Exception {
        running.provider.usually(
                json(503, "{\"error\":{\"code\":503,\"message\":\"x\\u001b[31m\\r\\nforged\\u2028line \\u202egnp\"}}"));
        Running.Answer answer = running.chat("alice", "hi");
        assertEquals("gemini answered 503: x [31m forged line gnp", answer.at("detail"));
        assertTrue(running.console().contains("x [31m forged line gnp"));
        assertTrue(
                running.console()
                        .chars()
                        .allMatch(c -> c == '\n' || c >= ' ' && Character.getType(c) != Character.FORMAT),
                "no control characters");
        assertTrue(running.console().lines().allMatch(line -> line.startsWith("20")), "each line begins with its time");
    }

    @Test
    void sendsGeminiWhatItsDocumentationSays() throws Exception {
        running.settings(
                "SYSTEM_INSTRUCTIONS=\"Be\\nbrief\"",
                "TEMPERATURE=0.70",
                "TOP_P=0.9",
                "TOP_K=40",
                "MAX_OUTPUT_TOKENS=1024",
                "GEMINI_CHAT_MODEL=models/m x",
                """
                GEMINI_CHAT_EXTRA='{"generationConfig":{"thinkingConfig":{"thinkingBudget":12345678901234567890},\
                "topK":null},"safetySettings":[]}'""");
        running.provider.then(Scripted.gemini("ok"));
        running.chat("grace", "hi");
        var sent = running.provider.last();
        assertEquals("/v1beta/models/m%20x:generateContent", sent.path());
        assertEquals(Running.KEY, sent.headers().get("x-goog-api-key"));
        assertEquals(
                """
                {"systemInstruction":{"parts":[{"text":"Be\\nbrief"}]},\
                "contents":[{"role":"user","parts":[{"text":"hi"}]}],\
                "generationConfig":{"temperature":0.70,"topP":0.9,"maxOutputTokens":1024,\
                "thinkingConfig":{"thinkingBudget":12345678901234567890}},"safetySettings":[]}""",
                sent.body());
        running.stream("grace two", "hi").body().toList();
        assertEquals(
                "/v1beta/models/m%20x:streamGenerateContent?alt=sse",
                running.provider.last().path(), "a stream for a stream");
        assertEquals(sent.body(), running.provider.last().body());
    }

    @Test
    void sendsOpenAiWhatItsDocumentationSays() throws Exception {
        running.settings(
                "CHAT_PROVIDER=local",
                "LOCAL_BASE_URL=" + running.provider.address() + "/v1/",
                "LOCAL_CHAT_MODEL=m",
                "TEMPERATURE=1",
                "TOP_K=4",
                "MAX_OUTPUT_TOKENS=9",
                "LOCAL_CHAT_EXTRA={\"seed\":7}");
        running.provider.then(Scripted.openAi("ok"));
        Running.Answer answer = running.chat("heidi", "hi");
        assertEquals(
                "{\"prompt_tokens\":4,\"completion_tokens\":6,\"total_tokens\":10}", Json.toJson(answer.at("usage")));
        assertEquals("local", answer.at("provider"));
        var sent = running.provider.last();
        assertEquals("/v1/chat/completions", sent.path());
        assertNull(sent.headers().get("Authorization"), "a service on a loopback address needs no key");
        String body =
                """
                {"model":"m","messages":[{"role":"user","content":"hi"}],"temperature":1,"top_k":4,"max_tokens":9,\
                "stream":""";
        assertEquals(body + "false,\"seed\":7}", sent.body());
        running.stream("heidi two", "hi").body().toList();
        assertEquals(
                body + "true,\"stream_options\":{\"include_usage\":true},\"seed\":7}",
                running.provider.last().body());
    }

    @Test
    void alternatesRolesForTheProviderWhateverTheFileHolds() throws Exception {
        Files.writeString(
                running.file("ivan"),
                """
                [{"role":"assistant","content":"a0"},
                {"role":"user","content":"u1"},
                {"role":"user","content":"u2"},
                {"role":"assistant","content":""},
                {"role":"assistant","content":"a3"},
                {"role":"user","content":"u4"}]""");
        running.provider.then(Scripted.gemini("ok"));
        running.chat("ivan", "u5");
        var sent = new ArrayList<String>();
        for (Object each : Json.items(running.provider.last().json(), "contents")) {
            sent.add(Json.string(each, "role") + ":" + Json.string(each, "parts", 0, "text"));
        }
        assertEquals(List.of("user:u1\n\nu2", "model:a3", "user:u4\n\nu5"), sent);
    }

    /** The path of a request behind a BASE_URL: a query stays at the end, and goes on every request. */
    @ParameterizedTest
    @CsvSource({
        "http://h/v1, /chat, http://h/v1/chat",
        "http://h/v1?api-version=1, /chat, http://h/v1/chat?api-version=1",
        "http://h/v1?a=1&b=2, /m:x?alt=sse, http://h/v1/m:x?alt=sse&a=1&b=2",
    })
    void keepsTheQueryOfTheAddressAtTheEnd(String base, String path, String expected) {
        var account = new Settings.Account("local", "CHAT", URI.create(base), null, "m", Map.of());
        assertEquals(
                expected,
                new Upstream(null, new ProviderProblems(account, Duration.ofSeconds(1)))
                        .uri(path)
                        .toString());
    }
}
