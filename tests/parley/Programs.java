package parley;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;

/** What the tests of a started program share: a clone, and its two doors. */
abstract class Programs {
    static final Path JAVA = Path.of(System.getProperty("java.home"), "bin", "java");

    /** For a start that says nothing about the options it is made with. */
    static final List<String> QUICKLY = List.of("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC");

    static final String COMPILES = "Parley compiles itself: this takes a few seconds, once.";

    @TempDir
    Path folder;

    /** Parley's own files, copied: what a clone holds. */
    static void copySources(Path home) throws IOException {
        copyFiles(home, "Main.java", ".env.example", "run.sh", "LICENSE");
        try (Stream<Path> files = Stream.concat(Files.walk(Path.of("src")), Files.walk(Path.of("deploy")))) {
            for (Path file : files.toList()) Files.copy(file, home.resolve(file), StandardCopyOption.COPY_ATTRIBUTES);
        }
    }

    static void copyFiles(Path home, String... names) throws IOException {
        for (String name : names) Files.copy(Path.of(name), home.resolve(name), StandardCopyOption.COPY_ATTRIBUTES);
    }

    Program start(Path home, Map<String, String> environment, String... arguments) throws IOException {
        return java(environment, QUICKLY, List.of(home.resolve("Main.java").toString()), arguments);
    }

    /** Starts what Main would have compiled, which takes a tenth of the time. */
    Program startCompiled(Path home, Map<String, String> environment, String... arguments) throws IOException {
        String compiled =
                Parley.class.getProtectionDomain().getCodeSource().getLocation().getPath();
        List<String> program = List.of("-Dparley.home=" + home, "-cp", compiled, "parley.Parley");
        return java(environment, QUICKLY, program, arguments);
    }

    Program java(Map<String, String> environment, List<String> options, List<String> program, String... arguments)
            throws IOException {
        List<String> command = new ArrayList<>(List.of(JAVA.toString()));
        command.addAll(options);
        command.addAll(program);
        command.addAll(List.of(arguments));
        return run(environment, command);
    }

    Program run(Map<String, String> environment, List<String> command) throws IOException {
        Path elsewhere = Files.createDirectories(folder.resolve("elsewhere"));
        Files.writeString(
                Files.createDirectories(elsewhere.resolve("parley")).resolve("Parley.class"),
                "stale: the working folder is on Java's class path");
        var builder = new ProcessBuilder(command).directory(elsewhere.toFile());
        builder.environment().putAll(environment);
        return new Program(builder);
    }

    static HttpResponse<String> chat(HttpClient client, int port, String message) throws Exception {
        return client.send(chatting(port, message), HttpResponse.BodyHandlers.ofString());
    }

    static HttpRequest chatting(int port, String message) {
        return HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + "/chat"))
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString("{\"user_id\":\"a\",\"message\":\"" + message + "\"}"))
                .build();
    }
}
