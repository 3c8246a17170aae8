package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.stream.Collectors;
import javax.tools.ToolProvider;
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
        assertEquals(
                0,
                ToolProvider.getSystemJavaCompiler()
                        .run(null, null, null, "-cp", parley, "-d", folder.toString(), program.toString()));
        Files.writeString(
                folder.resolve(".env"),
                "PORT=0\nCHAT_PROVIDER=mine\nMINE_BASE_URL=http://127.0.0.1:9/v1\nMINE_CHAT_MODEL=m\n");
        Process running = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-cp",
                        parley + System.getProperty("path.separator") + folder,
                        "Program")
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

    /**
     * A JVM that ended while HttpClient's thread was still busy crashed now and then, as it wrote its archive of
     * classes.
     */
    @Test
    void leavesNoThreadOfItsClientBehindAStop() throws Exception {
        Files.writeString(folder.resolve(".env"), "PORT=0\n");
        Set<Thread> before = clients();
        try (var parley = Parley.start(folder.resolve(".env"))) {
            Running.await(() -> clients().size() > before.size());
            assertTrue(parley.port() > 0);
        }
        assertEquals(before, clients());
    }

    private static Set<Thread> clients() {
        return Thread.getAllStackTraces().keySet().stream()
                .filter(thread -> thread.getName().startsWith("HttpClient-"))
                .collect(Collectors.toSet());
    }
}
