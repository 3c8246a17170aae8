package parley;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The whole server over the real wire. */
class ApiTest {
    /** The texts of the messages that the provider, which is Gemini here, was sent last. */
    private static List<String> sentTo(Scripted provider) {
        return Json.items(provider.last().json(), "contents").stream()
                .map(each -> Json.string(each, "parts", 0, "text"))
                .toList();
    }

    @Test
    void answersAWholeTurn() throws Exception {
        try (var running = new Running(Scripted.gemini("Hel", "lo"))) {
            Running.Answer answer = running.chat("alice", "one");
            assertEquals(200, answer.status(), answer.text());
            assertEquals(
                    """
                    {"user_id":"alice","reply":"Hello","finish_reason":"stop",\
                    "provider":"gemini","model":"gemini-flash-latest",\
                    "usage":{"prompt_tokens":4,"completion_tokens":15,"total_tokens":19},"version":"V"}""",
                    answer.text().replace((String) answer.at("version"), "V"));
        }
    }

    @Test
    void sendsEarlierTurnsWithEachNewOne() throws Exception {
        try (var running = new Running(Scripted.gemini("Hel", "lo"))) {
            for (String message : List.of("one", "two", "three")) running.chat("alice", message);
            assertEquals(List.of("one", "Hello", "two", "Hello", "three"), sentTo(running.provider));
        }
    }

    @Test
    void writesOneMessageALine() throws Exception {
        try (var running = new Running(Scripted.gemini("Hel", "lo"))) {
            running.chat("alice", "one");
            String stored = Files.readString(running.file("alice"));
            assertEquals(
                    """
                    [
                    {"role":"user","content":"one","time":"…"},
                    {"role":"assistant","content":"Hello","time":"…","provider":"gemini","model":"gemini-flash-latest"}
                    ]
                    """,
                    stored.replaceAll("[0-9-]{10}T[0-9:]{8}Z", "…"));
        }
    }

    @Test
    void passesEachDeltaOnBeforeTheNextOneComes() throws Exception {
        var gates = List.of(new Scripted.Gate(), new Scripted.Gate(), new Scripted.Gate());
        try (var running = new Running(exchange -> {
            exchange.stream();
            for (int i = 0; i < gates.size(); i++) {
                gates.get(i).pass();
                exchange.event(Scripted.geminiDelta("delta " + i + " "));
            }
            exchange.event(Scripted.GEMINI_END);
        })) {
            gates.get(0).open();
            var lines = running.stream("alice", "hi")
                    .body()
                    .filter(line -> !line.isEmpty() && !line.startsWith(":"))
                    .iterator();
            assertEquals("data: {\"text\":\"delta 0 \"}", lines.next());
            gates.get(1).open(); // only now can the provider go on
            assertEquals("data: {\"text\":\"delta 1 \"}", lines.next());
            gates.get(2).open();
            assertEquals("data: {\"text\":\"delta 2 \"}", lines.next());
            assertEquals("event: done", lines.next());
            String done = lines.next();
            assertEquals("delta 0 delta 1 delta 2 ", Json.at(Json.parse(done.substring("data: ".length())), "reply"));
            assertFalse(lines.hasNext());
        }
    }

    @ParameterizedTest
    @CsvSource({"Content-Type, text/event-stream", "Cache-Control, no-cache", "X-Accel-Buffering, no"})
    void sendsAStreamWithHeadersThatKeepItFlowing(String header, String value) throws Exception {
        try (var running = new Running(Scripted.gemini("ok"))) {
            var response = running.stream("alice", "hi");
            assertEquals(value, response.headers().firstValue(header).orElse(null));
        }
    }

    @Test
    void goesOnWithTheSameHistoryAtAnotherProvider() throws Exception {
        try (var running = new Running(Scripted.gemini("from Gemini"))) {
            running.chat("alice", "one");
            running.provider.usually(Scripted.openAi("from ", "Nebius"));
            running.settings("CHAT_PROVIDER=nebius", "SYSTEM_INSTRUCTIONS=Be brief");
            Running.Answer answer = running.chat("alice", "two");
            assertEquals("from Nebius", answer.at("reply"), answer.text());
            assertEquals("openai/gpt-oss-120b", answer.at("model"));
            assertEquals(
                    """
                    [{"role":"system","content":"Be brief"},\
                    {"role":"user","content":"one"},\
                    {"role":"assistant","content":"from Gemini"},\
                    {"role":"user","content":"two"}]""",
                    Json.toJson(Json.at(running.provider.last().json(), "messages")));
            assertEquals("/v1/chat/completions", running.provider.last().path());
            assertEquals(
                    "Bearer " + Running.KEY, running.provider.last().headers().get("Authorization"));
        }
    }

    @Test
    void takesTheTurnsOfOneUserOneAfterTheOther() throws Exception {
        int turns = 60;
        try (var running = new Running(Scripted.gemini("ok"))) {
            var answers = IntStream.range(0, turns)
                    .mapToObj(i -> running.chatting("alice", Integer.toString(i)))
                    .toList();
            for (var answer : answers) assertEquals(200, answer.join().status());
            List<String> said = running.said("alice");
            List<String> questions = IntStream.range(0, turns)
                    .mapToObj(i -> said.get(2 * i))
                    .sorted()
                    .toList();
            assertEquals(2 * turns, said.size());
            assertEquals(
                    IntStream.range(0, turns)
                            .mapToObj(i -> "user: " + i)
                            .sorted()
                            .toList(),
                    questions);
        }
    }

    @Test
    void takesTurnsInTheOrderOfTheirArrival() throws Exception {
        var gate = new Scripted.Gate();
        try (var running = new Running(Scripted.gemini("ok"))) {
            running.provider.then(gate.before(Scripted.gemini("ok")));
            var first = running.chatting("alice", "first");
            Running.await(() -> !running.provider.exchanges.isEmpty());
            var second = running.chatting("alice", "second");
            assertEquals(200, running.chat("bob", "a stranger does not wait").status());
            gate.open();
            assertEquals(200, first.join().status());
            assertEquals(200, second.join().status());
            assertEquals(
                    List.of("user: first", "assistant: ok", "user: second", "assistant: ok"), running.said("alice"));
        }
    }

    @Test
    void letsAThousandUsersTalkAtOnce() throws Exception {
        var all = new CountDownLatch(1000);
        var clients = new ArrayList<RawClient>();
        try (var running = new Running(
                exchange -> {
                    all.countDown();
                    if (!all.await(40, TimeUnit.SECONDS)) throw new AssertionError(all + " users were waited for");
                    Scripted.gemini("ok").play(exchange);
                },
                "PROVIDER_TIMEOUT=50")) {
            for (int i = 0; i < 1000; i++) {
                var client = new RawClient(running.parley.port());
                clients.add(client);
                client.setSoTimeout(50_000);
                client.post("/chat", "{\"user_id\":\"user%d\",\"message\":\"hi\"}".formatted(i));
            }
            for (RawClient client : clients) assertEquals("HTTP/1.1 200", client.answer(12));
        } finally {
            for (RawClient client : clients) client.close();
        }
    }

    @Test
    void deletesOnlyAfterTheRunningTurn() throws Exception {
        var gate = new Scripted.Gate();
        try (var running = new Running(gate.before(Scripted.gemini("ok")))) {
            var turn = running.chatting("alice", "hi");
            Running.await(() -> !running.provider.exchanges.isEmpty());
            var deletion = running.client.sendAsync(
                    running.request("/history?user_id=alice").DELETE().build(), HttpResponse.BodyHandlers.discarding());
            gate.open();
            assertEquals(200, turn.join().status());
            assertEquals(204, deletion.join().statusCode());
            assertEquals(List.of(), running.said("alice"));
            assertFalse(Files.exists(running.file("alice")));
        }
    }

    @Test
    void takesBackTheLastTurns() throws Exception {
        try (var running = new Running(Scripted.gemini("ok"))) {
            for (int i = 0; i < 4; i++) running.chat("alice", "m" + i);
            assertEquals(204, running.delete("/history?user_id=alice&turns=1").status());
            assertEquals(6, running.said("alice").size());
            assertEquals(204, running.delete("/history?user_id=alice&turns=2").status());
            assertEquals(List.of("user: m0", "assistant: ok"), running.said("alice"));
            running.chat("alice", "again");
            assertEquals(List.of("user: m0", "assistant: ok", "user: again", "assistant: ok"), running.said("alice"));
            assertEquals(204, running.delete("/history?user_id=alice&turns=9").status());
            assertEquals(List.of(), running.said("alice"));
            assertEquals(204, running.delete("/history?user_id=nobody").status());
        }
    }

    @Test
    void sendsTheWindowAndKeepsTheWhole() throws Exception {
        try (var running = new Running(Scripted.gemini("ok"), "HISTORY_WINDOW=4")) {
            for (int i = 0; i < 5; i++) running.chat("alice", "m" + i);
            assertEquals(List.of("m3", "ok", "m4"), sentTo(running.provider));
            assertEquals(10, running.said("alice").size());
        }
    }

    @Test
    void givesTheLastMessagesAndHowManyThereAre() throws Exception {
        try (var running = new Running(Scripted.gemini("ok"))) {
            for (int i = 0; i < 3; i++) running.chat("alice", "m" + i);
            Running.Answer last = running.get("/history?user_id=alice&limit=3");
            assertEquals(6L, last.at("total"));
            assertEquals(
                    List.of("ok", "m2", "ok"),
                    Json.items(last.json(), "messages").stream()
                            .map(each -> Json.string(each, "content"))
                            .toList());
        }
    }

    @Test
    void dropsAStreamWhoseClientHasGoneAtTheNextDelta() throws Exception {
        var left = new Scripted.Gate();
        var hungUp = new Scripted.Gate();
        try (var running = new Running(exchange -> {
            exchange.stream();
            exchange.event(Scripted.geminiDelta("before "));
            left.pass();
            try {
                while (true) exchange.event(Scripted.geminiDelta("after "));
            } catch (IOException e) {
                hungUp.open();
            }
        })) {
            try (var client = new RawClient(running.parley.port())) {
                client.post("/chat", "{\"user_id\":\"alice\",\"message\":\"hi\",\"stream\":true}");
                assertEquals("HTTP/1.1 200", client.answer(12));
            }
            left.open();
            hungUp.pass();
            Running.await(() -> running.console().contains("POST /chat 200, the client left"));
            assertEquals(List.of(), running.said("alice"));
        }
    }

    @Test
    void storesAWholeTurnWhoseClientHasGone() throws Exception {
        var left = new Scripted.Gate();
        try (var running = new Running(left.before(Scripted.gemini("kept")))) {
            try (var client = new RawClient(running.parley.port())) {
                client.post("/chat", "{\"user_id\":\"alice\",\"message\":\"hi\"}");
                Running.await(() -> !running.provider.exchanges.isEmpty());
            }
            left.open();
            Running.await(() -> running.console().contains("POST /chat 200"));
            assertEquals(List.of("user: hi", "assistant: kept"), running.said("alice"));
        }
    }

    /** Sends a message that takes the place of the last turn. */
    private static Running.Answer replace(Running running, String message, boolean stream) throws Exception {
        return running.post(
                "/chat",
                Json.toJson(Json.object("user_id", "alice", "message", message, "replace", true, "stream", stream)));
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void replacesTheLastTurn(boolean stream) throws Exception {
        try (var running = new Running(Scripted.gemini("first"))) {
            for (String message : List.of("one", "two")) running.chat("alice", message);
            running.provider.usually(Scripted.gemini("second"));
            assertEquals(200, replace(running, "three", stream).status());
            assertEquals(List.of("one", "first", "three"), sentTo(running.provider), "the last turn is not sent");
            assertEquals(
                    List.of("user: one", "assistant: first", "user: three", "assistant: second"),
                    running.said("alice"));
            assertEquals(6, Files.readAllLines(running.file("alice")).size());
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void leavesTheLastTurnUntouchedWhereTheNewOneFails(boolean stream) throws Exception {
        try (var running = new Running(Scripted.gemini("first"))) {
            for (String message : List.of("one", "two")) running.chat("alice", message);
            byte[] before = Files.readAllBytes(running.file("alice"));
            running.provider.usually(exchange -> exchange.json(400, "{\"error\":{\"message\":\"no\"}}"));
            assertEquals(502, replace(running, "three", stream).status());
            assertArrayEquals(before, Files.readAllBytes(running.file("alice")));
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void replacesNothingInAnEmptyConversation(boolean stream) throws Exception {
        try (var running = new Running(Scripted.gemini("first"))) {
            assertEquals(200, replace(running, "one", stream).status());
            assertEquals(List.of("user: one", "assistant: first"), running.said("alice"));
        }
    }

    @Test
    void answersWithTheStoredTurnsWhileAReplyIsOnItsWay() throws Exception {
        var gate = new Scripted.Gate();
        try (var running = new Running(Scripted.gemini("ok"))) {
            running.chat("alice", "stored");
            running.provider.then(gate.before(Scripted.gemini("late")));
            var turn = running.chatting("alice", "running");
            Running.await(() -> running.provider.exchanges.size() == 2);
            assertEquals(List.of("user: stored", "assistant: ok"), running.said("alice"));
            gate.open();
            assertEquals(200, turn.join().status());
            assertEquals(4, running.said("alice").size());
        }
    }

    @Test
    void takesTheTimeOfATurnThatWaitedWhenItBegins() throws Exception {
        try (var running = new Running(Scripted.gemini("ok"))) {
            running.provider.then(exchange -> {
                Thread.sleep(1100); // times are exact to a second
                Scripted.gemini("ok").play(exchange);
            });
            var first = running.chatting("alice", "1");
            Running.await(() -> !running.provider.exchanges.isEmpty());
            var second = running.chatting("alice", "2");
            assertEquals(200, first.join().status());
            assertEquals(200, second.join().status());
            List<String> times = Json.items(
                            running.get("/history?user_id=alice").json(), "messages")
                    .stream()
                    .map(each -> Json.string(each, "time"))
                    .toList();
            assertNotEquals(times.get(0), times.get(1));
            assertEquals(times.stream().sorted().toList(), times);
        }
    }

    /** As where a network's file system has dropped this server's lock, and another one went on with the user. */
    @Test
    void storesNothingWhereAnotherProcessHasAppendedMeanwhile() throws Exception {
        var gate = new Scripted.Gate();
        try (var running = new Running(Scripted.gemini("ok"))) {
            running.chat("alice", "one");
            running.provider.then(gate.before(Scripted.gemini("too late")));
            var turn = running.chatting("alice", "two");
            Running.await(() -> running.provider.exchanges.size() == 2);
            String before = Files.readString(running.file("alice"));
            String theirs = before.substring(0, before.length() - "\n]\n".length())
                    + """
                            ,
                            {"role":"user","content":"theirs"},
                            {"role":"assistant","content":"stored"}
                            ]
                            """;
            Files.writeString(running.file("alice"), theirs);
            gate.open();
            Running.Answer answer = turn.join();
            assertEquals("503 storage_unavailable", answer.status() + " " + answer.at("code"), answer.text());
            assertTrue(answer.text().contains("changed by another server meanwhile: send it again"), answer.text());
            assertEquals(theirs, Files.readString(running.file("alice")));
            assertEquals(200, running.chat("alice", "two").status());
        }
    }

    @Test
    void acknowledgesAStoredTurnWhoseLockIsGone() throws Exception {
        var gate = new Scripted.Gate();
        try (var running = new Running(Scripted.gemini("ok"))) {
            running.provider.then(gate.before(Scripted.gemini("ok")));
            var turn = running.chatting("alice", "one");
            Running.await(() -> running.provider.exchanges.size() == 1);
            Files.delete(running.folder.resolve("histories/.lock"));
            gate.open();
            assertEquals(200, turn.join().status());
            assertEquals(2, running.said("alice").size());
            assertTrue(running.console().contains("a lock could not be released"));
            assertEquals(200, running.chat("alice", "two").status());
        }
    }

    @Test
    void breaksAHistoryOffThatBecomesShorterWhileItIsSent() throws Exception {
        try (var running = new Running(Scripted.gemini("ok"))) {
            running.chat("alice", "one");
            String turn = "{\"role\":\"user\",\"content\":\"" + "x".repeat(1 << 20)
                    + "\"},\n{\"role\":\"assistant\",\"content\":\"a\"}";
            Files.writeString(
                    running.file("alice"), "[\n" + String.join(",\n", Collections.nCopies(20, turn)) + "\n]\n");
            var request = HttpRequest.newBuilder(
                            URI.create("http://127.0.0.1:" + running.parley.port() + "/history?user_id=alice"))
                    .build();
            try (InputStream body = running.client
                    .send(request, HttpResponse.BodyHandlers.ofInputStream())
                    .body()) {
                assertEquals('{', body.read());
                Files.writeString(running.file("alice"), "[");
                assertThrows(IOException.class, body::readAllBytes);
            }
            Running.await(() -> running.console().contains("200, then 503 storage_unavailable"));
        }
    }
}
