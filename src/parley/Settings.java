package parley;

import java.math.BigDecimal;
import java.net.InetSocketAddress;
import java.net.URI;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * What {@code .env} says, typed and checked: a snapshot that never changes. A request takes one and keeps it to its
 * end.
 *
 * @param timeout how long a provider may be silent, and how long a whole reply may take
 */
record Settings(
        Server server,
        Account chat,
        Account image,
        Generation generation,
        Duration timeout,
        Proxy proxy,
        History history,
        Cors cors) {

    /**
     * Where this server listens, and what it is called.
     *
     * @param allowedHosts more names that requests may call it by, in lower case; {@code *} for any
     */
    record Server(String host, int port, List<String> allowedHosts) {
        /**
         * Whether a request that names this host is meant for this server. A page of a foreign site can make its own
         * name lead to this machine (DNS rebinding), but it cannot make the browser send another name; an IP address
         * cannot be rebound.
         */
        boolean answersTo(String name) {
            return isLoopback(name)
                    || IP_ADDRESS.matcher(name).matches()
                    || name.equalsIgnoreCase(host)
                    || allowedHosts.contains("*")
                    || allowedHosts.contains(name.toLowerCase(Locale.ROOT));
        }
    }

    /**
     * Where conversations are kept.
     *
     * @param folder of the history files; a relative one starts from the settings' own file
     * @param window how many of the last messages are sent to the provider, the new one among them
     */
    record History(String folder, int window) {}

    /**
     * The way to the services.
     *
     * @param address the proxy for https addresses, or null
     * @param direct  the hosts that are asked directly even so
     */
    record Proxy(InetSocketAddress address, List<String> direct) {
        /**
         * The proxy to ask this address through, or null: curl's rules of HTTPS_PROXY and NO_PROXY
         * (https://everything.curl.dev/usingcurl/proxies/env.html).
         */
        InetSocketAddress addressFor(URI uri) {
            String domains = "." + uri.getHost().toLowerCase(Locale.ROOT);
            boolean isDirect = direct.stream()
                    .anyMatch(name -> name.equals("*") || domains.endsWith("." + name.replaceAll("^\\.+", "")));
            return isDirect || !"https".equalsIgnoreCase(uri.getScheme()) ? null : address;
        }
    }

    /** A provider's API key. It is a type of its own because a record prints its components, and this one must not. */
    record Key(String value) {
        @Override
        public String toString() {
            return "***";
        }
    }

    /** What the model is asked to keep to; null for what is not to be sent. */
    record Generation(
            String systemInstructions, Number temperature, Number topP, Number topK, Number maxOutputTokens) {}

    /** Which web pages may call: their origins ({@code *} for all), and the methods and headers that they may use. */
    record Cors(List<String> origins, String methods, String headers) {}

    /**
     * The account that chats or images are made with.
     *
     * @param provider {@code gemini}, {@code nebius}, or the name of an OpenAI-compatible service
     * @param use      {@code CHAT} or {@code IMAGE}
     * @param base     the service's address
     * @param key      the service's key, or null while it is missing
     * @param model    the model's name, or null while it is missing
     * @param extra    what is merged into each request
     */
    record Account(String provider, String use, URI base, Key key, String model, Map<String, Object> extra) {
        /** The name of the variable that has to be filled in before this account can be used; null where none has. */
        String missing() {
            if (key == null && (DEFAULTS.containsKey(variable("BASE_URL")) || !isLoopback(base.getHost())))
                return variable("API_KEY");
            return model == null ? modelVariable() : null;
        }

        /** The name of this provider's variable: NAME_BASE_URL for {@code BASE_URL}. */
        String variable(String what) {
            return prefix(provider) + "_" + what;
        }

        String modelVariable() {
            return variable(use + "_MODEL");
        }
    }

    /**
     * Every variable, with what holds where {@code .env} is silent. {@code .env.example} says the same, and a test
     * compares them.
     */
    static final Map<String, String> DEFAULTS =
            """
            HOST=127.0.0.1; PORT=8080; ALLOWED_HOSTS=; CHAT_PROVIDER=gemini; IMAGE_PROVIDER=nebius
            GOOGLE_API_KEY=; GEMINI_API_KEY=; GEMINI_BASE_URL=https://generativelanguage.googleapis.com
            GEMINI_CHAT_MODEL=gemini-flash-latest; GEMINI_IMAGE_MODEL=gemini-nano-banana-2.1; GEMINI_CHAT_EXTRA=; GEMINI_IMAGE_EXTRA=
            NEBIUS_API_KEY=; NEBIUS_BASE_URL=https://api.tokenfactory.nebius.com/v1
            NEBIUS_CHAT_MODEL=openai/gpt-oss-120b; NEBIUS_IMAGE_MODEL=black-forest-labs/flux-schnell
            NEBIUS_CHAT_EXTRA=; NEBIUS_IMAGE_EXTRA=; SYSTEM_INSTRUCTIONS=; TEMPERATURE=; TOP_P=; TOP_K=; MAX_OUTPUT_TOKENS=
            PROVIDER_TIMEOUT=120; HTTPS_PROXY=; NO_PROXY=; HISTORY_DIR=histories; HISTORY_WINDOW=40
            CORS_ALLOWED_ORIGINS=*; CORS_ALLOWED_METHODS=GET, POST, DELETE; CORS_ALLOWED_HEADERS=Content-Type"""
                    .lines()
                    .flatMap(line -> Stream.of(line.split("; ")))
                    .map(variable -> variable.split("=", 2))
                    .collect(Collectors.toMap(
                            half -> half[0], half -> half[1], (one, other) -> other, LinkedHashMap::new));

    private static final String TOKEN = "[\\w!#$%&'*+.^`|~-]+"; // RFC 9110, section 5.6.2
    private static final String HOST_NAME = "\\*|[\\w.-]+|\\[[0-9A-Fa-f:.]+\\]";
    private static final String ORIGIN = "\\*|null|[A-Za-z][A-Za-z0-9+.-]*://[!-~&&[^/,]]+/?";
    private static final Pattern LOOPBACK =
            Pattern.compile("localhost|127(\\.\\d+){3}|\\[::1\\]", Pattern.CASE_INSENSITIVE);
    private static final Pattern IP_ADDRESS = Pattern.compile("\\d+(\\.\\d+){3}|\\[[0-9A-Fa-f:.]+\\]");

    /**
     * The settings that the variables make.
     *
     * @throws DotEnv.InvalidSetting naming the first variable that makes no sense
     */
    static Settings of(DotEnv env) throws DotEnv.InvalidSetting {
        return new Settings(
                server(env),
                account(env, "CHAT"),
                account(env, "IMAGE"),
                generation(env),
                timeout(env),
                proxy(env),
                history(env),
                cors(env));
    }

    private static Server server(DotEnv env) throws DotEnv.InvalidSetting {
        String host = env.text("HOST");
        if (new InetSocketAddress(host, 0).isUnresolved())
            throw env.invalid("HOST", "is no known address: unset it, or set 127.0.0.1");
        int port = env.number("PORT", true, "0", "65535").intValue();
        return new Server(host, port, lowerCase(env.list("ALLOWED_HOSTS", HOST_NAME, "host names")));
    }

    private static Generation generation(DotEnv env) throws DotEnv.InvalidSetting {
        String instructions = env.values().get("SYSTEM_INSTRUCTIONS");
        return new Generation(
                instructions.isBlank() ? null : instructions,
                env.number("TEMPERATURE", false, "0", "2"),
                env.number("TOP_P", false, "0", "1"),
                env.number("TOP_K", true, "1", "2147483647"),
                env.number("MAX_OUTPUT_TOKENS", true, "1", "2147483647"));
    }

    private static Duration timeout(DotEnv env) throws DotEnv.InvalidSetting {
        BigDecimal seconds = env.number("PROVIDER_TIMEOUT", false, "0.1", "86400");
        return Duration.ofMillis(seconds.movePointRight(3).longValue());
    }

    private static Proxy proxy(DotEnv env) throws DotEnv.InvalidSetting {
        List<String> direct = List.of(env.values().get("NO_PROXY").split("[,\\s]+"));
        return new Proxy(env.proxy("HTTPS_PROXY"), lowerCase(direct));
    }

    private static History history(DotEnv env) throws DotEnv.InvalidSetting {
        int window = env.number("HISTORY_WINDOW", true, "1", "1000000").intValue();
        return new History(env.text("HISTORY_DIR"), window);
    }

    private static Account account(DotEnv env, String use) throws DotEnv.InvalidSetting {
        String variable = use + "_PROVIDER";
        String provider = env.text(variable).toLowerCase(Locale.ROOT);
        if (!provider.matches("[a-z][a-z0-9_-]*")) {
            throw env.invalid(
                    variable,
                    "must be gemini, nebius, or a NAME of letters and digits whose address is in NAME_BASE_URL");
        }
        String prefix = prefix(provider);
        URI base = env.address(prefix + "_BASE_URL");
        if (base == null)
            throw env.invalid(variable, "must be gemini or nebius, or else " + prefix + "_BASE_URL must be set");
        String key = env.token(prefix + "_API_KEY");
        if (key == null && provider.equals("gemini")) key = env.token("GOOGLE_API_KEY");
        return new Account(
                provider,
                use,
                base,
                key == null ? null : new Key(key),
                env.text(prefix + "_" + use + "_MODEL"),
                env.object(prefix + "_" + use + "_EXTRA"));
    }

    /** What the names of a provider's variables begin with. */
    static String prefix(String provider) {
        return provider.strip().toUpperCase(Locale.ROOT).replace('-', '_');
    }

    private static Cors cors(DotEnv env) throws DotEnv.InvalidSetting {
        List<String> origins = env.list("CORS_ALLOWED_ORIGINS", ORIGIN, "origins such as https://example.org");
        return new Cors(
                lowerCase(origins).stream()
                        .map(origin -> origin.replaceAll("/$", ""))
                        .toList(),
                String.join(", ", env.list("CORS_ALLOWED_METHODS", TOKEN, "HTTP methods")),
                String.join(", ", env.list("CORS_ALLOWED_HEADERS", TOKEN, "header names")));
    }

    private static List<String> lowerCase(List<String> items) {
        return items.stream().map(item -> item.toLowerCase(Locale.ROOT)).toList();
    }

    static boolean isLoopback(String host) {
        return LOOPBACK.matcher(host).matches();
    }
}
