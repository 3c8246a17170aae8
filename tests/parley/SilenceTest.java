package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** While a provider says nothing, or never a whole event: heartbeats, who has left, and the end at its time. */
class SilenceTest extends OneServer {
    @BeforeEach
    void forget() throws Exception {
        running.provider.exchanges.clear();
        running.settings("PROVIDER_TIMEOUT=10");
    }

    @ParameterizedTest
    @ValueSource(strings = {"gemini", "nebius"})
    void endsASilenceBeforeTheHeadAtItsTime(String dialect) throws Exception {
        endsAtItsTime(dialect, Scripted.Exchange::awaitHangUp);
    }

    @ParameterizedTest
    @ValueSource(strings = {"gemini", "nebius"})
    void endsASilenceBehindTheHeadAtItsTime(String dialect) throws Exception {
        endsAtItsTime(dialect, exchange -> {
            exchange.stream();
            exchange.awaitHangUp();
        });
    }

    @ParameterizedTest
    @ValueSource(strings = {"gemini", "nebius"})
    void endsASilenceBehindADeltaAtItsTime(String dialect) throws Exception {
        endsAtItsTime(dialect, exchange -> {
            exchange.stream();
            exchange.event(
                    dialect.equals("gemini") ? Scripted.geminiDelta("and then") : Scripted.openAiDelta("and then"));
            exchange.awaitHangUp();
        });
    }

    private static void endsAtItsTime(String dialect, Scripted.Script silence) throws Exception {
        running.settings("PROVIDER_TIMEOUT=0.6", "CHAT_PROVIDER=" + dialect);
        running.provider.then(silence);
        Running.Answer answer = running.chat("alice", "hi");
        assertEquals("504 provider_timeout", answer.status() + " " + answer.at("code"), answer.text());
        assertEquals(1, running.provider.exchanges.size());
        Running.await(() -> running.provider.connections() == 0);
    }

    /** What drips for ever, never a whole event: it is no heartbeat, and no answer. */
    private static Scripted.Script dripping(String head, String drop) {
        return exchange -> {
            exchange.send(head);
            while (true) {
                exchange.send(drop);
                Thread.sleep(50);
            }
        };
    }

    @ParameterizedTest
    @CsvSource(
            textBlock =
                    """
                    gemini, application/json,  ' '
                    nebius, application/json,  ' '
                    nebius, text/event-stream, :
                    nebius, text/event-stream, data: x
                    """)
    void endsADripAtItsTime(String dialect, String type, String drop) throws Exception {
        running.settings("PROVIDER_TIMEOUT=0.6", "CHAT_PROVIDER=" + dialect);
        running.provider.usually(dripping("HTTP/1.1 200 OK\r\nContent-Type: " + type + "\r\n\r\n", drop));
        assertEquals("provider_timeout", running.chat("alice", "hi").at("code"));
        assertTrue(
                running.stream("alice", "hi").body().anyMatch(line -> line.contains("provider_timeout")), "a stream");
        Running.await(() -> running.provider.connections() == 0);
    }

    @Test
    void tellsTheStatusOfAnErrorThatDrips() throws Exception {
        running.settings("PROVIDER_TIMEOUT=0.6");
        running.provider.usually(dripping("HTTP/1.1 401 X\r\n\r\n", " "));
        assertEquals("provider_refused_key", running.chat("alice", "hi").at("code"));
    }

    /** Where the provider stays when it falls silent: the client is told that its request lives. */
    @ParameterizedTest
    @CsvSource({"false, ''", "true, ''", "true, ' '", "true, ': x\n'"})
    void sendsAHeartbeatBeforeTheFirstWord(boolean head, String drop) throws Exception {
        var gate = new Scripted.Gate();
        running.provider.usually(exchange -> {
            if (head) exchange.stream();
            if (!drop.isEmpty()) dripping("", drop.replace("\\n", "\n")).play(exchange);
            gate.before(Scripted.Exchange::reset).play(exchange);
        });
        try (var stream = running.stream("alice", "hi").body()) {
            assertEquals(": ping", stream.findFirst().orElseThrow());
        }
        gate.open();
        running.provider.usually(Scripted.gemini("ok"));
    }

    /** Before the provider's head, behind it, and in the pause before a retry. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "HTTP/1.1 200 OK\r\n\r\n",
                "HTTP/1.1 503 X\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            })
    void noticesBeforeTheFirstWordThatTheClientHasLeft(String head) throws Exception {
        running.settings("PROVIDER_TIMEOUT=60");
        var arrived = new CountDownLatch(1);
        running.provider.then(exchange -> {
            exchange.send(head);
            arrived.countDown();
            if (!head.contains("503")) exchange.awaitHangUp();
        });
        try (var client = new RawClient(running.parley.port())) {
            client.post("/chat", "{\"user_id\":\"leaver\",\"message\":\"hi\",\"stream\":true}");
            arrived.await();
        }
        Running.await(() -> running.console().contains("the client left") && running.provider.connections() == 0);
        running.provider.usually(Scripted.gemini("ok"));
        assertEquals("ok", running.chat("leaver", "and now?").at("reply"));
        assertEquals(List.of("user: and now?", "assistant: ok"), running.said("leaver"));
        running.delete("/history?user_id=leaver");
    }

    @Test
    void sendsAHeartbeatAlsoWhereTheProviderSendsCommentsOnly() throws Exception {
        running.settings("PROVIDER_TIMEOUT=40");
        running.provider.then(exchange -> {
            exchange.stream();
            exchange.event(Scripted.geminiDelta("thinking "));
            for (int i = 0; i < 34; i++, Thread.sleep(500)) exchange.send(": still there\n\n");
            exchange.event(Scripted.geminiDelta("done"));
            exchange.event(Scripted.GEMINI_END);
        });
        try (var stream = running.stream("kim", "hi").body()) {
            List<String> lines = stream.filter(line -> !line.isEmpty()).toList();
            assertEquals(
                    List.of("data: {\"text\":\"thinking \"}", ": ping", "data: {\"text\":\"done\"}"),
                    lines.subList(0, 3));
        }
    }
}
