package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.net.URI;
import java.nio.charset.Charset;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** An .env that is edited while Parley runs, in each way in which editors write. */
class LiveSettingsTest {
    @TempDir
    private Path folder;

    private void edit(Path file, String text) throws Exception {
        Files.writeString(file, text);
        Files.setLastModifiedTime(file, FileTime.from(Instant.now().minusSeconds(1))); // it has been still since
    }

    @Test
    void usesNoEditThatWasWrittenThisMoment() throws Exception {
        Path file = folder.resolve(".env");
        edit(file, "GEMINI_CHAT_MODEL=before\n");
        var settings = new LiveSettings(file, UnaryOperator.identity());
        String model;
        long written;
        do { // again where a busy machine did not look at it within 100 ms
            edit(file, "GEMINI_CHAT_MODEL=before\n");
            assertEquals("before", settings.current().chats().getFirst().model());
            written = System.nanoTime();
            Files.writeString(file, "GEMINI_CHAT_MODEL=half\n");
            model = settings.current().chats().getFirst().model();
        } while (System.nanoTime() - written > 80_000_000);
        assertEquals("before", model);
    }

    @Test
    void usesAnEditOnceItHasBeenStill() throws Exception {
        Path file = Files.writeString(folder.resolve(".env"), "GEMINI_CHAT_MODEL=before\n");
        var settings = new LiveSettings(file, UnaryOperator.identity());
        Files.writeString(file, "GEMINI_CHAT_MODEL=half\n");
        Files.writeString(file, "TOP_K=3\n", StandardOpenOption.APPEND);
        Running.await(() -> settings.current().chats().getFirst().model().equals("half"));
        assertEquals(3, settings.current().generation().topK().intValue());
    }

    @Test
    void usesAnEditTwoHundredMillisecondsBehindIt() throws Exception {
        Path file = Files.writeString(folder.resolve(".env"), "GEMINI_CHAT_MODEL=before\n");
        var settings = new LiveSettings(file, UnaryOperator.identity());
        Files.writeString(file, "GEMINI_CHAT_MODEL=after\n");
        Files.setLastModifiedTime(file, FileTime.from(Instant.now().minusMillis(200)));
        assertEquals("after", settings.current().chats().getFirst().model());
    }

    @Test
    void takeAnEditThatCommentsEverythingOut() throws Exception {
        Path file = Files.writeString(folder.resolve(".env"), "GEMINI_CHAT_MODEL=before\n");
        var settings = new LiveSettings(file, UnaryOperator.identity());
        Files.writeString(file, "# GEMINI_CHAT_MODEL=before\n");
        Files.setLastModifiedTime(file, FileTime.from(Instant.now().minusMillis(200)));
        assertEquals(
                "gemini-flash-latest", settings.current().chats().getFirst().model());
        assertNull(settings.refusal());
    }

    /** 100 edits, of five kinds, while requests come without a pause: none fails, and none sees half an edit. */
    @Test
    void isNeverSeenByHalfAndFailsNoRequest() throws Exception {
        try (var running = new Running(Scripted.gemini("ok"))) {
            var over = new AtomicBoolean();
            Set<String> seen = ConcurrentHashMap.newKeySet();
            var broken = ConcurrentHashMap.<String>newKeySet();
            var threads = new ArrayList<Thread>();
            for (int i = 0; i < 3; i++)
                threads.add(Thread.ofPlatform().start(() -> {
                    while (!over.get()) {
                        try {
                            Running.Answer health = running.get("/health");
                            if (health.status() != 200) broken.add(health.text());
                            seen.add(health.at("chat", "model") + " " + health.at("image", "model"));
                        } catch (Exception e) {
                            broken.add(e.toString());
                        }
                    }
                }));
            String usual = Files.readString(running.env);
            // Those in two halves whose first one was still for so long, on a busy machine, that it counts.
            var interrupted = new HashSet<String>();
            for (int i = 0; i < 100; i++) {
                long begun = System.nanoTime();
                edit(running.env, usual, i);
                if (i % 5 == 0 && System.nanoTime() - begun > 80_000_000) interrupted.add("m" + i);
                String pair = "m" + i + " m" + i;
                if (i % 10 == 8) Running.await(() -> seen.contains(pair)); // long enough to be in force
            }
            over.set(true);
            for (Thread thread : threads) thread.join();
            assertEquals(Set.of(), broken);
            seen.removeIf(pair -> interrupted.contains(pair.split(" ")[0]));
            for (String pair : seen)
                assertEquals(
                        pair.split(" ")[0].replace("gemini-flash-latest", "x"),
                        pair.split(" ")[1].replace("black-forest-labs/flux-schnell", "x"),
                        "both of one edit");
            assertFalse(seen.stream().anyMatch(pair -> pair.contains("senseless")), seen.toString());
        }
    }

    private void edit(Path env, String usual, int number) throws Exception {
        String chat = usual + "GEMINI_CHAT_MODEL=m" + number + "\n";
        String image = "NEBIUS_IMAGE_MODEL=m" + number + "\n";
        switch (number % 5) {
            case 0 -> { // in place, in two halves
                Files.writeString(env, chat);
                Thread.sleep(20); // the writer's own pause, which is what is tested
                Files.writeString(env, image, StandardOpenOption.APPEND);
            }
            case 1 -> { // truncated first
                Files.writeString(env, "");
                Thread.sleep(20);
                Files.writeString(env, chat + image);
            }
            case 2 -> Files.writeString(env, chat + image);
            case 3 ->
                Files.move(Files.writeString(folder.resolve("new"), chat + image), env, StandardCopyOption.ATOMIC_MOVE);
            default ->
                Files.writeString(
                        env,
                        chat.replace("m" + number, "senseless") + image.replace("m" + number, "senseless")
                                + "TOP_P=7\n");
        }
    }

    @ParameterizedTest
    @CsvSource({"UTF-16, UTF-8", "UTF-16LE, UTF-8", "ISO-8859-1, UTF-8"})
    void namesAnEncodingThatIsNotUtf8(String encoding, String words) throws Exception {
        Path file = folder.resolve(".env");
        Files.write(file, "SYSTEM_INSTRUCTIONS=Sei höflich\n".getBytes(Charset.forName(encoding)));
        String said = assertThrows(DotEnv.InvalidSetting.class, () -> new LiveSettings(file, UnaryOperator.identity()))
                .getMessage();
        assertTrue(said.contains("encoding"), said);
        assertTrue(said.contains("save it as " + words), said);
    }

    @Test
    void namesOnceWhatNothingReads() throws Exception {
        try (var running = new Running(
                Scripted.gemini("ok"),
                "GEMNI_API_KEY=x",
                "HISTROY_WINDOW=3",
                "LOCAL_BASE_URL=http://127.0.0.1:1",
                "LOCAL_CHAT_MODEL=m",
                "no_proxy=a")) {
            for (int i = 0; i < 2; i++) {
                List<String> said = running.console()
                        .lines()
                        .filter(line -> line.contains("nothing reads it"))
                        .toList();
                assertEquals(2, said.size(), said.toString());
                assertTrue(
                        said.getFirst().contains("GEMNI_API_KEY (line 7)")
                                && said.getLast().contains("HISTROY_WINDOW (line 8)"),
                        said.toString());
                running.settings("GEMNI_API_KEY=x", "HISTROY_WINDOW=4");
                running.get("/health");
            }
        }
    }

    @Test
    void refusesAProviderWhoseAddressIsMissingAndKeepsTheLastGoodSettings() throws Exception {
        try (var running = new Running(Scripted.gemini("ok"))) {
            running.settings("CHAT_PROVIDER=gemni");
            assertEquals(200, running.chat("a", "hi").status());
            String refusal = "CHAT_PROVIDER (line 7) must be gemini or nebius, or else GEMNI_BASE_URL must be set";
            assertTrue(running.console().contains(refusal), running.console());
            running.settings("GEMINI_API_KEY=");
            assertEquals(
                    "503 not_configured",
                    running.chat("a", "hi").status() + " "
                            + running.chat("a", "hi").at("code"),
                    "a key that is taken out is no mistake");
            running.settings("TOP_P=7", "GEMINI_API_KEY=k");
            assertTrue(
                    running.chat("a", "hi")
                            .text()
                            .contains("Its last edit was refused: it makes no sense: TOP_P (line 7)"),
                    running.chat("a", "hi").text());
        }
    }

    /** The address that the console named at the start is the server's until the next one. */
    @Test
    void goesByTheHostOfItsStart() throws Exception {
        try (var running = new Running(Scripted.gemini("ok"), "HOST=127.1")) {
            assertEquals("HTTP/1.1 200", statusLine(running, "127.1"));
            running.settings("HOST=127.0.0.1");
            assertEquals("HTTP/1.1 200", statusLine(running, "127.1"));
        }
        try (var running = new Running(Scripted.gemini("ok"))) {
            running.settings("HOST=127.1", "ALLOWED_HOSTS=a.example");
            assertEquals("HTTP/1.1 421", statusLine(running, "127.1"));
            assertEquals("HTTP/1.1 200", statusLine(running, "a.example"));
        }
    }

    private static String statusLine(Running running, String host) throws IOException {
        try (var client = new RawClient(running.parley.port())) {
            client.send("GET /health HTTP/1.1\r\nConnection: close\r\nHost: " + host + "\r\n\r\n");
            return client.answer(12);
        }
    }

    /** Java's client complains of some hosts only when it is used. */
    @Test
    void refusesTheTurnWhereTheProxyCannotBeAskedForTheHost() throws Exception {
        try (var running = new Running(
                Scripted.gemini("ok"), "GEMINI_BASE_URL=https://[::1]:1", "HTTPS_PROXY=http://127.0.0.1:1")) {
            assertEquals("provider_error", running.chat("a", "hi").at("code"));
        }
    }

    @Test
    void saysNothingOfTheNextStartWhereThePortIsSetBack() throws Exception {
        try (var running = new Running(Scripted.gemini("ok"))) {
            running.settings("PORT=1");
            running.get("/health");
            assertTrue(running.console().contains("but for PORT: at the next start"));
            running.settings("PORT=0");
            running.get("/health");
            assertTrue(
                    running.console().lines().anyMatch(line -> line.endsWith(".env was edited and is in force")),
                    running.console());
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    variables                                             | address                | proxy
                    HTTPS_PROXY=http://proxy.example:3128                 | https://a.example/     | proxy.example:3128
                    HTTPS_PROXY=HTTP://proxy.example:3128/                | https://a.example/     | proxy.example:3128
                    HTTPS_PROXY=http://proxy.example:3128/p.pac?a         | https://a.example/     | proxy.example:3128
                    HTTPS_PROXY=proxy.example                             | https://a.example/     | proxy.example:1080
                    https_proxy=http://lower:1/;HTTPS_PROXY=http://up:2   | https://a.example/     | lower:1
                    HTTPS_PROXY=http://p:1                                | http://a.example/      |
                    HTTPS_PROXY=http://p:1;NO_PROXY=*                     | https://a.example/     |
                    HTTPS_PROXY=http://p:1;NO_PROXY=b.example, a.example  | https://a.example/     |
                    HTTPS_PROXY=http://p:1;no_proxy=a.example;NO_PROXY=b  | https://a.example/     |
                    HTTPS_PROXY=http://p:1;NO_PROXY=.example              | https://x.a.EXAMPLE/   |
                    HTTPS_PROXY=http://p:1;NO_PROXY=.a.example.           | https://a.example/     |
                    HTTPS_PROXY=http://p:1;NO_PROXY=a.example             | https://a.example./    |
                    HTTPS_PROXY=http://p:1;NO_PROXY=b.example             | https://a.example./    | p:1
                    HTTPS_PROXY=http://p:1;NO_PROXY=ample                 | https://a.example/     | p:1
                    HTTPS_PROXY=http://p:1;NO_PROXY=10.0.0.1              | https://10.0.0.1/      |
                    HTTPS_PROXY=http://p:1;NO_PROXY=10.0.0.0/8            | https://10.0.0.1/      | p:1
                    HTTPS_PROXY=http://p:1;NO_PROXY=::1                   | https://[::1]/         |
                    HTTPS_PROXY=http://p:1;NO_PROXY=[::1]                 | https://[::1]/         |
                    HTTPS_PROXY=http://p:1;NO_PROXY=,                     | https://a.example/     | p:1
                    HTTPS_PROXY=                                          | https://a.example/     |
                    """)
    void choosesTheProxyAsCurlDoes(String variables, String address, String proxy) throws Exception {
        Path file = Files.writeString(folder.resolve(".env"), variables.replace(";", "\n"));
        var live = new LiveSettings(file, UnaryOperator.identity());
        var chosen = live.current().proxy().addressFor(URI.create(address));
        assertEquals(proxy, chosen == null ? null : chosen.getHostString() + ":" + chosen.getPort());
    }

    @ParameterizedTest
    @ValueSource(strings = {"http://proxy:99999", "not a proxy", "http://", "ftp:proxy:1"})
    void refusesAProxyThatIsNoAddress(String proxy) throws Exception {
        Path file = Files.writeString(folder.resolve(".env"), "HTTPS_PROXY=" + proxy);
        String refusal = assertThrows(
                        DotEnv.InvalidSetting.class, () -> new LiveSettings(file, UnaryOperator.identity()))
                .getMessage();
        assertTrue(refusal.startsWith("HTTPS_PROXY (line 1)"), refusal);
    }

    @Test
    void namesAProxyThatItCannotUseAndStarts() throws Exception {
        try (var running = new Running(Scripted.gemini("ok"), "HTTPS_PROXY=http://user:secret@proxy:1")) {
            String[] others = {
                "https_proxy=socks5://proxy:1",
                "https_proxy=https://proxy:1",
                "https_proxy=http://corp\\me:secret@p@p:1"
            };
            for (String other : others) {
                running.settings(other);
                assertEquals(200, running.chat("a", "hi").status(), other);
            }
            List<String> named = running.console()
                    .lines()
                    .filter(line -> line.contains("is not used"))
                    .map(line -> line.replaceAll("^\\S+ |: an http proxy.*", ""))
                    .toList();
            String where = ".env: %s (line 7) is not used";
            assertEquals(List.of(where.formatted("HTTPS_PROXY"), where.formatted("https_proxy")), named);
            assertFalse(running.console().contains("secret"));
        }
    }

    /** Texts that no reader may end its thread at: on each, every request gets an answer. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '~',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    before                         | many times  | behind | the instructions' length, or it is refused
                    SYSTEM_INSTRUCTIONS="          | \\"         | "      | 400000
                    SYSTEM_INSTRUCTIONS='          | \\'         | '      | 400000
                    SYSTEM_INSTRUCTIONS=`          | \\`         | `      | 400000
                    SYSTEM_INSTRUCTIONS="          | \\"         |        | 399999
                    SYSTEM_INSTRUCTIONS="          | \\\\ x      | "      | 800000
                    GEMINI_CHAT_EXTRA=             | [           |        |
                    GEMINI_CHAT_EXTRA=             | {"a":       |        |
                    CORS_ALLOWED_ORIGINS=          | https://x.y |        |
                    GEMINI_BASE_URL=https://       | a.          | _      |
                    """)
    void answersWhateverAnEditHolds(String before, String many, String behind, Integer length) throws Exception {
        try (var running = new Running(Scripted.gemini("ok"))) {
            running.settings(before + many.repeat(200_000) + (behind == null ? "" : behind));
            assertEquals(200, running.chat("a", "hi").status());
            String sent = Json.string(running.provider.last().json(), "systemInstruction", "parts", 0, "text");
            assertEquals(length, sent == null ? null : (Integer) sent.length());
            assertEquals(length == null, running.console().contains("the last good settings stay in force"));
        }
    }

    @Test
    void answersBesideAFileThatNoHeapHolds() throws Exception {
        try (var running = new Running(Scripted.gemini("ok"));
                var file = new RandomAccessFile(running.env.toFile(), "rw")) {
            file.setLength(3L << 30); // it is sparse
            Running.await(() -> answersChat(running) && running.console().contains(".env cannot be read: "));
        }
    }

    private static boolean answersChat(Running running) {
        try {
            return running.chat("a", "hi").status() == 200;
        } catch (IOException | InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void forgetsARefusalOnceTheFileCanBeReadAgain() throws Exception {
        try (var running = new Running(Scripted.gemini("ok"), "GEMINI_API_KEY=")) {
            Path aside = running.folder.resolve("aside");
            Files.move(running.env, aside);
            Files.createSymbolicLink(running.env, running.env); // a loop
            String detail = (String) running.chat("a", "hi").at("detail");
            assertTrue(detail.contains("it cannot be read: "), detail);
            Files.delete(running.env);
            Files.move(aside, running.env); // as it was, its time too
            detail = (String) running.chat("a", "hi").at("detail");
            assertFalse(detail.contains("refused"), detail);
        }
    }

    @Test
    void tellsWhyTheFileCannotBeReadAndNotWhereItIs() throws Exception {
        try (var running = new Running(Scripted.gemini("ok"), "GEMINI_API_KEY=")) {
            Files.delete(running.env);
            Files.createSymbolicLink(running.env, running.env); // a loop
            Running.Answer answer = running.chat("a", "hi");
            assertEquals("not_configured", answer.at("code"));
            String detail = (String) answer.at("detail");
            assertTrue(detail.contains("GEMINI_API_KEY"), detail);
            assertTrue(detail.contains("it cannot be read: "), detail);
            assertFalse(detail.contains(running.folder.toString()), detail);
            assertFalse(detail.contains("Exception"), detail);
        }
    }
}
