package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.FutureTask;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What a disk can do to one user's file: that user gets a problem, the others are served, and nothing is lost once it
 * has passed.
 */
class StorageTest {
    private static boolean run(String... command) throws Exception {
        return new ProcessBuilder(command)
                        .redirectErrorStream(true)
                        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                        .start()
                        .waitFor()
                == 0;
    }

    @Test
    void keepsAllThatWasSaidWhenTheDiskIsFull(@TempDir Path disk) throws Exception {
        Assumptions.assumeTrue(
                run("mount", "-t", "tmpfs", "-o", "size=256k", "parley", disk.toString()),
                "a small disk cannot be mounted here");
        try (var running = new Running(Scripted.gemini("ok"), "HISTORY_DIR=" + disk.resolve("histories"))) {
            assertEquals(200, running.chat("alice", "before").status());
            Running.Answer answer;
            int said = 1;
            while ((answer = running.chat("alice", "x".repeat(20_000))).status() == 200) said++;
            assertEquals("507 storage_unavailable", answer.status() + " " + answer.at("code"));
            assertTrue(answer.text().contains("full"), answer.text());
            assertEquals(507, running.chat("newcomer", "x".repeat(20_000)).status());
            for (int i = 0; i < 3; i++) {
                assertEquals(507, running.chat("alice", "x".repeat(20_000)).status());
            }
            assertEquals(2 * said, running.said("alice").size());
            Json.parse(Files.readString(disk.resolve("histories/history_alice.json")));
            assertEquals(204, running.delete("/history?user_id=alice").status());
            assertEquals(200, running.chat("newcomer", "x".repeat(20_000)).status());
        } finally {
            run("umount", disk.toString());
        }
    }

    /** A server as a process of its own, on this disk. */
    private static CrashTest.Server server(Path home, Path disk, Scripted provider, String... wrapper)
            throws Exception {
        Path env = Files.writeString(home.resolve(".env"), "CHAT_PROVIDER=local\nLOCAL_CHAT_MODEL=m\n");
        var environment = new HashMap<String, String>();
        Path locales = home.resolve("locales");
        if (Files.exists(locales)) environment.putAll(Map.of("LOCPATH", locales.toString(), "LC_ALL", "de_DE.UTF-8"));
        environment.put("LOCAL_BASE_URL", provider.address() + "/v1");
        environment.put("HISTORY_DIR", disk.toString());
        return new CrashTest.Server(env, environment, wrapper);
    }

    private static String console(Path home) throws Exception {
        try (var files = Files.newDirectoryStream(home, "console*.log")) {
            return Files.readString(files.iterator().next());
        }
    }

    @Test
    void tellsAFullDiskInGermanAndPutsTheFileBack(@TempDir Path home, @TempDir Path disk) throws Exception {
        Path locale = Path.of("/usr/lib/locale/C.utf8"); // by another name: German words need no more of a locale
        Assumptions.assumeTrue(
                Files.exists(Path.of("/usr/share/locale/de/LC_MESSAGES/libc.mo")) && Files.exists(locale),
                "no German here: apt-get install libc-l10n");
        Files.createSymbolicLink(Files.createDirectory(home.resolve("locales")).resolve("de_DE.UTF-8"), locale);
        Assumptions.assumeTrue(
                run("mount", "-t", "tmpfs", "-o", "size=256k", "parley", disk.toString()),
                "a small disk cannot be mounted here");
        Path file = disk.resolve("history_alice.json");
        try (var provider = new Scripted(Scripted.openAi("ok"));
                var client = HttpClient.newHttpClient();
                var server = server(home, disk, provider)) {
            String before;
            int status;
            do {
                before = Files.exists(file) ? Files.readString(file) : "";
                status = chat(client, server.port(), "alice", "x".repeat(30_000));
            } while (status == 200);
            assertEquals(507, status, console(home));
            assertTrue(console(home).contains("Auf dem Ger"), console(home));
            assertEquals(before, Files.readString(file));
            assertEquals(200, chat(client, server.port(), "alice", "short"), "the space was given back");
        } finally {
            run("umount", disk.toString());
        }
    }

    @Test
    void storesATurnOnceWhereTheFolderCannotBeForced(@TempDir Path home, @TempDir Path folder) throws Exception {
        CrashTest.assumeStrace();
        try (var provider = new Scripted(Scripted.openAi("ok"));
                var client = HttpClient.newHttpClient();
                var server = server(
                        home,
                        folder,
                        provider,
                        "strace",
                        "-f",
                        "-o",
                        "/dev/null",
                        "-P",
                        folder.toString(),
                        "-e",
                        "inject=fsync:error=EINVAL")) {
            for (String user : List.of("a", "b")) assertEquals(200, chat(client, server.port(), user));
            assertEquals(204, delete(client, server.port(), "b"));
            assertEquals(
                    2,
                    Json.items(Json.parse(Files.readString(folder.resolve("history_a.json"))))
                            .size());
            assertEquals(2, console(home).split("cannot be forced to disk").length, "told once");
        }
    }

    @Test
    void takesATurnBackThatCannotBeForcedToDisk(@TempDir Path home, @TempDir Path folder) throws Exception {
        CrashTest.assumeStrace();
        String[] failing = {"strace", "-f", "-o", "/dev/null", "-e", "inject=fdatasync:error=EIO:when=1"};
        Path file = Files.writeString(folder.resolve("history_a.json"), TURN);
        try (var provider = new Scripted(Scripted.openAi("ok"));
                var client = HttpClient.newHttpClient();
                var server = server(home, folder, provider, failing)) {
            assertEquals(503, chat(client, server.port(), "a", "x".repeat(40_000)));
            assertEquals(TURN, Files.readString(file));
        }
    }

    /** The ten seconds of a stop are over while the disk hangs: a turn that is told as failed is not stored. */
    @Test
    void takesATurnBackThatAStopHasInterrupted(@TempDir Path home, @TempDir Path folder) throws Exception {
        CrashTest.assumeStrace();
        String[] hanging = {"strace", "-f", "-o", "/dev/null", "-e", "inject=fdatasync:delay_enter=12000000:when=1"};
        Path file = Files.writeString(folder.resolve("history_a.json"), TURN);
        try (var provider = new Scripted(Scripted.openAi("ok"));
                var client = HttpClient.newHttpClient();
                var server = server(home, folder, provider, hanging)) {
            var status = new FutureTask<>(() -> chat(client, server.port(), "a", "x".repeat(40_000)));
            Thread.ofPlatform().start(status);
            Running.await(() -> file.toFile().length() > TURN.length());
            server.stop();
            assertEquals(503, status.get());
            assertEquals(TURN, Files.readString(file));
        }
    }

    @Test
    void closesTheFileBeforeItIsReplaced(@TempDir Path home, @TempDir Path folder) throws Exception {
        CrashTest.assumeStrace();
        Path trace = home.resolve("trace");
        Path file = folder.resolve("history_a.json");
        Files.writeString(file, TURN);
        try (var provider = new Scripted(Scripted.openAi("ok"));
                var client = HttpClient.newHttpClient();
                var server = server(
                        home, folder, provider, "strace", "-f", "-o", trace.toString(), "-e", "openat,close,rename")) {
            var request = HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + server.port() + "/chat"))
                    .header("Content-Type", "application/json")
                    .POST(HttpRequest.BodyPublishers.ofString(
                            "{\"user_id\":\"a\",\"message\":\"hi\",\"replace\":true}"))
                    .build();
            assertEquals(
                    200,
                    client.send(request, HttpResponse.BodyHandlers.discarding()).statusCode());
        }
        var open = new HashSet<String>();
        for (String call : Files.readAllLines(trace)) {
            Matcher opened = Pattern.compile("openat\\(.*/(?:history_a\\.json|\\.tmp-).*= (\\d+)")
                    .matcher(call);
            Matcher closed = Pattern.compile("close\\((\\d+)").matcher(call);
            if (opened.find()) open.add(opened.group(1));
            else if (closed.find()) open.remove(closed.group(1));
            else if (call.contains("rename(")) assertEquals(Set.of(), open, "Windows replaces no open file");
        }
        assertTrue(Files.readString(trace).contains("rename("));
    }

    private static final String TURN =
            "[\n{\"role\":\"user\",\"content\":\"u\"},\n{\"role\":\"assistant\",\"content\":\"a\"}\n]\n";

    @ParameterizedTest
    @ValueSource(strings = {"rw-------", "rw-rw-r--", "rw-r-----"})
    void keepsTheModeOfAFileThatIsWrittenAnew(String mode) throws Exception {
        try (var running = new Running(Scripted.gemini("ok"))) {
            assertEquals(200, running.chat("new", "hi").status());
            assertEquals("rw-------", mode(running.file("new")));
            Path file = Files.writeString(running.file("a"), TURN);
            Files.setPosixFilePermissions(file, PosixFilePermissions.fromString(mode));
            assertEquals(
                    200,
                    running.post("/chat", "{\"user_id\":\"a\",\"message\":\"hi\",\"replace\":true}")
                            .status());
            assertEquals(mode, mode(file), "replaced");
            Files.writeString(file, TURN.substring(0, TURN.length() - 3));
            assertEquals(200, running.chat("a", "hi").status());
            assertEquals(mode, mode(file), "mended");
            try (var files = Files.newDirectoryStream(file.getParent(), "*.corrupt-*")) {
                assertEquals(mode, mode(files.iterator().next()), "the copy");
            }
        }
    }

    private static String mode(Path file) throws IOException {
        return PosixFilePermissions.toString(Files.getPosixFilePermissions(file));
    }

    @Test
    void keepsNoCopyWhereADamagedFileCannotBeMended(@TempDir Path disk) throws Exception {
        Assumptions.assumeTrue(
                run("mount", "-t", "tmpfs", "-o", "size=512k", "parley", disk.toString()),
                "a small disk cannot be mounted here");
        try (var running = new Running(Scripted.gemini("ok"), "HISTORY_DIR=" + disk)) {
            String damaged = TURN.replace("\"u\"", "\"" + "u".repeat(150_000) + "\"") + "]";
            Path file = Files.writeString(disk.resolve("history_a.json"), damaged);
            Path filling = Files.write(disk.resolve("filling"), new byte[160_000]);
            Running.Answer answer = running.chat("a", "hi");
            assertEquals("507 storage_unavailable", answer.status() + " " + answer.at("code"));
            assertEquals(damaged, Files.readString(file));
            assertEquals(List.of(".lock", "filling", "history_a.json"), names(disk));
            assertFalse(running.console().contains("live on"));
            Files.delete(filling);
            assertEquals(200, running.chat("a", "hi").status());
            assertTrue(running.console().contains("was damaged: its whole messages live on"));
            assertEquals(4, running.said("a").size());
            assertEquals(3, names(disk).size());
        } finally {
            run("umount", disk.toString());
        }
    }

    private static List<String> names(Path folder) throws IOException {
        try (var files = Files.list(folder)) {
            return files.map(each -> each.getFileName().toString()).sorted().toList();
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 40})
    void writesNoTimeBeforeTheLastOne(int window) throws Exception {
        try (var running = new Running(Scripted.gemini("ok"), "HISTORY_WINDOW=" + window)) {
            String ahead = "2099-01-01T00:00:00Z";
            Files.writeString(running.file("a"), TURN.replace("\"a\"}", "\"a\",\"time\":\"" + ahead + "\"}"));
            for (int i = 0; i < 2; i++) {
                assertEquals(200, running.chat("a", "hi").status());
            }
            for (int i = 2; i < 6; i++) {
                assertEquals(ahead, running.get("/history?user_id=a").at("messages", i, "time"));
            }
        }
    }

    @Test
    void refusesWhatIsNoFileOfItsOwnAndServesTheOthers() throws Exception {
        try (var running = new Running(Scripted.gemini("ok"))) {
            assertEquals(200, running.chat("good", "hi").status());
            Files.createDirectory(running.file("folder"));
            Files.createSymbolicLink(running.file("link"), Path.of("/etc/passwd"));
            for (String user : List.of("folder", "link")) {
                for (Running.Answer answer :
                        List.of(running.chat(user, "hi"), running.get("/history?user_id=" + user))) {
                    assertEquals("503 storage_unavailable", answer.status() + " " + answer.at("code"));
                    assertFalse(answer.text().contains(running.folder.toString()));
                }
                assertEquals(200, running.chat("good", "hi").status());
                Files.delete(running.file(user));
                assertEquals(200, running.chat(user, "hi").status());
            }
            Path empty = Files.writeString(running.file("empty"), "");
            assertEquals(200, running.chat("empty", "hi").status());
            assertTrue(Files.size(empty) > 0);
        }
    }

    @Test
    void goesOnWithAFileOf20Megabytes() throws Exception {
        try (var running = new Running(Scripted.gemini("ok"))) {
            running.chat("big", "first");
            try (var file = new RandomAccessFile(running.file("big").toFile(), "rw")) {
                byte[] line = (",\n{\"role\":\"user\",\"content\":\"" + "x".repeat(100_000)
                                + "\"},\n{\"role\":\"assistant\",\"content\":\"y\"}")
                        .getBytes();
                file.seek(file.length() - 3);
                while (file.getFilePointer() < 20_000_000) file.write(line);
                file.write("\n]\n".getBytes());
            }
            assertEquals(200, running.chat("big", "hi").status());
            Running.Answer all = running.get("/history?user_id=big");
            assertEquals(200, all.status());
            assertTrue(all.response().body().length > 19_000_000);
            assertEquals("hi", running.get("/history?user_id=big&limit=2").at("messages", 0, "content"));
            assertEquals(200, running.chat("small", "hi").status());
            assertEquals(204, running.delete("/history?user_id=big").status());
            assertEquals(200, running.chat("big", "hi").status());
        }
    }

    @Test
    void makesItsFolderAgainWhenSomebodyRemovedIt() throws Exception {
        try (var running = new Running(Scripted.gemini("ok"))) {
            running.chat("alice", "hi");
            Files.move(running.folder.resolve("histories"), running.folder.resolve("moved"));
            assertEquals(List.of(), running.said("alice"));
            assertEquals(200, running.chat("alice", "hi").status());
            assertEquals(2, running.said("alice").size());
        }
    }

    @Test
    void goesOnWhenAReadOnlyFolderCanBeWrittenAgain(@TempDir Path disk) throws Exception {
        Assumptions.assumeTrue(
                run("mount", "-t", "tmpfs", "parley", disk.toString()), "a disk of its own cannot be mounted here");
        try (var running = new Running(Scripted.gemini("ok"), "HISTORY_DIR=" + disk.resolve("histories"))) {
            assertEquals(200, running.chat("alice", "hi").status());
            assertTrue(run("mount", "--bind", "-o", "ro", disk.toString(), disk.toString())
                    && run("mount", "-o", "remount,bind,ro", disk.toString()));
            for (String user : List.of("alice", "newcomer")) {
                Running.Answer answer = running.chat(user, "hi");
                assertEquals("503 storage_unavailable", answer.status() + " " + answer.at("code"), answer.text());
            }
            assertEquals(2, running.said("alice").size());
            assertTrue(run("umount", disk.toString()));
            assertEquals(200, running.chat("alice", "hi").status());
            assertEquals(200, running.chat("newcomer", "hi").status());
            assertEquals(4, running.said("alice").size());
        } finally {
            while (run("umount", disk.toString())) {
                /* once for each mount */
            }
        }
    }

    /** As the user nobody, since root may read anything. */
    @Test
    void servesTheOthersWhileOneFileMayNotBeRead(@TempDir Path folder) throws Exception {
        String compiled =
                Parley.class.getProtectionDomain().getCodeSource().getLocation().getPath() + "parley/Parley.class";
        Assumptions.assumeTrue(
                run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "test", "-r", compiled),
                "this needs root, setpriv, and a folder that nobody may read");
        Path env = Files.writeString(folder.resolve(".env"), "CHAT_PROVIDER=local\nLOCAL_CHAT_MODEL=m\n");
        Path histories = Files.createDirectory(folder.resolve("histories"));
        for (Path each : List.of(folder, histories)) {
            Files.setPosixFilePermissions(each, PosixFilePermissions.fromString("rwxrwxrwx"));
        }
        Path file = Files.writeString(
                histories.resolve("history_locked.json"),
                "[\n{\"role\":\"user\",\"content\":\"u\"},\n{\"role\":\"assistant\",\"content\":\"a\"}\n]\n");
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("---------"));
        try (var provider = new Scripted(Scripted.openAi("ok"));
                var client = HttpClient.newHttpClient();
                var server = new CrashTest.Server(
                        env,
                        Map.of("LOCAL_BASE_URL", provider.address() + "/v1"),
                        "setpriv",
                        "--reuid=65534",
                        "--regid=65534",
                        "--clear-groups")) {
            assertEquals(503, chat(client, server.port(), "locked"));
            assertEquals(200, chat(client, server.port(), "other"));
            Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-rw-rw-"));
            assertEquals(200, chat(client, server.port(), "locked"));
            assertEquals(4, Json.items(Json.parse(Files.readString(file))).size());
            Files.setPosixFilePermissions(histories, PosixFilePermissions.fromString("r-xr-xr-x"));
            assertEquals(503, chat(client, server.port(), "newcomer"));
            assertEquals(200, chat(client, server.port(), "other"), "a file that is there can still be appended to");
            Files.setPosixFilePermissions(histories, PosixFilePermissions.fromString("rwxrwxrwx"));
            assertEquals(200, chat(client, server.port(), "newcomer"));
        }
    }

    private static int chat(HttpClient client, int port, String user) throws Exception {
        return chat(client, port, user, "hi");
    }

    private static int delete(HttpClient client, int port, String user) throws Exception {
        return client.send(
                        HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + "/history?user_id=" + user))
                                .DELETE()
                                .build(),
                        HttpResponse.BodyHandlers.discarding())
                .statusCode();
    }

    private static int chat(HttpClient client, int port, String user, String message) throws Exception {
        return client.send(
                        HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + "/chat"))
                                .header("Content-Type", "application/json")
                                .POST(HttpRequest.BodyPublishers.ofString(
                                        "{\"user_id\":\"" + user + "\",\"message\":\"" + message + "\"}"))
                                .build(),
                        HttpResponse.BodyHandlers.discarding())
                .statusCode();
    }
}
