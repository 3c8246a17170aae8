package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Both dialects against a fake that others wrote and keep: what is sent is taken, and what it answers is read. Skipped
 * without node.
 */
class StandInTest {
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
        Assumptions.assumeTrue(
                run("node", "--version")
                        && run(
                                "npm",
                                "install",
                                "--silent",
                                "--no-audit",
                                "--no-fund",
                                "--prefix",
                                folder.toString(),
                                "@copilotkit/aimock@1.43.0"),
                "no node, or no such package here");
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
        } catch (java.io.IOException e) {
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
    void chatsWholeAndStreamed(String provider) throws Exception {
        chatWith(provider);
        Running.Answer answer = running.chat(provider, "hello");
        assertEquals("Hi there, from \ud83e\udd8a a stand-in!", answer.at("reply"), answer.text());
        assertEquals("stop", answer.at("finish_reason"));
        List<String> lines = running.stream(provider, "hello").body().toList();
        assertTrue(
                lines.stream()
                                .filter(line -> line.startsWith("data: {\"text\""))
                                .count()
                        > 1,
                lines.toString());
        assertTrue(
                lines.get(lines.indexOf("event: done") + 1).contains("Hi there, from \ud83e\udd8a a stand-in!"),
                lines.toString());
        assertEquals(4, running.said(provider).size());
    }

    @ParameterizedTest
    @CsvSource({
        "gemini, limit, 429 rate_limited",
        "other, limit, 429 rate_limited",
        "gemini, unknown, 502 unknown_model",
        "other, unknown, 502 unknown_model"
    })
    void readsItsErrors(String provider, String message, String problem) throws Exception {
        chatWith(provider);
        Running.Answer answer = running.chat("failing", message);
        assertEquals(problem, answer.status() + " " + answer.at("code"), answer.text());
        assertEquals(List.of(), running.said("failing"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"a red fox"})
    void makesAnImage(String prompt) throws Exception {
        Running.Answer answer = running.post("/image", "{\"user_id\":\"a\",\"prompt\":\"" + prompt + "\"}");
        assertEquals("image/png", answer.at("images", 0, "mime_type"), answer.text());
    }
}
