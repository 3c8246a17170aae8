package parley;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.net.Socket;
import java.net.URLEncoder;
import java.net.http.HttpRequest;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.Base64;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** A test for each row of the contract's tables; what a provider does is UpstreamTest's. */
class ContractTest extends OneServer {
    private static final byte[] PNG = Base64.getDecoder()
            .decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==");

    @BeforeEach
    void usual() throws Exception {
        running.settings();
        running.provider.usually(Scripted.gemini("ok"));
        running.provider.exchanges.clear();
    }

    private static String image(String data) {
        return "{\"data\":[{\"b64_json\":\"" + data + "\"}]}";
    }

    private static void assertProblem(String expected, Running.Answer answer) {
        assertEquals(expected, answer.status() + " " + answer.at("code"), answer.text());
        assertEquals("application/problem+json", answer.header("Content-Type"));
        assertEquals("about:blank", answer.at("type"));
        assertEquals((long) answer.status(), answer.at("status"));
        assertFalse(((String) answer.at("title")).isBlank());
        assertFalse(((String) answer.at("detail")).isBlank());
        assertEquals("*", answer.header("Access-Control-Allow-Origin"));
        assertFalse(answer.text().contains(running.folder.toString()), "no path of the server's disk");
    }

    @Test
    void healthTellsWhatIsReadyAndNoKey() throws Exception {
        running.settings("NEBIUS_API_KEY=");
        Running.Answer health = running.get("/health");
        assertEquals(
                "{\"status\":\"ok\",\"chat\":{\"provider\":\"gemini\",\"model\":\"gemini-flash-latest\",\"ready\":true},"
                        + "\"image\":{\"provider\":\"nebius\",\"model\":\"black-forest-labs/flux-schnell\",\"ready\":false}}",
                health.text());
        assertEquals("application/json", health.header("Content-Type"));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "/chat|GET|POST, OPTIONS",
                "/chat|DELETE|POST, OPTIONS",
                "/chat|HEAD|POST, OPTIONS",
                "/image|GET|POST, OPTIONS",
                "/health|POST|GET, HEAD, OPTIONS",
                "/history|POST|GET, HEAD, DELETE, OPTIONS",
                "/history|PUT|GET, HEAD, DELETE, OPTIONS",
                "/chat|PATCH|POST, OPTIONS",
                "/health|FOO|GET, HEAD, OPTIONS"
            })
    void refusesOtherMethodsWithAllow(String path, String method, String allow) throws Exception {
        Running.Answer answer = running.send(running.request(path).method(method, HttpRequest.BodyPublishers.noBody()));
        assertEquals(allow, answer.header("Allow"));
        if (method.equals("HEAD")) assertEquals(405, answer.status());
        else assertProblem("405 method_not_allowed", answer);
    }

    @ParameterizedTest
    @CsvSource({
        "/nothing",
        "/chat/",
        "/Chat",
        "/health/x",
        "/chat%20",
        "/../etc/passwd",
        "/chat.html",
        "/.env",
        "/histories"
    })
    void refusesPathsThatItDoesNotKnow(String path) throws Exception {
        assertProblem("404 not_found", running.get(path));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '~',
            value = {
                "{\"message\":\"hi\"}|user_id is missing",
                "{\"user_id\":\"\",\"message\":\"hi\"}|user_id",
                "{\"user_id\":\"  \",\"message\":\"hi\"}|user_id",
                "{\"user_id\":7,\"message\":\"hi\"}|user_id must be a string",
                "{\"user_id\":null,\"message\":\"hi\"}|user_id must be a string",
                "{\"user_id\":[\"a\"],\"message\":\"hi\"}|user_id",
                "{\"user_id\":\"a\\u0000b\",\"message\":\"hi\"}|control",
                "{\"user_id\":\"a\\nb\",\"message\":\"hi\"}|control",
                "{\"user_id\":\"a\\ud800\",\"message\":\"hi\"}|surrogates",
                "{\"user_id\":\"a\"}|message is missing",
                "{\"user_id\":\"a\",\"message\":\"\"}|message",
                "{\"user_id\":\"a\",\"message\":\" \\n\"}|message",
                "{\"user_id\":\"a\",\"message\":1}|message",
                "{\"user_id\":\"a\",\"message\":null}|message",
                "{\"user_id\":\"a\",\"message\":\"hi\",\"stream\":\"yes\"}|stream",
                "{\"user_id\":\"a\",\"message\":\"hi\",\"stream\":1}|stream",
                "[\"user_id\"]|object",
                "\"user_id\"|object",
                "null|object",
                "|JSON",
                "{|JSON at offset",
                "{\"user_id\":\"a\",}|offset",
                "nonsense|offset"
            })
    void refusesBodiesThatAreNotAsTheContractSays(String body, String words) throws Exception {
        Running.Answer answer = running.post("/chat", body == null ? "" : body);
        assertProblem("400 invalid_request", answer);
        for (String word : words.split(" at ")) assertTrue(answer.text().contains(word), answer.text());
        assertEquals(0, running.provider.exchanges.size());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "''",
                "?user_id",
                "?user_id=",
                "?user_id=%20",
                "?user_id=%00",
                "?user_id=a%0Ab",
                "?user_id=%7F",
                "?user_id=%FF",
                "?user_id=%C3",
                "?user_id=%ED%A0%80",
                "?user_id=a&user_id=b",
                "?user_id=a&limit=0",
                "?user_id=a&limit=-1",
                "?user_id=a&limit=x",
                "?user_id=a&limit=1.5",
                "?user_id=a&limit=",
                "?user_id=a&limit=1&limit=2"
            })
    void refusesQueriesThatMakeNoSense(String query) throws Exception {
        assertProblem("400 invalid_request", running.get("/history" + query));
    }

    @ParameterizedTest
    @CsvSource({"turns=0", "turns=-1", "turns=x", "turns="})
    void refusesTurnsThatMakeNoSenseAndDeletesNothing(String turns) throws Exception {
        running.chat("keeper", "hi");
        assertProblem("400 invalid_request", running.delete("/history?user_id=keeper&" + turns));
        assertFalse(running.said("keeper").isEmpty());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            ignoreLeadingAndTrailingWhitespace = false,
            value = {
                "a+b|a b",
                "a%2Bb|a+b",
                "a%2Fb|a/b",
                "%C3%A9|é",
                "%F0%9F%A6%8A|🦊",
                "..%2F..%2Fetc|../../etc",
                "a%26b|a&b",
                "%61|a"
            })
    void decodesTheUserOfAQuery(String query, String id) throws Exception {
        assertEquals(id, running.get("/history?user_id=" + query).at("user_id"));
    }

    @Test
    void takesTheUserFromBodyOrQueryButNotTwo() throws Exception {
        assertEquals(
                200, running.post("/chat?user_id=a", "{\"message\":\"hi\"}").status());
        assertEquals(
                200,
                running.post("/chat?user_id=a", "{\"message\":\"hi\",\"user_id\":\"a\"}")
                        .status());
        assertProblem("400 invalid_request", running.post("/chat?user_id=a", "{\"message\":\"hi\",\"user_id\":\"b\"}"));
        assertProblem("400 invalid_request", running.post("/chat?user_id=a", "{\"message\":\"hi\",\"user_id\":1}"));
    }

    @ParameterizedTest
    @CsvSource({"x,128,200", "x,129,400", "🦊,20,200", "🦊,21,400", "é,40,200", "é,41,400"})
    void takesIdsWhoseFileNameFits(String character, int count, int status) throws Exception {
        String query = URLEncoder.encode(character.repeat(count), StandardCharsets.UTF_8);
        assertEquals(status, running.get("/history?user_id=" + query).status());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "text/plain",
                "application/x-www-form-urlencoded",
                "multipart/form-data",
                "application/jsonp",
                "text/json",
                "''"
            })
    void refusesOtherMediaTypes(String type) throws Exception {
        var request = running.request("/chat")
                .POST(HttpRequest.BodyPublishers.ofString("{\"user_id\":\"a\",\"message\":\"hi\"}"));
        assertProblem(
                "415 unsupported_media_type",
                running.send(type.isEmpty() ? request : request.header("Content-Type", type)));
    }

    @Test
    void takesParametersOfTheMediaType() throws Exception {
        var request = running.request("/chat")
                .header("Content-Type", "Application/JSON; charset=utf-8")
                .POST(HttpRequest.BodyPublishers.ofString("{\"user_id\":\"a\",\"message\":\"hi\"}"));
        assertEquals(200, running.send(request).status());
    }

    @ParameterizedTest
    @CsvSource({"true, 1048577", "false, 1048577", "true, 8000000", "false, 8000000"})
    void refusesABodyOverOneMebibyte(boolean announced, int size) throws Exception {
        var body = announced
                ? HttpRequest.BodyPublishers.ofByteArray(new byte[size])
                : HttpRequest.BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(new byte[size]));
        assertProblem(
                "413 too_large",
                running.send(running.request("/chat")
                        .header("Content-Type", "application/json")
                        .POST(body)));
    }

    @Test
    void refusesALargeBodyWhileItArrives() throws Exception {
        try (var socket = new Socket("127.0.0.1", running.parley.port())) {
            socket.setSoTimeout(10_000);
            socket.getOutputStream()
                    .write(
                            "POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000000\r\n\r\n{"
                                    .getBytes(StandardCharsets.US_ASCII));
            assertEquals(
                    "HTTP/1.1 413 Content Too Large".substring(0, 12),
                    new String(socket.getInputStream().readNBytes(12), StandardCharsets.US_ASCII));
        }
    }

    @Test
    void takesABodyOfOneMebibyte() throws Exception {
        String head = "{\"user_id\":\"large\",\"message\":\"";
        assertEquals(
                200,
                running.post("/chat", head + "x".repeat((1 << 20) - head.length() - 2) + "\"}")
                        .status());
    }

    @ParameterizedTest
    @CsvSource({"GEMINI_API_KEY=,/chat,GEMINI_API_KEY", "NEBIUS_API_KEY=,/image,NEBIUS_API_KEY"})
    void namesTheVariableThatIsMissing(String setting, String path, String variable) throws Exception {
        running.settings(setting);
        Running.Answer answer = running.post(path, "{\"user_id\":\"a\",\"message\":\"hi\",\"prompt\":\"fox\"}");
        assertProblem("503 not_configured", answer);
        assertTrue(answer.text().contains(variable), answer.text());
    }

    static Stream<Arguments> origins() {
        return Stream.of(
                Arguments.of("*", "https://a.example", "*"),
                Arguments.of("*", null, "*"),
                Arguments.of(
                        "https://a.example, http://localhost:3000", "http://localhost:3000", "http://localhost:3000"),
                Arguments.of("https://a.example", "https://A.example", "https://A.example"),
                Arguments.of("https://a.example", "https://b.example", null),
                Arguments.of("https://a.example", "https://a.example.evil.example", null),
                Arguments.of("https://a.example", null, null),
                Arguments.of("\"\"", "https://a.example", null),
                Arguments.of("https://a.example", "null", null));
    }

    @ParameterizedTest
    @MethodSource("origins")
    void allowsTheOriginsOfTheList(String list, String origin, String allowed) throws Exception {
        running.settings(
                "CORS_ALLOWED_ORIGINS=" + list,
                "CORS_ALLOWED_METHODS=GET, POST",
                "CORS_ALLOWED_HEADERS=Content-Type, X-Own");
        for (var request : List.of(
                running.request("/health"),
                running.request("/nothing"),
                running.posting("/chat", "{\"user_id\":\"cors\",\"message\":\"hi\",\"stream\":true}"),
                running.request("/anything").method("OPTIONS", HttpRequest.BodyPublishers.noBody()))) {
            Running.Answer answer = running.send(origin == null ? request : request.header("Origin", origin));
            assertEquals(allowed, answer.header("Access-Control-Allow-Origin"));
            assertEquals(list.equals("*") ? null : "Origin", answer.header("Vary"));
            assertNull(answer.header("Access-Control-Allow-Credentials"));
            assertEquals("Retry-After", answer.header("Access-Control-Expose-Headers"));
            if (!answer.response().request().method().equals("OPTIONS")) continue;
            assertEquals(204, answer.status());
            assertEquals(allowed == null ? null : "GET, POST", answer.header("Access-Control-Allow-Methods"));
            assertEquals(allowed == null ? null : "Content-Type, X-Own", answer.header("Access-Control-Allow-Headers"));
        }
    }

    @Test
    void answersHeadLikeGetWithoutABody() throws Exception {
        for (String path : List.of("/health", "/history?user_id=a", "/")) {
            Running.Answer head =
                    running.send(running.request(path).method("HEAD", HttpRequest.BodyPublishers.noBody()));
            Running.Answer get = running.get(path);
            assertEquals(200, head.status(), path);
            assertEquals(0, head.response().body().length);
            assertEquals(get.header("Content-Length"), head.header("Content-Length"));
            assertEquals(get.header("Content-Type"), head.header("Content-Type"));
        }
    }

    @Test
    void givesAnEmptyListForAnUnknownUser() throws Exception {
        assertEquals(
                "{\"user_id\":\"nobody\",\"total\":0,\"messages\":[]}",
                running.get("/history?user_id=nobody").text());
        assertFalse(Files.exists(running.file("nobody")));
        Running.Answer deletion = running.delete("/history?user_id=nobody");
        assertEquals(204, deletion.status());
        assertEquals(0, deletion.response().body().length);
        Running.await(() -> running.console().contains(" DELETE /history 204 "));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "|json",
                "*/*|json",
                "application/json|json",
                "image/*|bytes",
                "image/png|bytes",
                "image/webp, image/png|bytes",
                "image/*, */*|json",
                "image/*, application/json|json"
            })
    void answersAnImageAsJsonOrAsItsBytes(String accept, String form) throws Exception {
        running.provider.usually(
                exchange -> exchange.json(200, image(Base64.getEncoder().encodeToString(PNG))));
        var request = running.posting("/image", "{\"user_id\":\"a\",\"prompt\":\"a red fox\"}");
        Running.Answer answer = running.send(accept == null ? request : request.header("Accept", accept));
        assertEquals(200, answer.status(), answer.text());
        if (form.equals("bytes")) {
            assertEquals("image/png", answer.header("Content-Type"));
            assertArrayEquals(PNG, answer.response().body());
        } else {
            assertEquals(
                    "{\"user_id\":\"a\",\"provider\":\"nebius\",\"model\":\"black-forest-labs/flux-schnell\",\"images\":[{\"mime_type\":\"image/png\",\"data\":\""
                            + Base64.getEncoder().encodeToString(PNG) + "\"}]}",
                    answer.text());
        }
        assertEquals(
                "{\"model\":\"black-forest-labs/flux-schnell\",\"prompt\":\"a red fox\",\"response_format\":\"b64_json\"}",
                running.provider.last().body());
        assertEquals(
                List.of(),
                running.said("a").stream().filter(each -> each.contains("fox")).toList());
    }

    static Stream<Arguments> images() {
        String jpeg = Base64.getEncoder().encodeToString(new byte[] {(byte) 0xff, (byte) 0xd8, (byte) 0xff, 0});
        return Stream.of(
                Arguments.of("nebius", 200, image(jpeg), "200 image/jpeg"),
                Arguments.of("nebius", 200, image("UklGRgAAAABXRUJQVlA4"), "200 image/webp"),
                Arguments.of(
                        "nebius",
                        200,
                        image(Base64.getEncoder().encodeToString("GIF89a".getBytes(StandardCharsets.US_ASCII))),
                        "200 image/gif"),
                Arguments.of("nebius", 200, image("AAAA"), "502 provider_error"),
                Arguments.of("nebius", 200, image("%%%"), "502 provider_error"),
                Arguments.of("nebius", 200, "{\"data\":[]}", "502 empty_reply"),
                Arguments.of("nebius", 200, "{}", "502 empty_reply"),
                Arguments.of("nebius", 200, "no", "502 provider_error"),
                Arguments.of(
                        "nebius", 200, "{\"data\":[{\"url\":\"http://127.0.0.1:1/x.png\"}]}", "502 provider_error"),
                Arguments.of("nebius", 200, "{\"data\":[{\"url\":\"https://10.0.0.1/x.png\"}]}", "502 provider_error"),
                Arguments.of("nebius", 200, "{\"data\":[{\"url\":\"https://[::1]/x.png\"}]}", "502 provider_error"),
                Arguments.of("nebius", 200, "{\"data\":[{\"url\":\"https://localhost/x.png\"}]}", "502 provider_error"),
                Arguments.of("nebius", 200, "{\"data\":[{\"url\":\"file:///etc/passwd\"}]}", "502 provider_error"),
                Arguments.of("nebius", 200, "{\"data\":[{\"url\":\"::\"}]}", "502 provider_error"),
                Arguments.of("nebius", 404, "{\"detail\":\"no such model\"}", "502 unknown_model"),
                Arguments.of(
                        "nebius",
                        400,
                        "{\"error\":{\"code\":\"moderation_blocked\",\"message\":\"no\"}}",
                        "422 blocked"),
                Arguments.of(
                        "gemini",
                        200,
                        "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Here\"},{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\""
                                + jpeg + "\"}}]},\"finishReason\":\"STOP\"}]}",
                        "200 image/jpeg"),
                Arguments.of(
                        "gemini",
                        200,
                        "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"I cannot\"}]},\"finishReason\":\"STOP\"}]}",
                        "502 empty_reply"),
                Arguments.of("gemini", 200, "{\"candidates\":[{\"finishReason\":\"NO_IMAGE\"}]}", "502 empty_reply"),
                Arguments.of("gemini", 200, "{\"candidates\":[{\"finishReason\":\"IMAGE_SAFETY\"}]}", "422 blocked"),
                Arguments.of("gemini", 200, "{\"promptFeedback\":{\"blockReason\":\"OTHER\"}}", "422 blocked"));
    }

    @ParameterizedTest
    @MethodSource("images")
    void readsTheTypeOfAnImageFromItsBytes(String provider, int status, String answered, String expected)
            throws Exception {
        running.settings("IMAGE_PROVIDER=" + provider);
        running.provider.usually(exchange -> exchange.json(status, answered));
        Running.Answer answer = running.post("/image", "{\"user_id\":\"a\",\"prompt\":\"fox\"}");
        if (answer.status() == 200) assertEquals(expected, "200 " + answer.at("images", 0, "mime_type"));
        else assertProblem(expected, answer);
        if (expected.endsWith("unknown_model"))
            assertTrue(
                    answer.text().contains("NEBIUS_IMAGE_MODEL")
                            && answer.text().contains("IMAGE_PROVIDER=gemini"),
                    answer.text());
    }

    @Test
    void sendsGeminiItsRequestForAnImage() throws Exception {
        running.settings(
                "IMAGE_PROVIDER=gemini",
                "GEMINI_IMAGE_EXTRA={\"generationConfig\":{\"imageConfig\":{\"aspectRatio\":\"1:1\"}}}");
        running.post("/image", "{\"user_id\":\"a\",\"prompt\":\"fox\"}");
        assertEquals(
                "/v1beta/models/gemini-nano-banana-2.1:generateContent",
                running.provider.last().path());
        assertEquals(
                "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"fox\"}]}],\"generationConfig\":{\"responseModalities\":[\"TEXT\",\"IMAGE\"],"
                        + "\"imageConfig\":{\"aspectRatio\":\"1:1\"}}}",
                running.provider.last().body());
    }

    @Test
    void takesAnEditAtTheNextRequestAndRefusesASenselessOneOnce() throws Exception {
        running.settings("GEMINI_CHAT_MODEL=other-model");
        assertEquals("other-model", running.get("/health").at("chat", "model"));
        running.settings("TEMPERATURE=hot", "GEMINI_CHAT_MODEL=never");
        for (int i = 0; i < 3; i++)
            assertEquals("other-model", running.get("/health").at("chat", "model"));
        assertEquals(
                1,
                running.console()
                        .lines()
                        .filter(line -> line.contains("TEMPERATURE (line 7) must be a number from 0 to 2"))
                        .count(),
                running.console());
        running.settings("SYSTEM_INSTRUCTIONS=\"half");
        assertEquals("other-model", running.get("/health").at("chat", "model"));
        Files.delete(running.env);
        assertEquals("other-model", running.get("/health").at("chat", "model"));
        running.settings("PORT=1");
        assertEquals("gemini-flash-latest", running.get("/health").at("chat", "model"));
        assertTrue(running.console().contains("but for HOST and PORT"));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '~',
            value = {
                "PORT=x",
                "PORT=70000",
                "TOP_P=2",
                "TOP_K=1.5",
                "TOP_K=0",
                "MAX_OUTPUT_TOKENS=-1",
                "HISTORY_WINDOW=0",
                "PROVIDER_TIMEOUT=0",
                "PROVIDER_TIMEOUT=soon",
                "GEMINI_CHAT_EXTRA=[1]",
                "GEMINI_CHAT_EXTRA={",
                "GEMINI_BASE_URL=ftp://x",
                "GEMINI_BASE_URL=nonsense",
                "CHAT_PROVIDER=a b",
                "GEMINI_API_KEY=a b",
                "GEMINI_API_KEY=kéy",
                "CORS_ALLOWED_ORIGINS=a b",
                "CORS_ALLOWED_METHODS=GET POST",
                "CORS_ALLOWED_HEADERS=a:b"
            })
    void refusesAStartWithASettingThatMakesNoSense(String setting) throws Exception {
        var env = Files.writeString(
                Files.createTempDirectory("parley").resolve(".env"), "# first line\n" + setting + "\n");
        String said = assertThrows(IOException.class, () -> Parley.start(env)).getMessage();
        assertTrue(said.contains(setting.replaceFirst("=.*", "") + " (line 2) "), said);
        assertFalse(said.contains("kéy"), "a key is never shown");
    }

    @Test
    void letsThePageRunItsOwnScriptAndNothingElse() throws Exception {
        Running.Answer page = running.get("/");
        String policy = page.header("Content-Security-Policy");
        String nonce = policy.replaceFirst(".* script-src 'nonce-([^']{20,})'; style-src 'nonce-\\1'; .*", "$1");
        assertTrue(
                policy.startsWith("default-src 'none'; ") && !policy.contains("unsafe") && !nonce.equals(policy),
                policy);
        assertTrue(
                page.text().contains("<script nonce=\"" + nonce + "\">")
                        && page.text().contains("<style nonce=\"" + nonce + "\">"),
                page.text());
        assertNotEquals(policy, running.get("/").header("Content-Security-Policy"));
    }

    @Test
    void logsOneLineARequestAndNoByteThatCouldForgeOne() throws Exception {
        running.post("/chat", "{\"user_id\":\"" + "x".repeat(39) + "\u202eyz\",\"message\":\"a secret message\"}");
        Running.await(
                () -> running.console().lines().anyMatch(line -> line.matches("\\S+Z POST /chat 200 \\d+ ms x{39} ")));
        assertFalse(running.console().contains("secret message"));
        running.get("/%1b%5b31m");
        Running.await(() -> running.console().contains(" GET /%1b%5b31m 404 not_found "));
    }
}
