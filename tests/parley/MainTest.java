package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.text.ParseException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The whole program as its user starts it: a process, from another folder, with the jar that the first start built. */
class MainTest extends Programs {
    @TempDir
    private static Path shared;

    private static Path first;
    private static Path jdk;

    /** Compiles Parley once, as the first start in a clone does. */
    @BeforeAll
    static void build() throws Exception {
        jdk = quickJdk(shared);
        first = Files.createDirectory(shared.resolve("first"));
        copySources(first);
        var builder = new ProcessBuilder(first.resolve("run.sh").toString(), "--version");
        builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
        try (var program = new Program(builder)) {
            assertEquals(0, program.exit());
            assertEquals(List.of(COMPILES, "Parley 1.0"), program.lines);
        }
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

    @Test
    void makesItsEnvAtTheFirstStartAndSaysWhatToFillIn() throws Exception {
        Path home = copy();
        try (var program = start(home, Map.of("PORT", "0"));
                var client = HttpClient.newHttpClient()) {
            assertTrue(program.awaitLine("made ").contains("line 6, GEMINI_API_KEY"));
            assertFalse(program.lines.contains(COMPILES), program.lines.toString());
            int port = program.port();
            assertEquals(
                    "rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(home.resolve(".env"))));
            assertEquals(
                    "GEMINI_API_KEY=", Files.readAllLines(home.resolve(".env")).get(5));
            var answer = chat(client, port, "hi");
            assertEquals(503, answer.statusCode());
            assertTrue(answer.body().contains("not_configured"), answer.body());
            assertTrue(answer.body().contains("GEMINI_API_KEY"), answer.body());
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
            List<String> main = List.of(home.resolve("Main.java").toString());
            try (var program = java(jdk.resolve("bin/java"), Map.of(), QUICKLY, main);
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

    @Test
    void runShServesFromTheSameJar() throws Exception {
        var environment = Map.of("PORT", "0", "JAVA_HOME", System.getProperty("java.home"));
        try (var program = run(environment, List.of(first.resolve("run.sh").toString(), "--demo"));
                var client = HttpClient.newHttpClient()) {
            assertEquals(200, chat(client, program.port(), "hello").statusCode());
            assertTrue(!program.lines.contains(COMPILES), program.lines.toString());
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
        builder.environment().put("JAVA_HOME", jdk.toString());
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
            if (line.startsWith("RUN ")) { // it builds nothing anew: StartTest sees that it would
                Files.copy(
                        first.resolve("build/parley.jar"),
                        Files.createDirectories(image.resolve("build")).resolve("parley.jar"));
                shell(image, words.replace("/data", image.resolve("data").toString()));
            }
        }
    }

    private static void shell(Path folder, String command) throws Exception {
        var builder = new ProcessBuilder("sh", "-c", command).directory(folder.toFile());
        builder.environment().put("PATH", jdk.resolve("bin") + ":" + System.getenv("PATH"));
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
        } catch (ParseException e) {
            throw new AssertionError(json, e);
        }
    }

    @Test
    void makesAnImageThatRunsWhereThereIsNoJdk() throws Exception {
        Path small = makeImage("small", jdk); // in a tenth of the time that the whole one takes
        Process probe = new ProcessBuilder(small.resolve("bin/java").toString(), "-version")
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .start();
        Assumptions.assumeTrue(probe.waitFor() == 0, "this JDK's own jmods do not run on this machine");
        Path image = makeImage("image", JAVA.getParent().getParent());
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

    private Path makeImage(String name, Path jdk) throws Exception {
        Path image = folder.resolve(name);
        List<String> command = List.of(first.resolve("run.sh").toString(), "image", image.toString());
        try (var program = run(Map.of("JAVA_HOME", jdk.toString()), command)) {
            assertTrue(program.awaitLine(" MB: start it with ").contains(image.toString()));
            assertEquals(0, program.exit());
        }
        return image;
    }
}
