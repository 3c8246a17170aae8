package parley;

import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.BindException;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.ProxySelector;
import java.net.SocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;

/**
 * A chat and image server: wires the rooms, starts and stops. In another program:
 * <pre>{@code
 * try (var parley = Parley.start(Path.of(".env"))) {
 *     System.out.println("http://127.0.0.1:" + parley.port());
 *     …
 * }
 * }</pre>
 */
public final class Parley implements AutoCloseable {
    static final String VERSION = "1.0";
    private static final String USAGE =
            """
            Usage: java Main.java [--demo | --check] [--env FILE]
              --demo      answer from a stand-in on this machine: no key and no network are needed
              --check     print the settings, ask the providers whether key and model are good, and exit
              --env FILE  read the settings from FILE instead of .env
              --help      print this, and exit
              --version   print the version, and exit""";
    private static final Duration TURN_TIMEOUT = Duration.ofSeconds(30); // for an earlier request of the same user
    private static final Duration SHUTDOWN_TIMEOUT = Duration.ofSeconds(10); // for running requests

    private final Histories histories;
    private final CompletableFuture<HttpClient> client =
            new CompletableFuture<>(); // reading the certificates takes its time
    private final ExecutorService threads = threads();
    private final Api api;
    private final HttpServer server;

    /** @param demo whether the providers of the settings are the stand-in */
    Parley(LiveSettings settings, boolean demo) throws IOException {
        Settings now = settings.current();
        try {
            histories = new Histories(
                    settings.file.resolveSibling(now.history().folder()).normalize(), TURN_TIMEOUT);
            server = Api.listen(
                    new InetSocketAddress(now.server().host(), now.server().port()));
        } catch (BindException e) {
            String where = now.server().host() + ", port " + now.server().port() + " (" + e.getMessage();
            throw new IOException(
                    "cannot listen on " + where + "): stop what listens there, or set HOST and PORT in .env", e);
        } catch (IOException | InvalidPathException e) {
            String advice = "): set HISTORY_DIR, in .env or in the environment";
            throw new IOException(
                    "the history folder " + now.history().folder() + " cannot be written (" + e + advice, e);
        }
        api = new Api(settings, histories, client, demo);
        server.createContext("/", api);
        server.setExecutor(threads);
        server.start();
        client.completeAsync(() -> client(settings)); // when requests are answered already
    }

    /**
     * Starts a server with the settings of a file, which is read again whenever it changes. A variable of the process's
     * environment wins over the file's. Where there is no such file, the defaults hold.
     *
     * @param env the path of the {@code .env} file; a relative HISTORY_DIR starts from its folder
     * @return the server, which answers already
     * @throws IOException where a setting makes no sense, the file or the history folder cannot be used, or the port is
     *                     taken;
     *                     the message says what to do
     */
    public static Parley start(Path env) throws IOException {
        return new Parley(new LiveSettings(env, DotEnv::withEnvironment), false);
    }

    /** {@return the port that is listened on: a free one where PORT is 0} */
    public int port() {
        return server.getAddress().getPort();
    }

    /** Refuses new requests, lets running ones end for at most 10 s, and frees the port. */
    @Override
    public void close() throws IOException {
        try {
            api.stop(SHUTDOWN_TIMEOUT);
            server.stop(0);
            threads.shutdownNow();
            histories.close();
            HttpClient made = client.join();
            made.shutdownNow();
            made.awaitTermination(
                    SHUTDOWN_TIMEOUT); // a JVM that ends beside its thread may crash while it writes its archive of
            // classes
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /**
     * Virtual threads from JDK 24 on. Before it, the JDK's server would pin them: its streams are synchronized, so a
     * slow client
     * would hold one of the few carriers, and a handful of them the whole server (JEP 491).
     */
    private static ExecutorService threads() {
        if (Runtime.version().feature() >= 24) return Executors.newVirtualThreadPerTaskExecutor();
        ThreadFactory daemons = Thread.ofPlatform().daemon().factory();
        return new ThreadPoolExecutor(
                16, Memory.MAX_REQUESTS + 1000, 3, TimeUnit.SECONDS, new SynchronousQueue<>(), daemons);
    }

    /**
     * HTTP/1.1, since HTTP/2 fails past 100 streams at once (JDK-8225647). What the client does between its socket and
     * {@link EventStream}, which never blocks, is done on the thread that finds it to do: a pool costs a third of the
     * time.
     */
    private static HttpClient client(LiveSettings settings) {
        return HttpClient.newBuilder()
                .version(HttpClient.Version.HTTP_1_1)
                .connectTimeout(Duration.ofSeconds(10))
                .executor(Runnable::run)
                .proxy(new ProxySelector() {
                    @Override
                    public List<Proxy> select(URI uri) {
                        InetSocketAddress proxy = settings.latest().proxy().addressFor(uri);
                        return List.of(proxy == null ? Proxy.NO_PROXY : new Proxy(Proxy.Type.HTTP, proxy));
                    }

                    @Override
                    public void connectFailed(URI uri, SocketAddress address, IOException e) {
                        // the request fails too, and says so
                    }
                })
                .build();
    }

    /**
     * The program: {@code java Main.java}. Exits with 1 where it cannot start, with 2 where the arguments make no
     * sense.
     *
     * @param args as {@code --help} shows them
     */
    public static void main(String[] args) {
        var options = new ArrayList<>(List.of(args));
        int at = options.indexOf("--env");
        boolean named = at >= 0 && at + 1 < args.length;
        Path env = named ? Path.of(options.remove(at + 1)) : null;
        if (named) options.remove(at);
        try {
            run(options, env);
        } catch (IOException e) {
            System.err.println("Parley cannot start: " + Log.sanitized(e.getMessage()));
            System.exit(1);
        }
    }

    private static void run(List<String> options, Path env) throws IOException {
        String words = String.join(" ", options);
        if (options.isEmpty()) serve(settings(env, DotEnv::withEnvironment, false), false);
        else
            switch (words) {
                case "--demo" -> serve(settings(env, new Demo(25)::redirect, true), true);
                case "--check" -> System.exit(check(settings(env, DotEnv::withEnvironment, false)) ? 0 : 1);
                case "--help" -> System.out.println(USAGE);
                case "--version" -> System.out.println("Parley " + VERSION);
                default -> {
                    System.err.println("unknown: " + Log.sanitized(words) + System.lineSeparator() + USAGE);
                    System.exit(2);
                }
            }
    }

    /**
     * The settings of the file that was asked for, or of the {@code .env} of the working folder or else of Parley's
     * own.
     */
    private static LiveSettings settings(Path asked, UnaryOperator<Map<String, String>> overlay, boolean demo)
            throws IOException {
        Path home = Path.of(System.getProperty("parley.home", ""));
        Path own = Files.exists(Path.of(".env")) ? Path.of(".env") : home.resolve(".env");
        Path env = asked == null ? own : asked;
        if (asked != null && Files.notExists(env)) throw new IOException("there is no file " + asked);
        if (Files.notExists(env)) writeFirst(env, home.resolve(".env.example"), demo);
        try {
            return new LiveSettings(env, overlay);
        } catch (IOException e) {
            String why =
                    e instanceof DotEnv.InvalidSetting ? " makes no sense: " + e.getMessage() : " cannot be read: " + e;
            throw new IOException(env + why, e);
        }
    }

    /** Copies the example, for the owner's eyes only: keys will stand in it. */
    private static void writeFirst(Path env, Path example, boolean demo) {
        try {
            List<String> lines = Files.readAllLines(example, StandardCharsets.UTF_8);
            Path made = Files.createTempFile(
                    env.toAbsolutePath().getParent(), ".env", null); // which gives it to its owner only
            Files.move(Files.write(made, lines, StandardCharsets.UTF_8), env);
            int line = 1 + lines.indexOf("GEMINI_API_KEY=");
            String advice = demo ? "" : ": write your key on its line " + line + ", GEMINI_API_KEY";
            Log.log("made " + env + " from " + example.getFileName() + advice);
        } catch (IOException e) {
            Log.log("no .env is there, and none can be made (" + e
                    + "): the environment counts, and --env FILE reads another one");
        }
    }

    private static void serve(LiveSettings settings, boolean demo) throws IOException {
        Parley parley = new Parley(settings, demo);
        Runtime.getRuntime().addShutdownHook(new Thread(parley::shutDown));
        Settings now = settings.current();
        String host = now.server().host().contains(":")
                ? "[" + now.server().host() + "]"
                : now.server().host();
        String name = "Parley " + VERSION + (demo ? ", as a demo," : "");
        Log.log(name + " is at http://" + host + ":" + parley.port() + ", with the settings of " + settings.file);
        for (Settings.Account account : List.of(now.chat(), now.image())) {
            String ready = account.missing() == null ? "ready" : "not ready: set " + account.missing() + " in .env";
            Log.log(account.use().toLowerCase(Locale.ROOT) + ": " + account.provider() + " with " + account.model()
                    + ", " + ready);
        }
    }

    private void shutDown() {
        try {
            close();
        } catch (IOException e) {
            Log.log("closing: " + e);
        }
        Runtime.getRuntime().halt(0); // a stop that was asked for is no failure: else SIGTERM would end in 143
    }

    /** Prints the settings, and whether each provider takes its key and knows its model. Images need not be set up. */
    private static boolean check(LiveSettings settings) throws IOException {
        settings.shown().forEach((name, value) -> System.out.println(Log.sanitized(name + "=" + value)));
        Settings now = settings.current();
        try (HttpClient client = client(settings)) {
            boolean chat = check(client, now, now.chat());
            return chat & (check(client, now, now.image()) || now.image().missing() != null);
        }
    }

    private static boolean check(HttpClient client, Settings settings, Settings.Account account) {
        String answer = account.missing() == null ? "good" : "not set up: " + account.missing() + " is missing in .env";
        try {
            if (account.missing() == null)
                Api.provider(client, settings, account).check();
        } catch (Problem | InterruptedException e) {
            answer = e.getMessage();
        }
        System.out.println(account.use().toLowerCase(Locale.ROOT) + ", " + account.provider() + " with "
                + account.model() + ": " + answer);
        return answer.equals("good");
    }
}
