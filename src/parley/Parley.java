package parley;

import static java.lang.Runtime.getRuntime;
import static java.lang.System.err;
import static java.lang.System.exit;
import static java.lang.System.out;
import static java.lang.Thread.currentThread;
import static java.time.Duration.ofSeconds;
import static java.util.concurrent.TimeUnit.SECONDS;
import static parley.JdkServer.addresses;
import static parley.JdkServer.listen;
import static parley.JdkServer.threads;
import static parley.Log.log;
import static parley.Log.sanitized;

import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.UnaryOperator;

/**
 * A chat and image server: wires the parts, starts and stops. In another program:
 * <pre>{@code
 * try (var parley = Parley.start(Path.of(".env"))) {
 *     System.out.println("http://127.0.0.1:" + parley.port());
 *     …
 * }
 * }</pre>
 */
public final class Parley implements AutoCloseable {
    static final String VERSION = "1.0";
    private static final Duration TURN_TIMEOUT = ofSeconds(30); // for an earlier request of the same user
    static final Duration SHUTDOWN_TIMEOUT = ofSeconds(10); // for running requests

    private final HttpServer server;
    private final Histories histories;
    private final ProviderHttp client;
    private final ExecutorService threads = threads();
    private final Api api;
    private final AtomicBoolean closed = new AtomicBoolean();

    /** @param demo whether the providers of the settings are the stand-in */
    Parley(LiveSettings settings, boolean demo) throws IOException {
        Settings now = settings.current();
        server = listen(now.server());
        histories = histories(settings.file, now.history().folder());
        client = new ProviderHttp(settings);
        api = new Api(settings, histories, client, demo);
        server.createContext("/", api);
        server.setExecutor(threads);
        server.start();
    }

    private Histories histories(Path env, String folder) throws IOException {
        try {
            return new Histories(env.resolveSibling(folder).normalize(), TURN_TIMEOUT);
        } catch (IOException | InvalidPathException e) {
            server.start(); // one that has not been started keeps its port
            server.stop(0);
            throw new IOException(
                    "the history folder " + folder + " cannot be written (" + e
                            + "): set HISTORY_DIR, in .env or in the environment",
                    e);
        }
    }

    /**
     * Starts a server with the settings of a file, which is read again whenever it changes. A variable of the process's
     * environment wins over the file's. Where there is no such file, the defaults hold.
     *
     * @param env the path of the {@code .env} file; a relative HISTORY_DIR starts from its folder
     * @return the server, which answers already
     * @throws IOException where a setting makes no sense, the file or the history folder cannot be used, or the port is
     *                     taken; the message says what to do
     */
    public static Parley start(Path env) throws IOException {
        return new Parley(new LiveSettings(env, DotEnv::withEnvironment), false);
    }

    /** {@return the port that is listened on: a free one where PORT is 0} */
    public int port() {
        return server.getAddress().getPort();
    }

    /**
     * Refuses new requests, lets running ones end for at most 10 s, has the others fail, and frees the port. A second
     * call does nothing.
     */
    @Override
    public void close() {
        if (closed.getAndSet(true)) return;
        try {
            try {
                api.stop(SHUTDOWN_TIMEOUT);
                threads.shutdownNow(); // what still runs is interrupted, and tells its client so
                threads.awaitTermination(3, SECONDS);
            } finally {
                server.stop(0);
                histories.close();
                client.close();
            }
        } catch (InterruptedException e) {
            currentThread().interrupt();
        }
    }

    /**
     * The program: {@code java Main.java}. Exits with 1 where it cannot start, with 2 where the arguments make no
     * sense.
     *
     * @param args as {@code --help} shows them
     */
    public static void main(String[] args) {
        try {
            run(CommandLine.of(args));
        } catch (IOException | InvalidPathException e) {
            err.println("Parley cannot start: " + sanitized(e.getMessage()));
            exit(1);
        }
    }

    private static void run(CommandLine asked) throws IOException {
        switch (asked.options()) {
            case "" -> serve(asked, DotEnv::withEnvironment);
            case "--demo" -> serve(asked, new Demo(25)::redirect);
            case "--check" -> exit(check(asked) ? 0 : 1);
            case "--help" -> out.println(CommandLine.USAGE);
            case "--version" -> out.println("Parley " + VERSION);
            default -> {
                err.println("unknown: " + sanitized(asked.options()));
                err.println(CommandLine.USAGE);
                exit(2);
            }
        }
    }

    private static boolean check(CommandLine asked) throws IOException {
        LiveSettings settings = asked.settings(DotEnv::withEnvironment);
        try (var client = new ProviderHttp(settings)) {
            return Check.passes(settings, client);
        }
    }

    private static void serve(CommandLine asked, UnaryOperator<Map<String, String>> overlay) throws IOException {
        LiveSettings settings = asked.settings(overlay);
        Parley parley = new Parley(settings, asked.isDemo());
        getRuntime().addShutdownHook(new Thread(parley::shutDown));
        parley.announce("Parley " + VERSION + (asked.isDemo() ? ", as a demo," : ""), settings);
    }

    private void announce(String name, LiveSettings settings) throws IOException {
        Settings now = settings.current();
        var addresses = addresses(now.server().host(), server.getAddress());
        log(name + " is at " + addresses.getFirst() + ", with the settings of " + settings.file);
        for (String address : addresses.subList(1, addresses.size())) log(name + " is also at " + address);
        now.chats().forEach(Parley::logService);
        now.images().forEach(Parley::logService);
    }

    private static void logService(Settings.Account account) {
        log(account + (account.missing() == null ? ", ready" : ", not ready: set " + account.missing() + " in .env"));
    }

    private void shutDown() {
        close();
        getRuntime().halt(0); // a stop that was asked for is no failure: else SIGTERM would end in 143
    }
}
