package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What services really send, in both dialects: whole and streamed answers alike, as public bug reports show it. */
class FieldCasesTest extends OneServer {
    private static final String STOP = "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}";

    @BeforeEach
    void forget() throws Exception {
        running.provider.exchanges.clear();
    }

    private static Scripted.Script events(String... data) {
        return exchange -> {
            exchange.stream();
            for (String each : data) exchange.event(each);
        };
    }

    private static String oai(String text) {
        return Scripted.openAiDelta(text);
    }

    private static String gem(String text) {
        return Scripted.geminiDelta(text);
    }

    private static Scripted.Script json(int status, String text) {
        return exchange -> exchange.json(status, text);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            textBlock =
                    """
                    # dialect | how it comes | what comes | the reply
                    # 1. what is finished
                    nebius | stays open | say "all said" ⏎ finish stop | all said
                    gemini | stays open | {"candidates":[{"content":{"parts":[{"text":"all said"}]},\
                    "finishReason":"STOP"}]} | all said
                    nebius | breaks off | say "all said" ⏎ finish stop | all said
                    gemini | breaks off | say "all said" ⏎ finish STOP | all said
                    nebius | events | say "a " ⏎ finish stop ⏎ say "longer story" ⏎ finish stop ⏎ [DONE] | \
                    a longer story
                    nebius | events | say "a " ⏎ finish stop ⏎ say "longer story" ⏎ [DONE] | a longer story
                    gemini | events | say "a " ⏎ finish STOP ⏎ say "longer story" ⏎ finish STOP | a longer story
                    nebius | events | {"choices":[{"delta":{"content":"a"},"finish_reason":""}]} ⏎ \
                    {"choices":[{"delta":{"content":"b"},"finish_reason":""}]} ⏎ finish stop | ab
                    gemini | events | {"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":""}]} ⏎ \
                    say "b" ⏎ finish STOP | ab
                    gemini | events | {"candidates":[{"content":{"parts":[{"text":"a"}]},\
                    "finishReason":"FINISH_REASON_UNSPECIFIED"}]} ⏎ say "b" ⏎ finish STOP | ab
                    nebius | events | say "words" ⏎ finish eos | words
                    nebius | events | say "words" ⏎ finish end_turn | words
                    nebius | events | say "words" ⏎ finish COMPLETE | words
                    nebius | events | say "no reason" ⏎ [DONE] | no reason
                    nebius | events | say "<think>hm</think>Hello" ⏎ say " there" ⏎ {"object":"chat.completion",\
                    "choices":[{"index":0,"message":{"content":"<think>hm</think>Hello there"},\
                    "finish_reason":"stop"}]} | Hello there
                    nebius | events | {"choices":[{"message":{"content":"5"}}]} ⏎ \
                    {"choices":[{"message":{"content":"5"}}]} ⏎ finish stop | 55
                    nebius | events | {"choices":[{"message":{"content":"one "}}]} ⏎ \
                    {"choices":[{"message":{"content":"by one"}}]} ⏎ finish stop | one by one
                    nebius | events | {"message":"queued"} ⏎ say "a" ⏎ [DONE] | a
                    nebius | events | say "a" ⏎ {"message":"still busy"} ⏎ finish stop ⏎ [DONE] | a
                    nebius | events | say "a" ⏎ finish stop ⏎ {"message":"goodbye"} ⏎ [DONE] | a
                    # 2. where the words are
                    nebius | events | {"choices":[{"delta":{"content":"Hel"},"message":{"content":"Hel"}}]} ⏎ \
                    {"choices":[{"delta":{"content":"lo"},"message":{"content":"Hello"}}]} ⏎ finish stop | Hello
                    nebius | events | {"choices":[{"message":{"content":"only a message"}}]} ⏎ finish stop | \
                    only a message
                    nebius | events | {"choices":[{"delta":null,"message":{"content":"only a message"},\
                    "finish_reason":"stop"}]} | only a message
                    nebius | events | {"choices":[{"index":0,"delta":{"content":[{"type":"thinking",\
                    "thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"Four"}]},\
                    "finish_reason":null}]} ⏎ say " is it" ⏎ finish stop | Four is it
                    nebius | 200 | {"choices":[{"message":{"content":[{"type":"thinking","thinking":"x"},\
                    {"type":"text","text":"Fo"},{"type":"text","text":"ur"}]},"finish_reason":"stop"}]} | Four
                    nebius | events | {"choices":[{"index":1,"delta":{"content":"other"}},{"index":0,\
                    "delta":{"content":"right"},"finish_reason":"stop"}]} | right
                    gemini | events | {"candidates":[{"index":1,"content":{"parts":[{"text":"other"}]}},{"index":0,\
                    "content":{"parts":[{"text":"right"}]},"finishReason":"STOP"}]} | right
                    nebius | events | say "a\\ud83e" ⏎ say "\\udd8ab" ⏎ finish stop | a🦊b
                    nebius | events | {"choices":[{"delta":{"content":"a\\ud83eb"}}]} ⏎ finish stop | a\ufffdb
                    gemini | events | say "a\\udd8a" ⏎ say "b\\ud83e" ⏎ finish STOP | a\ufffdb\ufffd
                    nebius | events | {"choices":[{"index":0,"delta":{"role":"assistant","content":""},\
                    "finish_reason":null}]} ⏎ {"choices":[]} ⏎ \
                    {"choices":[{"index":0,"delta":{"role":"assistant","content":"ok"},"finish_reason":null}]} ⏎ \
                    {"choices":[{"index":0,"delta":{"content":null},"finish_reason":null}]} ⏎ finish stop | ok
                    # 3. events
                    nebius | lines | data: ⏎ data: say "a" ⏎ data: ⏎ : queued ⏎ \
                    event: ping\\ndata: {"type":"ping"} ⏎ data: say "b" ⏎ data: finish stop | ab
                    gemini | lines | data: ⏎ data: say "a" ⏎ : queued ⏎ data: say "b" ⏎ data: finish STOP | ab
                    gemini | 200 | [say "a",\\nsay "b", finish STOP] | ab
                    gemini | 200 | [{\\n  "candidates": [{"content": {"parts": [{"text": "a"}]}}]\\n}\\n,\
                    \\r\\nsay "b", finish STOP\\n] | ab
                    nebius | 200 | \\n\\n\\n{"choices":[{"message":{"content":"behind keep-alive lines"},\
                    "finish_reason":"stop"}]} | behind keep-alive lines
                    nebius | 200 | {"choices":[{"message":{"content":"no reason"}}]} | no reason
                    nebius | lines | data: ping ⏎ data: say "a" ⏎ data: finish stop | a
                    # what a stream says beside its events changes nothing
                    nebius | lines | data: say "a" ⏎ data: finish stop ⏎ x-took: 12 ms | a
                    nebius | lines | x-queue: 3 ⏎ data: say "a" ⏎ data: [DONE] | a
                    gemini | lines | data: say "a" ⏎ data: finish STOP ⏎ served by 7 | a
                    nebius | lines | data: say "a" ⏎ warming up ⏎ data: [DONE] | a
                    # empty or default values are none
                    gemini | events | {"promptFeedback":{"blockReason":"BLOCK_REASON_UNSPECIFIED"},\
                    "candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}]} | a
                    nebius | 200 | {"choices":[{"delta":{},"message":{"content":"whole"},\
                    "finish_reason":"stop"}]} | whole
                    nebius | events | {"choices":[{"delta":{"content":"a"},"error":{"message":"","code":0}}],\
                    "base_resp":{"status_code":0}} ⏎ finish stop | a
                    # a compression that nobody asked for
                    nebius | 200 gzip | data: say "packed"\\n\\ndata: finish stop\\n\\n | packed
                    gemini | 200 gzip | {"candidates":[{"content":{"parts":[{"text":"packed"}]},\
                    "finishReason":"STOP"}]} | packed
                    # thoughts before the reply
                    nebius | events | say "<think>hm</think>\\n\\nFour" ⏎ finish stop | Four
                    nebius | events | say "<thi" ⏎ say "nk>h<m</th" ⏎ say "ink> \\n" ⏎ say " Four" ⏎ finish stop | \
                    Four
                    nebius | events | say "\\n<think>\\n</think>Four" ⏎ finish stop | Four
                    gemini | events | say "<think>a</think>b</think>" ⏎ say "c" ⏎ finish STOP | b</think>c
                    nebius | events | say "<thi" ⏎ say "s> is a tag" ⏎ finish stop | <this> is a tag
                    nebius | events | say "<think" ⏎ say "ing> is none" ⏎ finish stop | <thinking> is none
                    nebius | events | say " " ⏎ say "<thin" ⏎ finish stop | ` <thin`
                    nebius | events | say "Say <think>x</think>" ⏎ finish stop | Say <think>x</think>
                    nebius | 200 | {"choices":[{"message":{"content":"<think>x</think> y"}}]} | y
                    # 4. no errors
                    nebius | events | {"error":{"message":"","code":null,"type":0,"metadata":{}},\
                    "choices":[{"index":0,"delta":{"content":"a"}}]} ⏎ finish stop | a
                    nebius | events | {"error":null,"choices":[{"delta":{"content":"a"}}]} ⏎ \
                    {"error":"","choices":[{"delta":{"content":"b"}}]} ⏎ \
                    {"error":{},"choices":[{"delta":{"content":"c"},"finish_reason":"stop"}]} | abc
                    nebius | 200 | {"error":{},"choices":[{"message":{"content":"whole"},\
                    "finish_reason":"stop"}]} | whole
                    gemini | events | {"error":null,"candidates":[{"content":{"parts":[{"text":"a"}]},\
                    "finishReason":"STOP"}]} | a
                    """)
    void replies(String dialect, String how, String what, String reply) throws Exception {
        running.settings("CHAT_PROVIDER=" + dialect);
        running.provider.usually(Scripted.of(dialect, how, what));
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

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            textBlock =
                    """
                    # dialect | how it comes | what comes | the problem | words of its detail
                    # 1. what is finished
                    gemini | breaks off | say "Half of" ⏎ finish STOP ⏎ say " the story" | 502 provider_error | \
                    broke the connection off
                    nebius | breaks off | say "Half of" ⏎ finish stop ⏎ say " the story" | 502 provider_error | \
                    broke the connection off
                    gemini | events | say "Half of" ⏎ finish STOP ⏎ say " the story" | 502 provider_error | \
                    cut its reply off
                    nebius | lines | data: say "Half" ⏎ error: {"code":500,"message":"context size exceeded"} ⏎ \
                    data: [DONE] | 502 provider_error | context size exceeded
                    nebius | lines | data: say "Half" ⏎ event: error\\ndata: {"message":"context size exceeded"} ⏎ \
                    data: [DONE] | 502 provider_error | context size exceeded
                    nebius | lines | data: say "Half" ⏎ data: finish stop ⏎ \
                    data: {"error":{"message":"oops after all"}} ⏎ data: [DONE] | 502 provider_error | oops after all
                    gemini | events | say "Half" ⏎ finish STOP ⏎ \
                    {"error":{"code":400,"message":"oops after all"}} | 502 provider_error | oops after all
                    nebius | lines | data: say "Half" ⏎ data: Internal server error ⏎ data: [DONE] | \
                    502 provider_error | Internal server error
                    nebius | lines | data: say "Half" ⏎ data: {"code":500,"message":"boom"} ⏎ data: [DONE] | \
                    502 provider_error | boom
                    nebius | events | say "Half" ⏎ {"detail":"boom"} ⏎ [DONE] | 502 provider_error | boom
                    nebius | events | say "Half" ⏎ {"errors":[{"message":"boom"}]} | 502 provider_error | boom
                    nebius | breaks off | {"choices":[{"delta":{"content":"Half of"},"finish_reason":"null"}]} | \
                    502 provider_error | broke the connection off
                    nebius | events | say "words" ⏎ finish error | 502 provider_error | error
                    nebius | events | say "words" ⏎ finish exception | 502 provider_error | exception
                    nebius | events | say "words" ⏎ finish guardrail_intervened | 422 blocked | guardrail_intervened
                    nebius | events | say "words" ⏎ finish insufficient_system_resource | 502 provider_error | \
                    insufficient_system_resource
                    nebius | events | {"choices":[{"index":0,"delta":{"tool_calls":[]},"finish_reason":null}]} ⏎ \
                    finish tool_calls | 502 provider_error | no tools are offered
                    nebius | events | {"choices":[{"index":0,"delta":{},"finish_reason":null}]} ⏎ \
                    finish function_call | 502 provider_error | no tools are offered
                    gemini | events | finish UNEXPECTED_TOOL_CALL | 502 provider_error | no tools are offered
                    # 2. where the words are
                    nebius | events | {"choices":[{"index":0,"delta":{"refusal":"I cannot "},\
                    "finish_reason":null}]} ⏎ {"choices":[{"index":0,"delta":{"refusal":"help with that."},\
                    "finish_reason":null}]} ⏎ finish stop | 422 blocked | I cannot help with that.
                    nebius | 200 | {"choices":[{"message":{"content":null,"refusal":"I cannot help."},\
                    "finish_reason":"stop"}]} | 422 blocked | I cannot help.
                    nebius | events | {"choices":[{"index":0,"delta":{"reasoning_content":"hm"},\
                    "finish_reason":null}]} ⏎ finish stop | 502 empty_reply | raise MAX_OUTPUT_TOKENS
                    nebius | 200 | {"choices":[{"message":{"content":"","reasoning":"hm"},\
                    "finish_reason":"stop"}]} | 502 empty_reply | only thought
                    nebius | 200 | {"choices":[{"message":{"content":"","reasoning_details":[{"text":"hm"}]},\
                    "finish_reason":"stop"}]} | 502 empty_reply | only thought
                    nebius | 200 | {"choices":[{"message":{"content":[{"type":"refusal","refusal":"I cannot"}]},\
                    "finish_reason":"stop"}]} | 422 blocked | I cannot
                    gemini | events | {"candidates":[{"content":{"parts":[{"text":"hm","thought":true}]},\
                    "finishReason":"STOP"}]} | 502 empty_reply | only thought
                    nebius | events | say "\\n\\n " ⏎ finish stop | 502 empty_reply | without a word
                    gemini | events | say "\\n \\n" ⏎ finish STOP | 502 empty_reply | without a word
                    # no choice, but words
                    nebius | 200 | {"choices":[null]} | 502 provider_error | not its own format
                    nebius | events | {"choices":[null]} | 502 provider_error | not its own format
                    gemini | 200 | {"candidates":[null]} | 502 provider_error | not its own format
                    nebius | 200 | {"choices":null,"base_resp":{"status_code":1004,"status_msg":"log in first"}} | \
                    502 provider_error | log in first
                    nebius | events | {"choices":null,"message":"the queue is full"} | 502 provider_error | \
                    the queue is full
                    nebius | events | {"choices":[{"error":{"code":400,"message":"cut by the host"}}]} | \
                    502 provider_error | answered 400: cut by the host
                    nebius | 400 | {"error":{"message":"Provider returned error","code":400,\
                    "metadata":{"raw":"no such voice"}}} | 502 provider_error | no such voice
                    gemini | 200 | {"usageMetadata":{"promptTokenCount":4},"modelVersion":"m"} | 502 empty_reply | \
                    without a word
                    gemini | events | {"usageMetadata":{"promptTokenCount":4},"modelVersion":"m"} | \
                    502 empty_reply | without a word
                    nebius | events | say "<think>and on and on" ⏎ finish stop | 502 empty_reply | only thought
                    nebius | events | say "<think>half a \\ud83d" ⏎ finish stop | 502 empty_reply | only thought
                    # refused, with the service's own words
                    nebius | 403 | {"error":{"code":403,"message":"Your input was flagged by moderation",\
                    "metadata":{"reasons":["x"]}}} | 422 blocked | Your input was flagged by moderation
                    nebius | 400 | {"error":{"code":"content_filter","message":"The prompt triggered our policy",\
                    "status":400}} | 422 blocked | content_filter: The prompt triggered our policy
                    gemini | events | {"candidates":[{"finishReason":"SAFETY","finishMessage":"too sharp"}]} | \
                    422 blocked | SAFETY: too sharp
                    # a compression
                    nebius | 401 gzip | {"detail":"no such key"} | 502 provider_refused_key | no such key
                    nebius | 200 Content-Encoding: br | \u0007x | 502 provider_error | compressed as br
                    nebius | 401 Content-Encoding: br | \u0007x | 502 provider_refused_key | answered 401
                    # too long for the model
                    nebius | 400 | {"error":{"code":"context_length_exceeded","message":"8192 tokens at most"}} | \
                    502 provider_error | HISTORY_WINDOW
                    gemini | 400 | {"error":{"code":400,\
                    "message":"The input token count (9) exceeds the maximum number of tokens allowed (8)."}} | \
                    502 provider_error | HISTORY_WINDOW
                    # the key, wherever it stands
                    nebius | events | say "a" ⏎ {"choices":[{"index":0,"delta":{},\
                    "finish_reason":"error <key>"}]} | 502 provider_error | error ***
                    gemini | events | {"candidates":[{"finishReason":"NEW_<key>"}]} | 502 provider_error | NEW_***
                    gemini | events | {"promptFeedback":{"blockReason":"<key>"}} | 422 blocked | ***
                    nebius | 200 Content-Type: text/<key> | hello | 502 provider_error | text/***
                    nebius | events | {"choices":[{"index":0,"delta":{"refusal":"not with <key>"},\
                    "finish_reason":null}]} ⏎ finish stop | 422 blocked | not with ***
                    # 3. events
                    nebius | 200 Content-Type: text/html | <!DOCTYPE html><html><head><title>Welcome</title> | \
                    502 provider_error | answered 200 (text/html)
                    gemini | 200 Content-Type: text/html | <!DOCTYPE html>\\n<html><head><title>Welcome</title> | \
                    502 provider_error | <!DOCTYPE html> <html><head><title>Welcome</title>
                    nebius | events | {"choices":[{"delta":{"content":"wor ⏎ finish stop | 502 provider_error | \
                    not JSON
                    nebius | 200 | {"hello":1} | 502 provider_error | hello
                    gemini | 200 | {"hello":1} | 502 provider_error | hello
                    # 4. errors
                    gemini | 400 | [{"error":{"code":400,"message":"said so","status":"X",\
                    "details":[{"reason":"API_KEY_INVALID"}]}}] | 502 provider_refused_key | GEMINI_API_KEY
                    nebius | 400 | [{"error":{"code":400,"message":"said so","status":"X",\
                    "details":[{"reason":"API_KEY_INVALID"}]}}] | 502 provider_refused_key | NEBIUS_API_KEY
                    nebius | 429 | [{"error":{"code":429,"message":"said so","status":"X",\
                    "details":[{"retryDelay":"36.4s"}]}}] | 429 rate_limited | said so
                    nebius | 404 | 404 page not found | 502 unknown_model | NEBIUS_BASE_URL
                    nebius | 404 | 404 page not found | 502 unknown_model | NEBIUS_CHAT_MODEL
                    nebius | 400 | {"error":{"message":"The model 'x' does not exist","code":null}} | \
                    502 unknown_model | does not exist
                    nebius | 400 | {"error":{"message":"foo/bar is not a valid model ID"}} | 502 unknown_model | foo/bar
                    nebius | 400 | {"error":{"message":"Unsupported model: x"}} | 502 unknown_model | Unsupported
                    nebius | 400 | {"error":{"message":"Unrecognized model `x`"}} | 502 unknown_model | Unrecognized
                    nebius | 400 | {"error":{"message":"No model named x"}} | 502 unknown_model | No model named x
                    nebius | 400 | {"error":{"message":"Could not find model x"}} | 502 unknown_model | Could not
                    nebius | 400 | {"error":{"message":"x is not a supported model"}} | 502 unknown_model | supported
                    nebius | 200 | {"base_resp":{"status_code":2013,"status_msg":"unknown model x"}} | \
                    502 unknown_model | unknown model x
                    nebius | events | {"error":{"message":"The model x does not exist"}} | \
                    502 unknown_model | does not exist
                    nebius | 400 | {"error":{"message":"The model `x` doesn't exist"}} | 502 unknown_model | exist
                    nebius | 400 | {"error":{"message":"The provided model identifier is invalid."}} | \
                    502 unknown_model | identifier
                    nebius | 400 | {"error":{"message":"Unsupported model parameters: 'temperature'"}} | \
                    502 provider_error | temperature
                    nebius | 200 | {"error":{"message":"The model encountered an unknown error"}} | \
                    502 provider_error | unknown error
                    nebius | 400 | {"error":{"message":"`temperature` is deprecated for this model."}} | \
                    502 provider_error | deprecated
                    nebius | 400 | {"error":{"message":"Error: Model 'x'. Not found"}} | 502 unknown_model | Not found
                    nebius | 400 | {"error":{"message":"Unknown model output-xl"}} | 502 unknown_model | output-xl
                    nebius | events | {"message":"Internal server error"} ⏎ [DONE] | 502 provider_error | \
                    not its own format
                    nebius | events | say "<th" ⏎ {"message":"Internal server error"} ⏎ [DONE] | \
                    502 provider_error | Internal server error
                    nebius | 400 | {"object":"error","message":"said so","code":400} | 502 provider_error | said so
                    nebius | 308 Location: https://new.example/v1 | `` | 502 provider_error | https://new.example/v1
                    gemini | 200 | [{"error":{"code":400,"message":"said so"}}] | 502 provider_error | said so
                    """)
    void failures(String dialect, String how, String what, String problem, String words) throws Exception {
        fails(dialect, Scripted.of(dialect, how, what), problem, words);
    }

    @Test
    void readsALongFinishReasonInLinearTime() throws Exception {
        String reason = STOP.replace("stop", "error " + "max".repeat(40_000));
        fails("nebius", events(oai("a"), reason), "502 provider_error", "error maxmax");
    }

    @Test
    void cutsWhatItQuotesBetweenCharacters() throws Exception {
        String detail = "{\"detail\":\"" + "x".repeat(299) + "\ud83e\udd8a and more\"}";
        fails("nebius", json(500, detail), "502 provider_error", "x\ud83e\udd8a\u2026");
    }

    private static void fails(String dialect, Scripted.Script script, String problem, String words) throws Exception {
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
                "not once a delta was given");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            textBlock =
                    """
                    # what comes, where TOLD is 4, 6 and 10 | what is told
                    say "a" ⏎ finish stop ⏎ {"choices":[],"usage":TOLD} ⏎ [DONE] | TOLD
                    {"choices":[],"usage":TOLD} ⏎ say "a" ⏎ finish stop | TOLD
                    {"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":4,"completion_tokens":1}} ⏎ \
                    {"choices":[{"delta":{},"finish_reason":"stop"}],"usage":TOLD} | TOLD
                    say "a" ⏎ {"choices":[],"usage":TOLD} ⏎ \
                    {"choices":[{"delta":{},"finish_reason":"stop"}],"usage":null} | TOLD
                    say "a" ⏎ finish stop ⏎ {"choices":[],"usage":{"prompt_tokens":null,"completion_tokens":6}} | \
                    {"completion_tokens":6}
                    say "a" ⏎ finish stop | null
                    """)
    void tellsTheTokensWhereverTheServiceDoes(String what, String usage) throws Exception {
        String told = "{\"prompt_tokens\":4,\"completion_tokens\":6,\"total_tokens\":10}";
        running.settings("CHAT_PROVIDER=nebius");
        running.provider.usually(Scripted.of("nebius", "events", what.replace("TOLD", told)));
        Running.Answer answer = running.chat("counter", "hi");
        assertEquals(usage.replace("TOLD", told), Json.toJson(answer.at("usage")), answer.text());
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

    /** As the service itself: the image was paid for. */
    @Test
    void asksAnImagesAddressAgainThatIsBusyForAMoment() throws Exception {
        running.settings();
        byte[] png = java.util.Base64.getDecoder().decode(PNG);
        var asked = new AtomicInteger();
        running.provider.usually(exchange -> {
            String image = running.provider.address() + "/out/1.png";
            if (exchange.method().equals("POST")) exchange.json(200, "{\"data\":[{\"url\":\"" + image + "\"}]}");
            else if (asked.incrementAndGet() == 1) exchange.answer(503, "text/html", "", "busy");
            else {
                exchange.send("HTTP/1.1 200 OK\r\nContent-Length: " + png.length + "\r\nConnection: close\r\n\r\n");
                exchange.out().write(png);
            }
        });
        Running.Answer answer = running.post("/image", "{\"user_id\":\"a\",\"prompt\":\"fox\"}");
        assertEquals(PNG, answer.at("images", 0, "data"), answer.text());
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
                    nebius | [1,2]                                             | provider_error
                    nebius | [{"b64_json":"PNG"},{"b64_json":"PNG"}]           | image/png
                    nebius | {"data":[{"url":"DATA:image/png;base64,PNG"}]}    | image/png
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
    void tellsOfAWebSiteInThePlaceOfAnImage() throws Exception {
        running.settings();
        running.provider.usually(e -> e.answer(200, "text/html", "", "<html><title>Welcome</title>"));
        String detail = (String)
                running.post("/image", "{\"user_id\":\"a\",\"prompt\":\"fox\"}").at("detail");
        assertTrue(detail.contains("answered 200"), detail);
        assertTrue(detail.contains("<title>Welcome"), detail);
    }

    @Test
    void tellsNoKeyOfAnAddress() throws Exception {
        running.settings(
                "CHAT_PROVIDER=other",
                "OTHER_CHAT_MODEL=m",
                "OTHER_BASE_URL=" + running.provider.address() + "/v1?api-version=1&api-key=in-the-query");
        String moved = "Location: https://example.org/v1/chat/completions?api-version=1&api-key=in-the-query\r\n";
        running.provider.usually(e -> e.answer(308, "text/plain", moved, ""));
        String detail = (String) running.chat("alice", "hi").at("detail");
        assertTrue(detail.contains("https://example.org/v1/chat/completions?api-version=1&api-key=***. Put"), detail);
        assertFalse(detail.contains("in-the-query"), detail);
    }

    @Test
    void leavesDetailsWholeWhereAnAddressHasAnotherQuery() throws Exception {
        for (String query : List.of("?", "?v=1", "?api-version=2024-10-21")) {
            running.settings(
                    "CHAT_PROVIDER=other",
                    "OTHER_CHAT_MODEL=m",
                    "OTHER_BASE_URL=" + running.provider.address() + "/v1" + query);
            running.provider.usually(json(400, "{\"error\":{\"message\":\"Version 2024-10-21, code=7 is old\"}}"));
            assertEquals(
                    "other answered 400: Version 2024-10-21, code=7 is old",
                    running.chat("alice", "hi").at("detail"));
        }
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
        assertTrue(detail.contains("your key is *** xxx"), detail);
        assertTrue(detail.contains("x".repeat(270)), detail);
        assertFalse(detail.contains("x".repeat(300)), detail);
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
