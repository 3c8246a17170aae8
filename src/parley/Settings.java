package parley;

import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.UnaryOperator;
import java.util.regex.Pattern;

/**
 * What {@code .env} says, typed and checked: a snapshot that never changes. A request takes one and keeps it to its end.
 *
 * @param allowedHosts  more names that requests may call this server by, in lower case; {@code *} for any
 * @param instructions the system instructions, or null
 * @param histories    the folder of the history files
 * @param window       how many of the last messages are sent to the provider, the new one among them
 * @param timeout      how long a provider may be silent
 */
record Settings(String host, int port, List<String> allowedHosts, Account chat, Account image, String instructions, Generation generation,
        Path histories, int window, Duration timeout, Cors cors) {

    /** A provider's API key. It is a type of its own because a record prints its components, and this one must not. */
    record Key(String value) {
        @Override
        public String toString() {
            return "***";
        }
    }

    /** What the model is asked to keep to; null for what is not to be sent. */
    record Generation(Number temperature, Number topP, Number topK, Number maxOutputTokens) {
    }

    /** Which web pages may call: their origins ({@code *} for all), and the methods and headers that they may use. */
    record Cors(List<String> origins, String methods, String headers) {
    }

    /**
     * The account that chats or draws are made with.
     *
     * @param provider {@code gemini}, {@code nebius}, or the name of an OpenAI-compatible service
     * @param use      {@code CHAT} or {@code IMAGE}
     * @param base     the service's address, or null while it is missing
     * @param key      the service's key, or null while it is missing
     * @param model    the model's name, or null while it is missing
     * @param extra    what is merged into each request
     */
    record Account(String provider, String use, URI base, Key key, String model, Map<String, Object> extra) {
        /** The name of the variable that has to be filled in before this account can be used; null where none has. */
        String missing() {
            boolean own = provider.equals("gemini") || provider.equals("nebius");
            if (base == null) return addressVariable();
            if (key == null && (own || !loopback(base.getHost()))) return keyVariable();
            return model == null ? modelVariable() : null;
        }

        String addressVariable() {
            return prefix(provider) + "_BASE_URL";
        }

        String keyVariable() {
            return prefix(provider) + "_API_KEY";
        }

        String modelVariable() {
            return prefix(provider) + "_" + use + "_MODEL";
        }

        String extraVariable() {
            return prefix(provider) + "_" + use + "_EXTRA";
        }

        private static String prefix(String provider) {
            return provider.toUpperCase(Locale.ROOT).replace('-', '_');
        }
    }

    /** What holds where {@code .env} is silent. {@code .env.example} says the same, and a test compares them. */
    static final Map<String, String> DEFAULTS = Map.of("CHAT_PROVIDER", "gemini", "IMAGE_PROVIDER", "nebius",
            "GEMINI_BASE_URL", "https://generativelanguage.googleapis.com", "GEMINI_CHAT_MODEL", "gemini-flash-latest",
            "GEMINI_IMAGE_MODEL", "gemini-nano-banana-2.1", "NEBIUS_BASE_URL", "https://api.tokenfactory.nebius.com/v1",
            "NEBIUS_CHAT_MODEL", "openai/gpt-oss-120b", "NEBIUS_IMAGE_MODEL", "black-forest-labs/flux-schnell");

    private static final String TOKEN = "[\\w!#$%&'*+.^`|~-]+"; // RFC 9110, section 5.6.2
    private static final String HOST_NAME = "\\*|[\\w.-]+|\\[[0-9A-Fa-f:.]+\\]";
    private static final Pattern LOOPBACK = Pattern.compile("127(\\.\\d+){3}");
    private static final String ORIGIN = "\\*|null|[A-Za-z][A-Za-z0-9+.-]*://[!-~&&[^/,]]+/?";

    /**
     * The settings that the variables make.
     *
     * @param folder what a relative HISTORY_DIR starts from
     * @throws Env.Senseless naming the first variable that makes no sense
     */
    private static Settings of(Env env, Path folder) throws Env.Senseless {
        Integer port = env.whole("PORT", 0, 65535);
        Integer window = env.whole("HISTORY_WINDOW", 1, 1_000_000);
        Number timeout = env.number("PROVIDER_TIMEOUT", "0.1", "86400");
        String instructions = env.values().getOrDefault("SYSTEM_INSTRUCTIONS", "");
        var generation = new Generation(env.number("TEMPERATURE", "0", "2"), env.number("TOP_P", "0", "1"),
                env.whole("TOP_K", 1, Integer.MAX_VALUE), env.whole("MAX_OUTPUT_TOKENS", 1, Integer.MAX_VALUE));
        return new Settings(env.text("HOST", "127.0.0.1"), port == null ? 8080 : port, lowerCase(env.list("ALLOWED_HOSTS", "", HOST_NAME, "host names")), account(env, "CHAT"), account(env, "IMAGE"),
                instructions.isBlank() ? null : instructions, generation, histories(env, folder), window == null ? 40 : window,
                timeout == null ? Duration.ofSeconds(60) : Duration.ofMillis((long) (timeout.doubleValue() * 1000)), cors(env));
    }

    private static Account account(Env env, String use) throws Env.Senseless {
        String provider = env.text(use + "_PROVIDER", DEFAULTS.get(use + "_PROVIDER")).toLowerCase(Locale.ROOT);
        if (!provider.matches("[a-z][a-z0-9_-]*")) {
            throw env.senseless(use + "_PROVIDER", "must be gemini, nebius, or a NAME of letters and digits whose address is in NAME_BASE_URL");
        }
        var names = new Account(provider, use, null, null, null, Map.of());
        String key = env.token(names.keyVariable());
        if (key.isEmpty() && provider.equals("gemini")) key = env.token("GOOGLE_API_KEY");
        return new Account(provider, use, env.address(names.addressVariable(), DEFAULTS.get(names.addressVariable())),
                key.isEmpty() ? null : new Key(key), env.text(names.modelVariable(), DEFAULTS.get(names.modelVariable())),
                env.object(names.extraVariable()));
    }

    private static Path histories(Env env, Path folder) throws Env.Senseless {
        try {
            return folder.resolve(env.text("HISTORY_DIR", "histories")).normalize();
        } catch (InvalidPathException e) {
            throw env.senseless("HISTORY_DIR", "is no path on this system");
        }
    }

    private static Cors cors(Env env) throws Env.Senseless {
        List<String> origins = env.list("CORS_ALLOWED_ORIGINS", "*", ORIGIN, "origins such as https://example.org");
        return new Cors(lowerCase(origins).stream().map(origin -> origin.replaceAll("/$", "")).toList(),
                String.join(", ", env.list("CORS_ALLOWED_METHODS", "GET, POST, DELETE", TOKEN, "HTTP methods")),
                String.join(", ", env.list("CORS_ALLOWED_HEADERS", "Content-Type", TOKEN, "header names")));
    }

    private static List<String> lowerCase(List<String> items) {
        return items.stream().map(item -> item.toLowerCase(Locale.ROOT)).toList();
    }

    /**
     * Whether a request that names this host is meant for this server. A page of a foreign site can make its own name lead to this
     * machine (DNS rebinding), but it cannot make the browser send another name.
     */
    boolean answersTo(String name) {
        return loopback(name) || name.equalsIgnoreCase(host) || allowedHosts.contains("*") || allowedHosts.contains(name.toLowerCase(Locale.ROOT));
    }

    private static boolean loopback(String host) {
        return host.equalsIgnoreCase("localhost") || LOOPBACK.matcher(host).matches() || host.equals("[::1]");
    }

    /** Every setting by the name of its variable, as {@code .env} would say it, with keys masked. */
    Map<String, Object> shown() {
        var shown = Json.object("HOST", host, "PORT", port);
        for (Account account : List.of(chat, image)) {
            shown.put(account.use + "_PROVIDER", account.provider);
            shown.put(account.addressVariable(), account.base);
            shown.put(account.keyVariable(), account.key);
            shown.put(account.modelVariable(), account.model);
            shown.put(account.extraVariable(), account.extra.isEmpty() ? null : Json.write(account.extra));
        }
        shown.put("SYSTEM_INSTRUCTIONS", instructions);
        shown.put("TEMPERATURE", generation.temperature);
        shown.put("TOP_P", generation.topP);
        shown.put("TOP_K", generation.topK);
        shown.put("MAX_OUTPUT_TOKENS", generation.maxOutputTokens);
        shown.put("HISTORY_DIR", histories);
        shown.put("HISTORY_WINDOW", window);
        shown.put("PROVIDER_TIMEOUT", timeout.toMillis() / 1000.0);
        shown.put("ALLOWED_HOSTS", String.join(", ", allowedHosts));
        shown.put("CORS_ALLOWED_ORIGINS", String.join(", ", cors.origins));
        shown.put("CORS_ALLOWED_METHODS", cors.methods);
        shown.put("CORS_ALLOWED_HEADERS", cors.headers);
        return shown;
    }

    /** The settings of a file that is edited while it is in use. */
    static final class Source {
        private record Stamp(FileTime modified, long size, Object identity) {
        }

        private record Read(Stamp stamp, String text, Settings settings) {
        }

        /** An edit this soon after another may bear the same time, so a file this young is read again at the next request. */
        private static final Duration CLOCK_STEP = Duration.ofMillis(50);

        private final Path file;
        private final UnaryOperator<Map<String, String>> overlay;
        private final ReentrantLock refreshing = new ReentrantLock();
        private volatile Read last;
        private String complaint; // what was said of the present edit; null while it is good

        /**
         * Reads the file for the first time. Where there is none, the overlay and the defaults hold.
         *
         * @param overlay lays other variables, such as the process's environment, over those of the file
         * @throws IOException   where the file cannot be read
         * @throws Env.Senseless where it makes no sense
         */
        Source(Path file, UnaryOperator<Map<String, String>> overlay) throws IOException {
            this.file = file.toAbsolutePath();
            this.overlay = overlay;
            String text = stamp() == null ? "" : Files.readString(this.file, StandardCharsets.UTF_8);
            last = new Read(null, text, parse(text));
        }

        /** Where the settings are read from. */
        Path file() {
            return file;
        }

        /** The settings in force: those of the file as it is now or, while that cannot be read or makes no sense, the last good ones. */
        Settings current() {
            try {
                if (!Objects.equals(last.stamp, stamp())) refresh();
            } catch (IOException e) {
                Log.say(file.getFileName() + " cannot be looked at: " + e);
            }
            return last.settings;
        }

        private void refresh() {
            refreshing.lock();
            try {
                last = read(last);
                complaint = null;
            } catch (Env.Senseless e) {
                complain("makes no sense: " + e.getMessage());
            } catch (IOException e) {
                complain("cannot be read (" + e + ")");
            } finally {
                refreshing.unlock();
            }
        }

        /** Takes the file's stamp before its text, so that an edit in between is seen at the next request. */
        private Read read(Read before) throws IOException {
            Stamp stamp = stamp();
            String text = Files.readString(file, StandardCharsets.UTF_8);
            boolean settled = stamp != null && stamp.modified.toInstant().plus(CLOCK_STEP).isBefore(Instant.now());
            if (text.equals(before.text)) return new Read(settled ? stamp : null, text, before.settings);
            if (text.isBlank()) throw new Env.Senseless("it is empty");
            Settings now = parse(text);
            boolean moved = now.port != before.settings.port || !now.host.equals(before.settings.host);
            Log.say(file.getFileName() + " was edited and is in force" + (moved ? ", but for HOST and PORT: they take effect at the next start" : ""));
            return new Read(settled ? stamp : null, text, now);
        }

        private void complain(String what) {
            if (!what.equals(complaint)) Log.say(file.getFileName() + " " + what + "; the last good settings stay in force");
            complaint = what;
        }

        private Settings parse(String text) throws Env.Senseless {
            return of(Env.parse(text, overlay), file.getParent());
        }

        /** What tells one state of the file from another; null where there is no file. */
        private Stamp stamp() throws IOException {
            try {
                BasicFileAttributes now = Files.readAttributes(file, BasicFileAttributes.class);
                return new Stamp(now.lastModifiedTime(), now.size(), now.fileKey());
            } catch (NoSuchFileException e) {
                return null;
            }
        }
    }
}
