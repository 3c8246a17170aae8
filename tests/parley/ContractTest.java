package parley;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.net.URLEncoder;
import java.net.http.HttpRequest;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.NullSource;
import org.junit.jupiter.params.provider.ValueSource;

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

    private static String base64(byte[] bytes) {
        return Base64.getEncoder().encodeToString(bytes);
    }

    private static String image(String data) {
        return "{\"data\":[{\"b64_json\":\"" + data + "\"}]}";
    }

    private static void assertProblem(String expected, Running.Answer answer) {
        assertEquals(expected, answer.status() + " " + answer.at("code"), answer.text());
        assertEquals("application/problem+json; charset=utf-8", answer.header("Content-Type"));
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
                """
                {"status":"ok",\
                "chat":{"provider":"gemini","model":"gemini-flash-latest","ready":true},\
                "image":{"provider":"nebius","model":"black-forest-labs/flux-schnell","ready":false}}""",
                health.text());
        assertEquals("application/json; charset=utf-8", health.header("Content-Type"));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    path     | method | allow
                    /chat    | GET    | POST, OPTIONS
                    /chat    | DELETE | POST, OPTIONS
                    /chat    | PATCH  | POST, OPTIONS
                    /image   | GET    | POST, OPTIONS
                    /health  | POST   | GET, HEAD, OPTIONS
                    /health  | FOO    | GET, HEAD, OPTIONS
                    /history | POST   | GET, HEAD, DELETE, OPTIONS
                    /history | PUT    | GET, HEAD, DELETE, OPTIONS
                    """)
    void refusesOtherMethodsWithAllow(String path, String method, String allow) throws Exception {
        Running.Answer answer = running.send(running.request(path).method(method, HttpRequest.BodyPublishers.noBody()));
        assertProblem("405 method_not_allowed", answer);
        assertEquals(allow, answer.header("Allow"));
    }

    @Test
    void refusesHeadWhereThereIsNoGet() throws Exception {
        Running.Answer answer =
                running.send(running.request("/chat").method("HEAD", HttpRequest.BodyPublishers.noBody()));
        assertEquals(405, answer.status());
        assertEquals("POST, OPTIONS", answer.header("Allow"));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "/nothing",
                "/chat/",
                "/Chat",
                "/health/x",
                "/chat%20",
                "/../etc/passwd",
                "/chat.html",
                "/page/page.js",
                "/page",
                "/page.js/",
                "/Page.js",
                "/../page.js",
                "/%70age.js",
                "/PageFiles.java",
                "/Parley.class",
                "/eliza.txt",
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
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    body                                            | the detail holds
                    {"message":"hi"}                                | user_id is missing
                    {"user_id":"","message":"hi"}                   | user_id
                    {"user_id":"  ","message":"hi"}                 | user_id
                    {"user_id":"\\u00a0\\ufeff","message":"hi"}     | blank
                    {"user_id":7,"message":"hi"}                    | user_id must be a string
                    {"user_id":null,"message":"hi"}                 | user_id must be a string
                    {"user_id":["a"],"message":"hi"}                | user_id
                    {"user_id":"a\\u0000b","message":"hi"}          | control
                    {"user_id":"a\\nb","message":"hi"}              | control
                    {"user_id":"a\\ud800","message":"hi"}           | surrogates
                    {"user_id":"a"}                                 | message is missing
                    {"user_id":"a","message":""}                    | message
                    {"user_id":"a","message":" \\n"}                | message
                    {"user_id":"a","message":"\\u00a0\\ufeff"}     | message
                    {"user_id":"a","message":"\\u001c\\u0085"}     | message
                    {"user_id":"a","message":1}                     | message
                    {"user_id":"a","message":null}                  | message
                    {"user_id":"a","message":"hi","stream":"yes"}   | stream
                    {"user_id":"a","message":"hi","stream":1}       | stream
                    ["user_id"]                                     | object
                    "user_id"                                       | object
                    null                                            | object
                    ~~                                              | JSON
                    {                                               | at offset 1
                    {"user_id":"a",}                                | at offset 15
                    nonsense                                        | at offset 0
                    """)
    void refusesBodiesThatAreNotAsTheContractSays(String body, String words) throws Exception {
        Running.Answer answer = running.post("/chat", body);
        assertProblem("400 invalid_request", answer);
        assertTrue(((String) answer.at("detail")).contains(words), answer.text());
        assertEquals(List.of(), running.provider.exchanges);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
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
    @ValueSource(strings = {"1", "0001", "9223372036854775808", "99999999999999999999"})
    void takesNumbersOfAnyLength(String number) throws Exception {
        running.chat("counted", "hi");
        assertEquals(
                200, running.get("/history?user_id=counted&limit=" + number).status());
        assertEquals(
                204, running.delete("/history?user_id=counted&turns=" + number).status());
        assertEquals(List.of(), running.said("counted"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"turns=0", "turns=-1", "turns=x", "turns="})
    void refusesTurnsThatMakeNoSenseAndDeletesNothing(String turns) throws Exception {
        running.chat("keeper", "hi");
        assertProblem("400 invalid_request", running.delete("/history?user_id=keeper&" + turns));
        assertFalse(running.said("keeper").isEmpty());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    query           | id
                    a+b             | a b
                    a%2Bb           | a+b
                    a%2Fb           | a/b
                    %C3%A9          | é
                    %F0%9F%A6%8A    | 🦊
                    ..%2F..%2Fetc   | ../../etc
                    a%26b           | a&b
                    %61             | a
                    """)
    void decodesTheUserOfAQuery(String query, String id) throws Exception {
        assertEquals(id, running.get("/history?user_id=" + query).at("user_id"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"{\"message\":\"hi\"}", "{\"message\":\"hi\",\"user_id\":\"a\"}"})
    void takesTheUserOfAQueryWhereTheBodyNamesNoOther(String body) throws Exception {
        assertEquals("a", running.post("/chat?user_id=a", body).at("user_id"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"{\"message\":\"hi\",\"user_id\":\"b\"}", "{\"message\":\"hi\",\"user_id\":1}"})
    void refusesAnotherUserInTheBodyThanInTheQuery(String body) throws Exception {
        assertProblem("400 invalid_request", running.post("/chat?user_id=a", body));
    }

    @ParameterizedTest
    @CsvSource(
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    character, count, status
                    x,  128, 200
                    x,  129, 400
                    🦊,  20, 200
                    🦊,  21, 400
                    é,   40, 200
                    é,   41, 400
                    """)
    void takesIdsWhoseFileNameFits(String character, int count, int status) throws Exception {
        String query = URLEncoder.encode(character.repeat(count), StandardCharsets.UTF_8);
        assertEquals(status, running.get("/history?user_id=" + query).status());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "text/plain",
                "application/x-www-form-urlencoded",
                "multipart/form-data",
                "application/jsonp",
                "text/json"
            })
    void refusesOtherMediaTypes(String type) throws Exception {
        var request = running.request("/chat")
                .header("Content-Type", type)
                .POST(HttpRequest.BodyPublishers.ofString("{\"user_id\":\"a\",\"message\":\"hi\"}"));
        assertProblem("415 unsupported_media_type", running.send(request));
    }

    @Test
    void refusesABodyWithoutAMediaType() throws Exception {
        var request = running.request("/chat")
                .POST(HttpRequest.BodyPublishers.ofString("{\"user_id\":\"a\",\"message\":\"hi\"}"));
        assertProblem("415 unsupported_media_type", running.send(request));
    }

    @Test
    void takesParametersOfTheMediaType() throws Exception {
        var request = running.request("/chat")
                .header("Content-Type", "Application/JSON; charset=utf-8")
                .POST(HttpRequest.BodyPublishers.ofString("{\"user_id\":\"a\",\"message\":\"hi\"}"));
        assertEquals(200, running.send(request).status());
    }

    @ParameterizedTest
    @ValueSource(ints = {1_048_577, 8_000_000})
    void refusesABodyOverOneMebibyteThatIsAnnounced(int size) throws Exception {
        assertProblem("413 too_large", post(HttpRequest.BodyPublishers.ofByteArray(new byte[size])));
    }

    @ParameterizedTest
    @ValueSource(ints = {1_048_577, 8_000_000})
    void refusesAChunkedBodyOverOneMebibyte(int size) throws Exception {
        assertProblem(
                "413 too_large",
                post(HttpRequest.BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(new byte[size]))));
    }

    private static Running.Answer post(HttpRequest.BodyPublisher body) throws Exception {
        return running.send(running.request("/chat")
                .header("Content-Type", "application/json")
                .POST(body));
    }

    @Test
    void refusesALargeBodyWhileItArrives() throws Exception {
        try (var client = new RawClient(running.parley.port())) {
            String begun =
                    """
                    POST /chat HTTP/1.1
                    Host: localhost
                    Content-Type: application/json
                    Content-Length: 100000000

                    {""";
            client.send(begun.replace("\n", "\r\n"));
            String head = client.answer(80);
            assertTrue(head.startsWith("HTTP/1.1 413"), head);
            assertTrue(head.contains("\nConnection: close\r"), head);
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
    @CsvSource({"/chat, GEMINI_API_KEY", "/image, NEBIUS_API_KEY"})
    void namesTheVariableThatIsMissing(String path, String variable) throws Exception {
        running.settings(variable + "=");
        Running.Answer answer = running.post(path, "{\"user_id\":\"a\",\"message\":\"hi\",\"prompt\":\"fox\"}");
        assertProblem("503 not_configured", answer);
        assertTrue(answer.text().contains(variable), answer.text());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    list                                     | origin                         | allowed
                    *                                        | https://a.example              | *
                    *                                        |                                | *
                    https://a.example, http://localhost:3000 | http://localhost:3000          | http://localhost:3000
                    https://a.example                        | https://A.example              | https://A.example
                    https://a.example                        | https://b.example              |
                    https://a.example                        | https://a.example.evil.example |
                    https://a.example                        |                                |
                    https://a.example                        | null                           |
                    ""                                       | https://a.example              |
                    """)
    void allowsTheOriginsOfTheList(String list, String origin, String allowed) throws Exception {
        running.settings("CORS_ALLOWED_ORIGINS=" + list);
        for (var request : List.of(
                running.request("/health"),
                running.request("/nothing"),
                running.posting("/chat", "{\"user_id\":\"cors\",\"message\":\"hi\",\"stream\":true}"),
                preflight("/anything"))) {
            Running.Answer answer = running.send(origin == null ? request : request.header("Origin", origin));
            assertEquals(allowed, answer.header("Access-Control-Allow-Origin"));
            assertEquals(list.equals("*") ? null : "Origin", answer.header("Vary"));
            assertNull(answer.header("Access-Control-Allow-Credentials"));
            assertEquals("Retry-After", answer.header("Access-Control-Expose-Headers"));
        }
    }

    private static HttpRequest.Builder preflight(String path) {
        return running.request(path).method("OPTIONS", HttpRequest.BodyPublishers.noBody());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    origin            | methods   | headers
                    https://a.example | GET, POST | Content-Type, X-Own
                    https://b.example |           |
                    """)
    void tellsAPreflightOfAnAllowedOriginTheMethodsAndHeaders(String origin, String methods, String headers)
            throws Exception {
        running.settings(
                "CORS_ALLOWED_ORIGINS=https://a.example",
                "CORS_ALLOWED_METHODS=GET, POST",
                "CORS_ALLOWED_HEADERS=Content-Type, X-Own");
        Running.Answer answer = running.send(preflight("/anything").header("Origin", origin));
        assertEquals(204, answer.status());
        assertEquals(methods, answer.header("Access-Control-Allow-Methods"));
        assertEquals(headers, answer.header("Access-Control-Allow-Headers"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"/health", "/history?user_id=a", "/"})
    void answersHeadLikeGetWithoutABody(String path) throws Exception {
        Running.Answer head = running.send(running.request(path).method("HEAD", HttpRequest.BodyPublishers.noBody()));
        Running.Answer get = running.get(path);
        assertEquals(200, head.status());
        assertEquals(0, head.response().body().length);
        assertEquals(get.header("Content-Length"), head.header("Content-Length"));
        assertEquals(get.header("Content-Type"), head.header("Content-Type"));
    }

    @Test
    void givesAnEmptyListForAnUnknownUser() throws Exception {
        assertEquals(
                "{\"user_id\":\"nobody\",\"total\":0,\"version\":\"\",\"messages\":[]}",
                running.get("/history?user_id=nobody").text());
        assertFalse(Files.exists(running.file("nobody")));
        Running.Answer deletion = running.delete("/history?user_id=nobody");
        assertEquals(204, deletion.status());
        assertEquals(0, deletion.response().body().length);
        Running.await(() -> running.console().contains(" DELETE /history 204 "));
    }

    private static Running.Answer paint(String accept) throws Exception {
        running.provider.usually(exchange -> exchange.json(200, image(base64(PNG))));
        var request = running.posting("/image", "{\"user_id\":\"painter\",\"prompt\":\"a red fox\"}");
        return running.send(accept == null ? request : request.header("Accept", accept));
    }

    @ParameterizedTest
    @NullSource
    @ValueSource(strings = {"*/*", "application/json", "image/*, */*", "image/*, application/json"})
    void answersAnImageAsJson(String accept) throws Exception {
        assertEquals(
                """
                {"user_id":"painter","provider":"nebius","model":"black-forest-labs/flux-schnell",\
                "images":[{"mime_type":"image/png","data":"%s"}]}"""
                        .formatted(base64(PNG)),
                paint(accept).text());
    }

    @ParameterizedTest
    @ValueSource(strings = {"image/*", "image/png", "image/webp, image/png"})
    void answersAnImageAsItsBytesToWhoTakesNothingElse(String accept) throws Exception {
        Running.Answer answer = paint(accept);
        assertEquals("image/png", answer.header("Content-Type"));
        assertArrayEquals(PNG, answer.response().body());
    }

    @Test
    void sendsThePromptAndStoresNothing() throws Exception {
        assertEquals(200, paint(null).status());
        assertEquals(
                """
                {"model":"black-forest-labs/flux-schnell","prompt":"a red fox","response_format":"b64_json"}""",
                running.provider.last().body());
        assertEquals(List.of(), running.said("painter"));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    first bytes      | type
                    ff d8 ff 00      | image/jpeg
                    47 49 46 38 39 61 | image/gif
                    52 49 46 46 00 00 00 00 57 45 42 50 56 50 38 | image/webp
                    """)
    void readsTheTypeOfAnImageFromItsBytes(String bytes, String type) throws Exception {
        String data = base64(HexFormat.ofDelimiter(" ").parseHex(bytes));
        running.provider.usually(exchange -> exchange.json(200, image(data)));
        Running.Answer answer = running.post("/image", "{\"user_id\":\"a\",\"prompt\":\"fox\"}");
        assertEquals(type, answer.at("images", 0, "mime_type"), answer.text());
    }

    @Test
    void findsGeminisImageBesideItsText() throws Exception {
        running.settings("IMAGE_PROVIDER=gemini");
        running.provider.usually(exchange -> exchange.json(
                200,
                """
                {"candidates":[{"finishReason":"STOP","content":{"parts":[
                    {"text":"Here"},
                    {"inlineData":{"mimeType":"image/png","data":"%s"}}]}}]}"""
                        .formatted(base64(PNG))));
        Running.Answer answer = running.post("/image", "{\"user_id\":\"a\",\"prompt\":\"fox\"}");
        assertEquals(base64(PNG), answer.at("images", 0, "data"), answer.text());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '~',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    provider | status | answered                                          | problem
                    nebius   | 200    | {"data":[{"b64_json":"AAAA"}]}                    | 502 provider_error
                    nebius   | 200    | {"data":[{"b64_json":"%%%"}]}                     | 502 provider_error
                    nebius   | 200    | {"data":[]}                                       | 502 empty_reply
                    nebius   | 200    | {}                                                | 502 empty_reply
                    nebius   | 200    | no                                                | 502 provider_error
                    nebius   | 200    | {"data":[{"url":"http://127.0.0.1:1/x.png"}]}     | 502 provider_error
                    nebius   | 200    | {"data":[{"url":"https://10.0.0.1/x.png"}]}       | 502 provider_error
                    nebius   | 200    | {"data":[{"url":"https://[::1]/x.png"}]}          | 502 provider_error
                    nebius   | 200    | {"data":[{"url":"https://localhost/x.png"}]}      | 502 provider_error
                    nebius   | 200    | {"data":[{"url":"https://8.8.2056/x.png"}]}       | 502 provider_error
                    nebius   | 200    | {"data":[{"url":"file:///etc/passwd"}]}           | 502 provider_error
                    nebius   | 200    | {"data":[{"url":"::"}]}                           | 502 provider_error
                    nebius   | 400    | {"error":{"code":"moderation_blocked"}}           | 422 blocked
                    nebius   | 404    | {"detail":"no such model"}                        | 502 unknown_model
                    gemini   | 200    | {"candidates":[{"finishReason":"NO_IMAGE"}]}      | 502 empty_reply
                    gemini   | 200    | {"candidates":[{"finishReason":"IMAGE_SAFETY"}]}  | 422 blocked
                    gemini   | 200    | {"promptFeedback":{"blockReason":"OTHER"}}        | 422 blocked
                    gemini   | 200    | {"candidates":[{"content":{"parts":[{"text":"I cannot"}]}}]} | 502 empty_reply
                    """)
    void tellsWhyThereIsNoImage(String provider, int status, String answered, String problem) throws Exception {
        running.settings("IMAGE_PROVIDER=" + provider);
        running.provider.usually(exchange -> exchange.json(status, answered));
        assertProblem(problem, running.post("/image", "{\"user_id\":\"a\",\"prompt\":\"fox\"}"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"NEBIUS_IMAGE_MODEL", "IMAGE_PROVIDER=gemini"})
    void saysWhatHelpsWhereAnImageModelIsUnknown(String words) throws Exception {
        running.provider.usually(exchange -> exchange.json(404, "{\"detail\":\"no such model\"}"));
        Running.Answer answer = running.post("/image", "{\"user_id\":\"a\",\"prompt\":\"fox\"}");
        assertTrue(answer.text().contains(words), answer.text());
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
                """
                {"contents":[{"role":"user","parts":[{"text":"fox"}]}],\
                "generationConfig":{"responseModalities":["TEXT","IMAGE"],"imageConfig":{"aspectRatio":"1:1"}}}""",
                running.provider.last().body());
    }

    private static Object model() throws Exception {
        return running.get("/health").at("chat", "model");
    }

    @Test
    void takesAnEditAtTheNextRequest() throws Exception {
        running.settings("GEMINI_CHAT_MODEL=edited");
        assertEquals("edited", model());
    }

    @ParameterizedTest
    @ValueSource(strings = {"TEMPERATURE=hot", "SYSTEM_INSTRUCTIONS=\"half"})
    void keepsTheLastGoodSettingsWhereAnEditMakesNoSense(String senseless) throws Exception {
        running.settings("GEMINI_CHAT_MODEL=good");
        assertEquals("good", model());
        running.settings("GEMINI_CHAT_MODEL=never", senseless);
        assertEquals("good", model());
    }

    @Test
    void keepsTheLastGoodSettingsWhereTheFileIsGone() throws Exception {
        running.settings("GEMINI_CHAT_MODEL=good");
        assertEquals("good", model());
        Files.delete(running.env);
        assertEquals("good", model());
    }

    @Test
    void namesASenselessSettingOnce() throws Exception {
        running.settings("TOP_P=hot");
        for (int i = 0; i < 3; i++) model();
        assertEquals(
                1,
                running.console()
                        .lines()
                        .filter(line -> line.contains("TOP_P (line 7) must be a number from 0 to 1"))
                        .count(),
                running.console());
    }

    @Test
    void saysThatAnotherPortTakesAStart() throws Exception {
        running.settings("PORT=1", "GEMINI_CHAT_MODEL=edited");
        assertEquals("edited", model());
        assertTrue(running.console().contains("but for PORT: "), running.console());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
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
    void refusesAStartWithASettingThatMakesNoSense(String setting, @TempDir Path folder) throws Exception {
        Path env = Files.writeString(folder.resolve(".env"), "# first line\n" + setting + "\n");
        String refusal =
                assertThrows(IOException.class, () -> Parley.start(env)).getMessage();
        assertTrue(refusal.contains(setting.replaceFirst("=.*", "") + " (line 2) "), refusal);
        assertFalse(refusal.contains("kéy"), "a key is never shown");
    }

    private static final String TYPES =
            """
            path             | type
            /                | text/html
            /style.css       | text/css
            /page.js         | text/javascript
            /conversation.js | text/javascript
            /markdown.js     | text/javascript
            /server.js       | text/javascript
            /tab.js          | text/javascript
            /dom.js          | text/javascript
            /turn.js         | text/javascript""";

    @ParameterizedTest
    @CsvSource(useHeadersInDisplayName = true, delimiter = '|', textBlock = TYPES)
    void servesThePageAndItsOwnFiles(String path, String type) throws Exception {
        Running.Answer file = running.get(path);
        assertEquals(200, file.status());
        assertEquals(type + "; charset=utf-8", file.header("Content-Type"));
        assertEquals("nosniff", file.header("X-Content-Type-Options"));
        assertEquals("no-cache", file.header("Cache-Control"));
        String policy = file.header("Content-Security-Policy");
        assertTrue(policy.startsWith("default-src 'none'; "), policy);
        assertTrue(policy.contains("; script-src 'self'; "), policy);
        assertFalse(policy.contains("unsafe"), policy);
    }

    @ParameterizedTest
    @CsvSource(useHeadersInDisplayName = true, delimiter = '|', textBlock = TYPES)
    void sendsAFileOfThePageOnce(String path, String type) throws Exception {
        String tag = running.get(path).header("ETag");
        Running.Answer again = running.send(running.request(path).header("If-None-Match", "W/" + tag));
        assertEquals(304, again.status());
        assertEquals(tag, again.header("ETag"));
        Running.Answer other = running.send(running.request(path).header("If-None-Match", "\"other\""));
        assertEquals(200, other.status());
    }

    @Test
    void answersHeadForAFileOfThePage() throws Exception {
        Running.Answer head =
                running.send(running.request("/page.js").method("HEAD", HttpRequest.BodyPublishers.noBody()));
        assertEquals(200, head.status());
        assertEquals("" + running.get("/page.js").response().body().length, head.header("Content-Length"));
    }

    @Test
    void refusesOtherMethodsForAFileOfThePage() throws Exception {
        assertProblem("405 method_not_allowed", running.post("/page.js", "{}"));
    }

    @Test
    void logsOneLineARequestWithoutItsMessage() throws Exception {
        running.post("/chat", "{\"user_id\":\"logged\",\"message\":\"a secret message\"}");
        Running.await(
                () -> running.console().lines().anyMatch(line -> line.matches("\\S+Z POST /chat 200 \\d+ ms logged")));
        assertFalse(running.console().contains("secret message"));
    }

    @Test
    void logsALongUserCutAndWithoutControlCharacters() throws Exception {
        running.post("/chat", "{\"user_id\":\"" + "x".repeat(39) + "\u202eyz\",\"message\":\"hi\"}");
        Running.await(
                () -> running.console().lines().anyMatch(line -> line.matches("\\S+Z POST /chat 200 \\d+ ms x{39} ")));
    }

    @Test
    void logsAPathAsItWasSent() throws Exception {
        running.get("/%1b%5b31m");
        Running.await(() -> running.console().contains(" GET /%1b%5b31m 404 not_found "));
    }
}
