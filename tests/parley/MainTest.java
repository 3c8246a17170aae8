package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.NetworkInterface;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The program as its user starts it: a process, from another folder. */
class MainTest {
    private static final Path JAVA = Path.of(System.getProperty("java.home"), "bin", "java");

    private static final String COMPILES = "Parley compiles itself: this takes a few seconds, once.";

    @TempDir
    private static Path first;

    @TempDir
    private Path folder;

    /** Compiles Parley once, as the first start in a clone does. */
    @BeforeAll
    static void build() throws Exception {
        copySources(first);
        try (var program = new Program(
                new ProcessBuilder(JAVA.toString(), first.resolve("Main.java").toString(), "--version"))) {
            assertEquals(0, program.exit());
            assertEquals(List.of(COMPILES, "Parley 1.0"), program.lines);
        }
    }

    /** A started program, and what it has said. */
    private static final class Program implements AutoCloseable {
        private final Process process;
        private final BufferedReader said;
        private final List<String> lines = new ArrayList<>();

        Program(ProcessBuilder builder) throws IOException {
            process = builder.redirectErrorStream(true).start();
            said = process.inputReader(StandardCharsets.UTF_8);
        }

        String awaitLine(String words) throws IOException {
            for (String line; (line = said.readLine()) != null; ) {
                lines.add(line);
                if (line.contains(words)) return line;
            }
            throw new AssertionError("it ended and never said \"" + words + "\": " + lines);
        }

        int port() throws IOException {
            return Integer.parseInt(awaitLine(" is at http://").replaceFirst(".* is at http://[^ ]*:(\\d+),.*", "$1"));
        }

        int exit() throws Exception {
            for (String line; (line = said.readLine()) != null; ) lines.add(line);
            if (!process.waitFor(30, TimeUnit.SECONDS)) throw new AssertionError("it does not end");
            return process.exitValue();
        }

        @Override
        public void close() {
            process.destroyForcibly();
        }
    }

    /** Parley's own files, copied: what a clone holds. */
    private static void copySources(Path home) throws IOException {
        copyFiles(home, "Main.java", ".env.example", "run.sh", "LICENSE");
        try (Stream<Path> files = Stream.concat(Files.walk(Path.of("src")), Files.walk(Path.of("deploy")))) {
            for (Path file : files.toList()) Files.copy(file, home.resolve(file), StandardCopyOption.COPY_ATTRIBUTES);
        }
    }

    private static void copyFiles(Path home, String... names) throws IOException {
        for (String name : names) Files.copy(Path.of(name), home.resolve(name), StandardCopyOption.COPY_ATTRIBUTES);
    }

    /** A clone that has been started before. */
    private Path copy() throws IOException {
        Path home = Files.createDirectory(folder.resolve("clone"));
        copySources(home);
        Files.copy(
                first.resolve("build/parley.jar"),
                Files.createDirectory(home.resolve("build")).resolve("parley.jar")); // newer than its sources
        return home;
    }

    /** A clone whose program says no more than its version: that compiles quickly. */
    private Path small() throws IOException {
        Path home = Files.createDirectory(folder.resolve("a clone"));
        copyFiles(home, "Main.java", "run.sh");
        Files.createDirectories(home.resolve("src/parley"));
        Files.writeString(home.resolve("src/parley/words.txt"), "Parley");
        Files.write(home.resolve("src/parley/._Parley.java"), new byte[] {0, 5, 22, 7}); // macOS puts it beside
        writeSmall(home, "1.0");
        return home;
    }

    private static void writeSmall(Path home, String version) throws IOException {
        Files.writeString(
                home.resolve("src/parley/Parley.java"),
                """
                package parley;
                public class Parley {
                    public static void main(String[] args) throws Exception {
                        try (var words = Parley.class.getResourceAsStream("words.txt")) {
                            System.out.print(new String(words.readAllBytes()) + " %s\\n");
                        }
                    }
                }
                """
                        .formatted(version));
    }

    private Program start(Path home, Map<String, String> environment, String... arguments) throws IOException {
        return run(
                environment,
                Stream.concat(
                                Stream.of(
                                        JAVA.toString(),
                                        home.resolve("Main.java").toString()),
                                Stream.of(arguments))
                        .toList());
    }

    /** Starts what Main would have compiled, which takes a tenth of the time. */
    private Program startCompiled(Path home, Map<String, String> environment, String... arguments) throws IOException {
        String compiled =
                Parley.class.getProtectionDomain().getCodeSource().getLocation().getPath();
        return run(
                environment,
                Stream.concat(
                                Stream.of(JAVA.toString(), "-Dparley.home=" + home, "-cp", compiled, "parley.Parley"),
                                Stream.of(arguments))
                        .toList());
    }

    private Program run(Map<String, String> environment, List<String> command) throws IOException {
        Path elsewhere = Files.createDirectories(folder.resolve("elsewhere"));
        Files.writeString(
                Files.createDirectories(elsewhere.resolve("parley")).resolve("Parley.class"),
                "stale: the working folder is on Java's class path");
        var builder = new ProcessBuilder(command).directory(elsewhere.toFile());
        builder.environment().putAll(environment);
        return new Program(builder);
    }

    private static HttpResponse<String> chat(HttpClient client, int port, String message) throws Exception {
        return client.send(chatting(port, message), HttpResponse.BodyHandlers.ofString());
    }

    private static HttpRequest chatting(int port, String message) {
        return HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + "/chat"))
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString("{\"user_id\":\"a\",\"message\":\"" + message + "\"}"))
                .build();
    }

    @Test
    void makesItsEnvAtTheFirstStartAndSaysWhatToFillIn() throws Exception {
        Path home = copy();
        try (var program = start(home, Map.of("PORT", "0"));
                var client = HttpClient.newHttpClient()) {
            assertTrue(program.awaitLine("made ").contains("line 6, GEMINI_API_KEY"));
            int port = program.port();
            assertEquals(
                    "rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(home.resolve(".env"))));
            assertEquals(
                    "GEMINI_API_KEY=", Files.readAllLines(home.resolve(".env")).get(5));
            var answer = chat(client, port, "hi");
            assertEquals(503, answer.statusCode());
            assertTrue(
                    answer.body().contains("not_configured") && answer.body().contains("GEMINI_API_KEY"),
                    answer.body());
            var page = client.send(
                    HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + "/"))
                            .build(),
                    HttpResponse.BodyHandlers.ofString());
            assertTrue(page.body().startsWith("<!DOCTYPE html>"));
        }
    }

    @Test
    void chatsWithAScriptedProviderAndEndsTheRunningTurnAtSigterm() throws Exception {
        Path home = copy();
        var gate = new Scripted.Gate();
        try (var provider = new Scripted(Scripted.openAi("hello"))) {
            Files.writeString(
                    home.resolve(".env"),
                    "PORT=0\nCHAT_PROVIDER=local\nLOCAL_BASE_URL=" + provider.address() + "/v1\nLOCAL_CHAT_MODEL=m\n");
            try (var program = start(home, Map.of());
                    var client = HttpClient.newHttpClient()) {
                int port = program.port();
                assertEquals(200, chat(client, port, "one").statusCode());
                provider.then(gate.before(Scripted.openAi("late")));
                var running = client.sendAsync(chatting(port, "two"), HttpResponse.BodyHandlers.ofString());
                Running.await(() -> provider.exchanges.size() == 2);
                program.process.toHandle().destroy(); // Process.destroy would close its output too
                Running.await(() -> refusesNew(client, port));
                gate.open();
                assertEquals(200, running.join().statusCode());
                assertTrue(running.join().body().contains("late"));
                assertEquals(0, program.exit(), program.lines.toString());
                assertEquals(
                        4,
                        Json.items(Json.parse(Files.readString(home.resolve("histories/history_a.json"))))
                                .size());
            }
        }
    }

    private static boolean refusesNew(HttpClient client, int port) {
        try {
            return client.send(
                                    HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + "/health"))
                                            .build(),
                                    HttpResponse.BodyHandlers.discarding())
                            .statusCode()
                    == 503;
        } catch (Exception e) {
            return true;
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "--help|0|Usage: java Main.java",
                "--version|0|Parley 1.0",
                "--nonsense|2|Usage: java Main.java",
                "--env|2|Usage:",
                "--demo --check|2|Usage:",
                "--env nowhere|1|there is no file nowhere",
                "--env .|1|cannot be read"
            })
    void answersItsArguments(String arguments, int exit, String words) throws Exception {
        try (var program = startCompiled(Path.of("").toAbsolutePath(), Map.of("PORT", "0"), arguments.split(" "))) {
            assertEquals(exit, program.exit(), program.lines.toString());
            String said = String.join("\n", program.lines);
            assertTrue(said.contains(words) && !said.contains("\tat "), said);
        }
    }

    @Test
    void saysInOneLineWhyItCannotStart() throws Exception {
        Path home = copy();
        try (var taken = new ServerSocket(0)) {
            try (var program = startCompiled(home, Map.of("PORT", "" + taken.getLocalPort(), "HOST", "0.0.0.0"))) {
                assertEquals(1, program.exit());
                assertTrue(program.lines.getLast().contains("port " + taken.getLocalPort()), program.lines.toString());
            }
        }
        try (var program = startCompiled(home, Map.of("PORT", "0", "HISTORY_DIR", "/proc/nowhere"))) {
            assertEquals(1, program.exit());
            assertTrue(program.lines.getLast().contains("HISTORY_DIR"), program.lines.toString());
            assertEquals(1, program.lines.size(), program.lines.toString());
        }
        Files.writeString(home.resolve(".env"), "A=1\nPORT=many\n");
        try (var program = startCompiled(home, Map.of())) {
            assertEquals(1, program.exit());
            assertTrue(program.lines.getLast().contains("PORT (line 2) must be"), program.lines.toString());
            assertEquals(1, program.lines.size(), program.lines.toString());
        }
    }

    @Test
    void printsJavacsOwnWordsWhenASourceDoesNotCompile() throws Exception {
        Path home = small();
        Files.writeString(home.resolve("src/parley/Broken.java"), "class Broken { int x = \"no\"; }");
        try (var program = start(home, Map.of())) {
            assertEquals(1, program.exit());
            assertTrue(
                    String.join("\n", program.lines).contains("Broken.java:1: error: incompatible types"),
                    program.lines.toString());
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
                assertTrue(
                        said.contains("GEMINI_API_KEY=***")
                                && said.contains("chat, gemini with gemini-flash-latest: good")
                                && said.contains("image, nebius with flux: good"),
                        said);
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
            assertTrue(
                    said.contains("GEMINI_API_KEY=***")
                            && said.contains("NEBIUS_IMAGE_EXTRA={\"width\":512}")
                            && said.contains("TOP_K=4\n"),
                    said);
        }
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

    @Test
    void compilesOnceAndSaysSoAndStartsThroughALink() throws Exception {
        Path home = small();
        try (var first = start(home, Map.of("PORT", "0"), "--version")) {
            assertEquals(0, first.exit());
            assertEquals(List.of(COMPILES, "Parley 1.0"), first.lines);
        }
        try (var second = start(home, Map.of("PORT", "0"), "--version")) {
            assertEquals(0, second.exit());
            assertEquals(List.of("Parley 1.0"), second.lines);
        }
        try (Stream<Path> built = Files.list(home.resolve("build"))) {
            assertEquals(
                    List.of("parley.jar"),
                    built.map(file -> file.getFileName().toString()).toList(),
                    "nothing is left beside it");
        }
        Path link = Files.createSymbolicLink(folder.resolve("parley"), home.resolve("run.sh"));
        try (var linked =
                run(Map.of("JAVA_HOME", System.getProperty("java.home")), List.of(link.toString(), "--version"))) {
            assertEquals(0, linked.exit());
            assertEquals(List.of("Parley 1.0"), linked.lines);
        }
    }

    @Test
    void compilesWhereItsSourcesAreOthersWhateverTheirTimesAreAndWhicheverDoorDid() throws Exception {
        Path home = small();
        Path source = home.resolve("src/parley/Parley.java");
        Files.setLastModifiedTime(source, FileTime.from(Instant.now().plus(Duration.ofDays(1))));
        assertEquals(List.of(COMPILES, "Parley 1.0"), says("run.sh", home, Map.of()));
        assertEquals(List.of("Parley 1.0"), says("run.sh", home, Map.of()));
        assertEquals(List.of("Parley 1.0"), says("Main.java", home, Map.of()));
        writeSmall(home, "0.9");
        Files.setLastModifiedTime(source, FileTime.from(Instant.EPOCH));
        assertEquals(List.of(COMPILES, "Parley 0.9"), says("Main.java", home, Map.of()));
        writeSmall(home, "1.0");
        assertEquals(List.of(COMPILES, "Parley 1.0"), says("run.sh", home, Map.of()));
        Files.createDirectory(home.resolve("src/parley/page"));
        Files.writeString(home.resolve("src/parley/page/new.js"), "");
        assertEquals(List.of(COMPILES, "Parley 1.0"), says("run.sh", home, Map.of()));
    }

    /** What a door says to --version. */
    private List<String> says(String door, Path home, Map<String, String> environment) throws Exception {
        try (var program = open(door, home, environment, "--version")) {
            assertEquals(0, program.exit(), program.lines.toString());
            return program.lines;
        }
    }

    private Program open(String door, Path home, Map<String, String> environment, String... arguments)
            throws IOException {
        if (door.equals("Main.java")) return start(home, environment, arguments);
        Map<String, String> all = new HashMap<>(environment);
        all.put("JAVA_HOME", System.getProperty("java.home"));
        return run(
                all,
                Stream.concat(Stream.of(home.resolve("run.sh").toString()), Stream.of(arguments))
                        .toList());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    variable          | options
                    JAVA_TOOL_OPTIONS | -XX:+UseZGC -agentlib:jdwp=transport=dt_socket,server=y,suspend=n,address=%d
                    JDK_JAVA_OPTIONS  | @options
                    _JAVA_OPTIONS     | -XX:-TieredCompilation -XX:MaxHeapFreeRatio=50 -XX:MinHeapFreeRatio=45 -Xms300m
                    JAVA_OPTS         | -XX:+UseSerialGC -XX:ArchiveClassesAtExit=archive
                    JAVA_OPTS         | -Dnonsense="a b" -Dhttp.nonProxyHosts='*.local;$(false)'
                    JDK_JAVAC_OPTIONS | -nonsense""")
    void startsWithWhateverJavaStartsWith(String variable, String options) throws Exception {
        Path home = small();
        Path elsewhere = Files.createDirectories(folder.resolve("elsewhere"));
        Files.writeString(elsewhere.resolve("options"), "-XX:+UseParallelGC -Xmx96m");
        int port;
        try (var free = new ServerSocket(0)) {
            port = free.getLocalPort();
        }
        var environment = Map.of(variable, options.formatted(port));
        for (String door : List.of("Main.java", "run.sh")) {
            List<String> lines = says(door, home, environment);
            assertTrue(lines.contains("Parley 1.0"), lines.toString());
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"a:b", "a;b", "a b", "a#b", "a%20b", "a'b", "a$(b)", "a\nb", "-a"})
    void startsInAFolderOfAnyName(String name) throws Exception {
        Path home = Files.move(small(), folder.resolve(name));
        for (String door : List.of("Main.java", "run.sh")) {
            assertEquals("Parley 1.0", says(door, home, Map.of()).getLast(), door);
        }
    }

    @Test
    void leavesAloneWhatOthersHaveInItsBuildFolder() throws Exception {
        Path home = small();
        Files.createDirectories(home.resolve("build/newsletter"));
        assertEquals(List.of(COMPILES, "Parley 1.0"), says("Main.java", home, Map.of()));
        assertEquals(List.of("newsletter", "parley.jar"), names(home.resolve("build")));
    }

    @Test
    void runShStartsWithoutAHome() throws Exception {
        var builder = new ProcessBuilder("sh", "run.sh", "--version").directory(copy().toFile());
        builder.environment().remove("HOME");
        builder.environment().put("CDPATH", folder.toString());
        builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
        try (var program = new Program(builder)) {
            assertEquals(0, program.exit());
            assertEquals(List.of("Parley 1.0"), program.lines);
        }
    }

    @Test
    void leavesNothingWhereItIsStoppedWhileItCompiles() throws Exception {
        Path home = small();
        try (var program = start(home, Map.of())) {
            program.awaitLine(COMPILES);
            program.process.toHandle().destroy();
            program.exit();
        }
        assertEquals(List.of(), names(home.resolve("build")));
        try (var killed = start(home, Map.of())) {
            killed.awaitLine(COMPILES);
            killed.process.destroyForcibly().waitFor();
        }
        try (var program = start(home, Map.of(), "--version")) {
            assertEquals(0, program.exit());
        }
        assertEquals(List.of("parley.jar"), names(home.resolve("build")));
    }

    private static List<String> names(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }

    @ParameterizedTest
    @CsvSource({"Main.java", "run.sh"})
    void leavesNothingOfAnInstallationThatCannotBeWritten(String door) throws Exception {
        Path home = small();
        Files.writeString(home.resolve("build"), "in the way, for root too");
        Path temporary = Files.createDirectory(folder.resolve("temporary"));
        var environment = Map.of("JAVA_TOOL_OPTIONS", "-Djava.io.tmpdir=" + temporary);
        List<String> lines = says(door, home, environment);
        assertEquals("Parley 1.0", lines.getLast(), lines.toString());
        assertEquals(List.of(), names(temporary));
    }

    @ParameterizedTest
    @ValueSource(strings = {"0.0.0.0", "::", "[::]"})
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

    /** README's two lines for a container, without an engine: the image's files, environment and command. */
    @Test
    void servesInAContainerWithTheEnvOfTheFirstStart() throws Exception {
        Path home = copy();
        try (var program = startCompiled(home, Map.of("PORT", "0"))) {
            program.port(); // the first start, which makes .env
        }
        Path image = Files.createDirectory(folder.resolve("image"));
        String dockerfile = Files.readString(Path.of("deploy/Dockerfile"));
        play(image, home, dockerfile);
        var builder = new ProcessBuilder(command(dockerfile, image)).directory(image.toFile());
        builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
        for (String line : Files.readAllLines(home.resolve(".env"))) { // as --env-file reads it
            String[] variable = line.split("=", 2);
            if (!line.startsWith("#") && variable.length == 2) {
                builder.environment().put(variable[0], variable[1]);
            }
        }
        try (var program = new Program(builder);
                var client = HttpClient.newHttpClient()) {
            int port = program.port();
            // 127.0.0.2 answers where it listens on every address, as a container must.
            var health = HttpRequest.newBuilder(URI.create("http://127.0.0.2:" + port + "/health"));
            assertEquals(
                    200,
                    client.send(health.build(), HttpResponse.BodyHandlers.discarding())
                            .statusCode());
            assertTrue(Files.exists(image.resolve("data/.lock")), "the histories are in the volume");
        }
    }

    /** Does what the Dockerfile says, with the image's root in a folder. */
    private static void play(Path image, Path context, String dockerfile) throws Exception {
        for (String line : dockerfile.lines().toList()) {
            String words = line.substring(line.indexOf(' ') + 1);
            if (line.startsWith("COPY ")) shell(context, "cp -r " + words.replaceFirst("[^ ]*$", image.toString()));
            if (line.startsWith("RUN ")) {
                shell(image, words.replace("/data", image.resolve("data").toString()));
            }
        }
    }

    private static void shell(Path folder, String command) throws Exception {
        var builder = new ProcessBuilder("sh", "-c", command).directory(folder.toFile());
        builder.environment().put("PATH", JAVA.getParent() + ":" + System.getenv("PATH"));
        assertEquals(0, builder.redirectErrorStream(true).start().waitFor(), command);
    }

    /** The image's command. */
    private static List<String> command(String dockerfile, Path image) {
        List<String> command = new ArrayList<>();
        String line = dockerfile
                .lines()
                .filter(each -> each.startsWith("CMD "))
                .findFirst()
                .orElseThrow();
        for (Object word : Json.items(parsed(line.substring(4)))) {
            String text = (String) word;
            // A free port, since 8080 may be taken here.
            command.add(text.equals("PORT=8080") ? "PORT=0" : text.replace("=/data", "=" + image.resolve("data")));
        }
        return command;
    }

    private static Object parsed(String json) {
        try {
            return Json.parse(json);
        } catch (Json.Malformed e) {
            throw new AssertionError(json, e);
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

    @Test
    void tellsAnOlderJdkInOneLine() throws Exception {
        Path old = Path.of("/usr/lib/jvm/java-17-openjdk-amd64/bin/java");
        Assumptions.assumeTrue(Files.isExecutable(old), "no JDK 17 here");
        try (var program = run(
                Map.of(),
                List.of(old.toString(), Path.of("Main.java").toAbsolutePath().toString()))) {
            assertEquals(1, program.exit());
            assertEquals(1, program.lines.size(), program.lines.toString());
            assertTrue(program.lines.get(0).contains("JDK of 21 or later"));
        }
    }

    @Test
    void runShServesFromTheSameJar() throws Exception {
        Path home = copy();
        var environment = Map.of("PORT", "0", "JAVA_HOME", System.getProperty("java.home"));
        try (var program = run(environment, List.of(home.resolve("run.sh").toString(), "--demo"));
                var client = HttpClient.newHttpClient()) {
            assertEquals(200, chat(client, program.port(), "hello").statusCode());
            assertTrue(!program.lines.contains(COMPILES), program.lines.toString());
        }
    }

    @Test
    void makesAnImageThatRunsWhereThereIsNoJdk() throws Exception {
        Path home = copy();
        Path image = folder.resolve("image");
        var environment = Map.of("JAVA_HOME", System.getProperty("java.home"));
        try (var program = run(environment, List.of(home.resolve("run.sh").toString(), "image", image.toString()))) {
            assertTrue(program.awaitLine(" MB: start it with ").contains(image.toString()));
            assertEquals(0, program.exit());
        }
        Process probe = new ProcessBuilder(image.resolve("bin/java").toString(), "-version")
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .start();
        Assumptions.assumeTrue(probe.waitFor() == 0, "this JDK's own jmods do not run on this machine");
        assertFalse(Files.exists(image.resolve("bin/javac")));
        try (var program = run(
                        Map.of("JAVA_HOME", "", "PATH", "/usr/bin:/bin", "PORT", "0"),
                        List.of(image.resolve("parley").toString(), "--demo"));
                var client = HttpClient.newHttpClient()) {
            assertEquals(200, chat(client, program.port(), "hello").statusCode());
            assertTrue(Files.exists(image.resolve("histories/demo/history_a.json")));
            program.process.toHandle().destroy();
            assertEquals(0, program.exit());
        }
    }
}
