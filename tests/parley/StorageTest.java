package parley;

import static org.junit.jupiter.api.Assertions.*;

import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a disk can do to one user's file: that user gets a problem, the others are served, and nothing is lost once it has passed. */
class StorageTest {
    private static boolean run(String... command) throws Exception {
        return new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.DISCARD).start().waitFor() == 0;
    }

    @Test
    void keepsAllThatWasSaidWhenTheDiskIsFull(@TempDir Path disk) throws Exception {
        Assumptions.assumeTrue(run("mount", "-t", "tmpfs", "-o", "size=256k", "parley", disk.toString()), "a small disk cannot be mounted here");
        try (var running = new Running(Scripted.gemini("ok"), "HISTORY_DIR=" + disk.resolve("histories"))) {
            assertEquals(200, running.chat("alice", "before").status());
            Running.Answer answer;
            int said = 1;
            while ((answer = running.chat("alice", "x".repeat(20_000))).status() == 200) said++;
            assertEquals("507 storage_unavailable", answer.status() + " " + answer.at("code"));
            assertTrue(answer.text().contains("full"), answer.text());
            assertEquals(507, running.chat("newcomer", "x".repeat(20_000)).status());
            for (int i = 0; i < 3; i++) assertEquals(507, running.chat("alice", "x".repeat(20_000)).status());
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
                for (Running.Answer answer : List.of(running.chat(user, "hi"), running.get("/history?user_id=" + user))) {
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
                byte[] line = (",\n{\"role\":\"user\",\"content\":\"" + "x".repeat(100_000) + "\"},\n{\"role\":\"assistant\",\"content\":\"y\"}").getBytes();
                file.seek(file.length() - 3);
                while (file.getFilePointer() < 200_000_000) file.write(line);
                file.write("\n]\n".getBytes());
            }
            assertEquals(200, running.chat("big", "hi").status());
            Running.Answer all = running.get("/history?user_id=big");
            assertTrue(all.status() == 503 && all.at("code").equals("storage_unavailable"), "" + all.status());
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
        Assumptions.assumeTrue(run("mount", "-t", "tmpfs", "parley", disk.toString()), "a disk of its own cannot be mounted here");
        try (var running = new Running(Scripted.gemini("ok"), "HISTORY_DIR=" + disk.resolve("histories"))) {
            assertEquals(200, running.chat("alice", "hi").status());
            assertTrue(run("mount", "--bind", "-o", "ro", disk.toString(), disk.toString()) && run("mount", "-o", "remount,bind,ro", disk.toString()));
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
            while (run("umount", disk.toString())) { /* once for each mount */ }
        }
    }
}
