package parley;

import static org.junit.jupiter.api.Assertions.*;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class HistoriesTest {
    private static final User ALICE = new User("alice");

    @TempDir
    private Path folder;
    private final Histories histories = new Histories(Duration.ofSeconds(10));
    private final Watch watch = new Watch();
    private final Watch.Client client = watch.new Client(new InetSocketAddress(InetAddress.getLoopbackAddress(), 1), new InetSocketAddress(InetAddress.getLoopbackAddress(), 2));

    @BeforeEach
    void open() throws Exception {
        histories.open(folder);
    }

    @AfterEach
    void close() throws Exception {
        histories.close();
        watch.close();
    }

    private Path file() {
        return folder.resolve(ALICE.fileName());
    }

    private void turn(String asked, String said) {
        histories.inTurn(folder, ALICE, client, any -> { }, history -> {
            history.append(Message.fromUser(asked), Message.fromAssistant(said, "gemini", "m"));
            return null;
        });
    }

    private List<String> all() {
        return contents(histories.inTurn(folder, ALICE, client, any -> { }, History::all));
    }

    private List<String> last(int count) {
        return contents(histories.inTurn(folder, ALICE, client, any -> { }, history -> history.last(count)));
    }

    private static List<String> contents(List<Message> messages) {
        return messages.stream().map(Message::content).toList();
    }

    private List<String> names() throws Exception {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(each -> each.getFileName().toString()).filter(name -> !name.startsWith(".")).sorted().toList();
        }
    }

    private static String line(String role, String content) {
        return "{\"role\":\"" + role + "\",\"content\":\"" + content + "\"}";
    }

    @Test
    void isWholeJsonAfterEachTurn() throws Exception {
        for (int i = 1; i <= 5; i++) {
            turn("q" + i, "a\n\"" + i + "\" é🦊");
            assertEquals(2 * i, Json.items(Json.parse(Files.readString(file()))).size());
        }
        assertEquals("[", Files.readAllLines(file()).get(0));
        assertEquals(12, Files.readAllLines(file()).size());
        assertEquals(List.of("q5", "a\n\"5\" é🦊"), last(2));
        assertEquals(List.of("a\n\"4\" é🦊", "q5", "a\n\"5\" é🦊"), last(3));
        assertEquals(10, last(100).size());
        assertEquals(List.of(), last(0));
    }

    @Test
    void keepsEveryEarlierTurnWhenTheTailIsTorn() throws Exception {
        turn("q1", "a1 }{,\n");
        turn("q2", "a2 é🦊");
        int before = (int) Files.size(file());
        turn("q3", "a3 é🦊");
        byte[] bytes = Files.readAllBytes(file());
        int from = before - 3;
        var random = new Random(1);
        for (int kept = from; kept <= bytes.length; kept++) {
            for (String filling : List.of("", "zeros", "garbage", "garbage]")) {
                byte[] torn = Arrays.copyOf(bytes, filling.isEmpty() ? kept : bytes.length);
                for (int i = kept; i < torn.length; i++) {
                    torn[i] = filling.equals("zeros") ? 0 : filling.endsWith("]") && i == torn.length - 1 ? (byte) ']' : (byte) (1 + random.nextInt(255));
                }
                Files.write(file(), torn);
                List<String> left = all();
                String what = kept - from + " bytes of the write, then " + filling;
                assertTrue(left.size() == 4 || left.size() == 6, what + ": " + left);
                assertEquals(List.of("q1", "a1 }{,\n", "q2", "a2 é🦊"), left.subList(0, 4), what);
                turn("next", "answer");
                assertEquals(left.size() + 2, all().size(), what);
                assertEquals(left.size() + 2, Json.items(Json.parse(Files.readString(file()))).size(), what);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("edited")
    void goesOnWithWhatAPersonEdited(String text, List<String> contents) throws Exception {
        Files.write(file(), text.getBytes(StandardCharsets.UTF_8));
        assertEquals(contents, all(), text);
        assertEquals(contents, last(40));
        turn("next", "answer");
        List<String> more = new ArrayList<>(contents);
        more.addAll(List.of("next", "answer"));
        assertEquals(more, all());
        assertEquals(more.size(), Json.items(Json.parse(Files.readString(file()))).size());
        assertEquals(1, names().size(), "nothing was set aside");
    }

    static List<Arguments> edited() {
        String u = line("user", "u");
        String a = line("assistant", "a");
        return List.of(
                Arguments.of("", List.of()),
                Arguments.of("\n", List.of()),
                Arguments.of("[]", List.of()),
                Arguments.of("[\n]\n", List.of()),
                Arguments.of("[" + u + "," + a + "]", List.of("u", "a")),
                Arguments.of("[\n" + u + ",\n" + a + "\n]", List.of("u", "a")),
                Arguments.of("[\n" + u + ",\n" + a + "\n]\n\n", List.of("u", "a")),
                Arguments.of("[\r\n" + u + ",\r\n" + a + "\r\n]\r\n", List.of("u", "a")),
                Arguments.of("\ufeff[\n" + u + ",\n" + a + "\n]\n", List.of("u", "a")),
                Arguments.of("[\n  {\n    \"role\": \"user\",\n    \"content\": \"u\"\n  },\n  {\n    \"role\": \"assistant\",\n    \"content\": \"a\"\n  }\n]\n", List.of("u", "a")),
                Arguments.of("[\n" + u + ",\n" + u + "\n]\n", List.of("u", "u")),
                Arguments.of("[\n" + a + ",\n" + a + "\n]\n", List.of("a", "a")),
                Arguments.of("[\n" + a + "\n]\n", List.of("a")),
                Arguments.of("[\n" + u + "\n]\n", List.of("u")));
    }

    @Test
    void keepsMembersThatItDoesNotKnow() throws Exception {
        Files.writeString(file(), "[\n{\"role\":\"user\",\"content\":\"u\",\"note\":{\"n\":12345678901234567890}},\n" + line("user", "v") + "\n]\n");
        turn("next", "answer");
        assertTrue(Files.readString(file()).contains("\"note\":{\"n\":12345678901234567890}"));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "nonsense", "{\"messages\":[]}", "[1,2]", "[{\"role\":\"system\",\"content\":\"x\"}]", "[{\"role\":\"user\"}]", "null", "[{\"role\":\"user\",\"content\":\"x\"}"
    })
    void setsAsideWhatAPersonBroke(String text) throws Exception {
        Files.writeString(file(), text);
        assertEquals(List.of(), all());
        assertEquals(1, names().size());
        assertTrue(names().get(0).matches("history_alice\\.json\\.corrupt-\\d{8}T\\d{6}\\.\\d{3}Z"), names().toString());
        assertEquals(text, Files.readString(folder.resolve(names().get(0))));
        turn("q", "a");
        assertEquals(List.of("q", "a"), all());
        assertEquals(2, names().size());
    }

    @Test
    void setsAsideAFileThatIsBrokenBeforeWholeMessages() throws Exception {
        for (int i = 0; i < 4; i++) turn("q" + i, "a" + i);
        String broken = Files.readString(file()).replace("\"q1\"", "\"q1");
        Files.writeString(file(), broken);
        assertEquals(List.of(), all());
        assertEquals(broken, Files.readString(folder.resolve(names().get(0))));
    }

    @Test
    void reads4MegabytesOfOneMessageFromTheEnd() throws Exception {
        turn("first", "a");
        turn("q", "x".repeat(4 << 20));
        assertEquals(List.of("a", "q"), last(3).subList(0, 2));
    }

    @Test
    void readsNoMoreThanABoundedEnd() {
        for (int i = 0; i < 6; i++) turn("q" + i, i + "x".repeat(2 << 20));
        List<String> last = last(40);
        assertTrue(last.size() >= 6 && last.size() < 12, last.size() + " messages");
        assertTrue(last.getLast().startsWith("5x"));
        turn("next", "answer");
        assertEquals(List.of("next", "answer"), last(2));
        assertEquals(14, all().size());
    }

    @Test
    void writesNoMoreThanTheTurnWhateverTheLength() throws Exception {
        var text = new StringBuilder("[\n");
        for (int i = 0; i < 50_000; i++) text.append(line("user", "u" + i)).append(",\n").append(line("assistant", "a" + i)).append(i < 49_999 ? ",\n" : "\n]\n");
        Files.writeString(file(), text);
        Object same = Files.readAttributes(file(), "unix:ino").get("ino");
        turn("next", "answer");
        assertEquals(same, Files.readAttributes(file(), "unix:ino").get("ino"), "appended in place");
        assertEquals(List.of("u49999", "a49999", "next", "answer"), last(4));
        assertEquals(100_002, all().size());
    }

    @Test
    void followsNoSymbolicLink() throws Exception {
        Path elsewhere = Files.writeString(folder.resolve("elsewhere"), "[\n" + line("user", "secret") + "\n]\n");
        Files.createSymbolicLink(file(), elsewhere);
        assertEquals(503, assertThrows(Problem.class, this::all).status());
        assertEquals(503, assertThrows(Problem.class, () -> turn("q", "a")).status());
        assertTrue(Files.readString(elsewhere).contains("secret"));
    }

    @Test
    void saysThatADirectoryIsNoHistoryAndServesOthers() throws Exception {
        Files.createDirectory(file());
        Problem problem = assertThrows(Problem.class, this::all);
        assertEquals("storage_unavailable", problem.name());
        assertFalse(problem.getMessage().contains(folder.toString()));
        assertEquals(List.of(), histories.inTurn(folder, new User("bob"), client, any -> { }, History::all));
        Files.delete(file());
        turn("q", "a");
        assertEquals(List.of("q", "a"), all());
    }

    @Test
    void givesEachIdAFileOfItsOwn() {
        var ids = List.of("Alice", "alice", "ALICE", "é", "e\u0301", "a/b", "a_b", "a%2Fb", "..", ".", "a b", "a+b", "\\", "🦊", "con", "CON");
        var names = ids.stream().map(id -> new User(id).fileName()).toList();
        assertEquals(ids.size(), names.stream().map(name -> name.toLowerCase(java.util.Locale.ROOT)).distinct().count(), names.toString());
        for (String name : names) assertTrue(name.matches("history_[a-z0-9_.@+%A-F-]*\\.json"), name);
        assertEquals("history_%41lice.json", names.get(0));
        assertEquals("history_a%2Fb.json", names.get(5));
    }

    @Test
    void sharesAFolderWithAnotherServer() throws Exception {
        try (var other = new Histories(Duration.ofSeconds(10))) {
            other.open(folder);
            var threads = new ArrayList<Thread>();
            for (int i = 0; i < 8; i++) {
                Histories mine = i % 2 == 0 ? histories : other;
                threads.add(Thread.ofPlatform().start(() -> {
                    for (int k = 0; k < 25; k++) {
                        mine.inTurn(folder, ALICE, client, any -> { }, history -> {
                            history.append(Message.fromUser("q"), Message.fromAssistant("a", "p", "m"));
                            return null;
                        });
                    }
                }));
            }
            for (Thread thread : threads) thread.join();
            assertEquals(400, all().size());
        }
    }

    @Test
    void answersBusyWhenAnEarlierTurnLastsTooLong() throws Exception {
        try (var hasty = new Histories(Duration.ofMillis(50)); var threads = Executors.newSingleThreadExecutor()) {
            Exception failed = hasty.inTurn(folder, ALICE, client, any -> { }, history -> assertThrows(ExecutionException.class,
                    () -> threads.submit(() -> hasty.inTurn(folder, ALICE, client, any -> { }, History::all)).get()));
            Problem problem = assertInstanceOf(Problem.class, failed.getCause());
            assertEquals("busy", problem.name());
            assertEquals(429, problem.status());
            assertNotNull(problem.retryAfter);
        }
    }
}
