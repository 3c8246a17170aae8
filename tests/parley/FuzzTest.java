package parley;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.text.ParseException;
import java.time.Duration;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Texts that grow from good ones by cutting, doubling and changing: nothing but the declared exceptions comes of them.
 * Half a second
 * each; the long form is {@code ./run.sh test -Dtest=FuzzTest -DargLine=-Dfuzz.millis=60000}.
 */
@Timeout(600)
class FuzzTest {
    private static final long MILLIS = Long.getLong("fuzz.millis", 500);

    private interface Target {
        void take(byte[] bytes) throws Exception;
    }

    private static void fuzz(long seed, String start, Target target) throws Exception {
        var random = new Random(seed);
        byte[] good = start.getBytes(StandardCharsets.UTF_8);
        long cases = 0;
        for (long end = System.nanoTime() + MILLIS * 1_000_000; System.nanoTime() < end; cases++) {
            byte[] bytes = good;
            for (int i = random.nextInt(6); i >= 0; i--) bytes = changed(bytes, random);
            try {
                target.take(bytes);
            } catch (Throwable e) {
                throw new AssertionError(
                        "case " + cases + " of seed " + seed + ": " + new String(bytes, StandardCharsets.ISO_8859_1),
                        e);
            }
        }
        System.out.println(cases + " cases of seed " + seed);
    }

    private static byte[] changed(byte[] bytes, Random random) {
        if (bytes.length == 0) return new byte[] {(byte) random.nextInt(256)};
        int at = random.nextInt(bytes.length);
        int to = Math.min(bytes.length, at + random.nextInt(20));
        byte[] piece = Arrays.copyOfRange(bytes, at, to);
        return switch (random.nextInt(5)) {
            case 0 -> joined(bytes, at, new byte[0], to);
            case 1 -> joined(bytes, random.nextInt(bytes.length), piece, -1);
            case 2 -> joined(bytes, at, new byte[] {(byte) random.nextInt(256)}, at + 1);
            case 3 ->
                joined(
                        bytes,
                        at,
                        new byte[] {
                            "{}[]\",:\\\n\r\0'`#= e-.09u\ufeff".getBytes(StandardCharsets.UTF_8)[random.nextInt(24)]
                        },
                        -1);
            default -> Arrays.copyOf(bytes, at);
        };
    }

    /** The bytes up to a place, the piece, and the bytes from another place on; -1 is the first place. */
    private static byte[] joined(byte[] bytes, int at, byte[] piece, int from) {
        int rest = from < 0 ? at : from;
        ByteBuffer joined = ByteBuffer.allocate(at + piece.length + bytes.length - rest);
        return joined.put(bytes, 0, at)
                .put(piece)
                .put(bytes, rest, bytes.length - rest)
                .array();
    }

    @Test
    void json() throws Exception {
        fuzz(
                1,
                """
                {"a":[1,-2.5e3,"x\\u00e9\\n\\ud83e\\udd8a",true,false,null,{"b":{}}],"é🦊":12345678901234567890}""",
                bytes -> {
                    try {
                        Object value = Json.parse(new String(bytes, StandardCharsets.UTF_8));
                        assertEquals(value, Json.parse(Json.toJson(value)));
                    } catch (ParseException e) {
                        int offset = Integer.parseInt(e.getMessage().replaceAll(".* at offset ", ""));
                        assertTrue(offset >= 0, e.getMessage());
                        assertTrue(offset <= bytes.length, e.getMessage());
                    }
                });
    }

    @Test
    void env(@TempDir Path folder) throws Exception {
        Path file = folder.resolve(".env");
        fuzz(
                2,
                """
                # c
                export A = 'x' # y
                B="1\\n2
                3"
                C=`q`
                PORT=8080
                TOP_P=0.5
                GEMINI_CHAT_EXTRA='{"a":1}'
                CORS_ALLOWED_ORIGINS=https://a.example, *
                GEMINI_BASE_URL=https://h/p
                """,
                bytes -> {
                    String text = new String(bytes, StandardCharsets.UTF_8);
                    try {
                        DotEnv.parse(text, UnaryOperator.identity());
                        Files.writeString(file, text);
                        new LiveSettings(file, UnaryOperator.identity());
                    } catch (DotEnv.InvalidSetting e) {
                        assertFalse(e.getMessage().isBlank());
                    }
                });
    }

    @Test
    void events() throws Exception {
        fuzz(3, "data: {\"a\":\"é🦊\"}\r\n\r\n: c\n\ndata: x\ndata: y\n\nid: 1\rdata:z\r\r", bytes -> {
            assertEquals(ServerSentEventsTest.events(bytes, bytes.length + 1), ServerSentEventsTest.events(bytes, 1));
        });
    }

    private static final List<String> LINES = IntStream.range(0, 8)
            .mapToObj(i -> Json.toJson(Json.object(
                    "role",
                    i % 2 == 0 ? "user" : "assistant",
                    "content",
                    i + " {\"a\":[1,\"é🦊\\\\\"]},\n{ " + "x".repeat(i),
                    "time",
                    "2026-11-23T23:16:39Z")))
            .toList();
    private static final byte[] HISTORY =
            ("[\n" + String.join(",\n", LINES) + "\n]\n").getBytes(StandardCharsets.UTF_8);

    /** The lines that a change of these bytes does not touch; without the last question where it touches the reply. */
    private static List<Message> untouched(int from, int to) throws Exception {
        var untouched = new ArrayList<Message>();
        int begin = 2;
        for (String line : LINES) {
            int end = begin + line.getBytes(StandardCharsets.UTF_8).length;
            boolean touched = from < end && to > begin;
            if (!touched) untouched.add(new Message(Json.members(Json.parse(line))));
            if (touched && line.equals(LINES.getLast()) && untouched.size() == LINES.size() - 1) untouched.removeLast();
            begin = end + 2;
        }
        return untouched;
    }

    /** Each byte is taken out, doubled, and replaced by each of these. */
    @Test
    void showsWhatNoDamageTouchesWhereverItIs(@TempDir Path folder) throws Exception {
        Path file = folder.resolve(Histories.fileName("a"));
        byte[] instead = "\"{}[],:\\\nx\0 ".getBytes(StandardCharsets.UTF_8);
        try (var histories = new Histories(folder, Duration.ofSeconds(5))) {
            for (int at = 0; at < HISTORY.length; at++) {
                List<Message> untouched = untouched(at, at + 1);
                for (int i = -2; i < instead.length; i++) {
                    byte[] piece = i < 0 ? new byte[i + 2] : new byte[] {instead[i]};
                    byte[] damaged = joined(HISTORY, at, piece, at + 1);
                    Files.write(file, damaged);
                    List<Message> seen = HistoriesTest.stored(histories, "a");
                    seen.retainAll(untouched);
                    assertEquals(untouched, seen, () -> new String(damaged, StandardCharsets.UTF_8));
                }
            }
        }
    }

    /** Whatever a turn finds: it sees what GET shows, keeps it, and leaves valid JSON, and the old file beside. */
    @Test
    void histories(@TempDir Path folder) throws Exception {
        Path file = folder.resolve(Histories.fileName("a"));
        try (var histories = new Histories(folder, Duration.ofSeconds(5))) {
            fuzz(4, new String(HISTORY, StandardCharsets.UTF_8), bytes -> {
                Files.write(file, bytes);
                List<Message> before = HistoriesTest.stored(histories, "a");
                for (int i = 1; i <= before.size(); i++) {
                    assertEquals(
                            before.subList(before.size() - i, before.size()), HistoriesTest.shown(histories, "a", i));
                }
                try (Histories.Turn turn = histories.begin("a", null)) {
                    Tail tail = turn.read(100, 0);
                    assertEquals(before, tail.messages());
                    Message asked = Message.fromUser("q", tail.lastTime());
                    turn.store(tail, asked, asked.answered("a", "p", "m", ChronoUnit.SECONDS));
                }
                List<Message> after = HistoriesTest.stored(histories, "a");
                assertEquals(before, after.subList(0, before.size()));
                assertEquals(before.size() + 2, after.size());
                assertEquals(
                        after.size(),
                        Json.items(Json.parse(Files.readString(file))).size());
                for (Path copy : copies(folder)) {
                    assertArrayEquals(bytes, Files.readAllBytes(copy));
                    Files.delete(copy);
                }
            });
        }
    }

    private static List<Path> copies(Path folder) throws Exception {
        try (var files = Files.list(folder)) {
            return files.filter(each -> each.toString().contains("corrupt")).toList();
        }
    }
}
