package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Parley in another program: the very lines that README shows, compiled and run as they stand there. */
class EmbeddingTest {
    @TempDir
    private Path folder;

    @Test
    void doesWhatReadmeShows() throws Exception {
        String readme = Files.readString(Path.of("README.md"));
        int from = readme.indexOf("```java\n") + 8;
        String lines = readme.substring(from, readme.indexOf("```", from));
        Path program = Files.writeString(
                folder.resolve("Program.java"),
                "public class Program { public static void main(String[] args) throws Exception {\n" + lines + "} }");
        String parley = Path.of(Parley.class
                        .getProtectionDomain()
                        .getCodeSource()
                        .getLocation()
                        .toURI())
                .toString();
        compile(program, parley);
        Files.writeString(
                folder.resolve(".env"),
                "PORT=0\nCHAT_PROVIDER=mine\nMINE_BASE_URL=http://127.0.0.1:9/v1\nMINE_CHAT_MODEL=m\n");
        Process running = java("-cp", parley + System.getProperty("path.separator") + folder, "Program")
                .directory(folder.toFile())
                .redirectErrorStream(true)
                .start();
        try (var said = running.inputReader();
                var client = HttpClient.newHttpClient()) {
            String address = said.readLine();
            var health = client.send(
                    HttpRequest.newBuilder(URI.create(address + "/health")).build(),
                    HttpResponse.BodyHandlers.ofString());
            assertEquals(200, health.statusCode());
            assertTrue(health.body().contains("{\"provider\":\"mine\",\"model\":\"m\",\"ready\":true}"), health.body());
        } finally {
            running.destroyForcibly();
        }
    }

    private void compile(Path source, String classPath) {
        int status = ToolProvider.getSystemJavaCompiler()
                .run(null, null, null, "-cp", classPath, "-d", folder.toString(), source.toString());
        assertEquals(0, status);
    }

    private static ProcessBuilder java(String... arguments) {
        List<String> command = new ArrayList<>(List.of(Programs.JAVA.toString()));
        command.addAll(Programs.QUICKLY);
        command.addAll(List.of(arguments));
        return new ProcessBuilder(command);
    }

    /**
     * A JVM that ended while HttpClient's thread was still busy crashed now and then, as it wrote its archive of
     * classes.
     */
    @Test
    void leavesNoThreadOfItsClientBehindAStop() throws Exception {
        Set<Thread> before = clients();
        try (var provider = new Scripted(Scripted.openAi("hello"));
                var parley = Parley.start(settings(
                        "PORT=0", "CHAT_PROVIDER=mine", "MINE_CHAT_MODEL=m", "MINE_BASE_URL=" + provider.address()));
                var socket = new Socket("127.0.0.1", parley.port())) {
            chat(socket);
            Running.await(() -> clients().size() > before.size());
        }
        assertEquals(before, clients());
    }

    private static void chat(Socket socket) throws IOException {
        String body = "{\"user_id\":\"a\",\"message\":\"hello\"}";
        String request =
                """
                POST /chat HTTP/1.1\r
                Host: localhost\r
                Content-Type: application/json\r
                Content-Length: %d\r
                \r
                %s"""
                        .formatted(body.length(), body);
        socket.getOutputStream().write(request.getBytes(StandardCharsets.US_ASCII));
    }

    private Path settings(String... lines) throws IOException {
        return Files.write(folder.resolve(".env"), List.of(lines));
    }

    @Test
    void keepsNoFileOpenOfAServerThatCouldNotStart() throws Exception {
        try (var taken = new ServerSocket(0)) {
            Path env = settings("PORT=" + taken.getLocalPort(), "HOST=0.0.0.0");
            for (int i = 0; i < 50; i++) assertThrows(IOException.class, () -> Parley.start(env));
        }
        assertEquals(0, openLockFiles());
    }

    /** How often this process has the folder's lock file open. */
    private long openLockFiles() throws IOException {
        Path open = Path.of("/proc/self/fd");
        Assumptions.assumeTrue(Files.exists(open), "no /proc here");
        String lock = folder.toRealPath().resolve("histories/.lock").toString();
        try (Stream<Path> files = Files.list(open)) {
            return files.filter(file -> isLinkTo(file, lock)).count();
        }
    }

    private static boolean isLinkTo(Path file, String target) {
        try {
            return Files.readSymbolicLink(file).toString().equals(target);
        } catch (IOException e) { // closed meanwhile
            return false;
        }
    }

    @Test
    void freesItsPortWhereTheHistoryFolderCannotBeWritten() throws Exception {
        int port = freePort();
        Files.writeString(folder.resolve("file"), "");
        var refusal =
                assertThrows(IOException.class, () -> Parley.start(settings("PORT=" + port, "HISTORY_DIR=file/x")));
        assertTrue(refusal.getMessage().contains("HISTORY_DIR"), refusal.getMessage());
        try (var parley = Parley.start(settings("PORT=" + port))) {
            assertEquals(port, parley.port());
        }
    }

    private static int freePort() throws IOException {
        try (var socket = new ServerSocket(0)) {
            return socket.getLocalPort();
        }
    }

    @Test
    void freesItsPortWhereItsCloseIsInterrupted() throws Exception {
        Path env = Files.writeString(folder.resolve(".env"), "PORT=0\n");
        var parley = Parley.start(env);
        Thread.currentThread().interrupt();
        parley.close();
        assertTrue(Thread.interrupted(), "who interrupts is heard");
        new ServerSocket(parley.port()).close();
    }

    @Test
    void closesOnce() throws Exception {
        var parley = Parley.start(settings("PORT=0"));
        parley.close();
        assertTimeoutPreemptively(Duration.ofSeconds(8), parley::close);
    }

    @Test
    void keepsItsLocksWhenAnotherServerOfThisProcessCloses() throws Exception {
        writeProbe();
        var gate = new Scripted.Gate();
        try (var provider = new Scripted(gate.before(Scripted.openAi("late")))) {
            Path env = settings(
                    "PORT=0", "CHAT_PROVIDER=mine", "MINE_CHAT_MODEL=m", "MINE_BASE_URL=" + provider.address());
            Parley other = Parley.start(env);
            try (var parley = Parley.start(env);
                    var socket = new Socket("127.0.0.1", parley.port())) {
                chat(socket);
                Running.await(() -> !provider.exchanges.isEmpty());
                assertEquals("locked", probe());
                other.close();
                assertEquals("locked", probe());
                gate.open();
                assertEquals('H', socket.getInputStream().read());
                assertEquals("free", probe());
            }
        }
        for (int i = 0; i < 1000 && openLockFiles() > 0; i++) Thread.sleep(10);
        assertEquals(0, openLockFiles());
    }

    private void writeProbe() throws IOException {
        String program =
                """
                import java.nio.channels.FileChannel;
                import java.nio.file.*;
                class Probe {
                    public static void main(String[] args) throws Exception {
                        try (var file = FileChannel.open(Path.of(args[0]), StandardOpenOption.WRITE)) {
                            System.out.println(file.tryLock(0, 1L << 61, false) == null ? "locked" : "free");
                        }
                    }
                }
                """;
        compile(Files.writeString(folder.resolve("Probe.java"), program), "");
    }

    /** Whether another process finds the places of turns locked. */
    private String probe() throws Exception {
        String lock = folder.resolve("histories/.lock").toString();
        Process running = java("-cp", folder.toString(), "Probe", lock).start();
        return new String(running.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
    }

    private static Set<Thread> clients() {
        return Thread.getAllStackTraces().keySet().stream()
                .filter(thread -> thread.getName().startsWith("HttpClient-"))
                .collect(Collectors.toSet());
    }
}
