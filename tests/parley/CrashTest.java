package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.function.IntUnaryOperator;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Servers of one history folder are killed at random moments under load: what was acknowledged is there, in order,
 * once; nothing else is. The long form: {@code ./run.sh test -Dtest=CrashTest -DargLine=-Dcrash.kills=200}.
 */
class CrashTest {
    private static final int KILLS = Integer.getInteger("crash.kills", 6);
    private static final int USERS = 24;

    @TempDir
    private Path folder;

    /** A server as a process of its own, which can be killed and started again on its port. */
    static final class Server implements AutoCloseable {
        private final Path env;
        private final Map<String, String> environment;
        private final List<String> wrapper;
        private Process process;
        private int port;

        Server(Path env, Map<String, String> environment, String... wrapper) throws Exception {
            this.env = env;
            this.environment = environment;
            this.wrapper = List.of(wrapper);
            start();
        }

        void start() throws Exception {
            String compiled = Parley.class
                    .getProtectionDomain()
                    .getCodeSource()
                    .getLocation()
                    .getPath();
            var command = new ArrayList<>(wrapper);
            command.add(Programs.JAVA.toString());
            command.add("-XX:TieredStopAtLevel=1");
            if (!environment.containsKey("JAVA_TOOL_OPTIONS")) command.add("-XX:+UseSerialGC"); // starts sooner
            command.addAll(List.of("-cp", compiled, "parley.Parley", "--env", env.toString()));
            var builder = new ProcessBuilder(command);
            builder.environment().putAll(environment);
            builder.environment().put("PORT", Integer.toString(port));
            Path console = Files.createTempFile(env.getParent(), "console", ".log");
            process = builder.redirectErrorStream(true)
                    .redirectOutput(console.toFile())
                    .start();
            Running.await(() -> said(console).contains(" is at http") || !process.isAlive());
            assertTrue(process.isAlive(), said(console));
            port = Integer.parseInt(said(console).replaceFirst("(?s).* is at http://[^ ]*:(\\d+),.*", "$1"));
        }

        private static String said(Path console) {
            try {
                return Files.readString(console);
            } catch (IOException e) {
                throw new AssertionError(e);
            }
        }

        int port() {
            return port;
        }

        boolean isAlive() {
            return process.isAlive();
        }

        /** Asks Java to stop (SIGTERM), and not its wrapper. */
        void stop() {
            process.descendants().findFirst().orElse(process.toHandle()).destroy();
        }

        void kill() throws InterruptedException {
            process.descendants().forEach(ProcessHandle::destroyForcibly); // a wrapper's end is not Java's
            process.destroyForcibly().waitFor(); // SIGKILL
        }

        @Override
        public void close() throws InterruptedException {
            kill();
        }
    }

    /** What a user was told. */
    private static final class Ledger {
        final List<String> sent = new ArrayList<>();
        final List<String> acknowledged = new ArrayList<>();
        final List<String> replaced = new ArrayList<>(); // surely

        /** By one of these, whose server was killed in the middle. */
        final Map<String, List<String>> perhapsReplaced = new HashMap<>();

        /** Whether it is known which turn is the last one. */
        private boolean certain = true;

        void acknowledge(String message, boolean replacing) {
            if (replacing && certain && !acknowledged.isEmpty()) {
                String last = acknowledged.removeLast();
                replaced.add(last);
                perhapsReplaced.values().stream()
                        .filter(by -> by.contains(last))
                        .forEach(by -> by.add(message));
            } else if (replacing) {
                perhaps(message);
            }
            acknowledged.add(message);
            certain = true;
        }

        void fail(String message, boolean replacing) {
            if (replacing) perhaps(message);
            certain = false;
        }

        private void perhaps(String message) {
            if (acknowledged.isEmpty()) return;
            perhapsReplaced
                    .computeIfAbsent(acknowledged.getLast(), any -> new ArrayList<>())
                    .add(message);
        }

        boolean mayBeGone(String message, List<String> stored) {
            return perhapsReplaced.getOrDefault(message, List.of()).stream().anyMatch(stored::contains);
        }
    }

    @Test
    @Timeout(3600)
    void losesNoAcknowledgedTurnWhenServersAreKilled() throws Exception {
        Path env = Files.writeString(folder.resolve(".env"), "CHAT_PROVIDER=local\nLOCAL_CHAT_MODEL=m\n");
        var ledgers = new ConcurrentHashMap<Integer, Ledger>();
        var over = new AtomicBoolean();
        var turns = new AtomicInteger();
        var servers = new ArrayList<Server>();
        Process nginx = null;
        try (var provider = new Scripted(CrashTest::echo).forgetting();
                var client = HttpClient.newBuilder()
                        .version(HttpClient.Version.HTTP_1_1)
                        .build()) {
            for (int i = 0; i < 3; i++) {
                servers.add(new Server(env, Map.of("LOCAL_BASE_URL", provider.address() + "/v1")));
            }
            int address = 0; // of nginx before all three; 0 where there is none
            if (NginxTest.installed()) {
                nginx = NginxTest.start(folder, servers);
                address = Integer.parseInt(Files.readString(folder.resolve("port")));
                String health = "http://127.0.0.1:" + address;
                Running.await(() -> NginxTest.answers(client, health));
            }
            int proxy = address;
            var people = new ArrayList<Thread>();
            for (int i = 0; i < USERS; i++) {
                int user = i;
                ledgers.put(user, new Ledger());
                // Half of the people go through the proxy's one address; half are, on purpose, at all servers in turn.
                people.add(Thread.ofPlatform()
                        .start(() -> talk(
                                client,
                                n -> proxy > 0 && user % 2 == 0
                                        ? proxy
                                        : servers.get((user + n) % servers.size())
                                                .port(),
                                user,
                                ledgers.get(user),
                                over,
                                turns)));
            }
            var random = new Random(1);
            for (int kill = 0; kill < KILLS; kill++) {
                Thread.sleep(100 + random.nextInt(400)); // a random moment: what is tested, not a wait
                Server server = servers.get(random.nextInt(servers.size()));
                server.kill();
                server.start();
            }
            over.set(true);
            for (Thread each : people) each.join();
            for (Server server : servers) server.close();
            for (int user = 0; user < USERS; user++) check(user, ledgers.get(user));
            assertTrue(turns.get() > USERS, "turns were made");
            System.out.println(KILLS + " kills, " + turns + " acknowledged turns of " + USERS
                    + " users over 3 servers: none lost");
        } finally {
            if (nginx != null) nginx.destroy();
            for (Server server : servers) server.close();
        }
    }

    private static void echo(Scripted.Exchange exchange) throws IOException, InterruptedException {
        List<?> messages = Json.items(exchange.json(), "messages");
        Thread.sleep(ThreadLocalRandom.current().nextInt(300));
        Scripted.openAi("re: ", Json.string(messages.getLast(), "content")).play(exchange);
    }

    private static void talk(
            HttpClient client,
            IntUnaryOperator port,
            int user,
            Ledger ledger,
            AtomicBoolean over,
            AtomicInteger turns) {
        for (int n = 0; !over.get(); n++) {
            String message = "m" + n + " of " + user + " é🦊 " + "x".repeat(n * 37 % 3000);
            boolean replacing = n % 4 == 3;
            ledger.sent.add(message);
            var request = HttpRequest.newBuilder(
                            URI.create("http://127.0.0.1:" + port.applyAsInt(n) + "/chat?user_id=user" + user))
                    .timeout(Duration.ofSeconds(40))
                    .header("Content-Type", "application/json")
                    .POST(HttpRequest.BodyPublishers.ofString(Json.toJson(
                            Json.object("user_id", "user" + user, "message", message, "replace", replacing))))
                    .build();
            try {
                var answer = client.send(request, HttpResponse.BodyHandlers.ofString());
                if (answer.statusCode() == 200) {
                    ledger.acknowledge(message, replacing);
                    turns.incrementAndGet();
                } else {
                    ledger.fail(message, replacing);
                }
            } catch (IOException e) {
                ledger.fail(message, replacing);
                rest(); // killed in the middle: the turn may be there or not, but not half
            } catch (InterruptedException e) {
                return;
            }
        }
    }

    /** A person takes a moment before the next try: without it, a server that starts would not get the processor. */
    private static void rest() {
        LockSupport.parkNanos(50_000_000);
    }

    private void check(int user, Ledger ledger) throws Exception {
        Path file = folder.resolve("histories").resolve(Histories.fileName("user" + user));
        try (var histories = new Histories(file.getParent(), Duration.ofSeconds(5))) {
            try (Histories.Turn turn = histories.begin("user" + user, null)) { // mends a torn end
                turn.read(1, 0);
            }
        }
        List<?> messages = Json.items(Json.parse(Files.readString(file)));
        var stored = new ArrayList<String>();
        for (int i = 0; i < messages.size(); i += 2) {
            String asked = Json.string(messages.get(i), "content");
            assertEquals("user", Json.string(messages.get(i), "role"));
            assertEquals("assistant", Json.string(messages.get(i + 1), "role"));
            assertEquals("re: " + asked, Json.string(messages.get(i + 1), "content"));
            stored.add(asked);
        }
        assertEquals(stored.size(), new HashSet<>(stored).size(), "each once");
        assertTrue(ledger.sent.containsAll(stored), "nothing that was never sent");
        List<String> expected = ledger.acknowledged.stream()
                .filter(message -> stored.contains(message) || !ledger.mayBeGone(message, stored))
                .toList();
        assertEquals(
                expected,
                stored.stream()
                        .filter(new HashSet<>(ledger.acknowledged)::contains)
                        .toList(),
                "all that was acknowledged, in order");
        assertTrue(Collections.disjoint(stored, ledger.replaced), "nothing that was replaced");
    }

    /** The order of the system's calls: data is forced before the acknowledgement, and a new file's name too. */
    @Test
    void forcesTheDataAndTheNameToDiskBeforeItAnswers() throws Exception {
        assumeStrace();
        Path env = Files.writeString(folder.resolve(".env"), "CHAT_PROVIDER=local\nLOCAL_CHAT_MODEL=m\n");
        Path trace = folder.resolve("trace");
        try (var provider = new Scripted(CrashTest::echo);
                var client = HttpClient.newHttpClient();
                var server = new Server(
                        env,
                        Map.of("LOCAL_BASE_URL", provider.address() + "/v1"),
                        "strace",
                        "-f",
                        "-o",
                        trace.toString(),
                        "-s",
                        "200",
                        "-e",
                        "trace=openat,rename,fsync,fdatasync,write,writev,pwrite64,pwritev,sendto")) {
            for (String message : List.of("first", "second")) {
                var request = HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + server.port() + "/chat"))
                        .header("Content-Type", "application/json")
                        .POST(HttpRequest.BodyPublishers.ofString(
                                "{\"user_id\":\"a\",\"message\":\"" + message + "\"}"))
                        .build();
                assertEquals(
                        200,
                        client.send(request, HttpResponse.BodyHandlers.ofString())
                                .statusCode());
            }
        }
        String calls = Files.readString(trace);
        int first = calls.indexOf("{\\\"role\\\":\\\"user\\\",\\\"content\\\":\\\"first");
        int second = calls.indexOf(",\\n{\\\"role\\\":\\\"user\\\",\\\"content\\\":\\\"second");
        assertTrue(first > 0 && second > first, calls);
        assertOrder(calls, first, "fsync(", "rename(", "fsync(", "HTTP/1.1 200");
        assertOrder(calls, second, "fdatasync(", "HTTP/1.1 200");
    }

    private static void assertOrder(String text, int from, String... parts) {
        int at = from;
        for (String part : parts) {
            int next = text.indexOf(part, at);
            assertTrue(
                    next >= 0,
                    part + " is missing behind:\n" + text.substring(from, Math.min(text.length(), from + 3000)));
            at = next + 1;
        }
        int answer = text.indexOf(parts[parts.length - 1], from);
        assertEquals(at - 1, answer, "no earlier answer");
    }

    static void assumeStrace() {
        Assumptions.assumeTrue(
                Files.isExecutable(Path.of("/usr/bin/strace")), "no strace here: apt-get install strace");
    }
}
