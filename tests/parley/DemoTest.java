package parley;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The stand-in for both services, which the demo talks to: what it says, and that the real code understands it. */
class DemoTest {
    @TempDir
    private static Path folder;

    private static final Map<String, Parley> PARLEYS = new TreeMap<>();
    private static final HttpClient CLIENT = HttpClient.newHttpClient();
    private static Demo demo;

    /** Three services, in two dialects; the last one is a service that Parley does not know by name. */
    @BeforeAll
    static void start() throws Exception {
        demo = new Demo(1);
        for (String provider : List.of("gemini", "nebius", "local")) {
            Path env = Files.writeString(
                    Files.createDirectories(folder.resolve(provider)).resolve(".env"),
                    """
                    PORT=0
                    CHAT_PROVIDER=%1$s
                    IMAGE_PROVIDER=%1$s
                    """
                            .formatted(provider));
            PARLEYS.put(provider, new Parley(new LiveSettings(env, demo::redirect), true));
        }
    }

    @AfterAll
    static void stop() throws Exception {
        for (Parley parley : PARLEYS.values()) parley.close();
        demo.close();
        CLIENT.shutdownNow();
    }

    private static Running.Answer post(String provider, String path, Map<String, Object> body) throws Exception {
        int port = PARLEYS.get(provider).port();
        var response = CLIENT.send(
                HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + path))
                        .header("Content-Type", "application/json")
                        .POST(HttpRequest.BodyPublishers.ofString(Json.toJson(body)))
                        .build(),
                HttpResponse.BodyHandlers.ofByteArray());
        return new Running.Answer(response.statusCode(), response);
    }

    private static Running.Answer chat(String provider, String user, String message) throws Exception {
        return post(provider, "/chat", Json.object("user_id", user, "message", message));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    message                | the answer holds
                    I need a holiday.      | holiday
                    I am sad about my dog  | sad about your dog
                    my name is Ada         | Ada
                    hello                  | Hello
                    you are funny          | I am funny
                    I think they are late  | they are late
                    I like your hat!       | my hat
                    help                   | error 429
                    """)
    void turnsWhatIsSaidRound(String message, String words) {
        String answer = Eliza.answer(List.of(message));
        assertTrue(answer.contains(words), answer);
    }

    @Test
    void remembersTheName() {
        String answer = Eliza.answer(List.of("my name is Ada", "what is my name?"));
        assertTrue(answer.contains("Ada"), answer);
    }

    /** The rules' patterns take their time for each character: so of a long text, only the beginning is read. */
    @ParameterizedTest
    @ValueSource(strings = {"!", "! ", "a!", "i need ", "my name is ", "? ", "hello, ", "\n", "because i am "})
    void answersALongMessageAtOnce(String part) throws Exception {
        String message = "i need " + part.repeat(400_000 / part.length()) + "x";
        assertEquals(200, chat("local", "long", message).status());
    }

    @ParameterizedTest
    @CsvSource({"120, 8", "2, 2", "'', 8"})
    void isWaitedForAShortTimeUnlessAnotherIsSet(String timeout, String redirected) {
        assertEquals(
                redirected, demo.redirect(Map.of("PROVIDER_TIMEOUT", timeout)).get("PROVIDER_TIMEOUT"));
    }

    @Test
    void paintsTheSamePictureForTheSameWords() throws Exception {
        assertArrayEquals(Landscape.paint("a red fox"), Landscape.paint(" A red fox"));
    }

    @Test
    void paintsAnotherPictureForOtherWords() throws Exception {
        assertFalse(Arrays.equals(Landscape.paint("a red fox"), Landscape.paint("a red fix")));
    }

    @ParameterizedTest
    @CsvSource(
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    channel, colour, another
                    0,       red,    blue
                    0,       red,    green
                    2,       blue,   red
                    1,       green,  red
                    """)
    void paintsInTheColourThatThePromptNames(int channel, String colour, String another) throws Exception {
        assertTrue(sum(channel, colour) > sum(channel, another));
    }

    /** How much of red (0), green (1) or blue (2) there is in the lower halves of some pictures in the named colour. */
    private static long sum(int channel, String colour) throws Exception {
        long sum = 0;
        for (String thing : List.of("fox", "boat", "hill", "sea", "house")) {
            var image = ImageIO.read(new ByteArrayInputStream(Landscape.paint("a " + colour + " " + thing)));
            for (int y = image.getHeight() / 2; y < image.getHeight(); y += 4) {
                for (int x = 0; x < image.getWidth(); x += 4) sum += image.getRGB(x, y) >> 16 - 8 * channel & 255;
            }
        }
        return sum;
    }

    @ParameterizedTest
    @ValueSource(strings = {"gemini", "nebius", "local"})
    void isSentTheConversation(String provider) throws Exception {
        chat(provider, "ada", "my name is Ada");
        Running.Answer answer = chat(provider, "ada", "what is my name?");
        assertEquals(200, answer.status(), answer.text());
        assertTrue(answer.text().contains("Ada"), answer.text());
    }

    @ParameterizedTest
    @CsvSource(
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    provider, message,   problem
                    gemini,   error 429, 429 rate_limited
                    nebius,   error 429, 429 rate_limited
                    local,    error 429, 429 rate_limited
                    gemini,   error 500, 502 provider_error
                    nebius,   error 500, 502 provider_error
                    local,    error 500, 502 provider_error
                    gemini,   blocked,   422 blocked
                    nebius,   blocked,   422 blocked
                    local,    blocked,   422 blocked
                    gemini,   cut off,   502 provider_error
                    nebius,   cut off,   502 provider_error
                    local,    cut off,   502 provider_error
                    """)
    @Execution(ExecutionMode.CONCURRENT) // most of it is waiting between retries
    void failsAsItIsTold(String provider, String message, String problem) throws Exception {
        Running.Answer answer = chat(provider, message, message);
        assertEquals(problem, answer.status() + " " + answer.at("code"), answer.text());
    }

    @ParameterizedTest
    @ValueSource(strings = {"gemini", "nebius", "local"})
    void drawsAnImage(String provider) throws Exception {
        Running.Answer answer = post(provider, "/image", Json.object("user_id", "a", "prompt", "a red fox"));
        assertEquals("image/png", answer.at("images", 0, "mime_type"), answer.text());
        assertArrayEquals(
                Landscape.paint("a red fox"), Base64.getDecoder().decode((String) answer.at("images", 0, "data")));
    }

    @ParameterizedTest
    @ValueSource(strings = {"gemini", "nebius", "local"})
    void refusesAnImageAsItIsTold(String provider) throws Exception {
        Running.Answer answer = post(provider, "/image", Json.object("user_id", "a", "prompt", "blocked"));
        assertEquals("blocked", answer.at("code"), answer.text());
    }

    @Test
    void keepsItsConversationsApartFromTheReal() throws Exception {
        assertEquals(200, chat("gemini", "apart", "hello").status());
        assertTrue(Files.exists(folder.resolve("gemini/histories/demo/history_apart.json")));
    }
}
