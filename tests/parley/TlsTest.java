package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.KeyStore;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A provider behind TLS, as the real ones are: a server of the JDK's, with a certificate that keytool makes. */
class TlsTest {
    private static final char[] PASSWORD = "changeit".toCharArray();
    private static final int DELTAS = 20;

    private static final ExecutorService threads = Executors.newCachedThreadPool();
    private static Path keyFile;
    private static SSLContext usual;
    private static SSLContext trusting;
    private static HttpsServer provider;

    @BeforeAll
    static void startProvider(@TempDir Path folder) throws Exception {
        usual = SSLContext.getDefault();
        keyFile = folder.resolve("keys.p12");
        trusting = trusting(keys(keyFile));
        // The JDK reads a server's limits once a process, and other tests look for Parley's.
        JdkServer.listen(new InetSocketAddress("127.0.0.1", 0)).stop(0);
        provider = HttpsServer.create(new InetSocketAddress("127.0.0.1", 0), 100);
        provider.setHttpsConfigurator(new HttpsConfigurator(trusting));
        provider.setExecutor(threads);
        provider.createContext("/", TlsTest::reply);
        provider.start();
    }

    /** A new key for localhost, with a certificate that nobody but itself vouches for. */
    private static KeyStore keys(Path file) throws Exception {
        Path keytool = Path.of(System.getProperty("java.home"), "bin", "keytool");
        var command = new ArrayList<>(List.of(keytool.toString(), "-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC"));
        command.addAll(List.of("-genkeypair", "-alias", "provider", "-keyalg", "EC"));
        command.addAll(List.of("-groupname", "secp256r1")); // the usual one takes twice as long, in each handshake too
        command.addAll(List.of("-dname", "CN=localhost", "-ext", "san=dns:localhost"));
        command.addAll(List.of("-keystore", file.toString(), "-storepass", new String(PASSWORD)));
        assertEquals(0, new ProcessBuilder(command).inheritIO().start().waitFor(), "keytool");
        KeyStore keys = KeyStore.getInstance("PKCS12");
        try (InputStream in = Files.newInputStream(file)) {
            keys.load(in, PASSWORD);
        }
        return keys;
    }

    /** What serves with these keys, and trusts their certificate. */
    private static SSLContext trusting(KeyStore keys) throws Exception {
        KeyStore trusted = KeyStore.getInstance("PKCS12");
        trusted.load(null, null);
        trusted.setCertificateEntry("provider", keys.getCertificate("provider"));
        var keyManagers = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keyManagers.init(keys, PASSWORD);
        var trustManagers = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trustManagers.init(trusted);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keyManagers.getKeyManagers(), trustManagers.getTrustManagers(), null);
        return context;
    }

    /** Streams deltas that repeat the last message: whose reply it is can be told. */
    private static void reply(HttpExchange exchange) throws IOException {
        try (exchange) {
            String request = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
            String message = request.replaceAll("(?s).*\"content\":\"([^\"]*)\".*", "$1");
            exchange.getResponseHeaders().set("Content-Type", "text/event-stream");
            exchange.sendResponseHeaders(200, 0);
            for (int i = 0; i < DELTAS; i++) event(exchange, Scripted.openAiDelta(delta(message, i)));
            event(exchange, "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}");
            event(exchange, "[DONE]");
        }
    }

    private static String delta(String message, int number) {
        return message + "é" + number + " ";
    }

    private static void event(HttpExchange exchange, String data) throws IOException {
        exchange.getResponseBody().write(("data: " + data + "\n\n").getBytes(StandardCharsets.UTF_8));
        exchange.getResponseBody().flush();
    }

    @AfterEach
    void trustAsUsual() {
        SSLContext.setDefault(usual);
    }

    @AfterAll
    static void stop() {
        provider.stop(0);
        threads.shutdownNow();
    }

    private static Running running() throws Exception {
        return new Running(
                Scripted.gemini("unused"),
                "CHAT_PROVIDER=safe",
                "SAFE_BASE_URL=https://localhost:" + provider.getAddress().getPort() + "/v1",
                "SAFE_API_KEY=" + Running.KEY,
                "SAFE_CHAT_MODEL=m");
    }

    @Test
    void chatsWithManyUsersAtOnceOverTls() throws Exception {
        SSLContext.setDefault(trusting);
        try (var running = running()) {
            for (int round = 0; round < 2; round++) { // the second one on connections that are open
                var answers = new ArrayList<CompletableFuture<Running.Answer>>();
                for (int i = 0; i < 50; i++) answers.add(running.chatting("user" + i, "hello" + i));
                for (int i = 0; i < 50; i++) {
                    String message = "hello" + i;
                    Running.Answer answer = answers.get(i).get(30, TimeUnit.SECONDS);
                    assertEquals(
                            IntStream.range(0, DELTAS)
                                    .mapToObj(number -> delta(message, number))
                                    .collect(Collectors.joining()),
                            answer.at("reply"),
                            answer.text());
                }
            }
        }
    }

    @Test
    void passesEachDeltaOnOverTls() throws Exception {
        SSLContext.setDefault(trusting);
        try (var running = running()) {
            assertEquals(
                    IntStream.range(0, DELTAS)
                            .mapToObj(number -> "data: {\"text\":\"" + delta("hi", number) + "\"}")
                            .toList(),
                    running.stream("streaming", "hi")
                            .body()
                            .filter(line -> line.startsWith("data: {\"text\""))
                            .toList());
        }
    }

    @Test
    void refusesACertificateThatNobodyVouchesFor() throws Exception {
        try (var running = running()) {
            Running.Answer answer = running.chat("alice", "hello");
            assertEquals("502 provider_error", answer.status() + " " + answer.at("code"));
            assertTrue(answer.text().contains("a certificate that this Java does not trust"), answer.text());
            assertTrue(answer.text().contains("SAFE_BASE_URL"), answer.text());
            assertFalse(running.console().contains("retry"), "it is told once");
            assertEquals(List.of(), running.said("alice"));
        }
    }

    /** SSLContext.getDefault() keeps its failure for the life of the JVM. */
    @Test
    void goesOnWithoutHttpsWhileTheTrustStoreIsBroken(@TempDir Path home) throws Exception {
        Path store = Files.writeString(home.resolve("store.p12"), "no store");
        try (var plain = new Scripted(Scripted.openAi("ok"))) {
            Path env = Files.writeString(
                    home.resolve(".env"),
                    "CHAT_PROVIDER=safe\nSAFE_API_KEY=k\nSAFE_CHAT_MODEL=m\nSAFE_BASE_URL=https://localhost:"
                            + provider.getAddress().getPort()
                            + "/v1\nIMAGE_PROVIDER=plain\nPLAIN_IMAGE_MODEL=m\nPLAIN_BASE_URL="
                            + plain.address() + "\n");
            String options = "-Djavax.net.ssl.trustStore=" + store + " -Djavax.net.ssl.trustStorePassword=changeit";
            try (var server = new CrashTest.Server(env, Map.of("JAVA_TOOL_OPTIONS", options))) {
                plain.usually(exchange -> exchange.json(200, "{\"data\":[]}"));
                assertTrue(post(server, "/image", "prompt").contains("empty_reply"), "plain http works");
                assertTrue(post(server, "/chat", "message").contains("provider_error"), "https does not");
                Files.copy(keyFile, store, StandardCopyOption.REPLACE_EXISTING);
                assertTrue(post(server, "/chat", "message").contains("hi\u00e90"), "until the store is mended");
            }
        }
    }

    private static String post(CrashTest.Server server, String path, String member) throws Exception {
        try (var client = HttpClient.newHttpClient()) {
            var request = HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + server.port() + path))
                    .header("Content-Type", "application/json")
                    .POST(HttpRequest.BodyPublishers.ofString("{\"user_id\":\"a\",\"" + member + "\":\"hi\"}"))
                    .build();
            return client.send(request, HttpResponse.BodyHandlers.ofString()).body();
        }
    }
}
