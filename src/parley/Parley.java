package parley;

import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.BindException;
import java.net.InetSocketAddress;
import java.net.http.HttpClient;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.SynchronousQueue;
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
    private static final String USAGE = """
            Usage: java Main.java [--demo | --check] [--env FILE]
              --demo      answer from a stand-in on this machine: no key and no network are needed
              --check     print the settings, ask the providers whether key and model are good, and exit
              --env FILE  read the settings from FILE instead of .env
              --help      print this, and exit
              --version   print the version, and exit""";
    private static final int MOST_REQUESTS = Server.most(virtual() ? 10_000 : 4_000); // before JDK 24, each has a thread of the system
    private static final Duration PATIENCE = Duration.ofSeconds(30); // with an earlier request of the same user
    private static final Duration FAREWELL = Duration.ofSeconds(10); // for running turns, once told to stop

    private final Histories histories = new Histories(PATIENCE);
    private final Watch watch = new Watch();
    /** In the making while the server starts: reading the system's certificates takes a third of that time. */
    private final CompletableFuture<HttpClient> client = CompletableFuture.supplyAsync(Parley::client);
    private final ExecutorService threads = threads();
    private final Api api;
    private final HttpServer server;

    private Parley(Settings.Source settings, boolean demo) throws IOException {
        Settings now = settings.current();
        api = new Api(settings, histories, client::join, watch, MOST_REQUESTS, demo);
        try {
            open(now.histories());
            server = listen(now);
        } catch (IOException e) {
            watch.close();
            histories.close();
            throw e;
        }
        server.createContext("/", api);
        server.setExecutor(threads);
        server.start();
    }

    /**
     * Starts a server with the settings of a file, which is read again whenever it changes. A variable of the process's
     * environment wins over the file's. Where there is no such file, the defaults hold.
     *
     * @param env the path of the {@code .env} file; a relative HISTORY_DIR starts from its folder
     * @return the server, which answers already
     * @throws IOException where a setting makes no sense, the file or the history folder cannot be used, or the port is taken;
     *                     the message says what to do
     */
    public static Parley start(Path env) throws IOException {
        return new Parley(new Settings.Source(env, Parley::environment), false);
    }

    private void open(Path folder) throws IOException {
        try {
            histories.open(folder);
        } catch (IOException e) {
            throw new IOException("the history folder " + folder + " cannot be written (" + e + "): set HISTORY_DIR in .env", e);
        }
    }

    /** Starts a server whose providers are the stand-in, whatever the file says. */
    static Parley start(Path env, Demo demo) throws IOException {
        return new Parley(new Settings.Source(env, file -> demo.redirect(environment(file))), true);
    }

    /** The file's variables, with those of the process's environment laid over them. */
    private static Map<String, String> environment(Map<String, String> file) {
        var both = new HashMap<>(file);
        both.putAll(System.getenv());
        return both;
    }

    /** {@return the port that is listened on: a free one where PORT is 0} */
    public int port() {
        return server.getAddress().getPort();
    }

    /** Refuses new requests, lets running turns end for at most 10 s, and frees the port. */
    @Override
    public void close() throws IOException {
        try {
            api.stop(FAREWELL);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        server.stop(0);
        threads.shutdownNow();
        watch.close();
        histories.close();
        end(client.join());
    }

    /** Waits for the client's own thread too: a JVM that ends beside it may crash while it writes its archive of classes. */
    private static void end(HttpClient client) {
        client.shutdownNow();
        try {
            client.awaitTermination(FAREWELL);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static HttpServer listen(Settings settings) throws IOException {
        var address = new InetSocketAddress(settings.host(), settings.port());
        if (address.isUnresolved()) throw new IOException("HOST " + settings.host() + " is no address of this machine");
        try {
            return Server.bound(address);
        } catch (BindException e) {
            throw new IOException("cannot listen on " + settings.host() + ", port " + settings.port() + " (" + e.getMessage()
                    + "): stop what listens there, or set HOST and PORT in .env", e);
        }
    }

    /**
     * Virtual threads from JDK 24 on. Before it, the JDK's server would pin them: its streams are synchronized, so a slow client
     * would hold one of the few carriers, and a handful of them the whole server (JEP 491).
     */
    private static boolean virtual() {
        return Runtime.version().feature() >= 24;
    }

    private static ExecutorService threads() {
        if (virtual()) return Executors.newVirtualThreadPerTaskExecutor();
        return new ThreadPoolExecutor(16, MOST_REQUESTS + 1000, 3, TimeUnit.SECONDS, new SynchronousQueue<>(), Thread.ofPlatform().daemon().factory());
    }

    /**
     * The program: {@code java Main.java}. Exits with 1 where it cannot start, with 2 where the arguments make no sense.
     *
     * @param args as {@code --help} shows them
     */
    public static void main(String[] args) {
        String option = "";
        Path env = null;
        for (int i = 0; i < args.length; i++) {
            boolean known = List.of("--demo", "--check", "--help", "--version").contains(args[i]);
            if (args[i].equals("--env") && env == null && i + 1 < args.length) env = Path.of(args[++i]);
            else if (known && option.isEmpty()) option = args[i];
            else {
                System.err.println("unknown: " + Log.plain(args[i]) + System.lineSeparator() + USAGE);
                System.exit(2);
            }
        }
        try {
            switch (option) {
                case "--help" -> System.out.println(USAGE);
                case "--version" -> System.out.println("Parley " + VERSION);
                case "--check" -> System.exit(check(settings(env, Parley::environment).current()) ? 0 : 1);
                case "--demo" -> {
                    var demo = new Demo(25);
                    serve(settings(env, file -> demo.redirect(environment(file))), true);
                }
                default -> serve(settings(env, Parley::environment), false);
            }
        } catch (IOException e) {
            System.err.println("Parley cannot start: " + Log.plain(e.getMessage()));
            System.exit(1);
        }
    }

    /** The settings of the file that was asked for, or of the {@code .env} of the working folder or else of Parley's own. */
    private static Settings.Source settings(Path asked, UnaryOperator<Map<String, String>> overlay) throws IOException {
        Path home = Path.of(System.getProperty("parley.home", ""));
        Path env = asked != null ? asked : Files.exists(Path.of(".env")) ? Path.of(".env") : home.resolve(".env");
        if (asked != null && Files.notExists(env)) throw new IOException("there is no file " + asked);
        if (Files.notExists(env)) writeFirst(env, home.resolve(".env.example"));
        try {
            return new Settings.Source(env, overlay);
        } catch (Env.Senseless e) {
            throw new IOException(env + " makes no sense: " + e.getMessage(), e);
        } catch (IOException e) {
            throw new IOException(env + " cannot be read (" + e + ")", e);
        }
    }

    /** Copies the example, for the owner's eyes only: keys will stand in it. */
    private static void writeFirst(Path env, Path example) {
        boolean posix = FileSystems.getDefault().supportedFileAttributeViews().contains("posix");
        FileAttribute<?>[] ownerOnly = posix ? new FileAttribute<?>[] {PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"))}
                : new FileAttribute<?>[0];
        try {
            List<String> lines = Files.readAllLines(example, StandardCharsets.UTF_8);
            Files.createFile(env, ownerOnly);
            Files.write(env, lines, StandardCharsets.UTF_8);
            Log.say("made " + env + " from " + example.getFileName() + ": write your key on its line " + (1 + lines.indexOf("GEMINI_API_KEY=")) + ", GEMINI_API_KEY");
        } catch (IOException e) {
            Log.say("there is no .env, and none could be made (" + e + "): the defaults and the environment hold");
        }
    }

    private static void serve(Settings.Source source, boolean demo) throws IOException {
        Parley parley = new Parley(source, demo);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                parley.close();
            } catch (IOException e) {
                Log.say("closing: " + e);
            }
            Runtime.getRuntime().halt(0); // a stop that was asked for is no failure: else SIGTERM would end in 143
        }));
        Settings now = source.current();
        Log.say("Parley " + VERSION + (demo ? ", as a demo," : "") + " is at http://" + (now.host().contains(":") ? "[" + now.host() + "]" : now.host()) + ":" + parley.port()
                + ", with the settings of " + source.file());
        for (Settings.Account account : List.of(now.chat(), now.image())) {
            Log.say(account.use().toLowerCase(Locale.ROOT) + ": " + account.provider() + " with " + account.model() + ", "
                    + (account.missing() == null ? "ready" : "not ready: set " + account.missing() + " in .env"));
        }
    }

    /** Prints the settings, and whether each provider takes its key and knows its model. */
    private static boolean check(Settings settings) {
        settings.shown().forEach((name, value) -> System.out.println(Log.plain(name + "=" + (value == null ? "" : value))));
        boolean good = true;
        try (HttpClient client = client()) {
            for (Settings.Account account : List.of(settings.chat(), settings.image())) {
                String answer = "good";
                try {
                    Provider.of(client, settings, account, bytes -> { }).check();
                } catch (Problem | InterruptedException e) {
                    answer = e.getMessage();
                    good = false;
                }
                System.out.println(account.use().toLowerCase(Locale.ROOT) + ", " + account.provider() + " with " + account.model() + ": " + answer);
            }
        }
        return good;
    }

    /**
     * HTTP/1.1, since HTTP/2 fails past 100 streams at once (JDK-8225647). What the client does between its socket and {@link Arrivals},
     * which never blocks, is done on the thread that finds it to do: handing it to a pool costs a third of its time.
     */
    private static HttpClient client() {
        return HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(Duration.ofSeconds(10)).executor(Runnable::run).build();
    }
}
