package parley;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class HistoriesTest {
    @TempDir
    private Path folder;

    private Histories histories;

    @BeforeEach
    void open() throws Exception {
        histories = new Histories(folder, Duration.ofSeconds(10));
    }

    @AfterEach
    void close() throws Exception {
        histories.close();
    }

    private Path file() {
        return folder.resolve(Histories.fileName("alice"));
    }

    private void turn(String asked, String said) {
        turn(histories, 0, user(asked), assistant(said));
    }

    private static void turn(Histories histories, int replaced, Message... messages) {
        turn(histories, "alice", replaced, messages);
    }

    private static void turn(Histories histories, String user, int replaced, Message... messages) {
        try (Histories.Turn turn = histories.begin(user, null)) {
            turn.store(turn.read(40, replaced), messages);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** What GET shows. */
    private List<String> all() throws Exception {
        return contents(stored(histories, "alice"));
    }

    static List<Message> stored(Histories histories, String user) throws Exception {
        var stored = new ArrayList<Message>();
        try (Lines file = histories.openStored(user)) {
            var reader = new HistoryReader(file, 0, new Memory.Growing());
            for (var item = reader.next(); item != null; item = reader.next()) stored.add(item.message());
        }
        return stored;
    }

    /** What GET shows with a limit. */
    static List<Message> shown(Histories histories, String user, int limit) throws Exception {
        var shown = new ArrayList<Message>();
        try (Lines file = histories.openStored(user)) {
            var reader = HistoryReader.ofLast(limit, any -> true, file, new Memory.Growing());
            for (var item = reader.next(); item != null; item = reader.next()) shown.add(item.message());
        }
        return shown;
    }

    private List<String> last(int count) throws Exception {
        return last(count, 0);
    }

    private List<String> last(int count, int replaced) throws Exception {
        try (Histories.Turn turn = histories.begin("alice", null)) {
            return contents(turn.read(count, replaced).messages());
        }
    }

    private static Message user(String content) {
        return Message.fromUser(content, Instant.MIN);
    }

    private static Message assistant(String content) {
        return user("?").answered(content, "p", "m", ChronoUnit.SECONDS);
    }

    private static List<String> contents(List<Message> messages) {
        return messages.stream().map(Message::content).toList();
    }

    private List<String> names() throws Exception {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(each -> each.getFileName().toString())
                    .filter(name -> !name.startsWith("."))
                    .sorted()
                    .toList();
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
                    torn[i] = filling.equals("zeros")
                            ? 0
                            : filling.endsWith("]") && i == torn.length - 1
                                    ? (byte) ']'
                                    : (byte) (1 + random.nextInt(255));
                }
                Files.write(file(), torn);
                List<String> left = all();
                String what = kept - from + " bytes of the write, then " + filling;
                assertTrue(left.size() == 4 || left.size() == 6, what + ": " + left);
                assertEquals(List.of("q1", "a1 }{,\n", "q2", "a2 é🦊"), left.subList(0, 4), what);
                turn("next", "answer");
                assertEquals(left.size() + 2, all().size(), what);
                assertEquals(
                        left.size() + 2,
                        Json.items(Json.parse(Files.readString(file()))).size(),
                        what);
                for (String name : names()) {
                    if (!name.contains(".corrupt-")) continue;
                    assertArrayEquals(
                            torn,
                            Files.readAllBytes(folder.resolve(name)),
                            what + ": the damaged file stays as it was");
                    Files.delete(folder.resolve(name));
                }
            }
        }
    }

    @Test
    void keepsTheDamagedFileBesideWhenOnlyItsEndIsGone() throws Exception {
        turn("q1", "a1");
        turn("q2", "x".repeat(400));
        byte[] whole = Files.readAllBytes(file());
        for (byte[] damaged : List.of(
                Arrays.copyOf(whole, whole.length - 300),
                Arrays.copyOf(Arrays.copyOf(whole, whole.length - 300), whole.length))) {
            Files.write(file(), damaged);
            assertEquals(List.of("q1", "a1"), all(), "GET gives the whole turns");
            assertArrayEquals(damaged, Files.readAllBytes(file()), "and writes nothing");
            turn("next", "answer");
            assertEquals(List.of("q1", "a1", "next", "answer"), all());
            Path copy = folder.resolve(names().get(1));
            assertTrue(
                    copy.toString().matches(".*history_alice\\.json\\.corrupt-\\d{8}T\\d{6}\\.\\d{3}Z"),
                    copy.toString());
            assertArrayEquals(damaged, Files.readAllBytes(copy));
            Files.delete(copy);
        }
    }

    @Test
    void replacesTheLastTurnInOneStep() throws Exception {
        turn("q1", "a1");
        turn("q2", "a2");
        turn(histories, 1, user("q3"), assistant("a3"));
        assertEquals(List.of("q1", "a1", "q3", "a3"), all());
        assertEquals(6, Files.readAllLines(file()).size());
        turn("q4", "a4");
        turn(histories, 2);
        assertEquals(List.of("q1", "a1"), all());
        turn(histories, 1, user("only"), assistant("one"));
        assertEquals(List.of("only", "one"), all());
        turn(histories, 9);
        assertEquals("[\n]\n", Files.readString(file()));
        turn(histories, 1, user("q"), assistant("a"));
        assertEquals(List.of("q", "a"), all());
        assertEquals(4, Files.readAllLines(file()).size());
    }

    /** A greeting, as people put one there by hand, is no turn: nothing takes its place. */
    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2, 60})
    void keepsWhatStandsBeforeTheFirstTurn(int turns) throws Exception {
        Files.writeString(file(), "[\n" + line("assistant", "Welcome!") + "\n]\n");
        for (int i = 0; i < turns; i++) turn("q" + i, "a" + i);
        turn(histories, turns + 1);
        assertEquals(List.of("Welcome!"), all());
        turn(histories, 1, user("q"), assistant("a"));
        assertEquals(List.of("Welcome!", "q", "a"), all());
    }

    @Test
    void removesWhatACrashHasLeftOfThisUsersReplacement() throws Exception {
        turn("q", "a");
        String id = UUID.nameUUIDFromBytes("history_alice.json".getBytes(StandardCharsets.UTF_8))
                .toString();
        Path left = Files.writeString(folder.resolve(".tmp-" + id), "half of");
        Path others = Files.writeString(folder.resolve(".tmp-of-another"), "half of");
        turn(histories, 1, user("q"), assistant("b"));
        assertTrue(Files.notExists(left));
        assertTrue(Files.exists(others));
    }

    @Test
    void showsTheConversationWithoutTheTurnThatIsReplaced() throws Exception {
        for (int i = 1; i <= 30; i++) turn("q" + i, "a" + i + "x".repeat(2000));
        List<String> shown = last(4, 1);
        assertEquals(
                List.of("q28", "q29"),
                shown.stream().filter(each -> each.startsWith("q")).toList());
        assertEquals(4, shown.size());
    }

    /** Another server, which believes that it has the lock: as where a network's file system has dropped this one's. */
    @Test
    void storesNothingOverATurnThatAnotherServerHasStoredMeanwhile() throws Exception {
        turn("q1", "a1");
        try (Histories.Turn turn = histories.begin("alice", null)) {
            Tail tail = turn.read(40, 0);
            var theirs = new HistoryFile(new Folder(folder), Histories.fileName("alice"));
            theirs.store(theirs.read(40, 0), user("theirs"), assistant("stored"));
            Problem problem = assertThrows(Problem.class, () -> turn.store(tail, user("mine"), assistant("lost")));
            assertEquals("storage_unavailable", problem.name());
            assertTrue(
                    problem.getMessage().contains("changed by another server meanwhile: send it again"),
                    problem.getMessage());
        }
        assertEquals(List.of("q1", "a1", "theirs", "stored"), all());
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
        assertEquals(
                more.size(), Json.items(Json.parse(Files.readString(file()))).size());
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
                Arguments.of(
                        """
                        [\n  {\n    "role": "user",\n    "content": "u"\n  },\n  {\n    "role": "assistant",
                            "content": "a"\n  }\n]\n""",
                        List.of("u", "a")),
                Arguments.of("[\n" + u + ",\n" + u + "\n]\n", List.of("u", "u")),
                Arguments.of("[\n" + a + ",\n" + a + "\n]\n", List.of("a", "a")),
                Arguments.of("[\n" + a + "\n]\n", List.of("a")),
                Arguments.of("[\n" + u + "\n]\n", List.of("u")));
    }

    @Test
    void keepsMembersThatItDoesNotKnow() throws Exception {
        Files.writeString(
                file(),
                "[\n{\"role\":\"user\",\"content\":\"u\",\"note\":{\"n\":12345678901234567890}},\n" + line("user", "v")
                        + "\n]\n");
        turn("next", "answer");
        assertTrue(Files.readString(file()).contains("\"note\":{\"n\":12345678901234567890}"));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '~',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    file                                   | whole
                    nonsense                               |
                    {"messages":[]}                        |
                    [1,2]                                  |
                    [system(x)]                            |
                    [{"role":"user"}]                      |
                    null                                   |
                    [user(x)                               |
                    [user(x),assistant(y)                  | x y
                    [user(x),assistant(y)]]                | x y
                    [user(x),assistant(y),user(z),null]    | x y
                    """)
    void givesWhatIsWholeOfWhatAPersonBroke(String file, String whole) throws Exception {
        String text = file.replaceAll("(\\w+)\\((\\w)\\)", "{\"role\":\"$1\",\"content\":\"$2\"}");
        Files.writeString(file(), text);
        List<String> left = whole == null ? List.of() : List.of(whole.split(" "));
        assertEquals(left, all());
        assertEquals(text, Files.readString(file()), "GET writes nothing");
        turn("q", "a");
        assertEquals(Stream.concat(left.stream(), Stream.of("q", "a")).toList(), all());
        assertEquals(2, names().size());
        assertEquals(text, Files.readString(folder.resolve(names().get(1))));
    }

    @Test
    void losesOneMessageOf120ToAMissingQuote() throws Exception {
        var said = new ArrayList<String>();
        for (int i = 0; i < 60; i++) {
            turn("q" + i, "a" + i);
            said.addAll(List.of("q" + i, "a" + i));
        }
        String broken = Files.readString(file()).replace("\"q3\"", "\"q3");
        Files.writeString(file(), broken);
        said.remove("q3");
        assertEquals(said, all());
        turn("next", "answer");
        said.addAll(List.of("next", "answer"));
        assertEquals(said, all(), "the turn does not read it");
        assertEquals(1, names().size());
        turn(histories, 1, user("other"), assistant("reply"));
        said.subList(119, 121).clear();
        said.addAll(List.of("other", "reply"));
        assertEquals(said, all(), "the turn writes the file anew");
        assertEquals(121, Json.items(Json.parse(Files.readString(file()))).size());
        assertTrue(
                Files.readString(folder.resolve(names().get(1))).startsWith(broken.substring(0, broken.length() - 3)));
    }

    /** What lies beside the file of alice, or of a user whose name is too long for a copy's. */
    @ParameterizedTest
    @ValueSource(strings = {"alice", LONG})
    void removesTheDamagedCopiesOfAUserWithTheConversationAndNothingElse(String user) throws Exception {
        String time = "20261123T231639.123Z";
        String id = UUID.nameUUIDFromBytes(Histories.fileName(user).getBytes()).toString();
        var others = new ArrayList<String>();
        for (String other : List.of(
                user + ".json.corrupt-notes",
                user + ".json.corrupt-" + time,
                user + ".json.corrupt-" + time + ".json.corrupt-" + time,
                user + "2",
                id,
                id + ".json.corrupt-")) {
            String name = Histories.fileName(other);
            if (name.length() <= 255) others.add(name);
            if (name.length() <= 230) others.add(name + ".corrupt-" + time);
        }
        for (String other : others) Files.writeString(folder.resolve(other), "another user's");
        Files.writeString(folder.resolve(Histories.fileName(user)), "nonsense");
        turn(histories, user, 0, user("q"), assistant("a"));
        assertEquals(others.size() + 2, names().size(), "the file and its copy");
        try (Histories.Turn turn = histories.begin(user, null)) {
            turn.delete();
        }
        assertEquals(others.stream().sorted().toList(), names());
    }

    private static final String LONG = "ééééééééééééééééééééééééééééééééééééééaaaa"; // 245 bytes of a file name

    @Test
    void goesOnBehindAMessageThatIsLongerThanTheWindow() throws Exception {
        turn("first", "a");
        turn("q", "x".repeat(2 << 20));
        turn("next", "answer");
        assertEquals(List.of("next", "answer"), last(2));
        assertEquals(6, all().size());
        assertEquals(1, names().size());
    }

    @Test
    void readsNoMoreThanABoundedEnd() throws Exception {
        for (int i = 0; i < 12; i++) turn("q" + i, i + "x".repeat(200_000));
        List<String> last = last(40);
        assertTrue(last.size() >= 8 && last.size() < 12, last.size() + " messages");
        assertTrue(last.getLast().startsWith("11x"));
        turn("next", "answer");
        assertEquals(List.of("next", "answer"), last(2));
        assertEquals(26, all().size());
    }

    @Test
    void showsWhatStaysAlsoWhereTheTurnThatIsReplacedIsLong() throws Exception {
        turn("q1", "a1");
        turn("q2", "x".repeat((1 << 20) + 1));
        assertEquals(List.of("q1", "a1"), last(40, 1));
    }

    @Test
    void writesNoMoreThanTheTurnWhateverTheLength() throws Exception {
        var text = new StringBuilder("[\n");
        for (int i = 0; i < 50_000; i++)
            text.append(line("user", "u" + i))
                    .append(",\n")
                    .append(line("assistant", "a" + i))
                    .append(i < 49_999 ? ",\n" : "\n]\n");
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
        assertThrows(IOException.class, this::all);
        assertThrows(UncheckedIOException.class, () -> turn("q", "a"));
        assertTrue(Files.readString(elsewhere).contains("secret"));
    }

    @Test
    void givesEachIdAFileOfItsOwn() {
        var ids = List.of(
                "Alice", "alice", "ALICE", "é", "e\u0301", "a/b", "a_b", "a%2Fb", "..", ".", "a b", "a+b", "\\", "🦊",
                "con", "CON");
        var names = ids.stream().map(Histories::fileName).toList();
        assertEquals(
                ids.size(),
                names.stream()
                        .map(name -> name.toLowerCase(java.util.Locale.ROOT))
                        .distinct()
                        .count(),
                names.toString());
        for (String name : names) assertTrue(name.matches("history_[a-z0-9_.@+%A-F-]*\\.json"), name);
        assertEquals("history_%41lice.json", names.get(0));
        assertEquals("history_a%2Fb.json", names.get(5));
    }

    @Test
    void sharesAFolderWithAnotherServer() throws Exception {
        try (var other = new Histories(folder, Duration.ofSeconds(30))) {
            var threads = new ArrayList<Thread>();
            for (int i = 0; i < 8; i++) {
                Histories mine = i % 2 == 0 ? histories : other;
                threads.add(Thread.ofPlatform().start(() -> {
                    for (int k = 0; k < 25; k++) turn(mine, 0, user("q"), assistant("a"));
                }));
            }
            for (Thread thread : threads) thread.join();
            assertEquals(400, all().size());
        }
    }

    @Test
    void answersBusyWhenAnEarlierTurnLastsTooLong() throws Exception {
        try (var hasty = new Histories(folder, Duration.ofMillis(50));
                var threads = Executors.newSingleThreadExecutor()) {
            Problem problem;
            try (Histories.Turn turn = hasty.begin("alice", null)) {
                Future<?> other = threads.submit(() -> hasty.begin("alice", null));
                Exception failed = assertThrows(ExecutionException.class, other::get);
                problem = assertInstanceOf(Problem.class, failed.getCause());
                assertEquals(0, turn.read(1, 0).messages().size());
            }
            assertEquals("busy", problem.name());
            assertEquals(429, problem.status());
            assertNotNull(problem.retryAfter);
        }
    }

    /** Each server finds the file that the other one has made anew, and does not stay with the one that is gone. */
    @Test
    void serversExcludeEachOtherAlsoAfterTheirLockFileWasRemoved() throws Exception {
        try (var one = new Histories(folder, Duration.ofMillis(50));
                var other = new Histories(folder, Duration.ofMillis(50))) {
            Files.delete(folder.resolve(".lock"));
            try (Histories.Turn turn = one.begin("alice", null)) {
                Problem problem = assertThrows(Problem.class, () -> other.begin("alice", null));
                assertEquals("busy", problem.name());
                turn.store(turn.read(0, 0), user("hi"), assistant("hello"));
            }
            other.begin("alice", null).close();
        }
    }

    @Test
    void waitsForNoLockInAThreadThatIsInterrupted() throws Exception {
        try (var other = new Histories(folder, Duration.ofSeconds(10));
                Histories.Turn turn = other.begin("alice", null)) {
            var waiting = new FutureTask<>(() -> assertThrows(Problem.class, () -> histories.begin("alice", null)));
            Thread thread = Thread.ofPlatform().start(waiting);
            thread.interrupt();
            assertEquals("overloaded", waiting.get(5, TimeUnit.SECONDS).name());
            assertEquals(0, turn.read(1, 0).messages().size());
        }
        turn("the lock file", "is still open");
    }

    /** Far before what the turn reads. ~ stands for NUL, / for a line feed. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            textBlock =
                    """
                    q0   | q~0
                    q0   | q/0
                    q0   | q/{0
                    {    | {{
                    "},/ | "}},/
                    "},/ | "},~/
                    """)
    void keepsAndMendsADamageInsideALineWhenTheFileIsWrittenAnew(String part, String damage) throws Exception {
        for (int i = 0; i < 30; i++) turn("q" + i, "a" + i);
        String broken = Files.readString(file())
                .replaceFirst(
                        Pattern.quote(part.replace('/', '\n')),
                        damage.replace('/', '\n').replace('~', '\0'));
        Files.writeString(file(), broken);
        List<String> shown = all();
        try (Lines lines = histories.openStored("alice")) {
            assertEquals(shown.size(), HistoryReader.count(lines, new Memory.Growing()));
        }
        turn(histories, 1, user("other"), assistant("reply"));
        assertEquals(
                shown.size(), Json.items(Json.parse(Files.readString(file()))).size());
        assertEquals(broken, Files.readString(folder.resolve(names().get(1))));
    }

    /** What raw bytes do not tell: a false escape, a role and a member that are none. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            textBlock =
                    """
                    # part    | damage
                    "q0"      | "q\\x0"
                    "q0"      | 7
                    "user"    | "usr"
                    "content" | "contents"
                    """)
    void keepsAndMendsWhatOnlyReadingTells(String part, String damage) throws Exception {
        for (int i = 0; i < 30; i++) turn("q" + i, "a" + i);
        String broken = Files.readString(file()).replaceFirst(Pattern.quote(part), Matcher.quoteReplacement(damage));
        Files.writeString(file(), broken);
        turn(histories, 1, user("other"), assistant("reply"));
        assertEquals(59, Json.items(Json.parse(Files.readString(file()))).size());
        assertEquals(broken, Files.readString(folder.resolve(names().get(1))));
    }

    /** / stands for a line feed, ~ for a carriage return. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            textBlock =
                    """
                    [U,A,U,A]               | 4
                    [/U,/A/]/           | 2
                    [/U,/A,U,A,/U/]/   | 5
                    [/U,/A/,U,A/]       | 4
                    [/  U/,/  A/]/     | 2
                    [~/U,~/A~/]~/ | 2
                    [/]/                 | 0
                    [/U,//A/]/        | 2
                    """)
    void countsTheMessagesInAnyLayout(String layout, int count) throws Exception {
        String text = layout.replace("/", "\n").replace("~", "\r");
        text = text.replace("U", line("user", "u{")).replace("A", line("assistant", "a"));
        Files.writeString(file(), text);
        try (Lines lines = histories.openStored("alice")) {
            assertEquals(count, HistoryReader.count(lines, new Memory.Growing()));
        }
        assertEquals(count, all().size());
    }

    /** The third last line is damaged: the last messages are those that are whole. */
    @Test
    void givesTheLastMessagesAlsoWhereOneIsDamaged() throws Exception {
        for (int i = 0; i < 5; i++) turn("q" + i, "a" + i);
        Files.writeString(file(), Files.readString(file()).replace("\"a3\"", "a3\""));
        assertEquals(List.of("q3", "q4", "a4"), contents(shown(histories, "alice", 3)));
    }

    /** A line begins with an object that is a part of a message, as Python's {@code dumps(…, indent=0)} writes it. */
    @Test
    void takesNoPartOfAMessageForOne() throws Exception {
        String reply = line("assistant", "a").replace("}", ",\"drafts\":[\n" + line("assistant", "draft") + "\n]}");
        Files.writeString(file(), "[\n" + line("user", "q") + ",\n" + reply + "\n]\n");
        assertEquals(List.of("a"), contents(shown(histories, "alice", 1)));
        turn(histories, 1, user("other"), assistant("reply"));
        assertEquals(List.of("other", "reply"), all());
    }

    @ParameterizedTest
    @ValueSource(strings = {"\n  ", "\r\n\t"})
    void writesAMessageOfSeveralLinesOnOneAndElseAsItWas(String between) throws Exception {
        String message = "{~\"role\": \"user\",~\"content\": \"\\ud83e  \\u00e9\",~\"n\": 1.50e1}";
        Files.writeString(file(), "[" + message.replace("~", between) + "]");
        turn("next", "answer");
        assertEquals(message.replace("~", "") + ",", Files.readAllLines(file()).get(1));
    }

    @Test
    void mendsAByteOrderMarkBetweenMessages() throws Exception {
        Files.writeString(file(), "[\n" + line("user", "q") + ",\n\ufeff" + line("assistant", "a") + "\n]\n");
        turn("next", "answer");
        assertEquals(4, Json.items(Json.parse(Files.readString(file()))).size());
        assertEquals(2, names().size());
    }

    /** The time is a hang's: to read all of these lines again for each message that is missing took minutes. */
    @Test
    @Timeout(30)
    void givesTheLastMessageBeforeManyLinesThatAreNone() throws Exception {
        String none = ",\n" + line("system", "x".repeat(60));
        Files.writeString(
                file(), "[\n" + line("user", "q") + ",\n" + line("assistant", "a") + none.repeat(20_000) + "\n]\n");
        try (Lines lines = histories.openStored("alice")) {
            var reader = HistoryReader.ofLast(1, any -> true, lines, new Memory.Growing());
            assertEquals("a", reader.next().message().content());
            assertNull(reader.next());
        }
    }
}
