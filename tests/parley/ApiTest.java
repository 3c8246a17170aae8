package parley;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The whole server over the real wire. */
class ApiTest {
    @Test
    void sendsEarlierTurnsWithEachNewOne() throws Exception {
        try (var running = new Running(Scripted.gemini("Hel", "lo"))) {
            Running.Answer answer = running.chat("alice", "one");
            assertEquals(200, answer.status(), answer.text());
            assertEquals(
                    "{\"user_id\":\"alice\",\"reply\":\"Hello\",\"finish_reason\":\"stop\",\"provider\":\"gemini\",\"model\":\"gemini-flash-latest\","
                            + "\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":15,\"total_tokens\":19}}",
                    answer.text());
            running.chat("alice", "two");
            running.chat("alice", "three");
            assertEquals(
                    List.of("one", "Hello", "two", "Hello", "three"),
                    Json.items(running.provider.last().json(), "contents").stream()
                            .map(each -> Json.string(each, "parts", 0, "text"))
                            .toList());
            assertEquals(6, running.said("alice").size());
            List<String> lines = Files.readAllLines(running.file("alice"));
            assertEquals("[", lines.get(0));
            assertTrue(
                    lines.get(1).matches("\\{\"role\":\"user\",\"content\":\"one\",\"time\":\"[0-9T:-]{19}Z\"},"),
                    lines.get(1));
            assertTrue(
                    lines.get(2)
                            .matches(
                                    "\\{\"role\":\"assistant\",\"content\":\"Hello\",\"time\":\"[^\"]*\",\"provider\":\"gemini\",\"model\":\"gemini-flash-latest\"},"));
            assertEquals("]", lines.get(7));
        }
    }

    @Test
    void passesPiecesOnAsTheyAreSent() throws Exception {
        var gates = List.of(new Scripted.Gate(), new Scripted.Gate(), new Scripted.Gate());
        try (var running = new Running(exchange -> {
            exchange.stream();
            for (int i = 0; i < gates.size(); i++) {
                gates.get(i).pass();
                exchange.event(Scripted.geminiPiece("piece " + i + " "));
            }
            exchange.event(Scripted.GEMINI_END);
        })) {
            gates.get(0).open();
            var response = running.stream("alice", "hi");
            assertEquals(
                    "text/event-stream",
                    response.headers().firstValue("Content-Type").orElse(null));
            assertEquals(
                    "no-cache", response.headers().firstValue("Cache-Control").orElse(null));
            assertEquals(
                    "no", response.headers().firstValue("X-Accel-Buffering").orElse(null));
            var lines = response.body()
                    .filter(line -> !line.isEmpty() && !line.startsWith(":"))
                    .iterator();
            for (int i = 0; i < 3; i++) {
                assertEquals("data: {\"text\":\"piece " + i + " \"}", lines.next());
                if (i < 2)
                    gates.get(i + 1)
                            .open(); // only now can the provider go on: so the piece did not wait for the next one
            }
            assertEquals("event: done", lines.next());
            assertTrue(
                    lines.next()
                            .startsWith(
                                    "data: {\"user_id\":\"alice\",\"reply\":\"piece 0 piece 1 piece 2 \",\"finish_reason\":\"stop\""));
            assertFalse(lines.hasNext());
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
                    "[{\"role\":\"system\",\"content\":\"Be brief\"},{\"role\":\"user\",\"content\":\"one\"},"
                            + "{\"role\":\"assistant\",\"content\":\"from Gemini\"},{\"role\":\"user\",\"content\":\"two\"}]",
                    Json.write(Json.at(running.provider.last().json(), "messages")));
            assertEquals("/v1/chat/completions", running.provider.last().path());
            assertEquals(
                    "Bearer " + Running.KEY, running.provider.last().headers().get("Authorization"));
        }
    }

    @Test
    void takesTurnsOfOneUserInTheOrderOfTheirArrival() throws Exception {
        var first = new Scripted.Gate();
        try (var running = new Running(Scripted.gemini("ok"))) {
            running.provider.then(first.before(Scripted.gemini("ok")));
            var answers = new ArrayList<CompletableFuture<Running.Answer>>();
            answers.add(running.chatting("alice", "0"));
            Running.await(() -> !running.provider.exchanges.isEmpty());
            for (int i = 1; i < 200; i++) answers.add(running.chatting("alice", Integer.toString(i)));
            assertEquals(200, running.chat("bob", "a stranger does not wait").status());
            first.open();
            for (var answer : answers) assertEquals(200, answer.join().status());
            List<String> said = running.said("alice");
            assertEquals(400, said.size());
            assertEquals("user: 0", said.get(0));
            for (int i = 0; i < 400; i++)
                assertTrue(said.get(i).startsWith(i % 2 == 0 ? "user: " : "assistant: "), said.toString());
            assertEquals(
                    200,
                    said.stream()
                            .filter(each -> each.startsWith("user"))
                            .distinct()
                            .count());
        }
    }

    @Test
    void letsAThousandUsersTalkAtOnce() throws Exception {
        var all = new CountDownLatch(1000);
        try (var running = new Running(
                exchange -> {
                    all.countDown();
                    if (!all.await(40, TimeUnit.SECONDS)) throw new AssertionError(all + " users were waited for");
                    Scripted.gemini("ok").play(exchange);
                },
                "PROVIDER_TIMEOUT=50")) {
            var answers = new ArrayList<CompletableFuture<Running.Answer>>();
            for (int i = 0; i < 1000; i++) answers.add(running.chatting("user" + i, "hi"));
            for (var answer : answers) assertEquals(200, answer.join().status());
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
            assertEquals(
                    "[{\"role\":\"user\",\"parts\":[{\"text\":\"m3\"}]},{\"role\":\"model\",\"parts\":[{\"text\":\"ok\"}]},"
                            + "{\"role\":\"user\",\"parts\":[{\"text\":\"m4\"}]}]",
                    Json.write(Json.at(running.provider.last().json(), "contents")));
            Running.Answer last = running.get("/history?user_id=alice&limit=3");
            assertEquals(10L, last.at("total"));
            assertEquals(3, Json.items(last.json(), "messages").size());
            assertEquals("ok", last.at("messages", 2, "content"));
        }
    }

    @Test
    void dropsAStreamWhoseClientHasGoneAtTheNextPiece() throws Exception {
        var left = new Scripted.Gate();
        var hungUp = new Scripted.Gate();
        try (var running = new Running(exchange -> {
            exchange.stream();
            exchange.event(Scripted.geminiPiece("before "));
            left.pass();
            try {
                while (true) exchange.event(Scripted.geminiPiece("after "));
            } catch (IOException e) {
                hungUp.open();
            }
        })) {
            try (var socket = new Socket("127.0.0.1", running.parley.port())) {
                post(socket, "{\"user_id\":\"alice\",\"message\":\"hi\",\"stream\":true}");
                assertEquals('H', socket.getInputStream().read());
            }
            left.open();
            hungUp.pass();
            Running.await(() -> running.console().contains("POST /chat 200, the client left"));
            assertEquals(List.of(), running.said("alice"));
        }
    }

    private static void post(Socket socket, String body) throws IOException {
        socket.getOutputStream()
                .write(("POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
                                + body.length() + "\r\n\r\n" + body)
                        .getBytes(StandardCharsets.US_ASCII));
    }

    @Test
    void storesAWholeTurnWhoseClientHasGone() throws Exception {
        var left = new Scripted.Gate();
        try (var running = new Running(left.before(Scripted.gemini("kept")))) {
            try (var socket = new Socket("127.0.0.1", running.parley.port())) {
                post(socket, "{\"user_id\":\"alice\",\"message\":\"hi\"}");
                Running.await(() -> !running.provider.exchanges.isEmpty());
            }
            left.open();
            Running.await(() -> running.console().contains("POST /chat 200"));
            assertEquals(List.of("user: hi", "assistant: kept"), running.said("alice"));
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void replacesTheLastTurnOnlyOnceTheNewReplyIsStored(boolean stream) throws Exception {
        try (var running = new Running(Scripted.gemini("first"))) {
            String replacing = "{\"user_id\":\"alice\",\"message\":\"%s\",\"replace\":true,\"stream\":" + stream + "}";
            assertEquals(
                    200,
                    running.post("/chat", replacing.formatted("one")).status(),
                    "in an empty conversation it is an ordinary turn");
            running.chat("alice", "two");
            byte[] before = Files.readAllBytes(running.file("alice"));
            running.provider.usually(exchange -> exchange.json(400, "{\"error\":{\"message\":\"no\"}}"));
            assertEquals(
                    502, running.post("/chat", replacing.formatted("three")).status());
            assertArrayEquals(before, Files.readAllBytes(running.file("alice")), "the old turn stays untouched");
            running.provider.usually(Scripted.gemini("second"));
            assertEquals(
                    200, running.post("/chat", replacing.formatted("three")).status());
            assertEquals(
                    List.of("user: one", "assistant: first", "user: three", "assistant: second"),
                    running.said("alice"));
            assertEquals(
                    List.of("one", "first", "three"),
                    Json.items(running.provider.last().json(), "contents").stream()
                            .map(each -> Json.string(each, "parts", 0, "text"))
                            .toList(),
                    "the last turn is not sent");
            assertEquals(6, Files.readAllLines(running.file("alice")).size());
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
    void writesTimesThatNeverGoBackwards() throws Exception {
        try (var running = new Running(exchange -> {
            Thread.sleep(1100); // longer than a second, which is how exact times are
            Scripted.gemini("ok").play(exchange);
        })) {
            var answers = List.of(
                    running.chatting("alice", "1"), running.chatting("alice", "2"), running.chatting("alice", "3"));
            for (var answer : answers) assertEquals(200, answer.join().status());
            List<String> times = Json.items(
                            running.get("/history?user_id=alice").json(), "messages")
                    .stream()
                    .map(each -> Json.string(each, "time"))
                    .toList();
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
            String theirs = before.replaceFirst(
                    "\\n]\\n$",
                    ",\n{\"role\":\"user\",\"content\":\"theirs\"},\n{\"role\":\"assistant\",\"content\":\"stored\"}\n]\n");
            Files.writeString(running.file("alice"), theirs);
            gate.open();
            assertEquals(
                    "503 storage_unavailable",
                    turn.join().status() + " " + turn.join().at("code"),
                    turn.join().text());
            assertTrue(turn.join().text().contains("changed by another server meanwhile: send it again"));
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
