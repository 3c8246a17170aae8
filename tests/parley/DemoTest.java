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
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DemoTest {
    private static final Eliza ELIZA = new Eliza();

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "I need a holiday.|holiday",
                "I am sad about my dog|sad about your dog",
                "my name is Ada|Ada",
                "hello|Hello",
                "you are funny|I am funny",
                "I like your hat!|my hat",
                "help|error 429"
            })
    void takesWhatWasSaidApart(String said, String words) {
        assertTrue(ELIZA.answer(List.of(said)).contains(words), ELIZA.answer(List.of(said)));
    }

    @Test
    void remembersWhatWasSaid() {
        assertTrue(ELIZA.answer(List.of("my name is Ada", "what is my name?")).contains("Ada"));
        String recalled = ELIZA.answer(List.of("one thing", "another thing", "what did I say?"));
        assertTrue(recalled.contains("one thing") && recalled.contains("another thing"), recalled);
    }

    @ParameterizedTest
    @CsvSource({"120, 8", "2, 2", ", 8"})
    void waitsForItselfAsLongAsItIsTold(String asked, String waits) throws Exception {
        try (var demo = new Demo(5)) {
            assertEquals(
                    waits,
                    demo.redirect(Map.of("PROVIDER_TIMEOUT", asked == null ? "" : asked))
                            .get("PROVIDER_TIMEOUT"));
        }
    }

    @Test
    void paintsTheSamePictureForTheSameWordsAndTheColoursThatTheyName() throws Exception {
        assertArrayEquals(Demo.paint("a red fox"), Demo.paint(" A red fox"));
        assertFalse(Arrays.equals(Demo.paint("a red fox"), Demo.paint("a red fix")));
        double[] red = mean("red"), blue = mean("blue"), green = mean("green");
        assertTrue(
                red[0] > blue[0] && red[0] > green[0] && blue[2] > red[2] && green[1] > red[1],
                Arrays.toString(red) + Arrays.toString(green) + Arrays.toString(blue));
    }

    /** The mean colour of the picture's lower half, over some prompts that name the colour. */
    private static double[] mean(String colour) throws Exception {
        double[] sum = new double[3];
        for (String thing : List.of("fox", "boat", "hill", "sea", "house")) {
            var image = ImageIO.read(new ByteArrayInputStream(Demo.paint("a " + colour + " " + thing)));
            for (int y = 256; y < 512; y += 4) {
                for (int x = 0; x < 512; x += 4)
                    for (int c = 0; c < 3; c++) sum[c] += image.getRGB(x, y) >> 16 - 8 * c & 255;
            }
        }
        return sum;
    }

    @ParameterizedTest
    @CsvSource({"gemini, gemini", "nebius, nebius", "local, local"})
    void worksInEachDialectThroughTheRealCode(String chat, String image, @TempDir Path folder) throws Exception {
        Path env = Files.writeString(
                folder.resolve(".env"), "PORT=0\nCHAT_PROVIDER=" + chat + "\nIMAGE_PROVIDER=" + image + "\n");
        try (var demo = new Demo(5);
                var parley = new Parley(new LiveSettings(env, demo::redirect), true);
                var client = HttpClient.newHttpClient()) {
            var wire = new Object() {
                Running.Answer post(String path, Map<String, Object> body) throws Exception {
                    var response = client.send(
                            HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + parley.port() + path))
                                    .header("Content-Type", "application/json")
                                    .POST(HttpRequest.BodyPublishers.ofString(Json.write(body)))
                                    .build(),
                            HttpResponse.BodyHandlers.ofByteArray());
                    return new Running.Answer(response.statusCode(), response);
                }

                String chat(String message) throws Exception {
                    Running.Answer answer = post("/chat", Json.object("user_id", "a", "message", message));
                    return answer.status() + " " + (answer.status() == 200 ? answer.at("reply") : answer.at("code"));
                }
            };
            assertTrue(wire.chat("my name is Ada").startsWith("200 "));
            assertTrue(wire.chat("what is my name?").contains("Ada"));
            assertEquals("429 rate_limited", wire.chat("error 429"));
            assertEquals("502 provider_error", wire.chat("error 500"));
            assertEquals("422 blocked", wire.chat("blocked"));
            assertEquals("502 provider_error", wire.chat("cut off"));
            assertTrue(wire.chat("what did I say?").contains("my name is Ada"));
            Running.Answer drawn = wire.post("/image", Json.object("user_id", "a", "prompt", "a red fox"));
            assertEquals("image/png", drawn.at("images", 0, "mime_type"), drawn.text());
            assertArrayEquals(
                    Demo.paint("a red fox"), Base64.getDecoder().decode((String) drawn.at("images", 0, "data")));
            assertEquals(
                    "blocked",
                    wire.post("/image", Json.object("user_id", "a", "prompt", "blocked"))
                            .at("code"));
            assertTrue(Files.exists(folder.resolve("histories/demo/history_a.json")));
        }
    }
}
