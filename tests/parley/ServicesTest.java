package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Two services in a list; one fake provider is both, told apart by their dialects. */
class ServicesTest extends OneServer {
    private static final String LIST = "CHAT_PROVIDER=gemini, nebius";

    @BeforeEach
    void forget() throws Exception {
        running.provider.exchanges.clear();
        running.settings(LIST, "PROVIDER_TIMEOUT=0.6");
    }

    /** What gemini does; nebius says "from nebius". */
    private static void gemini(Scripted.Script script) {
        running.provider.usually(exchange -> {
            if (exchange.path().contains("/v1beta/")) script.play(exchange);
            else Scripted.openAi("from nebius").play(exchange);
        });
    }

    private static String asked(String how) throws Exception {
        if (how.equals("whole")) return running.chat("alice", "hi").text();
        return String.join("\n", running.stream("alice", "hi").body().toList());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            textBlock =
                    """
                    # how  | gemini's status and body                      | what comes of it
                    whole  | 200 {"candidates":[{"finishReason":"STOP"}]}  | from nebius
                    whole  | 400 {"error":{"message":"x"}}                 | from nebius
                    whole  | 401 {}                                        | from nebius
                    whole  | 404 {}                                        | from nebius
                    whole  | 429 {"error":{"code":"insufficient_quota"}}   | from nebius
                    stream | 429 {"error":{"code":"insufficient_quota"}}   | from nebius
                    stream | 200 {"candidates":[{"content":{"parts":[{"text":" "}]},"finishReason":"STOP"}]}|from nebius
                    stream | 400 {"error":{"message":"x"}}                 | from nebius
                    whole  | 400 {"error":{"code":"content_filter"}}       | blocked
                    stream | 200 {"promptFeedback":{"blockReason":"X"}}    | blocked
                    """)
    void asksTheNextWhereTheFirstCannotAnswer(String how, String answer, String expected) throws Exception {
        gemini(exchange -> exchange.json(Integer.parseInt(answer.substring(0, 3)), answer.substring(4)));
        String told = asked(how);
        assertTrue(told.contains(expected), told);
        running.delete("/history?user_id=alice");
    }

    @ParameterizedTest
    @CsvSource({"whole", "stream"})
    void givesEachItsOwnTime(String how) throws Exception {
        gemini(Scripted.Exchange::awaitHangUp);
        assertTrue(asked(how).contains("from nebius"));
        running.delete("/history?user_id=alice");
    }

    @Test
    void asksNobodyElseOnceTextWasSent() throws Exception {
        gemini(exchange -> {
            exchange.stream();
            exchange.event(Scripted.geminiDelta("from gemini"));
            exchange.reset();
        });
        String told = asked("stream");
        assertTrue(told.contains("from gemini"), told);
        assertTrue(told.contains("event: error"), told);
        assertFalse(told.contains("from nebius"), told);
    }

    @Test
    void asksTheNextAlsoWhereAWholeAnswerBrokeOff() throws Exception {
        gemini(exchange -> {
            exchange.stream();
            exchange.event(Scripted.geminiDelta("from gemini"));
            exchange.event("{\"error\":{\"code\":400,\"message\":\"oops\"}}");
        });
        assertTrue(asked("whole").contains("from nebius"));
        running.delete("/history?user_id=alice");
    }

    @Test
    void namesWhoAnsweredInTheAnswerAndInTheHistory() throws Exception {
        gemini(exchange -> exchange.json(401, "{}"));
        Running.Answer answer = running.chat("bob", "hi");
        assertEquals("nebius with openai/gpt-oss-120b", answer.at("provider") + " with " + answer.at("model"));
        Running.Answer history = running.get("/history?user_id=bob");
        assertEquals("nebius", history.at("messages", 1, "provider"));
        assertEquals("openai/gpt-oss-120b", history.at("messages", 1, "model"));
    }

    @Test
    void tellsTheFirstProblemAndTheConsoleTheOthers() throws Exception {
        running.provider.usually(exchange -> exchange.json(
                exchange.path().contains("/v1beta/") ? 401 : 404, "{\"error\":{\"message\":\"said so\"}}"));
        assertEquals("provider_refused_key", running.chat("carol", "hi").at("code"));
        assertTrue(running.console().contains("nebius answered 404: said so"), running.console());
        assertEquals(List.of(), running.said("carol"));
    }

    @Test
    void passesOverWhatIsNotSetUp() throws Exception {
        running.settings("CHAT_PROVIDER=other, nebius", "OTHER_BASE_URL=https://other.example/v1");
        gemini(Scripted.gemini("unused"));
        assertEquals("nebius", running.get("/health").at("chat", "provider"));
        assertEquals("from nebius", running.chat("dave", "hi").at("reply"));
        assertEquals(1, running.provider.exchanges.size());
    }

    @Test
    void tellsWhatTheFirstLacksWhereNoneIsSetUp() throws Exception {
        running.settings(
                "CHAT_PROVIDER=other, another",
                "OTHER_BASE_URL=https://other.example/v1",
                "ANOTHER_BASE_URL=https://another.example/v1");
        Running.Answer answer = running.chat("erin", "hi");
        assertEquals("503 not_configured", answer.status() + " " + answer.at("code"));
        assertTrue(answer.text().contains("OTHER_API_KEY is not set"), answer.text());
        assertEquals("other", running.get("/health").at("chat", "provider"));
    }

    /** A service of the local network may want no key, but it must not be asked by mistake. */
    @ParameterizedTest
    @CsvSource({
        "LAN, CHAT_PROVIDER=lan, LAN_BASE_URL=http://192.168.1.9:8000/v1, true",
        "NEBIUS, CHAT_PROVIDER=nebius, NEBIUS_API_KEY=, false"
    })
    void saysThatAnyWordServesForAServiceThatMayWantNoKey(String name, String use, String setting, boolean said)
            throws Exception {
        running.settings(use, setting, name + "_CHAT_MODEL=m");
        Running.Answer answer = running.chat("frank", "hi");
        assertEquals("503 not_configured", answer.status() + " " + answer.at("code"));
        assertTrue(answer.text().contains(name + "_API_KEY is not set"), answer.text());
        assertEquals(said, answer.text().contains("any word serves"), answer.text());
        assertEquals(false, running.get("/health").at("chat", "ready"));
        running.settings(use, setting, name + "_CHAT_MODEL=m", name + "_API_KEY=word");
        assertEquals(true, running.get("/health").at("chat", "ready"));
    }

    @Test
    void drawsWithTheNextToo() throws Exception {
        running.settings("IMAGE_PROVIDER=gemini, nebius");
        gemini(exchange -> exchange.json(404, "{}"));
        assertTrue(running.post("/image", "{\"user_id\":\"a\",\"prompt\":\"fox\"}")
                .text()
                .contains("unknown_model"));
        assertEquals(2, running.provider.exchanges.size());
    }
}
