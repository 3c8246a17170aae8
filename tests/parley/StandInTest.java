package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.text.ParseException;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Both dialects against a fake of the services that others wrote and keep. Skipped where node is missing. */
class StandInTest {
    private static final String REPLY = "Hi there, from \ud83e\udd8a a stand-in!";

    private static Process fake;
    private static Running running;
    private static String address;

    @BeforeAll
    static void start() throws Exception {
        Path folder = Files.createDirectories(Path.of("target/stand-in"));
        Path script = Files.copy(
                Path.of("tests/parley/stand-in.mjs"),
                folder.resolve("stand-in.mjs"),
                StandardCopyOption.REPLACE_EXISTING);
        Assumptions.assumeTrue(run("node", "--version"), "no node here");
        String install = "npm install --silent --no-audit --no-fund --prefix " + folder + " @copilotkit/aimock@1.43.0";
        Assumptions.assumeTrue(run(install.split(" ")), "no npm here, or it could not install @copilotkit/aimock");
        fake = new ProcessBuilder("node", script.toString())
                .redirectError(ProcessBuilder.Redirect.DISCARD)
                .start();
        address = fake.inputReader().readLine();
        running = new Running(Scripted.gemini("not asked"));
    }

    private static boolean run(String... command) throws Exception {
        try {
            return new ProcessBuilder(command)
                            .redirectErrorStream(true)
                            .redirectOutput(new File("/dev/null"))
                            .start()
                            .waitFor()
                    == 0;
        } catch (IOException e) {
            return false; // there is no such program
        }
    }

    @AfterAll
    static void stop() throws Exception {
        if (running != null) running.close();
        if (fake != null) fake.destroy();
    }

    @BeforeEach
    void ask() throws Exception {
        running.settings(
                "GEMINI_BASE_URL=" + address,
                "OTHER_BASE_URL=" + address + "/v1",
                "OTHER_API_KEY=k",
                "OTHER_CHAT_MODEL=m",
                "OTHER_IMAGE_MODEL=m",
                "IMAGE_PROVIDER=other",
                "SYSTEM_INSTRUCTIONS=Be brief",
                "TEMPERATURE=0.5",
                "TOP_P=0.9",
                "MAX_OUTPUT_TOKENS=100");
    }

    private static void chatWith(String provider) throws Exception {
        running.settings(Files.readString(running.env) + "CHAT_PROVIDER=" + provider);
    }

    @ParameterizedTest
    @ValueSource(strings = {"gemini", "other"})
    void readsAWholeReply(String provider) throws Exception {
        chatWith(provider);
        Running.Answer answer = running.chat(provider, "hello");
        assertEquals(REPLY, answer.at("reply"), answer.text());
        assertEquals("stop", answer.at("finish_reason"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"gemini", "other"})
    void readsAStream(String provider) throws Exception {
        chatWith(provider);
        List<String> lines = running.stream(provider, "hello").body().toList();
        List<String> deltas = lines.stream()
                .filter(line -> line.startsWith("data: {\"text\""))
                .map(StandInTest::text)
                .toList();
        assertTrue(deltas.size() > 1, lines.toString());
        assertEquals(REPLY, String.join("", deltas));
        assertTrue(lines.get(lines.indexOf("event: done") + 1).contains(REPLY), lines.toString());
    }

    private static String text(String event) {
        try {
            return Json.string(Json.parse(event.substring("data: ".length())), "text");
        } catch (ParseException e) {
            throw new AssertionError(event, e);
        }
    }

    @ParameterizedTest
    @CsvSource(
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    provider, message, problem
                    gemini,   limit,   429 rate_limited
                    other,    limit,   429 rate_limited
                    gemini,   unknown, 502 unknown_model
                    other,    unknown, 502 unknown_model
                    """)
    void readsItsErrors(String provider, String message, String problem) throws Exception {
        chatWith(provider);
        Running.Answer answer = running.chat("failing", message);
        assertEquals(problem, answer.status() + " " + answer.at("code"), answer.text());
        assertEquals(List.of(), running.said("failing"));
    }

    @Test
    void readsAnImage() throws Exception {
        Running.Answer answer = running.post("/image", "{\"user_id\":\"a\",\"prompt\":\"a red fox\"}");
        assertEquals("image/png", answer.at("images", 0, "mime_type"), answer.text());
    }
}
