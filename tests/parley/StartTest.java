package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardWatchEventKinds;
import java.nio.file.WatchKey;
import java.nio.file.WatchService;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Each door builds the program where it must, on whatever machine: here one that says no more than its version. */
class StartTest extends Programs {
    @TempDir
    private static Path shared;

    private static Path jdk;

    /** A clone that run.sh has built of sources from tomorrow, which no test changes. */
    private static Path built;

    @BeforeAll
    static void build() throws Exception {
        jdk = quickJdk(shared);
        built = small(shared);
        Files.setLastModifiedTime(
                built.resolve("src/parley/Parley.java"),
                FileTime.from(Instant.now().plus(Duration.ofDays(1))));
        var builder = new ProcessBuilder(built.resolve("run.sh").toString(), "--version");
        builder.environment().put("JAVA_HOME", jdk.toString());
        try (var program = new Program(builder)) {
            assertEquals(0, program.exit());
            assertEquals(List.of(COMPILES, "Parley 1.0"), program.lines);
        }
    }

    Path small() throws IOException {
        return small(folder);
    }

    /** A clone whose program says no more than its version: that compiles quickly. */
    private static Path small(Path folder) throws IOException {
        Path home = Files.createDirectory(folder.resolve("a clone"));
        copyFiles(home, "Main.java", "run.sh");
        Files.createDirectories(home.resolve("src/parley/page"));
        copyFiles(home, "src/parley/Build.java");
        Files.writeString(home.resolve("src/parley/words.txt"), "Parley");
        Files.write(home.resolve("src/parley/._Parley.java"), new byte[] {0, 5, 22, 7}); // macOS puts it beside
        Files.createDirectories(home.resolve("src/parley/more"));
        Files.writeString(
                home.resolve("src/parley/more/Über.java"),
                "package parley.more; public class Über { }",
                StandardCharsets.UTF_8);
        Files.writeString(home.resolve("src/parley/.hidden"), "");
        writeSmall(home, "1.0");
        return home;
    }

    static void writeSmall(Path home, String version) throws IOException {
        Files.writeString(
                home.resolve("src/parley/Parley.java"),
                """
                package parley;
                public class Parley {
                    public static void main(String[] args) throws Exception {
                        Parley.class.getResourceAsStream("words.txt").transferTo(System.out);
                        if (Parley.class.getResource(".hidden") == null) System.out.print(" %s\\n");
                        new parley.more.Über();
                    }
                }
                """
                        .formatted(version));
    }

    /** What a door says to --version. */
    List<String> says(String door, Path home, Map<String, String> environment) throws Exception {
        try (var program = open(door, home, environment, "--version")) {
            assertEquals(0, program.exit(), program.lines.toString());
            return program.lines;
        }
    }

    /** A door is Main.java, the same compiled before, or run.sh with the latter. */
    Program open(String door, Path home, Map<String, String> environment, String... arguments) throws IOException {
        return switch (door) {
            case "Main.java" -> start(home, environment, arguments);
            case "Main" -> compiled(home, environment, QUICKLY, arguments);
            default -> {
                Map<String, String> all = new HashMap<>(environment);
                all.put("JAVA_HOME", jdk.toString());
                Stream<String> program = Stream.of(home.resolve("run.sh").toString());
                yield run(all, Stream.concat(program, Stream.of(arguments)).toList());
            }
        };
    }

    private Program compiled(Path home, Map<String, String> environment, List<String> options, String... arguments)
            throws IOException {
        List<String> main = List.of(home.resolve("Main.java").toString());
        return java(jdk.resolve("bin/java"), environment, options, main, arguments);
    }

    static List<String> names(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }

    @Test
    void compilesOnceAndSaysSoAndStartsThroughALink() throws Exception {
        Path home = small();
        try (var first = start(home, Map.of("PORT", "0"), "--version")) {
            assertEquals(0, first.exit());
            assertEquals(List.of(COMPILES, "Parley 1.0"), first.lines);
        }
        assertEquals(List.of("Parley 1.0"), says("Main", home, Map.of("PORT", "0")));
        assertEquals(List.of("parley.jar"), names(home.resolve("build")), "nothing is left beside it");
        Path link = Files.createSymbolicLink(shared.resolve("parley"), built.resolve("run.sh"));
        try (var linked =
                run(Map.of("JAVA_HOME", System.getProperty("java.home")), List.of(link.toString(), "--version"))) {
            assertEquals(0, linked.exit());
            assertEquals(List.of("Parley 1.0"), linked.lines);
        }
    }

    @Test
    void compilesWhereItsSourcesAreOthersWhateverTheirTimesAreAndWhicheverDoorDid() throws Exception {
        Path home = folder.resolve("a clone");
        copyFolder(built, home);
        Path source = home.resolve("src/parley/Parley.java");
        assertEquals(List.of("Parley 1.0"), says("Main", home, Map.of()));
        assertEquals(List.of("Parley 1.0"), says("run.sh", home, Map.of()));
        assertEquals(List.of("Parley 1.0"), says("run.sh", home, Map.of()));
        writeSmall(home, "0.9");
        Files.setLastModifiedTime(source, FileTime.from(Instant.EPOCH));
        assertEquals(List.of(COMPILES, "Parley 0.9"), says("Main", home, Map.of()));
        writeSmall(home, "1.0");
        assertEquals(List.of(COMPILES, "Parley 1.0"), says("run.sh", home, Map.of()));
        Files.writeString(home.resolve("src/parley/page/new.js"), "");
        assertEquals(List.of(COMPILES, "Parley 1.0"), says("run.sh", home, Map.of()));
    }

    @Test
    void printsJavacsOwnWordsWhenASourceDoesNotCompile() throws Exception {
        Path home = small();
        Files.writeString(home.resolve("src/parley/Broken.java"), "class Broken { int x = \"no\"; }");
        try (var program = open("Main", home, Map.of())) {
            assertEquals(1, program.exit());
            assertTrue(
                    String.join("\n", program.lines).contains("Broken.java:1: error: incompatible types"),
                    program.lines.toString());
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    door      | variable          | options
                    Main      | JAVA_TOOL_OPTIONS | -XX:+UseZGC \
                    -agentlib:jdwp=transport=dt_socket,server=y,suspend=n,address=%d
                    Main      | JDK_JAVA_OPTIONS  | @options
                    Main      | _JAVA_OPTIONS     | -XX:-TieredCompilation -Xms300m
                    Main.java | JDK_JAVAC_OPTIONS | -nonsense
                    run.sh    | JAVA_TOOL_OPTIONS | -XX:+UseZGC \
                    -agentlib:jdwp=transport=dt_socket,server=y,suspend=n,address=%d
                    run.sh    | JDK_JAVA_OPTIONS  | @options
                    run.sh    | _JAVA_OPTIONS     | \
                    -XX:-TieredCompilation -XX:MaxHeapFreeRatio=50 -XX:MinHeapFreeRatio=45 -Xms300m
                    run.sh    | JAVA_OPTS         | -XX:+UseSerialGC -XX:ArchiveClassesAtExit=archive
                    run.sh    | JAVA_OPTS         | -Xrunjdwp:transport=dt_socket,server=y,suspend=n,address=%d
                    run.sh    | JAVA_OPTS         | -Dnonsense="a b" -Dhttp.nonProxyHosts='*.local;$(false)'""")
    void startsWithWhateverJavaStartsWith(String door, String variable, String options) throws Exception {
        Path elsewhere = Files.createDirectories(folder.resolve("elsewhere"));
        Files.writeString(elsewhere.resolve("options"), "-XX:+UseParallelGC -Xmx96m");
        int port;
        try (var free = new ServerSocket(0)) {
            port = free.getLocalPort();
        }
        var environment = Map.of(variable, options.formatted(port));
        Path home = door.equals("run.sh") ? built : small();
        // "Main" is given no options, which those of a variable could contradict.
        try (var program =
                door.equals("Main") ? compiled(home, environment, List.of()) : open(door, home, environment)) {
            assertEquals(0, program.exit(), program.lines.toString());
            assertTrue(program.lines.contains("Parley 1.0"), program.lines.toString());
        }
    }

    /** Java says which options it picks up: the one that builds must not. */
    @Test
    void runShStartsWithoutAHomeAndBuildsWithoutTheOptionsOfTheServer() throws Exception {
        var builder = new ProcessBuilder("sh", "run.sh", "--version").directory(small().toFile());
        builder.environment().remove("HOME");
        builder.environment().put("CDPATH", folder.toString());
        builder.environment().put("JAVA_HOME", jdk.toString());
        builder.environment().put("JAVA_TOOL_OPTIONS", "-Da=b");
        try (var program = new Program(builder)) {
            assertEquals(0, program.exit());
            assertEquals(List.of(COMPILES, "Picked up JAVA_TOOL_OPTIONS: -Da=b", "Parley 1.0"), program.lines);
        }
    }

    @Test
    void leavesNothingWhereItIsStoppedWhileItCompiles() throws Exception {
        Path home = small();
        Path temporary = Files.createDirectory(folder.resolve("temporary"));
        var environment = Map.of("JAVA_TOOL_OPTIONS", "-Djava.io.tmpdir=" + temporary);
        try (WatchService watcher = temporary.getFileSystem().newWatchService()) {
            temporary.register(watcher, StandardWatchEventKinds.ENTRY_CREATE);
            try (var program = open("Main", home, environment)) {
                program.awaitLine(COMPILES);
                program.process.toHandle().destroy();
                program.exit();
            }
            assertEquals(List.of(), names(home.resolve("build")));
            try (var killed = open("Main", home, environment)) {
                killed.awaitLine(COMPILES);
                List<ProcessHandle> javac = killed.process.children().toList();
                killed.process.destroyForcibly().waitFor();
                javac.forEach(ProcessHandle::destroyForcibly); // it may write into what the next start deletes
            }
            assertEquals("Parley 1.0", says("Main", home, environment).getLast());
            assertEquals(List.of("parley.jar"), names(home.resolve("build")));
            assertEquals(List.of("the last"), made(watcher, temporary), "a stop could leave the others");
        }
    }

    /** What has been made in a folder, the last of which is made here. */
    private static List<String> made(WatchService watcher, Path folder) throws Exception {
        Files.createFile(folder.resolve("the last"));
        List<String> made = new ArrayList<>();
        while (!made.contains("the last")) {
            WatchKey watched = watcher.take();
            watched.pollEvents().forEach(event -> made.add(event.context().toString()));
            watched.reset();
        }
        return made;
    }

    @Test
    void compilesBesideTheLockOfAnEditor() throws Exception {
        Path home = small();
        Path lock = home.resolve("src/parley/.#Parley.java");
        Files.createSymbolicLink(lock, Path.of("me@here.1")); // as Emacs makes it
        assertEquals("Parley 1.0", says("Main", home, Map.of()).getLast());
    }

    @ParameterizedTest
    @CsvSource({"Main", "run.sh"})
    void leavesNothingOfAnInstallationThatCannotBeWritten(String door) throws Exception {
        Path home = small();
        Files.writeString(home.resolve("build"), "in the way, for root too");
        Path temporary = Files.createDirectory(folder.resolve("temporary"));
        var environment = Map.of("JAVA_TOOL_OPTIONS", "-Djava.io.tmpdir=" + temporary);
        List<String> lines = says(door, home, environment);
        assertEquals("Parley 1.0", lines.getLast(), lines.toString());
        assertEquals(List.of(), names(temporary));
    }

    @Test
    void tellsAnOlderJdkInOneLine() throws Exception {
        Path old = Path.of("/usr/lib/jvm/java-17-openjdk-amd64/bin/java");
        Assumptions.assumeTrue(Files.isExecutable(old), "no JDK 17 here");
        List<String> main = List.of(Path.of("Main.java").toAbsolutePath().toString());
        try (var program = java(old, Map.of(), QUICKLY, main)) {
            assertEquals(1, program.exit());
            assertEquals(1, program.lines.size(), program.lines.toString());
            assertTrue(program.lines.get(0).contains("JDK of 21 or later"));
        }
    }

    @Test
    void runShPassesAStopOnWhileItCompiles() throws Exception {
        Path home = small();
        try (var program = open("run.sh", home, Map.of())) {
            program.awaitLine(COMPILES);
            program.process.toHandle().destroy();
            assertEquals(143, program.exit());
        }
        assertEquals(List.of(), names(home.resolve("build")));
    }

    @Test
    void passesOverWhatOthersPutIntoItsBuildFolder() throws Exception {
        Path home = small();
        List<String> others = List.of("new99999999999999999999", "newer notes");
        for (String name : others) Files.createDirectories(home.resolve("build").resolve(name));
        assertEquals(List.of(COMPILES, "Parley 1.0"), says("Main", home, Map.of()));
        assertEquals(List.of(others.get(0), others.get(1), "parley.jar"), names(home.resolve("build")));
    }

    @Test
    void saysInOneLineThatItCannotBeBuilt() throws Exception {
        Path home = Files.createDirectory(folder.resolve("alone"));
        copyFiles(home, "Main.java");
        try (var program = open("Main", home, Map.of())) {
            assertEquals(1, program.exit());
            assertEquals(1, program.lines.size(), program.lines.toString());
            assertTrue(program.lines.get(0).startsWith("Parley cannot be built: "), program.lines.toString());
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"a! #b%20ü'+", "a:b"})
    void startsFromAFolderOfAnyName(String name) throws Exception {
        Assumptions.assumeTrue(System.getProperty("sun.jnu.encoding").equals("UTF-8"), "Java reads no such name here");
        Path home = Files.move(small(), folder.resolve(name));
        assertEquals("Parley 1.0", says("Main.java", home, Map.of()).getLast());
        assertEquals("Parley 1.0", says("run.sh", home, Map.of("LC_ALL", "C")).getLast());
    }

    @Test
    void gitOfWindowsLeavesTheScriptsAsAShellReadsThem() throws Exception {
        Path clone = Files.createDirectories(folder.resolve("clone/deploy")).getParent();
        copyFiles(clone, ".gitattributes", "run.sh", "deploy/image.sh");
        String commands = "git init -q && git -c core.autocrlf=true add . && rm run.sh deploy/image.sh"
                + " && git -c core.autocrlf=true checkout -q -- . && ! grep -l '\r' run.sh deploy/image.sh";
        var builder = new ProcessBuilder("sh", "-c", commands).directory(clone.toFile());
        try (var git = new Program(builder)) {
            assertEquals(0, git.exit(), git.lines.toString());
        }
    }

    @Test
    void javaOptsMayHoldBlanksInQuotes() throws Exception {
        var environment = Map.of("JAVA_OPTS", "-Da=\"x y\" '-Db=it is $HOME *' -Xmx64m");
        assertEquals(List.of("Parley 1.0"), says("run.sh", built, environment));
    }
}
