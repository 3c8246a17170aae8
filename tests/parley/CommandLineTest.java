package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.NetworkInterface;
import java.net.ServerSocket;
import java.net.http.HttpClient;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What the program says to its arguments, to its environment and to the settings that it starts with. */
class CommandLineTest extends Programs {
    /** A clone without what was built. */
    private Path copy() throws IOException {
        Path home = Files.createDirectory(folder.resolve("clone"));
        copySources(home);
        return home;
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    arguments      | exit | words
                    --help         | 0    | Usage: java Main.java
                    --version      | 0    | Parley 1.0
                    --nonsense     | 2    | Usage: java Main.java
                    --env          | 2    | Usage:
                    --demo --check | 2    | Usage:
                    --env nowhere  | 1    | there is no file nowhere
                    --env .        | 1    | cannot be read""")
    void answersItsArguments(String arguments, int exit, String words) throws Exception {
        try (var program = startCompiled(Path.of("").toAbsolutePath(), Map.of("PORT", "0"), arguments.split(" "))) {
            assertEquals(exit, program.exit(), program.lines.toString());
            String said = String.join("\n", program.lines);
            assertTrue(said.contains(words), said);
            assertFalse(said.contains("\tat "), said);
        }
    }

    @Test
    void saysWhichPortIsTaken() throws Exception {
        Path home = copy();
        try (var taken = new ServerSocket(0)) {
            try (var program = startCompiled(home, Map.of("PORT", "" + taken.getLocalPort(), "HOST", "0.0.0.0"))) {
                assertEquals(1, program.exit());
                assertTrue(program.lines.getLast().contains("port " + taken.getLocalPort()), program.lines.toString());
            }
        }
    }

    @Test
    void saysInOneLineThatTheHistoryFolderCannotBeWritten() throws Exception {
        Path home = copy();
        Files.writeString(home.resolve(".env"), "PORT=0\n");
        assertFailsInOneLine(home, Map.of("PORT", "0", "HISTORY_DIR", "/proc/nowhere"), "HISTORY_DIR");
    }

    @Test
    void saysInOneLineWhichSettingMakesNoSense() throws Exception {
        Path home = copy();
        Files.writeString(home.resolve(".env"), "A=1\nPORT=many\n");
        assertFailsInOneLine(home, Map.of(), "PORT (line 2) must be");
    }

    private void assertFailsInOneLine(Path home, Map<String, String> environment, String words) throws Exception {
        try (var program = startCompiled(home, environment)) {
            assertEquals(1, program.exit());
            assertTrue(program.lines.getLast().contains(words), program.lines.toString());
            assertEquals(1, program.lines.size(), program.lines.toString());
        }
    }

    @Test
    void checksKeysAndModelsAndMasksTheKeys() throws Exception {
        Path home = copy();
        try (var provider = new Scripted(exchange ->
                exchange.json(200, "{\"name\":\"m\",\"data\":[{\"id\":\"openai/gpt-oss-120b\"},{\"id\":\"flux\"}]}"))) {
            var environment = Map.of(
                    "GEMINI_BASE_URL",
                    provider.address(),
                    "NEBIUS_BASE_URL",
                    provider.address() + "/v1",
                    "GEMINI_API_KEY",
                    Running.KEY,
                    "NEBIUS_API_KEY",
                    Running.KEY,
                    "NEBIUS_IMAGE_MODEL",
                    "flux");
            try (var program = startCompiled(home, environment, "--check")) {
                assertEquals(0, program.exit(), program.lines.toString());
                String said = String.join("\n", program.lines);
                assertTrue(said.contains("GEMINI_API_KEY=***"), said);
                assertTrue(said.contains("chat: gemini with gemini-flash-latest: good"), said);
                assertTrue(said.contains("image: nebius with flux: good"), said);
                assertFalse(said.contains(Running.KEY));
            }
            provider.usually(exchange -> exchange.json(403, "{\"error\":{\"code\":403,\"message\":\"no\"}}"));
            try (var program = startCompiled(home, environment, "--check")) {
                assertEquals(1, program.exit());
                assertTrue(
                        String.join("\n", program.lines).contains("GEMINI_API_KEY in .env"), program.lines.toString());
            }
        }
    }

    @Test
    void readsTheEnvironmentAsDockersEnvFileLeavesIt() throws Exception {
        Path home = copy();
        Files.writeString(home.resolve(".env"), "GEMINI_API_KEY=of-the-file\nPORT=0\nHOST=127.0.0.1\n");
        var environment = Map.of("GEMINI_API_KEY", "", "NEBIUS_IMAGE_EXTRA", "'{\"width\":512}'", "TOP_K", "\"4\"");
        try (var program = startCompiled(home, environment, "--check")) {
            program.exit();
            String said = String.join("\n", program.lines);
            assertTrue(said.contains("GEMINI_API_KEY=***"), said);
            assertTrue(said.contains("NEBIUS_IMAGE_EXTRA={\"width\":512}"), said);
            assertTrue(said.contains("TOP_K=4\n"), said);
        }
    }

    @Test
    void saysThatTheEnvironmentHasTheWrongValue() throws Exception {
        Path home = copy();
        try (var program = startCompiled(home, Map.of("HOST", "x86_64-conda-linux-gnu"))) {
            assertEquals(1, program.exit());
            assertTrue(
                    program.lines.getLast().contains("HOST (set by the environment, not by this file)"),
                    program.lines.toString());
        }
    }

    @Test
    void checkSucceedsWhereChatIsGoodAndImagesAreNotSetUp() throws Exception {
        Path home = copy();
        try (var provider = new Scripted(exchange -> exchange.json(200, "{\"name\":\"m\"}"))) {
            try (var program = startCompiled(
                    home, Map.of("GEMINI_BASE_URL", provider.address(), "GEMINI_API_KEY", Running.KEY), "--check")) {
                assertEquals(0, program.exit(), program.lines.toString());
                assertTrue(
                        program.lines.getLast().contains("not set up: NEBIUS_API_KEY is missing in .env"),
                        program.lines.toString());
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"0.0.0.0", "[::]", "::"})
    void namesEachAddressThatAnotherDeviceCanOpen(String host) throws Exception {
        try (var program = startCompiled(copy(), Map.of("PORT", "0", "HOST", host))) {
            program.awaitLine("image: ");
            List<String> told = program.lines.stream()
                    .filter(line -> line.contains(" at http://"))
                    .map(line -> line.replaceFirst(".* at http://(.*):\\d+(,.*)?", "$1"))
                    .toList();
            assertEquals(new HashSet<>(addresses()), new HashSet<>(told), program.lines.toString());
        }
    }

    private static List<String> addresses() throws IOException {
        List<String> found = new ArrayList<>();
        for (NetworkInterface network : Collections.list(NetworkInterface.getNetworkInterfaces())) {
            for (InetAddress address : Collections.list(network.getInetAddresses())) {
                if (!network.isUp() || address.isLoopbackAddress() || address.isLinkLocalAddress()) continue;
                String text = address.getHostAddress().replaceFirst("%.*", "");
                found.add(address instanceof Inet6Address ? "[" + text + "]" : text);
            }
        }
        return found.isEmpty() ? List.of("127.0.0.1") : found;
    }

    @ParameterizedTest
    @CsvSource({"::1", "[::1]"})
    void namesItsAddressInBracketsOnce(String host) throws Exception {
        try (var program = startCompiled(copy(), Map.of("PORT", "0", "HOST", host))) {
            program.awaitLine(" is at http://[::1]:");
        }
    }

    @Test
    void saysThatAnAddressCannotBeListenedOn() throws Exception {
        var environment = Map.of("HOST", "::1", "PORT", "0", "JAVA_TOOL_OPTIONS", "-Djava.net.preferIPv4Stack=true");
        try (var program = startCompiled(copy(), environment)) {
            assertEquals(1, program.exit());
            String reason = program.lines.getLast();
            assertTrue(reason.startsWith("Parley cannot start: cannot listen on ::1, port 0 ("), reason);
        }
    }

    @Test
    void saysWhatWindowsDidToTheNameOfEnv() throws Exception {
        Path home = copy();
        Files.writeString(home.resolve(".env.txt"), "PORT=0\n");
        try (var program = startCompiled(home, Map.of("PORT", "0"))) {
            assertTrue(program.awaitLine(".env.txt is not read").contains("Windows"));
            program.port();
            assertFalse(Files.exists(home.resolve(".env")), "the name is free");
        }
    }

    @Test
    void tellsWhatAStopWaitsFor() throws Exception {
        Path home = copy();
        var gate = new Scripted.Gate();
        try (var provider = new Scripted(gate.before(Scripted.openAi("late")))) {
            Files.writeString(
                    home.resolve(".env"),
                    "PORT=0\nCHAT_PROVIDER=local\nLOCAL_BASE_URL=" + provider.address() + "/v1\nLOCAL_CHAT_MODEL=m\n");
            try (var program = startCompiled(home, Map.of());
                    var client = HttpClient.newHttpClient()) {
                var running = client.sendAsync(chatting(program.port(), "one"), HttpResponse.BodyHandlers.ofString());
                Running.await(() -> !provider.exchanges.isEmpty());
                program.process.toHandle().destroy(); // SIGTERM: a shell's background jobs ignore SIGINT
                program.awaitLine("stopping: waits for 1 requests, at most 10 s");
                gate.open();
                assertEquals(200, running.join().statusCode());
                assertEquals(0, program.exit(), program.lines.toString());
            }
        }
    }
}
