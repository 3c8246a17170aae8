package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import javax.tools.ToolProvider;
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
        copyFolder(Path.of("src"), home.resolve("src"));
        copyFolder(Path.of("deploy"), home.resolve("deploy"));
    }

    static void copyFolder(Path from, Path to) throws IOException {
        try (Stream<Path> files = Files.walk(from)) {
            for (Path file : files.toList()) {
                Files.copy(file, to.resolve(from.relativize(file)), StandardCopyOption.COPY_ATTRIBUTES);
            }
        }
    }

    static void copyFiles(Path home, String... names) throws IOException {
        for (String name : names) Files.copy(Path.of(name), home.resolve(name), StandardCopyOption.COPY_ATTRIBUTES);
    }

    /**
     * A JDK whose java has Main.java compiled already, for what Main does whoever has compiled it: the JDK's own takes
     * most of a second for that at each start. Its jlink takes the smallest module, whichever it is asked for.
     */
    static Path quickJdk(Path folder) throws IOException {
        Path jdk = folder.resolve("quick jdk");
        Path bin = Files.createDirectories(jdk.resolve("bin"));
        int status = ToolProvider.getSystemJavaCompiler().run(null, null, null, "-d", bin.toString(), "Main.java");
        assertEquals(0, status);
        Files.copy(JAVA.resolveSibling("../release"), jdk.resolve("release")); // run.sh looks at these
        Files.copy(JAVA.resolveSibling("javac"), bin.resolve("javac"), StandardCopyOption.COPY_ATTRIBUTES);
        writeScript(
                bin.resolve("java"),
                """
                for word; do
                  shift
                  case $word in
                    Main.java | */Main.java)
                      cmp "$word" '%s' || exit 1
                      set -- "$@" -cp '%s:.' "-Djdk.launcher.sourcefile=$word" Main ;;
                    *) set -- "$@" "$word" ;;
                  esac
                done
                exec '%s' "$@"
                """
                        .formatted(Path.of("Main.java").toAbsolutePath(), bin, JAVA));
        writeScript(
                bin.resolve("jlink"),
                """
                while [ "$1" != --output ]; do shift; done
                exec '%s' -J-XX:TieredStopAtLevel=1 -J-XX:+UseSerialGC --add-modules java.base --output "$2"
                """
                        .formatted(JAVA.resolveSibling("jlink")));
        return jdk;
    }

    static void writeScript(Path file, String lines) throws IOException {
        Files.writeString(file, "#!/bin/sh\n" + lines);
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwxr-xr-x"));
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
        return java(JAVA, environment, options, program, arguments);
    }

    Program java(
            Path java, Map<String, String> environment, List<String> options, List<String> program, String... arguments)
            throws IOException {
        List<String> command = new ArrayList<>(List.of(java.toString()));
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
