package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What services really send, in both dialects: whole and streamed answers alike, as public bug reports show it. */
class FieldCasesTest extends OneServer {
    private static final String STOP = "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}";

    @BeforeEach
    void forget() throws Exception {
        running.provider.exchanges.clear();
    }

    /** A stream of these lines, each with an empty one behind it. */
    private static Scripted.Script lines(String... lines) {
        return exchange -> {
            exchange.stream();
            for (String line : lines) exchange.send(line + "\n\n");
        };
    }

    private static Scripted.Script events(String... data) {
        return lines(Stream.of(data).map(each -> "data: " + each).toArray(String[]::new));
    }

    private static String delta(String members) {
        return "{\"choices\":[{\"index\":0,\"delta\":{" + members + "},\"finish_reason\":null}]}";
    }

    private static String oai(String text) {
        return Scripted.openAiDelta(text);
    }

    private static String gem(String text) {
        return Scripted.geminiDelta(text);
    }

    private static String gemini(String text, String reason) {
        return "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"" + text + "\"}]},\"finishReason\":\"" + reason
                + "\"}]}";
    }

    /** As these events break off: more bytes are announced than come. */
    private static Scripted.Script brokenOff(String... data) {
        return exchange -> {
            exchange.send(
                    """
                    HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 99999\r
                    Connection: close\r\n\r\n""");
            for (String each : data) exchange.event(each);
        };
    }

    private static Scripted.Script leftOpen(Scripted.Script script) {
        return exchange -> {
            script.play(exchange);
            exchange.awaitHangUp();
        };
    }

    /** In gzip, though none was asked for. */
    private static Scripted.Script gzip(int status, String text) {
        return exchange -> {
            var bytes = new ByteArrayOutputStream();
            try (var gzip = new GZIPOutputStream(bytes)) {
                gzip.write(text.getBytes(StandardCharsets.UTF_8));
            }
            exchange.send("HTTP/1.1 " + status + " X\r\nContent-Encoding: gzip\r\nContent-Length: " + bytes.size()
                    + "\r\nConnection: close\r\n\r\n");
            exchange.out().write(bytes.toByteArray());
        };
    }

    private static Scripted.Script json(int status, String text) {
        return exchange -> exchange.json(status, text);
    }

    /** Dialect, what comes, and the reply. */
    static Stream<Arguments> replies() {
        String two =
                """
                {"choices":[{"index":1,"delta":{"content":"other"}},{"index":0,"delta":{"content":"right"},\
                "finish_reason":"stop"}]}""";
        return Stream.of(
                // 1. finished
                Arguments.of("nebius", leftOpen(events(oai("all said"), STOP)), "all said"),
                Arguments.of("gemini", leftOpen(events(gemini("all said", "STOP"))), "all said"),
                Arguments.of("nebius", brokenOff(oai("all said"), STOP), "all said"),
                Arguments.of("gemini", brokenOff(gemini("all said", "STOP")), "all said"),
                Arguments.of("nebius", events(oai("a "), STOP, oai("longer story"), STOP, "[DONE]"), "a longer story"),
                Arguments.of("nebius", events(oai("a "), STOP, oai("longer story"), "[DONE]"), "a longer story"),
                Arguments.of("gemini", events(gemini("a ", "STOP"), gemini("longer story", "STOP")), "a longer story"),
                Arguments.of(
                        "nebius",
                        events(
                                "{\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"\"}]}",
                                "{\"choices\":[{\"delta\":{\"content\":\"b\"},\"finish_reason\":\"\"}]}",
                                STOP),
                        "ab"),
                Arguments.of(
                        "gemini",
                        events(
                                "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]},\"finishReason\":\"\"}]}",
                                gemini("b", "STOP")),
                        "ab"),
                Arguments.of(
                        "gemini",
                        events(
                                """
                                {"candidates":[{"content":{"parts":[{"text":"a"}]},\
                                "finishReason":"FINISH_REASON_UNSPECIFIED"}]}""",
                                gemini("b", "STOP")),
                        "ab"),
                Arguments.of("nebius", events(oai("words"), STOP.replace("stop", "eos")), "words"),
                Arguments.of("nebius", events(oai("words"), STOP.replace("stop", "end_turn")), "words"),
                Arguments.of("nebius", events(oai("words"), STOP.replace("stop", "COMPLETE")), "words"),
                Arguments.of("nebius", events(oai("no reason"), "[DONE]"), "no reason"),
                // 2. where the words are
                Arguments.of(
                        "nebius",
                        events(
                                "{\"choices\":[{\"delta\":{\"content\":\"Hel\"},\"message\":{\"content\":\"Hel\"}}]}",
                                "{\"choices\":[{\"delta\":{\"content\":\"lo\"},\"message\":{\"content\":\"Hello\"}}]}",
                                STOP),
                        "Hello"),
                Arguments.of(
                        "nebius",
                        events("{\"choices\":[{\"message\":{\"content\":\"only a message\"}}]}", STOP),
                        "only a message"),
                Arguments.of(
                        "nebius",
                        events(
                                """
                                {"choices":[{"delta":null,"message":{"content":"only a message"},\
                                "finish_reason":"stop"}]}"""),
                        "only a message"),
                Arguments.of(
                        "nebius",
                        events(
                                delta(
                                        """
                                        "content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},\
                                        {"type":"text","text":"Four"}]"""),
                                oai(" is it"),
                                STOP),
                        "Four is it"),
                Arguments.of(
                        "nebius",
                        json(
                                200,
                                """
                                {"choices":[{"message":{"content":[{"type":"thinking","thinking":"x"},\
                                {"type":"text","text":"Fo"},{"type":"text","text":"ur"}]},"finish_reason":"stop"}]}"""),
                        "Four"),
                Arguments.of("nebius", events(two), "right"),
                Arguments.of(
                        "gemini",
                        events(
                                """
                                {"candidates":[{"index":1,"content":{"parts":[{"text":"other"}]}},{"index":0,\
                                "content":{"parts":[{"text":"right"}]},"finishReason":"STOP"}]}"""),
                        "right"),
                Arguments.of(
                        "nebius",
                        events(delta("\"content\":\"a\\ud83e\""), delta("\"content\":\"\\udd8ab\""), STOP),
                        "a\ud83e\udd8ab"),
                Arguments.of(
                        "nebius", events("{\"choices\":[{\"delta\":{\"content\":\"a\\ud83eb\"}}]}", STOP), "a\ufffdb"),
                Arguments.of(
                        "gemini",
                        events(
                                "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\\udd8a\"}]}}]}",
                                gemini("b\\ud83e", "STOP")),
                        "a\ufffdb\ufffd"),
                Arguments.of(
                        "nebius",
                        events(
                                delta("\"role\":\"assistant\",\"content\":\"\""),
                                "{\"choices\":[]}",
                                delta("\"role\":\"assistant\",\"content\":\"ok\""),
                                delta("\"content\":null"),
                                STOP),
                        "ok"),
                // 3. events
                Arguments.of(
                        "nebius",
                        lines(
                                "data:",
                                "data: " + oai("a"),
                                "data:",
                                ": queued",
                                "event: ping\ndata: {\"type\":\"ping\"}",
                                "data: " + oai("b"),
                                "data: " + STOP),
                        "ab"),
                Arguments.of(
                        "gemini",
                        lines("data:", "data: " + gem("a"), ": queued", "data: " + gemini("b", "STOP")),
                        "ab"),
                Arguments.of("gemini", json(200, "[" + gem("a") + ",\n" + gemini("b", "STOP") + "]"), "ab"),
                Arguments.of(
                        "gemini",
                        json(
                                200,
                                "[{\n  \"candidates\": [{\"content\": {\"parts\": [{\"text\": \"a\"}]}}]\n}\n,\r\n"
                                        + gemini("b", "STOP") + "\n]"),
                        "ab"),
                Arguments.of(
                        "nebius",
                        json(
                                200,
                                """
                                \n\n\n{"choices":[{"message":{"content":"behind keep-alive lines"},\
                                "finish_reason":"stop"}]}"""),
                        "behind keep-alive lines"),
                Arguments.of(
                        "nebius", json(200, "{\"choices\":[{\"message\":{\"content\":\"no reason\"}}]}"), "no reason"),
                Arguments.of("nebius", lines("data: ping", "data: " + oai("a"), "data: " + STOP), "a"),
                // what a stream says beside its events changes nothing
                Arguments.of("nebius", lines("data: " + oai("a"), "data: " + STOP, "x-took: 12 ms"), "a"),
                Arguments.of("nebius", lines("x-queue: 3", "data: " + oai("a"), "data: [DONE]"), "a"),
                Arguments.of("gemini", lines("data: " + gemini("a", "STOP"), "served by 7"), "a"),
                Arguments.of("nebius", lines("data: " + oai("a"), "warming up", "data: [DONE]"), "a"),
                // empty or default values are none
                Arguments.of(
                        "gemini",
                        events("{\"promptFeedback\":{\"blockReason\":\"BLOCK_REASON_UNSPECIFIED\"},"
                                + gemini("a", "STOP").substring(1)),
                        "a"),
                Arguments.of(
                        "nebius",
                        json(
                                200,
                                """
                                {"choices":[{"delta":{},"message":{"content":"whole"},"finish_reason":"stop"}]}"""),
                        "whole"),
                Arguments.of(
                        "nebius",
                        events(
                                """
                                {"choices":[{"delta":{"content":"a"},"error":{"message":"","code":0}}],\
                                "base_resp":{"status_code":0}}""",
                                STOP),
                        "a"),
                // a compression that nobody asked for
                Arguments.of("nebius", gzip(200, "data: " + oai("packed") + "\n\ndata: " + STOP + "\n\n"), "packed"),
                Arguments.of("gemini", gzip(200, gemini("packed", "STOP")), "packed"),
                // thoughts before the reply
                Arguments.of("nebius", events(oai("<think>hm</think>\n\nFour"), STOP), "Four"),
                Arguments.of(
                        "nebius", events(oai("<thi"), oai("nk>h<m</th"), oai("ink> \n"), oai(" Four"), STOP), "Four"),
                Arguments.of("nebius", events(oai("\n<think>\n</think>Four"), STOP), "Four"),
                Arguments.of("gemini", events(gem("<think>a</think>b</think>"), gemini("c", "STOP")), "b</think>c"),
                Arguments.of("nebius", events(oai("<thi"), oai("s> is a tag"), STOP), "<this> is a tag"),
                Arguments.of("nebius", events(oai("<think"), oai("ing> is none"), STOP), "<thinking> is none"),
                Arguments.of("nebius", events(oai(" "), oai("<thin"), STOP), " <thin"),
                Arguments.of("nebius", events(oai("Say <think>x</think>"), STOP), "Say <think>x</think>"),
                Arguments.of(
                        "nebius", json(200, "{\"choices\":[{\"message\":{\"content\":\"<think>x</think> y\"}}]}"), "y"),
                // 4. no errors
                Arguments.of(
                        "nebius",
                        events(
                                "{\"error\":{\"message\":\"\",\"code\":null,\"type\":0,\"metadata\":{}},"
                                        + oai("a").substring(1),
                                STOP),
                        "a"),
                Arguments.of(
                        "nebius",
                        events(
                                "{\"error\":null,\"choices\":[{\"delta\":{\"content\":\"a\"}}]}",
                                "{\"error\":\"\",\"choices\":[{\"delta\":{\"content\":\"b\"}}]}",
                                """
                                {"error":{},"choices":[{"delta":{"content":"c"},"finish_reason":"stop"}]}"""),
                        "abc"),
                Arguments.of(
                        "nebius",
                        json(
                                200,
                                """
                                {"error":{},"choices":[{"message":{"content":"whole"},"finish_reason":"stop"}]}"""),
                        "whole"),
                Arguments.of(
                        "gemini",
                        events("{\"error\":null," + gemini("a", "STOP").substring(1)),
                        "a"));
    }

    @ParameterizedTest
    @MethodSource
    void replies(String dialect, Scripted.Script script, String reply) throws Exception {
        running.settings("CHAT_PROVIDER=" + dialect);
        running.provider.usually(script);
        long begun = System.nanoTime();
        Running.Answer answer = running.chat("whole", "hi");
        assertEquals(reply, answer.at("reply"), answer.text());
        List<String> streamed = running.stream("streamed", "hi").body().toList();
        assertTrue(streamed.contains("event: done"), streamed.toString());
        assertEquals(reply, Json.string(Json.parse(last(streamed)), "reply"));
        assertTrue(System.nanoTime() - begun < 6_000_000_000L, "at most 2 s after the reason each");
        assertEquals("assistant: " + reply, running.said("whole").getLast());
        running.delete("/history?user_id=whole");
        running.delete("/history?user_id=streamed");
    }

    private static String last(List<String> lines) {
        return lines.stream()
                .filter(line -> line.startsWith("data: "))
                .reduce((a, b) -> b)
                .orElseThrow()
                .substring(6);
    }

    /** Dialect, what comes, the problem, and words of its detail. */
    static Stream<Arguments> failures() {
        String googleList = "[{\"error\":{\"code\":%d,\"message\":\"said so\",\"status\":\"X\",\"details\":[%s]}}]";
        return Stream.of(
                // 1. finished
                Arguments.of(
                        "gemini",
                        brokenOff(gemini("Half of", "STOP"), gem(" the story")),
                        "502 provider_error",
                        "broke the connection off"),
                Arguments.of(
                        "nebius",
                        brokenOff(oai("Half of"), STOP, oai(" the story")),
                        "502 provider_error",
                        "broke the connection off"),
                Arguments.of(
                        "gemini",
                        events(gemini("Half of", "STOP"), gem(" the story")),
                        "502 provider_error",
                        "cut its reply off"),
                Arguments.of(
                        "nebius",
                        lines(
                                "data: " + oai("Half"),
                                "error: {\"code\":500,\"message\":\"context size exceeded\"}",
                                "data: [DONE]"),
                        "502 provider_error",
                        "context size exceeded"),
                Arguments.of(
                        "nebius",
                        lines(
                                "data: " + oai("Half"),
                                "event: error\ndata: {\"message\":\"context size exceeded\"}",
                                "data: [DONE]"),
                        "502 provider_error",
                        "context size exceeded"),
                Arguments.of(
                        "nebius",
                        lines(
                                "data: " + oai("Half"),
                                "data: " + STOP,
                                "data: {\"error\":{\"message\":\"oops after all\"}}",
                                "data: [DONE]"),
                        "502 provider_error",
                        "oops after all"),
                Arguments.of(
                        "gemini",
                        events(gemini("Half", "STOP"), "{\"error\":{\"code\":400,\"message\":\"oops after all\"}}"),
                        "502 provider_error",
                        "oops after all"),
                Arguments.of(
                        "nebius",
                        lines("data: " + oai("Half"), "data: Internal server error", "data: [DONE]"),
                        "502 provider_error",
                        "Internal server error"),
                Arguments.of(
                        "nebius", events(oai("words"), STOP.replace("stop", "error")), "502 provider_error", "error"),
                Arguments.of(
                        "nebius",
                        events(oai("words"), STOP.replace("stop", "insufficient_system_resource")),
                        "502 provider_error",
                        "insufficient_system_resource"),
                Arguments.of(
                        "nebius",
                        events(delta("\"tool_calls\":[]"), STOP.replace("stop", "tool_calls")),
                        "502 provider_error",
                        "no tools are offered"),
                Arguments.of(
                        "nebius",
                        events(delta(""), STOP.replace("stop", "function_call")),
                        "502 provider_error",
                        "no tools are offered"),
                Arguments.of(
                        "gemini",
                        events("{\"candidates\":[{\"finishReason\":\"UNEXPECTED_TOOL_CALL\"}]}"),
                        "502 provider_error",
                        "no tools are offered"),
                // 2. where the words are
                Arguments.of(
                        "nebius",
                        events(delta("\"refusal\":\"I cannot \""), delta("\"refusal\":\"help with that.\""), STOP),
                        "422 blocked",
                        "I cannot help with that."),
                Arguments.of(
                        "nebius",
                        json(
                                200,
                                """
                                {"choices":[{"message":{"content":null,"refusal":"I cannot help."},\
                                "finish_reason":"stop"}]}"""),
                        "422 blocked",
                        "I cannot help."),
                Arguments.of(
                        "nebius",
                        events(delta("\"reasoning_content\":\"hm\""), STOP),
                        "502 empty_reply",
                        "raise MAX_OUTPUT_TOKENS"),
                Arguments.of(
                        "nebius",
                        json(
                                200,
                                """
                                {"choices":[{"message":{"content":"","reasoning":"hm"},"finish_reason":"stop"}]}"""),
                        "502 empty_reply",
                        "only thought"),
                Arguments.of(
                        "gemini",
                        events(
                                """
                                {"candidates":[{"content":{"parts":[{"text":"hm","thought":true}]},\
                                "finishReason":"STOP"}]}"""),
                        "502 empty_reply",
                        "only thought"),
                Arguments.of("nebius", events(oai("\n\n "), STOP), "502 empty_reply", "without a word"),
                Arguments.of("gemini", events(gemini("\\n \\n", "STOP")), "502 empty_reply", "without a word"),
                // no choice, but words
                Arguments.of("nebius", json(200, "{\"choices\":[null]}"), "502 provider_error", "not its own format"),
                Arguments.of("nebius", events("{\"choices\":[null]}"), "502 provider_error", "not its own format"),
                Arguments.of(
                        "gemini", json(200, "{\"candidates\":[null]}"), "502 provider_error", "not its own format"),
                Arguments.of(
                        "nebius",
                        json(
                                200,
                                """
                                {"choices":null,"base_resp":{"status_code":1004,"status_msg":"log in first"}}"""),
                        "502 provider_error",
                        "log in first"),
                Arguments.of(
                        "nebius",
                        events("{\"choices\":null,\"message\":\"the queue is full\"}"),
                        "502 provider_error",
                        "the queue is full"),
                Arguments.of(
                        "nebius",
                        events("{\"choices\":[{\"error\":{\"code\":400,\"message\":\"cut by the host\"}}]}"),
                        "502 provider_error",
                        "answered 400: cut by the host"),
                Arguments.of(
                        "nebius",
                        json(
                                400,
                                """
                                {"error":{"message":"Provider returned error","code":400,\
                                "metadata":{"raw":"no such voice"}}}"""),
                        "502 provider_error",
                        "no such voice"),
                Arguments.of(
                        "gemini",
                        json(200, "{\"usageMetadata\":{\"promptTokenCount\":4},\"modelVersion\":\"m\"}"),
                        "502 empty_reply",
                        "without a word"),
                Arguments.of(
                        "gemini",
                        events("{\"usageMetadata\":{\"promptTokenCount\":4},\"modelVersion\":\"m\"}"),
                        "502 empty_reply",
                        "without a word"),
                Arguments.of("nebius", events(oai("<think>and on and on"), STOP), "502 empty_reply", "only thought"),
                Arguments.of(
                        "nebius",
                        events(oai("<think>half a ?").replace("?", "\\ud83d"), STOP),
                        "502 empty_reply",
                        "only thought"),
                // refused, with the service's own words
                Arguments.of(
                        "nebius",
                        json(
                                403,
                                """
                                {"error":{"code":403,"message":"Your input was flagged by moderation",\
                                "metadata":{"reasons":["x"]}}}"""),
                        "422 blocked",
                        "Your input was flagged by moderation"),
                Arguments.of(
                        "nebius",
                        json(
                                400,
                                """
                                {"error":{"code":"content_filter","message":"The prompt triggered our policy",\
                                "status":400}}"""),
                        "422 blocked",
                        "content_filter: The prompt triggered our policy"),
                Arguments.of(
                        "gemini",
                        events("{\"candidates\":[{\"finishReason\":\"SAFETY\",\"finishMessage\":\"too sharp\"}]}"),
                        "422 blocked",
                        "SAFETY: too sharp"),
                // a compression
                Arguments.of(
                        "nebius", gzip(401, "{\"detail\":\"no such key\"}"), "502 provider_refused_key", "no such key"),
                Arguments.of(
                        "nebius",
                        (Scripted.Script) e -> e.answer(200, "application/json", "Content-Encoding: br\r\n", "\u0007x"),
                        "502 provider_error",
                        "compressed as br"),
                Arguments.of(
                        "nebius",
                        (Scripted.Script) e -> e.answer(401, "application/json", "Content-Encoding: br\r\n", "\u0007x"),
                        "502 provider_refused_key",
                        "answered 401"),
                // too long for the model
                Arguments.of(
                        "nebius",
                        json(
                                400,
                                """
                                {"error":{"code":"context_length_exceeded","message":"8192 tokens at most"}}"""),
                        "502 provider_error",
                        "HISTORY_WINDOW"),
                Arguments.of(
                        "gemini",
                        json(
                                400,
                                """
                                {"error":{"code":400,\
                                "message":"The input token count (9) exceeds the maximum \
                                number of tokens allowed (8)."}}"""),
                        "502 provider_error",
                        "HISTORY_WINDOW"),
                // the key, wherever it stands
                Arguments.of(
                        "nebius",
                        events(oai("a"), STOP.replace("stop", "error " + Running.KEY)),
                        "502 provider_error",
                        "error ***"),
                Arguments.of(
                        "gemini",
                        events("{\"candidates\":[{\"finishReason\":\"NEW_" + Running.KEY + "\"}]}"),
                        "502 provider_error",
                        "NEW_***"),
                Arguments.of(
                        "gemini",
                        events("{\"promptFeedback\":{\"blockReason\":\"" + Running.KEY + "\"}}"),
                        "422 blocked",
                        "***"),
                Arguments.of(
                        "nebius",
                        (Scripted.Script) e -> e.answer(200, "text/" + Running.KEY, "", "hello"),
                        "502 provider_error",
                        "text/***"),
                Arguments.of(
                        "nebius",
                        events(delta("\"refusal\":\"not with " + Running.KEY + "\""), STOP),
                        "422 blocked",
                        "not with ***"),
                // long, but read in linear time
                Arguments.of(
                        "nebius",
                        events(oai("a"), STOP.replace("stop", "error " + "max".repeat(40_000))),
                        "502 provider_error",
                        "error maxmax"),
                // cut between characters
                Arguments.of(
                        "nebius",
                        json(500, "{\"detail\":\"" + "x".repeat(299) + "\ud83e\udd8a and more\"}"),
                        "502 provider_error",
                        "x\ud83e\udd8a\u2026"),
                // 3. events
                Arguments.of(
                        "nebius",
                        (Scripted.Script) e ->
                                e.answer(200, "text/html", "", "<!DOCTYPE html><html><head><title>Welcome</title>"),
                        "502 provider_error",
                        "answered 200 (text/html)"),
                Arguments.of(
                        "gemini",
                        (Scripted.Script) e ->
                                e.answer(200, "text/html", "", "<!DOCTYPE html>\n<html><head><title>Welcome</title>"),
                        "502 provider_error",
                        "<!DOCTYPE html> <html><head><title>Welcome</title>"),
                Arguments.of(
                        "nebius",
                        events("{\"choices\":[{\"delta\":{\"content\":\"wor", STOP),
                        "502 provider_error",
                        "not JSON"),
                Arguments.of("nebius", json(200, "{\"hello\":1}"), "502 provider_error", "hello"),
                Arguments.of("gemini", json(200, "{\"hello\":1}"), "502 provider_error", "hello"),
                // 4. errors
                Arguments.of(
                        "gemini",
                        json(400, googleList.formatted(400, "{\"reason\":\"API_KEY_INVALID\"}")),
                        "502 provider_refused_key",
                        "GEMINI_API_KEY"),
                Arguments.of(
                        "nebius",
                        json(400, googleList.formatted(400, "{\"reason\":\"API_KEY_INVALID\"}")),
                        "502 provider_refused_key",
                        "NEBIUS_API_KEY"),
                Arguments.of(
                        "nebius",
                        json(429, googleList.formatted(429, "{\"retryDelay\":\"36.4s\"}")),
                        "429 rate_limited",
                        "said so"),
                Arguments.of("nebius", json(404, "404 page not found"), "502 unknown_model", "NEBIUS_BASE_URL"),
                Arguments.of("nebius", json(404, "404 page not found"), "502 unknown_model", "NEBIUS_CHAT_MODEL"),
                Arguments.of(
                        "nebius",
                        json(400, "{\"error\":{\"message\":\"The model `x` does not exist\",\"code\":null}}"),
                        "502 unknown_model",
                        "does not exist"),
                Arguments.of(
                        "nebius",
                        json(400, "{\"object\":\"error\",\"message\":\"said so\",\"code\":400}"),
                        "502 provider_error",
                        "said so"),
                Arguments.of(
                        "nebius",
                        (Scripted.Script) e -> e.answer(308, "text/html", "Location: https://new.example/v1\r\n", ""),
                        "502 provider_error",
                        "https://new.example/v1"),
                Arguments.of(
                        "gemini",
                        json(200, "[{\"error\":{\"code\":400,\"message\":\"said so\"}}]"),
                        "502 provider_error",
                        "said so"));
    }

    @ParameterizedTest
    @MethodSource
    void failures(String dialect, Scripted.Script script, String problem, String words) throws Exception {
        running.settings("CHAT_PROVIDER=" + dialect);
        running.provider.usually(script);
        Running.Answer answer = running.chat("alice", "hi");
        assertEquals(problem, answer.status() + " " + answer.at("code"), answer.text());
        assertTrue(((String) answer.at("detail")).contains(words), answer.text());
        assertFalse(answer.text().contains(Running.KEY), answer.text());
        List<String> streamed = running.stream("alice", "hi").body().toList();
        String document = streamed.getFirst().startsWith("{") ? streamed.getFirst() : last(streamed);
        assertEquals(problem.split(" ")[1], Json.string(Json.parse(document), "code"), document);
        assertTrue(Json.string(Json.parse(document), "detail").contains(words), document);
        assertFalse(document.contains(Running.KEY), document);
        assertEquals(List.of(), running.said("alice"), "nothing of a failed turn is stored");
    }

    @Test
    void takesCommentsForHeartbeats() throws Exception {
        running.settings("CHAT_PROVIDER=nebius", "PROVIDER_TIMEOUT=0.6");
        running.provider.usually(exchange -> {
            exchange.stream();
            for (int i = 0; i < 12; i++, Thread.sleep(100)) exchange.send(": queued\n\n");
            Scripted.Script rest = other -> {
                other.event(oai("patience"));
                other.event("[DONE]");
            };
            rest.play(exchange);
        });
        List<String> streamed = running.stream("patient", "hi").body().toList();
        assertTrue(streamed.contains("event: done"), streamed.toString());
        Running.Answer whole = running.chat("patient", "hi");
        assertEquals(
                "504 provider_timeout", whole.status() + " " + whole.at("code"), "a whole reply must be there in time");
    }

    @Test
    void roundsAFractionOfRetryAfterUp() throws Exception {
        running.settings("CHAT_PROVIDER=nebius", "PROVIDER_TIMEOUT=1");
        running.provider.usually(exchange -> exchange.answer(429, "application/json", "Retry-After: 2.5\r\n", "{}"));
        assertEquals("3", running.chat("alice", "hi").header("Retry-After"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE"})
    void asksAgainWhereAReplyWentWrongWithoutAWord(String reason) throws Exception {
        running.settings();
        String wrong = "{\"candidates\":[{\"finishReason\":\"" + reason + "\"}]}";
        for (boolean stream : List.of(false, true)) {
            running.provider.usually(Scripted.gemini("in the end"));
            running.provider.then(json(200, wrong), events(wrong));
            List<String> lines = new ArrayList<>();
            if (stream) lines.addAll(running.stream(reason, "hi").body().toList());
            else lines.add(running.chat(reason, "hi").text());
            assertTrue(lines.stream().anyMatch(line -> line.contains("\"reply\":\"in the end\"")), lines.toString());
        }
        running.provider.usually(events(gem("some"), wrong));
        assertTrue(
                running.stream(reason + "2", "hi").body().toList().contains("event: error"),
                "not once a piece was given");
    }

    /** Usage before the reason, after it, in every event, with nulls, or never. */
    @ParameterizedTest
    @MethodSource
    void usages(List<String> events, String usage) throws Exception {
        running.settings("CHAT_PROVIDER=nebius");
        running.provider.usually(events(events.toArray(new String[0])));
        Running.Answer answer = running.chat("counter", "hi");
        assertEquals(usage, Json.write(answer.at("usage")), answer.text());
    }

    static Stream<Arguments> usages() {
        String usage = "\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":%d,\"total_tokens\":%d}";
        String expected = "{\"prompt_tokens\":4,\"completion_tokens\":6,\"total_tokens\":10}";
        String alone = "{\"choices\":[]," + usage.formatted(6, 10) + "}";
        return Stream.of(
                Arguments.of(List.of(oai("a"), STOP, alone, "[DONE]"), expected),
                Arguments.of(List.of(alone, oai("a"), STOP), expected),
                Arguments.of(
                        List.of(
                                "{\"choices\":[{\"delta\":{\"content\":\"a\"}}]," + usage.formatted(1, 5) + "}",
                                "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]," + usage.formatted(6, 10)
                                        + "}"),
                        expected),
                Arguments.of(
                        List.of(
                                oai("a"),
                                alone,
                                "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}"),
                        expected),
                Arguments.of(
                        List.of(
                                oai("a"),
                                STOP,
                                """
                                {"choices":[],"usage":{"prompt_tokens":null,"completion_tokens":6,\
                                "total_tokens":null}}"""),
                        "{\"completion_tokens\":6}"),
                Arguments.of(List.of(oai("a"), STOP), "null"));
    }

    private static final String PNG =
            "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

    @Test
    void fetchesAnImageFromTheProvidersOwnHostAndPort() throws Exception {
        running.settings();
        byte[] png = java.util.Base64.getDecoder().decode(PNG);
        running.provider.usually(exchange -> {
            if (exchange.method().equals("POST")) {
                exchange.json(200, "{\"data\":[{\"url\":\"" + running.provider.address() + "/out/1.png\"}]}");
                return;
            }
            exchange.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " + png.length
                    + "\r\nConnection: close\r\n\r\n");
            exchange.out().write(png);
        });
        Running.Answer answer = running.post("/image", "{\"user_id\":\"a\",\"prompt\":\"fox\"}");
        assertEquals("image/png", answer.at("images", 0, "mime_type"), answer.text());
        assertEquals(PNG, answer.at("images", 0, "data"));
        assertEquals("/out/1.png", running.provider.last().path());
        assertNull(running.provider.last().headers().get("Authorization"), "the key goes nowhere else");
    }

    /** What the image's address answers is told: nothing of the service's key, model or address. */
    @ParameterizedTest
    @ValueSource(ints = {401, 403, 404, 302, 429})
    void tellsAnImagesAddressApartFromTheService(int status) throws Exception {
        running.settings();
        running.provider.usually(exchange -> {
            String image = running.provider.address() + "/out/1.png";
            if (exchange.method().equals("POST")) exchange.json(200, "{\"data\":[{\"url\":\"" + image + "\"}]}");
            else exchange.answer(status, "text/html", "Location: http://x/\r\n", "model not found");
        });
        Running.Answer answer = running.post("/image", "{\"user_id\":\"a\",\"prompt\":\"fox\"}");
        assertEquals("502 provider_error", answer.status() + " " + answer.at("code"), answer.text());
        assertEquals("nebius gave an image's address that answered " + status, answer.at("detail"));
    }

    /** An answer to a request for an image, and the problem, or the type of the image. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            textBlock =
                    """
                    nebius | {"data":[null]}                                   | provider_error
                    nebius | {"data":null,"message":"x"}                       | empty_reply
                    nebius | {"data":[]}                                       | empty_reply
                    nebius | {"data":[{"b64_json":"","url":"data:,PNG"}]}      | image/png
                    nebius | {"data":[{"b64_json":"PNG","url":null}]}          | image/png
                    nebius | {"data":[{"b64_json":"PNG"}],"error":{"code":0}}  | image/png
                    nebius | {"data":[{"url":"http://example.com/x.png"}]}     | provider_error
                    nebius | {"data":[{"url":"https://10.1.2.3/x.png"}]}       | provider_error
                    gemini | {"candidates":[null]}                             | provider_error
                    gemini | {"promptFeedback":{"blockReason":"SAFETY"}}       | blocked
                    gemini | {"modelVersion":"m"}                              | empty_reply
                    """)
    void readsAnswersWithImages(String dialect, String body, String expected) throws Exception {
        running.settings("IMAGE_PROVIDER=" + dialect);
        running.provider.usually(json(200, body.replace("PNG", PNG)));
        Running.Answer answer = running.post("/image", "{\"user_id\":\"a\",\"prompt\":\"fox\"}");
        Object told = answer.status() == 200 ? answer.at("images", 0, "mime_type") : answer.at("code");
        assertEquals(expected, told, answer.text());
    }

    @Test
    void decodesAnImageInItsAddress() throws Exception {
        running.settings();
        running.provider.usually(json(200, "{\"data\":[{\"url\":\"data:image/png;base64," + PNG + "\"}]}"));
        assertEquals(
                PNG,
                running.post("/image", "{\"user_id\":\"a\",\"prompt\":\"fox\"}").at("images", 0, "data"));
    }

    @Test
    void quotesThreeHundredCharactersOfWhatIsNoAnswerWithoutTheKey() throws Exception {
        running.settings("CHAT_PROVIDER=nebius");
        running.provider.usually((Scripted.Script)
                e -> e.answer(200, "text/plain", "", "your key is " + Running.KEY + " " + "x".repeat(1000)));
        String detail = (String) running.chat("alice", "hi").at("detail");
        assertTrue(
                detail.contains("your key is *** xxx")
                        && detail.contains("x".repeat(270))
                        && !detail.contains("x".repeat(300)),
                detail);
    }

    @Test
    void refusesAMessageWithALoneSurrogate() throws Exception {
        Running.Answer answer = running.post("/chat", "{\"user_id\":\"a\",\"message\":\"a\\ud800b\"}");
        assertEquals("400 invalid_request", answer.status() + " " + answer.at("code"), answer.text());
    }

    @Test
    void takesNullForFalse() throws Exception {
        running.settings();
        running.provider.usually(Scripted.gemini("ok"));
        assertEquals(
                200,
                running.post("/chat", "{\"user_id\":\"n\",\"message\":\"a\",\"stream\":null,\"replace\":null}")
                        .status());
        assertEquals(
                400,
                running.post("/chat", "{\"user_id\":\"n\",\"message\":\"a\",\"replace\":\"yes\"}")
                        .status());
    }
}
