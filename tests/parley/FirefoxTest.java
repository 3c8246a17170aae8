package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** A short flow in Debian's Firefox: send, stop, an image, regenerate, reload. */
class FirefoxTest {
    private static final String DRIVER = "puppeteer-core@25";

    @Test
    void goesThroughAShortFlow() throws Exception {
        Assumptions.assumeTrue(
                Files.isExecutable(Path.of("/usr/bin/firefox-esr")), "no Firefox here: apt-get install firefox-esr");
        Assumptions.assumeTrue(installed(), "npm has no " + DRIVER + " here, which drives Firefox");
        Path folder = Files.createTempDirectory("parley");
        Path env = Files.writeString(folder.resolve(".env"), "PORT=0\n");
        try (var demo = new Demo(25);
                var parley = new Parley(new LiveSettings(env, demo::redirect), true)) {
            String address = "http://127.0.0.1:" + parley.port() + "/";
            var node = new ProcessBuilder("node", "tests/parley/firefox.mjs", address, "ada")
                    .redirectErrorStream(true)
                    .start();
            String told = new String(node.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            Object expected = Json.object(
                    "said", List.of("my cat is old", "write a long story"), "aligned", true, "faults", List.of());
            assertEquals(Json.toJson(expected), told.strip());
        }
    }

    private static boolean installed() throws InterruptedException {
        Path npm = Path.of("target/npm-firefox");
        if (Files.exists(npm.resolve("node_modules/puppeteer-core"))) return true;
        var install = new ProcessBuilder(
                "npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", npm.toString(), DRIVER);
        try {
            Files.createDirectories(npm);
            return install.redirectErrorStream(true)
                            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                            .start()
                            .waitFor()
                    == 0;
        } catch (IOException e) {
            return false;
        }
    }
}
