package parley;

import java.io.IOException;
import java.math.BigDecimal;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.charset.CharacterCodingException;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * The variables of an {@code .env} file, read as npm's dotenv reads it, each with the checks that its kind needs.
 *
 * @param values the variables by name; an empty one counts as unset
 * @param lines  the line of the file that a variable stands on, from 1; none for one that came from the environment
 */
record DotEnv(Map<String, String> values, Map<String, Integer> lines) {
    /**
     * A setting makes no sense. The message tells its name, its line and what it must be, and never its value: it may
     * be a key.
     */
    @SuppressWarnings("serial")
    static final class InvalidSetting extends IOException {
        InvalidSetting(String message) {
            super(message);
        }
    }

    /**
     * What one variable looks like to npm's dotenv 16 (https://github.com/motdotla/dotenv, lib/main.js, LINE), with its
     * alternatives unrolled, since Java's would overflow the stack on a long value.
     */
    private static final Pattern LINE = Pattern.compile(
            """
            ^\\s*(?:export\\s+)?([\\w.-]+)(?:\\s*=\\s*?|:\\s+?)\
            (\\s*'[^']*(?:(?<=\\\\)'[^']*)*'|\\s*"[^"]*(?:(?<=\\\\)"[^"]*)*"|\\s*`[^`]*(?:(?<=\\\\)`[^`]*)*`|[^#\\n]+)?\
            \\s*(?:#.*)?$"""
                    .replace("\\s", "[\\s\\x{a0}\\x{feff}]"),
            Pattern.MULTILINE | Pattern.UNIX_LINES);

    private static final Pattern SPACE_AROUND = Pattern.compile("^[\\s\\x{a0}\\x{feff}]+|[\\s\\x{a0}\\x{feff}]+$");

    private static final Pattern PROXY =
            Pattern.compile("(?i:http://)?([\\w.-]+|\\[[0-9A-Fa-f:.]+\\])(?::(\\d{1,5}))?/?");
    private static final int CURLS_PROXY_PORT = 1080; // where none is told

    /** The text of a file. @throws InvalidSetting where it is not UTF-8 */
    static String text(byte[] file) throws InvalidSetting {
        try {
            String text = Json.decode(file);
            if (text.indexOf('\0') < 0) return text;
            throw new CharacterCodingException();
        } catch (CharacterCodingException e) {
            throw new InvalidSetting("its encoding is not UTF-8 but, it seems, UTF-16 or Latin-1: save it as UTF-8");
        }
    }

    /**
     * The variables that the text holds.
     *
     * @param overlay puts others, such as the environment's, in their place
     * @throws InvalidSetting where a quote is opened and never closed: the file is half-written
     */
    static DotEnv parse(String text, UnaryOperator<Map<String, String>> overlay) throws InvalidSetting {
        String unix = text.replaceAll("\r\n?", "\n");
        var file = new DotEnv(new LinkedHashMap<>(), new LinkedHashMap<>());
        Matcher line = LINE.matcher(unix);
        while (line.find()) {
            String name = line.group(1);
            file.lines.put(
                    name,
                    1
                            + (int) unix.substring(0, line.start(1))
                                    .chars()
                                    .filter(c -> c == '\n')
                                    .count());
            file.values.put(
                    name,
                    file.unquoted(
                            name,
                            line.group(2) == null
                                    ? ""
                                    : SPACE_AROUND.matcher(line.group(2)).replaceAll("")));
        }
        Map<String, String> merged = overlay.apply(file.values);
        file.lines.keySet().removeIf(name -> !file.values.get(name).equals(merged.get(name)));
        return new DotEnv(merged, file.lines);
    }

    private String unquoted(String name, String value) throws InvalidSetting {
        char quote = value.isEmpty() ? 0 : value.charAt(0);
        if ("'\"`".indexOf(quote) < 0) return value;
        if (value.indexOf(quote, 1) < 0) throw invalid(name, "a quote is opened and not closed");
        String inside = value.charAt(value.length() - 1) == quote ? value.substring(1, value.length() - 1) : value;
        return quote == '"' ? inside.replace("\\n", "\n").replace("\\r", "\r") : inside;
    }

    /** The file's variables, with those of the process's environment in their place where these are not empty. */
    static Map<String, String> withEnvironment(Map<String, String> file) {
        var both = new HashMap<>(file);
        // Docker's --env-file leaves quotes in.
        System.getenv().forEach((name, value) -> {
            boolean quoted = value.length() > 1
                    && "'\"`".contains(value.substring(0, 1))
                    && value.endsWith(value.substring(0, 1));
            String bare = quoted ? value.substring(1, value.length() - 1) : value;
            if (!bare.isEmpty()) both.put(name, bare);
        });
        return both;
    }

    /**
     * These, with the defaults for those that are empty or absent. A list of CORS that is set and empty is no wish for
     * the default.
     */
    DotEnv withDefaults(Map<String, String> defaults) {
        var all = new HashMap<>(values);
        for (String name : List.of("https_proxy", "no_proxy")) { // as for curl, the lower case wins
            if (text(name) != null) all.put(name.toUpperCase(Locale.ROOT), text(name));
        }
        defaults.forEach((name, value) -> {
            if (!all.containsKey(name) || all.get(name).isBlank() && !name.startsWith("CORS_")) all.put(name, value);
        });
        return new DotEnv(all, lines);
    }

    /** The variable's text without the white space around it; null where it is unset. */
    String text(String name) {
        String text = values.getOrDefault(name, "").strip();
        return text.isEmpty() ? null : text;
    }

    /** The items of a list with commas; none where it is unset. */
    List<String> list(String name, String itemPattern, String what) throws InvalidSetting {
        List<String> list = Stream.of(values.getOrDefault(name, "").split(","))
                .map(String::strip)
                .filter(item -> !item.isEmpty())
                .toList();
        if (list.stream().allMatch(item -> item.matches(itemPattern))) return list;
        throw invalid(name, "must be a list of " + what + " with commas between them");
    }

    /** A number within the bounds, exactly as it is written; null where it is unset. */
    BigDecimal number(String name, boolean whole, String least, String most) throws InvalidSetting {
        String text = text(name);
        if (text == null) return null;
        if (text.matches(whole ? "\\d{1,20}" : "-?\\d{1,20}(\\.\\d{1,20})?")) {
            var number = new BigDecimal(text);
            if (number.compareTo(new BigDecimal(least)) >= 0 && number.compareTo(new BigDecimal(most)) <= 0)
                return number;
        }
        throw invalid(name, "must be a " + (whole ? "whole " : "") + "number from " + least + " to " + most);
    }

    /** A JSON object; an empty one where it is unset. */
    Map<String, Object> object(String name) throws InvalidSetting {
        String text = text(name);
        try {
            if (text == null) return Map.of();
            if (Json.parse(text) instanceof Map<?, ?> map) return Json.members(map);
        } catch (Json.Malformed e) {
            throw invalid(name, "must be a JSON object, but " + e.getMessage());
        }
        throw invalid(name, "must be a JSON object");
    }

    /** The address of a service, without a slash at its end; null where it is unset. */
    URI address(String name) throws InvalidSetting {
        String text = text(name);
        if (text == null) return null;
        try {
            URI uri = new URI(text.replaceAll("/+$", ""));
            boolean web = "http".equalsIgnoreCase(uri.getScheme()) || "https".equalsIgnoreCase(uri.getScheme());
            boolean bare = uri.getRawUserInfo() == null && uri.getRawQuery() == null && uri.getRawFragment() == null;
            if (web && bare && uri.getHost() != null && uri.getPort() < 65536) return uri;
            throw new URISyntaxException(text, "not the address of a service");
        } catch (URISyntaxException e) {
            throw invalid(name, "must be an address such as https://host/path");
        }
    }

    /** The address of a proxy as curl reads it (https://curl.se/docs/manpage.html, --proxy); null where it is unset. */
    InetSocketAddress proxy(String name) throws InvalidSetting {
        String text = text(name);
        if (text == null) return null;
        Matcher address = PROXY.matcher(text);
        int port =
                address.matches() && address.group(2) != null ? Integer.parseInt(address.group(2)) : CURLS_PROXY_PORT;
        if (address.matches() && port < 65536) return InetSocketAddress.createUnresolved(address.group(1), port);
        throw invalid(name, "must be an address such as http://host:3128, without a user name");
    }

    /**
     * A text that can stand in a header of a request, checked here because the HTTP client's own complaint would print
     * it; or null.
     */
    String token(String name) throws InvalidSetting {
        String token = text(name);
        if (token == null || token.matches("[!-~]*")) return token;
        throw invalid(name, "holds white space or a character that cannot stand in an HTTP header");
    }

    InvalidSetting invalid(String name, String why) {
        String where = lines.containsKey(name)
                ? " (line " + lines.get(name) + ") "
                : " (set by the environment, not by this file) ";
        return new InvalidSetting(name + where + why);
    }

    /** The names and no values: they may be keys. */
    @Override
    public String toString() {
        return "DotEnv" + values.keySet();
    }
}
