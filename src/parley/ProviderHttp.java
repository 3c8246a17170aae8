package parley;

import static java.net.Proxy.NO_PROXY;
import static java.net.http.HttpClient.Version.HTTP_1_1;
import static java.net.http.HttpClient.newBuilder;
import static java.time.Duration.ofSeconds;
import static javax.net.ssl.TrustManagerFactory.getDefaultAlgorithm;
import static parley.Log.log;
import static parley.Problem.overloaded;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.ProxySelector;
import java.net.SocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.NoSuchAlgorithmException;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/**
 * The HTTP client that all providers are asked with: made at the first need, and again where it could not be made as it
 * should.
 */
final class ProviderHttp implements AutoCloseable {
    private final LiveSettings settings;
    private final ReentrantLock making = new ReentrantLock();
    private volatile HttpClient made; // null until the first need
    private boolean untrusting; // made while Java's trust store could not be read: only plain http works

    ProviderHttp(LiveSettings settings) {
        this.settings = settings;
    }

    /**
     * {@return the client}
     *
     * @throws Problem overloaded where none can be made now
     */
    HttpClient client() {
        making.lock();
        try {
            if (made == null || untrusting && canTrust()) made = client(context());
            return made;
        } catch (GeneralSecurityException | UncheckedIOException e) { // unchecked, it would mean that the browser left
            log("no connection to a provider can be made: " + e);
            throw overloaded("unable to make a connection");
        } finally {
            making.unlock();
        }
    }

    /** Java's default; where it fails, which lasts as long as the JVM, one that reads the trust store anew. */
    private SSLContext context() throws GeneralSecurityException {
        try {
            return SSLContext.getDefault();
        } catch (NoSuchAlgorithmException e) {
            untrusting = !canTrust();
            if (untrusting) log("Java's trust store cannot be read, so no https works until it can: " + e);
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(null, null, null);
            return context;
        }
    }

    private static boolean canTrust() {
        try {
            TrustManagerFactory.getInstance(getDefaultAlgorithm()).init((KeyStore) null);
            return true;
        } catch (GeneralSecurityException e) {
            return false;
        }
    }

    /**
     * HTTP/1.1, since HTTP/2 fails past 100 streams at once (JDK-8225647). What the client does between its socket and
     * {@link ResponseBody}, which never blocks, is done on the thread that finds it to do: a pool costs a third of the
     * time.
     */
    private HttpClient client(SSLContext context) {
        return newBuilder()
                .version(HTTP_1_1)
                .connectTimeout(ofSeconds(10))
                .executor(Runnable::run)
                .sslContext(context)
                .proxy(new ProxySelector() {
                    @Override
                    public List<Proxy> select(URI uri) {
                        InetSocketAddress proxy = settings.latest().proxy().addressFor(uri);
                        return List.of(proxy == null ? NO_PROXY : new Proxy(Proxy.Type.HTTP, proxy));
                    }

                    @Override
                    public void connectFailed(URI uri, SocketAddress address, IOException e) {
                        // the request fails too, and says so
                    }
                })
                .build();
    }

    /** Waits for its own thread: a JVM that ends beside it may crash while it writes its archive of classes. */
    @Override
    public void close() {
        if (made == null) return;
        made.shutdownNow();
        made.close();
    }
}
