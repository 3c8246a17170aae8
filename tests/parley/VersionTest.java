package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.http.HttpRequest;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What names a state of a conversation, and what two devices of one user do with it. */
class VersionTest extends OneServer {
    private static String version(String user) throws Exception {
        return (String) running.get("/history?user_id=" + user).at("version");
    }

    private static Running.Answer chat(String user, String message, boolean replace, Object version) throws Exception {
        return running.post(
                "/chat",
                Json.toJson(
                        Json.object("user_id", user, "message", message, "replace", replace, "if_version", version)));
    }

    @Test
    void isAnotherOneAfterEachTurnAndEmptyForAnEmptyConversation() throws Exception {
        var versions = new ArrayList<String>(List.of(version("u")));
        for (int i = 0; i < 8; i++) {
            Running.Answer answer = chat("u", "hi", i % 2 == 1, null);
            versions.add((String) answer.at("version"));
            assertEquals(answer.at("version"), version("u"), "the answer names what GET gives");
        }
        running.delete("/history?user_id=u&turns=1");
        versions.add(version("u"));
        for (int i = 1; i < versions.size(); i++) assertNotEquals(versions.get(i - 1), versions.get(i), "change " + i);
        assertTrue(versions.stream().allMatch(each -> each.length() <= 64));
        assertEquals("", versions.getFirst());
        running.delete("/history?user_id=u&turns=9");
        assertEquals("", version("u"));
        running.chat("u", "hi");
        running.delete("/history?user_id=u");
        assertEquals("", version("u"));
    }

    /** Within one second, behind a reply that is longer than what is looked at. */
    @ParameterizedTest
    @ValueSource(strings = {"&turns=1", ""})
    void isAnotherOneWhereATurnTakesThePlaceOfOneThatWasTakenBack(String taken) throws Exception {
        running.provider.usually(Scripted.gemini("x".repeat(400)));
        String user = "again" + taken.length();
        var versions = new HashSet<Object>();
        for (String message : List.of("aaaa", "bbbb", "cccc")) {
            versions.add(running.chat(user, message).at("version"));
            running.delete("/history?user_id=" + user + taken);
        }
        assertEquals(3, versions.size());
        running.provider.usually(Scripted.gemini("ok"));
    }

    @Test
    void isInTheEndOfAStreamToo() throws Exception {
        List<String> lines = running.stream("streamed", "hi").body().toList();
        String done = lines.get(lines.indexOf("event: done") + 1).substring("data: ".length());
        assertEquals(version("streamed"), Json.string(Json.parse(done), "version"));
    }

    @ParameterizedTest
    @CsvSource(quoteCharacter = '`', textBlock = "``\n[]\n`[\n]\n`\n`\ufeff[ ]`\n` \r\n`")
    void isEmptyForEachFileWithoutAMessage(String file) throws Exception {
        Files.writeString(running.file("none"), file == null ? "" : file);
        assertEquals("", version("none"));
        assertEquals(200, chat("none", "hi", false, "").status());
        Files.delete(running.file("none"));
    }

    @Test
    void changesWithAnEditByHandAndIsTheSameOnAnotherServer() throws Exception {
        running.chat("edited", "hi");
        String before = version("edited");
        Path file = running.file("edited");
        try (var other = new Running(Scripted.gemini("ok"), "HISTORY_DIR=" + file.getParent())) {
            assertEquals(before, other.get("/history?user_id=edited").at("version"));
        }
        Files.writeString(file, Files.readString(file).replace("\"ok\"", "\"no\""));
        assertNotEquals(before, version("edited"));
    }

    /** Device A has seen one turn; device B has made another since. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    REQUEST | A's VERSION | B's VERSION | NO VERSION
                    send    | 409         | 200         | 200
                    replace | 409         | 200         | 200
                    take    | 409         | 204         | 204
                    delete  | 409         | 204         | 204
                    """)
    void keepsWhatAClientHasNotSeen(String request, int stale, int current, int any) throws Exception {
        String user = "two-" + request;
        String first = (String) running.chat(user, "one").at("version");
        String second = (String) running.chat(user, "two").at("version");
        int asked = running.provider.exchanges.size();
        byte[] before = Files.readAllBytes(running.file(user));
        for (String version : List.of(first, "", "nonsense", "x".repeat(1000))) {
            Running.Answer refused = send(request, user, version);
            assertEquals(stale + " conversation_changed", refused.status() + " " + refused.at("code"));
        }
        assertEquals(asked, running.provider.exchanges.size(), "the provider was not asked");
        assertEquals(new String(before), Files.readString(running.file(user)));
        assertEquals(current, send(request, user, second).status());
        assertEquals(409, send(request, user, second).status(), "that was another change");
        assertEquals(any, send(request, user, null).status());
    }

    private static Running.Answer send(String request, String user, String version) throws Exception {
        String query = "/history?user_id=" + user + (version == null ? "" : "&if_version=" + version);
        return switch (request) {
            case "take" -> running.delete(query + "&turns=1");
            case "delete" -> running.delete(query);
            default -> chat(user, "x", request.equals("replace"), version);
        };
    }

    @Test
    void comparesTheStateWhenTheTurnBegins() throws Exception {
        String seen = (String) running.chat("queue", "one").at("version");
        var gate = new Scripted.Gate();
        running.provider.then(gate.before(Scripted.gemini("first")));
        int asked = running.provider.exchanges.size();
        var first = running.chatting("queue", "first");
        Running.await(() -> running.provider.exchanges.size() > asked);
        var second = running.client.sendAsync(
                running.request("/history?user_id=queue&if_version=" + seen)
                        .DELETE()
                        .build(),
                java.net.http.HttpResponse.BodyHandlers.ofString());
        gate.open();
        assertEquals(200, first.join().status());
        assertEquals(409, second.join().statusCode());
        assertEquals(4, running.said("queue").size());
    }

    @Test
    void answersAStaleStreamWithAnOrdinaryProblem() throws Exception {
        String json = Json.toJson(Json.object("user_id", "s", "message", "hi", "stream", true, "if_version", "old"));
        Running.Answer answer = running.post("/chat", json);
        assertEquals("409 conversation_changed", answer.status() + " " + answer.at("code"));
        assertEquals("application/problem+json", answer.header("Content-Type").split(";")[0]);
    }

    @ParameterizedTest
    @CsvSource({"1, 400", "true, 400", "{}, 400", "[], 400", "null, 200"})
    void takesNothingButTextForAVersion(String version, int status) throws Exception {
        String json = "{\"user_id\":\"type\",\"message\":\"hi\",\"if_version\":" + version + "}";
        assertEquals(status, running.post("/chat", json).status());
    }

    /** RFC 9110, section 13.1.2; V stands for the version. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    IF-NONE-MATCH      | STATUS
                    "V"                | 304
                    W/"V"              | 304
                    "a", "V" , "b"     | 304
                    W/"a",W/"V"        | 304
                    ,, "V",            | 304
                    *                  | 304
                    "v"                | 200
                    V                  | 200
                    "xV"               | 200
                    ""                 | 200
                    "a,V"              | 200
                    "*"                | 200
                    """)
    void answers304WhereTheClientHasThisVersion(String known, int status) throws Exception {
        running.chat("etag", "hi");
        String version = version("etag");
        for (String method : List.of("GET", "HEAD")) {
            HttpRequest.Builder request = running.request("/history?user_id=etag&limit=1")
                    .method(method, HttpRequest.BodyPublishers.noBody())
                    .header("If-None-Match", known.replace("V", version));
            Running.Answer answer = running.send(request);
            assertEquals(status, answer.status(), method);
            assertEquals('"' + version + '"', answer.header("ETag"));
            if (status == 304 || method.equals("HEAD")) {
                assertEquals(0, answer.response().body().length);
            }
        }
    }

    @Test
    void answers304ForAnEmptyConversationAndReadsSeveralFields() throws Exception {
        var request = running.request("/history?user_id=etag-none");
        assertEquals("\"\"", running.send(request).header("ETag"));
        assertEquals(304, running.send(request.header("If-None-Match", "\"\"")).status());
        running.chat("etag-two", "hi");
        var two = running.request("/history?user_id=etag-two");
        two.header("If-None-Match", "\"a\"").header("If-None-Match", '"' + version("etag-two") + '"');
        assertEquals(304, running.send(two).status());
    }

    @Test
    void givesNoVersionWhereTheHistoryCannotBeRead() throws Exception {
        Files.createDirectory(running.file("folder"));
        Running.Answer answer =
                running.send(running.request("/history?user_id=folder").header("If-None-Match", "*"));
        assertEquals(Map.of(503, "storage_unavailable"), Map.of(answer.status(), answer.at("code")));
    }
}
