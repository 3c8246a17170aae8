package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * A provider behind TLS, as the real ones are: a server of the JDK's, with a certificate that keytool makes for this
 * test.
 */
class TlsTest {
    private static final char[] PASSWORD = "changeit".toCharArray();
    private static final int PIECES = 50;

    @TempDir
    private Path folder;

    private SSLContext usual;
    private final ExecutorService threads = Executors.newCachedThreadPool();
    private SSLContext trusting;
    private HttpsServer provider;

    @BeforeEach
    void startProvider() throws Exception {
        usual = SSLContext.getDefault();
        Path file = folder.resolve("keys.p12");
        Process keytool = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "keytool")
                                .toString(),
                        "-genkeypair",
                        "-alias",
                        "provider",
                        "-keyalg",
                        "EC",
                        "-dname",
                        "CN=localhost",
                        "-ext",
                        "san=dns:localhost",
                        "-keystore",
                        file.toString(),
                        "-storepass",
                        new String(PASSWORD))
                .inheritIO()
                .start();
        assertTrue(keytool.waitFor(30, TimeUnit.SECONDS) && keytool.exitValue() == 0, "keytool");
        KeyStore keys = KeyStore.getInstance("PKCS12");
        try (InputStream in = Files.newInputStream(file)) {
            keys.load(in, PASSWORD);
        }
        KeyStore trusted = KeyStore.getInstance("PKCS12");
        trusted.load(null, null);
        trusted.setCertificateEntry("provider", keys.getCertificate("provider"));
        var keyManagers = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keyManagers.init(keys, PASSWORD);
        var trustManagers = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trustManagers.init(trusted);
        trusting = SSLContext.getInstance("TLS");
        trusting.init(keyManagers.getKeyManagers(), trustManagers.getTrustManagers(), null);
        JdkServer.listen(new InetSocketAddress("127.0.0.1", 0))
                .stop(0); // the JDK reads a server's limits once a process, and other tests look for Parley's
        provider = HttpsServer.create(new InetSocketAddress("127.0.0.1", 0), 100);
        provider.setHttpsConfigurator(new HttpsConfigurator(trusting));
        provider.setExecutor(threads);
        provider.createContext("/", exchange -> {
            try (exchange) {
                String asked = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
                String name = asked.replaceAll("(?s).*\"content\":\"([^\"]*)\".*", "$1");
                exchange.getResponseHeaders().set("Content-Type", "text/event-stream");
                exchange.sendResponseHeaders(200, 0);
                OutputStream out = exchange.getResponseBody();
                for (int i = 0; i < PIECES; i++) {
                    out.write(("data: " + Scripted.openAiPiece(name + "é" + i + " ") + "\n\n")
                            .getBytes(StandardCharsets.UTF_8));
                    out.flush();
                }
                out.write(
                        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
                                .getBytes(StandardCharsets.UTF_8));
            }
        });
        provider.start();
    }

    @AfterEach
    void stop() {
        SSLContext.setDefault(usual);
        provider.stop(0);
        threads.shutdownNow();
    }

    private Running running() throws Exception {
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
            for (int round = 0; round < 3; round++) {
                var answers = new ArrayList<CompletableFuture<Running.Answer>>();
                for (int i = 0; i < 100; i++) answers.add(running.chatting("user" + i, "hello" + i));
                for (int i = 0; i < 100; i++) {
                    Running.Answer answer = answers.get(i).get(30, TimeUnit.SECONDS);
                    var expected = new StringBuilder();
                    for (int k = 0; k < PIECES; k++)
                        expected.append("hello").append(i).append("é").append(k).append(' ');
                    assertEquals(expected.toString(), answer.at("reply"), answer.text());
                }
            }
            List<String> lines = running.stream("streaming", "hi")
                    .body()
                    .filter(line -> line.startsWith("data: {\"text\""))
                    .toList();
            assertEquals(PIECES, lines.size());
        }
    }

    @Test
    void refusesACertificateThatNobodyVouchesFor() throws Exception {
        try (var running = running()) {
            Running.Answer answer = running.chat("alice", "hello");
            assertEquals(502, answer.status());
            assertEquals("provider_error", answer.at("code"));
            assertTrue(answer.text().contains("SAFE_BASE_URL"), answer.text());
            assertEquals(List.of(), running.said("alice"));
        }
    }
}
