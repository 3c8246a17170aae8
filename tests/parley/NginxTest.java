package parley;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The configuration of deploy/ in a real nginx over three Parleys, one of which dies. Skipped where nginx is missing.
 */
class NginxTest {
    private static final Path NGINX = Path.of("/usr/sbin/nginx");

    @TempDir
    private Path folder;

    @Test
    void usersGoOnWhenOneOfThreeParleysIsKilled() throws Exception {
        Assumptions.assumeTrue(installed(), "no nginx here: apt-get install nginx");
        Path env = Files.writeString(folder.resolve(".env"), "CHAT_PROVIDER=local\nLOCAL_CHAT_MODEL=m\n");
        var servers = new ArrayList<CrashTest.Server>();
        var over = new AtomicBoolean();
        var acknowledged = new AtomicInteger[12];
        Process nginx = null;
        try (var provider = new Scripted(Scripted.openAi("re", "ply")).forgetting();
                var client = HttpClient.newBuilder()
                        .version(HttpClient.Version.HTTP_1_1)
                        .build()) {
            for (int i = 0; i < 3; i++)
                servers.add(new CrashTest.Server(env, Map.of("LOCAL_BASE_URL", provider.address() + "/v1")));
            nginx = start(folder, servers);
            String address = "http://127.0.0.1:" + Files.readString(folder.resolve("port"));
            Running.await(() -> ok(client, address));

            var people = new ArrayList<Thread>();
            for (int i = 0; i < acknowledged.length; i++) {
                int user = i;
                acknowledged[i] = new AtomicInteger();
                people.add(Thread.ofPlatform().start(() -> {
                    for (int n = 0; !over.get(); n++)
                        if (turn(client, address, "user" + user, "m" + n)) acknowledged[user].incrementAndGet();
                }));
            }
            Running.await(() -> sum(acknowledged) > 50);
            servers.get(0).kill();
            int[] then = new int[acknowledged.length];
            for (int i = 0; i < then.length; i++) then[i] = acknowledged[i].get();
            for (int i = 0; i < then.length; i++) {
                int user = i;
                Running.await(() -> acknowledged[user].get() > then[user] + 3); // every one goes on
            }
            over.set(true);
            for (Thread each : people) each.join();

            for (int i = 0; i < acknowledged.length; i++) {
                var history = client.send(
                        HttpRequest.newBuilder(URI.create(address + "/history?user_id=user" + i))
                                .build(),
                        HttpResponse.BodyHandlers.ofString());
                List<?> messages = Json.items(Json.parse(history.body()), "messages");
                assertTrue(
                        messages.size() >= 2 * acknowledged[i].get() && messages.size() % 2 == 0,
                        messages.size() + " messages, " + acknowledged[i] + " turns");
            }
        } finally {
            if (nginx != null) nginx.destroy();
            for (CrashTest.Server server : servers) server.close();
        }
    }

    /** nginx with the configuration of deploy/ before these three servers, on the port that it writes into a file. */
    static Process start(Path folder, List<CrashTest.Server> servers) throws Exception {
        int port;
        try (var free = new ServerSocket(0)) {
            port = free.getLocalPort();
        }
        String conf = Files.readString(Path.of("deploy/nginx.conf")).replace("listen 8080", "listen 127.0.0.1:" + port);
        for (int i = 0; i < 3; i++)
            conf = conf.replace(
                    "127.0.0.1:808" + (i + 1), "127.0.0.1:" + servers.get(i).port());
        Path file = Files.writeString(
                folder.resolve("nginx.conf"),
                "daemon off; pid " + folder
                        + "/pid; error_log stderr; events { worker_connections 512; } http { access_log off;\n"
                        + "client_body_temp_path " + folder + "/b; proxy_temp_path " + folder + "/p; fastcgi_temp_path "
                        + folder + "/f; uwsgi_temp_path " + folder + "/u; scgi_temp_path " + folder + "/s;\n" + conf
                        + "}\n");
        Files.writeString(folder.resolve("port"), Integer.toString(port));
        return new ProcessBuilder(NGINX.toString(), "-c", file.toString(), "-e", folder + "/error.log")
                .redirectErrorStream(true)
                .redirectOutput(folder.resolve("nginx.log").toFile())
                .start();
    }

    static boolean installed() {
        return Files.isExecutable(NGINX);
    }

    private static int sum(AtomicInteger[] numbers) {
        int sum = 0;
        for (AtomicInteger number : numbers) sum += number.get();
        return sum;
    }

    static boolean ok(HttpClient client, String address) {
        try {
            return client.send(
                                    HttpRequest.newBuilder(URI.create(address + "/health"))
                                            .build(),
                                    HttpResponse.BodyHandlers.discarding())
                            .statusCode()
                    == 200;
        } catch (Exception e) {
            return false;
        }
    }

    private static boolean turn(HttpClient client, String address, String user, String message) {
        try {
            var request = HttpRequest.newBuilder(URI.create(address + "/chat?user_id=" + user))
                    .header("Content-Type", "application/json")
                    .POST(HttpRequest.BodyPublishers.ofString(
                            Json.write(Json.object("message", message, "stream", message.endsWith("1")))))
                    .build();
            var answer = client.send(request, HttpResponse.BodyHandlers.ofString());
            return answer.statusCode() == 200
                    && !answer.body().contains("event: error")
                    && answer.body().contains("\"reply\"");
        } catch (Exception e) {
            return false;
        }
    }
}
