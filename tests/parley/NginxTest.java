package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The configuration of deploy/ in a real nginx over three Parleys, one of which dies. Skipped where nginx is missing.
 */
class NginxTest {
    private static final Path NGINX = Path.of("/usr/sbin/nginx");
    private static final int USERS = 12;

    @TempDir
    private Path folder;

    private final HttpClient client =
            HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

    @Test
    void usersGoOnWhenOneOfThreeParleysIsKilled() throws Exception {
        Assumptions.assumeTrue(installed(), "no nginx here: apt-get install nginx");
        Path env = Files.writeString(folder.resolve(".env"), "CHAT_PROVIDER=local\nLOCAL_CHAT_MODEL=m\n");
        var servers = new ArrayList<CrashTest.Server>();
        Process nginx = null;
        try (var provider = new Scripted(Scripted.openAi("re", "ply")).forgetting()) {
            for (int i = 0; i < 3; i++) {
                servers.add(new CrashTest.Server(env, Map.of("LOCAL_BASE_URL", provider.address() + "/v1")));
            }
            nginx = start(folder, servers);
            String address = "http://127.0.0.1:" + Files.readString(folder.resolve("port"));
            Running.await(() -> answers(client, address));
            int[] acknowledged = talkWhileOneIsKilled(address, servers.getFirst());
            for (int user = 0; user < USERS; user++) check(address, user, acknowledged[user]);
        } finally {
            if (nginx != null) nginx.destroy();
            for (CrashTest.Server server : servers) server.close();
        }
    }

    /** {@return how many turns of each user were acknowledged} Each had some before the server's end, and behind it. */
    private int[] talkWhileOneIsKilled(String address, CrashTest.Server victim) throws Exception {
        var over = new AtomicBoolean();
        var acknowledged = new ArrayList<AtomicInteger>();
        var people = new ArrayList<Thread>();
        for (int i = 0; i < USERS; i++) {
            int user = i;
            var turns = new AtomicInteger();
            acknowledged.add(turns);
            people.add(Thread.ofPlatform().start(() -> {
                for (int n = 0; !over.get(); n++) if (turn(address, user, n)) turns.incrementAndGet();
            }));
        }
        Running.await(() -> acknowledged.stream().allMatch(turns -> turns.get() > 2));
        victim.kill();
        List<Integer> then = acknowledged.stream().map(AtomicInteger::get).toList();
        Running.await(() -> IntStream.range(0, USERS)
                .allMatch(user -> acknowledged.get(user).get() > then.get(user) + 3));
        over.set(true);
        for (Thread each : people) each.join();
        return acknowledged.stream().mapToInt(AtomicInteger::get).toArray();
    }

    /** Whether a turn was acknowledged, whole or streamed. */
    private boolean turn(String address, int user, int number) {
        boolean stream = number % 2 == 1;
        var request = HttpRequest.newBuilder(URI.create(address + "/chat?user_id=user" + user))
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(
                        Json.toJson(Json.object("message", "m" + number, "stream", stream))))
                .build();
        try {
            var answer = client.send(request, HttpResponse.BodyHandlers.ofString());
            return answer.statusCode() == 200 && (!stream || answer.body().contains("event: done"));
        } catch (IOException e) {
            return false; // its server was killed in the middle
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    /** Each turn is whole, and each that was acknowledged is there. */
    private void check(String address, int user, int acknowledged) throws Exception {
        var request = HttpRequest.newBuilder(URI.create(address + "/history?user_id=user" + user))
                .build();
        var history = client.send(request, HttpResponse.BodyHandlers.ofString());
        List<String> roles = Json.items(Json.parse(history.body()), "messages").stream()
                .map(message -> Json.string(message, "role"))
                .toList();
        int turns = roles.size() / 2;
        assertTrue(turns >= acknowledged, turns + " turns are stored, and " + acknowledged + " were acknowledged");
        assertEquals(
                Collections.nCopies(turns, List.of("user", "assistant")).stream()
                        .flatMap(List::stream)
                        .toList(),
                roles);
    }

    /** nginx with the configuration of deploy/ before these three servers, on the port that it writes into a file. */
    static Process start(Path folder, List<CrashTest.Server> servers) throws Exception {
        int port;
        try (var free = new ServerSocket(0)) {
            port = free.getLocalPort();
        }
        String conf = Files.readString(Path.of("deploy/nginx.conf")).replace("listen 8080", "listen 127.0.0.1:" + port);
        for (int i = 0; i < 3; i++) {
            String upstream = "127.0.0.1:" + servers.get(i).port();
            conf = conf.replace("127.0.0.1:808" + (i + 1), upstream);
        }
        Path file = Files.writeString(
                folder.resolve("nginx.conf"),
                """
                daemon off;
                pid %1$s/pid;
                error_log stderr;
                events { worker_connections 512; }
                http {
                  access_log off;
                  client_body_temp_path %1$s/b;
                  proxy_temp_path %1$s/p;
                  fastcgi_temp_path %1$s/f;
                  uwsgi_temp_path %1$s/u;
                  scgi_temp_path %1$s/s;
                  %2$s
                }
                """
                        .formatted(folder, conf));
        Files.writeString(folder.resolve("port"), Integer.toString(port));
        return new ProcessBuilder(NGINX.toString(), "-c", file.toString(), "-e", folder + "/error.log")
                .redirectErrorStream(true)
                .redirectOutput(folder.resolve("nginx.log").toFile())
                .start();
    }

    static boolean installed() {
        return Files.isExecutable(NGINX);
    }

    /** Whether nginx listens, and a server behind it answers. */
    static boolean answers(HttpClient client, String address) {
        var health = HttpRequest.newBuilder(URI.create(address + "/health")).build();
        try {
            return client.send(health, HttpResponse.BodyHandlers.discarding()).statusCode() == 200;
        } catch (IOException e) {
            return false; // not yet
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }
}
