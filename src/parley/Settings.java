package parley;

import static java.lang.Integer.parseInt;
import static java.lang.String.join;
import static java.lang.System.getProperty;
import static java.net.InetSocketAddress.createUnresolved;
import static java.time.Duration.ofMillis;
import static java.util.Locale.ROOT;
import static java.util.Objects.requireNonNullElse;
import static java.util.regex.Matcher.quoteReplacement;
import static java.util.regex.Pattern.compile;

import java.net.InetSocketAddress;
import java.net.URI;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import parley.DotEnv.InvalidSetting;

/**
 * What {@code .env} says, typed and checked: a snapshot that never changes. A request takes one and keeps it to its
 * end.
 *
 * @param chats   the services of CHAT_PROVIDER, in their order: the next is asked where one cannot answer
 * @param images  likewise those of IMAGE_PROVIDER
 * @param timeout how long a provider may be silent, and how long a whole reply may take
 */
record Settings(
        Server server,
        List<Account> chats,
        List<Account> images,
        Generation generation,
        Duration timeout,
        Proxy proxy,
        History history,
        Cors cors) {

    /**
     * Where this server listens, and what it is called.
     *
     * @param allowedHosts more names that requests may call it by, in their canonical form; {@code *} for any
     */
    record Server(String host, int port, List<String> allowedHosts) {
        /**
         * Whether a request that names this host is meant for this server. A page of a foreign site can make its own
         * name lead to this machine (DNS rebinding), but it cannot make the browser send another name; an IP address
         * cannot be rebound.
         */
        boolean answersTo(String host) {
            if (isLoopback(host) || IP_ADDRESS.matcher(host).matches() || allowedHosts.contains("*")) return true;
            String name = canonicalHost(host);
            return name.equals(canonicalHost(this.host)) || allowedHosts.contains(name);
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
     * @param address  the proxy for https addresses, or null
     * @param direct   the hosts and domains that are asked directly even so
     * @param unusable the variable whose proxy is of a kind that Java cannot use; null where none is
     */
    record Proxy(InetSocketAddress address, List<String> direct, String unusable) {
        /**
         * The proxy to ask this address through, or null: curl's rules of HTTPS_PROXY and NO_PROXY
         * (https://everything.curl.dev/usingcurl/proxies/env.html).
         */
        InetSocketAddress addressFor(URI uri) {
            if (address == null) return null;
            String domains = "." + canonicalHost(uri.getHost()).replaceAll("[\\[\\]]", "");
            boolean isDirect = direct.stream().anyMatch(name -> name.equals("*") || domains.endsWith("." + name));
            return isDirect || !"https".equalsIgnoreCase(uri.getScheme()) ? null : address;
        }
    }

    /** What the model is asked to keep to; null for what is not to be sent. */
    record Generation(
            String systemInstructions, Number temperature, Number topP, Number topK, Number maxOutputTokens) {}

    /** Which web pages may call: their origins ({@code *} for all), and the methods and headers that they may use. */
    record Cors(List<String> origins, String methods, String headers) {
        /** What Access-Control-Allow-Origin says to a page of this origin; null where the page may not read answers. */
        String allowed(String origin) {
            if (origins.contains("*")) return "*";
            return origins.contains(canonical(origin)) ? origin : null;
        }

        /** An origin as browsers write it: in lower case, and without a slash or the scheme's own port at its end. */
        private static String canonical(String origin) {
            return origin.toLowerCase(ROOT).replaceFirst("^(https://.+):443/?$|^(http://.+):80/?$|/$", "$1$2");
        }
    }

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
    record Account(String provider, String use, URI base, String key, String model, Map<String, Object> extra) {
        /** The name of the variable that has to be filled in before this account can be used; null where none has. */
        String missing() {
            if (key == null && (DEFAULTS.containsKey(variable("BASE_URL")) || !isLoopback(base.getHost()))) {
                return variable("API_KEY");
            }
            return model == null ? variable(use + "_MODEL") : null;
        }

        /** The name of this provider's variable: NAME_BASE_URL for {@code BASE_URL}. */
        String variable(String what) {
            return prefix(provider) + "_" + what;
        }

        /** What is used for what, without the key. */
        @Override
        public String toString() {
            return use.toLowerCase(ROOT) + ": " + provider + " with " + model;
        }
    }

    /**
     * Every variable, with what holds where {@code .env} is silent. A test compares them with {@code .env.example},
     * which explains each.
     */
    static final Map<String, String> DEFAULTS = Table.of(
            """
            HOST=127.0.0.1
            PORT=8080
            ALLOWED_HOSTS=
            CORS_ALLOWED_ORIGINS=*
            CORS_ALLOWED_METHODS=GET, POST, DELETE
            CORS_ALLOWED_HEADERS=Content-Type
            CHAT_PROVIDER=gemini
            IMAGE_PROVIDER=nebius
            GOOGLE_API_KEY=
            GEMINI_API_KEY=
            GEMINI_BASE_URL=https://generativelanguage.googleapis.com
            GEMINI_CHAT_MODEL=gemini-flash-latest
            GEMINI_IMAGE_MODEL=gemini-nano-banana-2.1
            GEMINI_CHAT_EXTRA=
            GEMINI_IMAGE_EXTRA=
            NEBIUS_API_KEY=
            NEBIUS_BASE_URL=https://api.tokenfactory.nebius.com/v1
            NEBIUS_CHAT_MODEL=openai/gpt-oss-120b
            NEBIUS_IMAGE_MODEL=black-forest-labs/flux-schnell
            NEBIUS_CHAT_EXTRA=
            NEBIUS_IMAGE_EXTRA=
            SYSTEM_INSTRUCTIONS=
            TEMPERATURE=
            TOP_P=
            TOP_K=
            MAX_OUTPUT_TOKENS=
            PROVIDER_TIMEOUT=120
            HTTPS_PROXY=
            NO_PROXY=
            HISTORY_DIR=histories
            HISTORY_WINDOW=40
            """);

    /** Stands before a key in an address's query, by the parameter's name: some services want theirs there. */
    static final String BEFORE_KEY = "(?i)(?<=[?&][\\w.-]{0,40}(?:key|token|secret|sig|code)=)";

    private static final String TOKEN = "[\\w!#$%&'*+.^`|~-]+"; // RFC 9110, section 5.6.2

    /** 0 to 65535. */
    private static final String PORT = "(?:\\d{1,4}|[1-5]\\d{4}|6[0-4]\\d{3}|65[0-4]\\d\\d|655[0-2]\\d|6553[0-5])";

    // Both take a name as it is sent: in either case, and with the dot that may end a whole one.
    private static final Pattern LOOPBACK = compile("(?i)((.+\\.)?localhost|127(\\.\\d+){3}|\\[[0:]*:0*1\\])\\.?");
    private static final Pattern IP_ADDRESS = compile("(\\d+(\\.\\d+){3}|\\[[0-9A-Fa-f:.]+(%[\\w.-]+)?\\])\\.?");

    /**
     * A proxy as curl reads it (https://curl.se/docs/manpage.html, --proxy): another scheme or a user, then host and
     * port, which is 1080 where none is told, and a path that tells nothing.
     */
    private static final Pattern PROXY =
            compile("(?i)(?:http://)?+([a-z][a-z0-9+.-]*://.*|.*@)?([\\w.-]+|\\[[0-9A-Fa-f:.]+\\])(?::(" + PORT
                    + "))?(?:/.*)?");

    /**
     * The settings that the variables make.
     *
     * @throws InvalidSetting naming the first variable that makes no sense
     */
    static Settings of(DotEnv env) throws InvalidSetting {
        return new Settings(
                server(env),
                accounts(env, "CHAT"),
                accounts(env, "IMAGE"),
                generation(env),
                ofMillis(env.number("PROVIDER_TIMEOUT", false, "0.1", "86400")
                        .movePointRight(3)
                        .longValue()),
                proxy(env),
                history(env),
                cors(env));
    }

    /** {@return these settings, with the host and the port of the start} */
    Settings listeningAs(Server started) {
        return new Settings(
                new Server(started.host, started.port, server.allowedHosts),
                chats,
                images,
                generation,
                timeout,
                proxy,
                history,
                cors);
    }

    private static Server server(DotEnv env) throws InvalidSetting {
        String host = env.text("HOST");
        if (new InetSocketAddress(host, 0).isUnresolved()) {
            throw env.invalid("HOST", "is no known address: unset it, or set 127.0.0.1");
        }
        return new Server(
                host,
                env.number("PORT", true, "0", "65535").intValue(),
                env.list("ALLOWED_HOSTS", "\\*|[\\w.-]+|\\[[0-9A-Fa-f:.]+\\]", "host names").stream()
                        .map(Settings::canonicalHost)
                        .toList());
    }

    private static Generation generation(DotEnv env) throws InvalidSetting {
        String instructions = env.values().get("SYSTEM_INSTRUCTIONS");
        return new Generation(
                instructions.isBlank() ? null : instructions,
                env.number("TEMPERATURE", false, "0", "2"),
                env.number("TOP_P", false, "0", "1"),
                env.number("TOP_K", true, "1", "2147483647"),
                env.number("MAX_OUTPUT_TOKENS", true, "1", "2147483647"));
    }

    private static Proxy proxy(DotEnv env) throws InvalidSetting {
        String variable = env.text("https_proxy") == null ? "HTTPS_PROXY" : "https_proxy"; // curl's order
        String text = env.text(variable);
        if (text == null) return new Proxy(null, List.of(), null);
        Matcher proxy = PROXY.matcher(text);
        if (!proxy.matches()) throw env.invalid(variable, "must be an address such as http://host:3128");
        if (proxy.group(1) != null) return new Proxy(null, List.of(), variable);
        return new Proxy(
                createUnresolved(proxy.group(2), parseInt(requireNonNullElse(proxy.group(3), "1080"))),
                directHosts(env),
                null);
    }

    private static List<String> directHosts(DotEnv env) {
        return Stream.of(requireNonNullElse(env.text("no_proxy"), env.values().get("NO_PROXY"))
                        .split("[,\\s]+"))
                .map(host -> canonicalHost(host).replaceAll("^\\.+|[\\[\\]]", ""))
                .toList();
    }

    private static History history(DotEnv env) throws InvalidSetting {
        return new History(
                env.text("HISTORY_DIR").replaceFirst("^~(?![^/\\\\])", quoteReplacement(getProperty("user.home"))),
                env.number("HISTORY_WINDOW", true, "1", "1000000").intValue());
    }

    /** {@return the accounts that can be asked, the one that would answer now first; the first one where none can} */
    static List<Account> usable(List<Account> accounts) {
        var ready =
                accounts.stream().filter(account -> account.missing() == null).toList();
        return ready.isEmpty() ? accounts.subList(0, 1) : ready;
    }

    private static List<Account> accounts(DotEnv env, String use) throws InvalidSetting {
        String variable = use + "_PROVIDER";
        var names = env.list(variable, "\\w[\\w-]*", "gemini, nebius, or NAMEs with a NAME_BASE_URL");
        if (names.isEmpty()) throw env.invalid(variable, "must name a service, such as gemini");
        var accounts = new ArrayList<Account>();
        for (String name : names) accounts.add(account(env, use, name.toLowerCase(ROOT)));
        return accounts;
    }

    private static Account account(DotEnv env, String use, String provider) throws InvalidSetting {
        String prefix = prefix(provider);
        URI base = env.address(prefix + "_BASE_URL");
        if (base == null)
            throw env.invalid(
                    use + "_PROVIDER", "must be gemini or nebius, or else " + prefix + "_BASE_URL must be set");
        String key = env.token(prefix + "_API_KEY");
        if (key == null && provider.equals("gemini")) key = env.token("GOOGLE_API_KEY");
        return new Account(
                provider,
                use,
                base,
                key,
                env.text(prefix + "_" + use + "_MODEL"),
                env.object(prefix + "_" + use + "_EXTRA"));
    }

    /** What the names of a provider's variables begin with. */
    static String prefix(String provider) {
        return provider.strip().toUpperCase(ROOT).replace('-', '_');
    }

    private static Cors cors(DotEnv env) throws InvalidSetting {
        return new Cors(
                env
                        .list(
                                "CORS_ALLOWED_ORIGINS",
                                "\\*|null|[A-Za-z][A-Za-z0-9+.-]*://([\\w.-]+|\\[[0-9A-Fa-f:.]+\\])(:" + PORT + ")?/?",
                                "origins such as https://example.org, or *")
                        .stream()
                        .map(Cors::canonical)
                        .toList(),
                join(", ", env.list("CORS_ALLOWED_METHODS", TOKEN, "HTTP methods")),
                join(", ", env.list("CORS_ALLOWED_HEADERS", TOKEN, "header names")));
    }

    static boolean isLoopback(String host) {
        return LOOPBACK.matcher(host).matches();
    }

    /** A host's name in lower case, and without the dot that may end a whole one (RFC 1034, section 3.1). */
    private static String canonicalHost(String name) {
        return name.toLowerCase(ROOT).replaceFirst("\\.$", "");
    }
}
