package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.RandomAccessFile;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

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
            for (int i = 0; i < 3; i++)
                assertEquals(507, running.chat("alice", "x".repeat(20_000)).status());
            assertEquals(2 * said, running.said("alice").size());
            Json.parse(Files.readString(disk.resolve("histories/history_alice.json")));
            assertEquals(204, running.delete("/history?user_id=alice").status());
            assertEquals(200, running.chat("newcomer", "x".repeat(20_000)).status());
        } finally {
            run("umount", disk.toString());
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
    void goesOnWithAFileOf200Megabytes() throws Exception {
        try (var running = new Running(Scripted.gemini("ok"))) {
            running.chat("big", "first");
            try (var file = new RandomAccessFile(running.file("big").toFile(), "rw")) {
                byte[] line = (",\n{\"role\":\"user\",\"content\":\"" + "x".repeat(100_000)
                                + "\"},\n{\"role\":\"assistant\",\"content\":\"y\"}")
                        .getBytes();
                file.seek(file.length() - 3);
                while (file.getFilePointer() < 200_000_000) file.write(line);
                file.write("\n]\n".getBytes());
            }
            assertEquals(200, running.chat("big", "hi").status());
            Running.Answer all = running.get("/history?user_id=big");
            assertEquals(200, all.status());
            assertTrue(all.response().body().length > 199_000_000);
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
        for (Path each : List.of(folder, histories))
            Files.setPosixFilePermissions(each, PosixFilePermissions.fromString("rwxrwxrwx"));
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
        return client.send(
                        HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + "/chat"))
                                .header("Content-Type", "application/json")
                                .POST(HttpRequest.BodyPublishers.ofString(
                                        "{\"user_id\":\"" + user + "\",\"message\":\"hi\"}"))
                                .build(),
                        HttpResponse.BodyHandlers.discarding())
                .statusCode();
    }
}
