package parley;

import static java.lang.System.getenv;
import static java.util.Objects.requireNonNullElse;
import static java.util.regex.Pattern.COMMENTS;
import static java.util.regex.Pattern.DOTALL;
import static java.util.regex.Pattern.MULTILINE;
import static java.util.regex.Pattern.UNIX_LINES;
import static java.util.regex.Pattern.compile;
import static parley.Json.decode;
import static parley.Json.members;

import java.io.IOException;
import java.math.BigDecimal;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.charset.CharacterCodingException;
import java.text.ParseException;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
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

    /** What JavaScript takes for white space. */
    private static final String SPACE = "[\\s\\p{Z}\\x{feff}]";

    /**
     * What one variable looks like to npm's dotenv 16 (https://github.com/motdotla/dotenv, lib/main.js, LINE). There, a
     * quote closes a value that has no backslash before it, and nothing but a comment behind it in its line; where
     * there is none such, the last one does that has a backslash before it. Here, no part is tried twice, so that no
     * text takes time or a stack without end.
     */
    private static final Pattern VARIABLE = compile(
            """
            ^ [\\s&&[^\\n]]*+ (?:export\\s+)? ([\\w.-]+) (?: \\s*= | :\\s )
            (   \\s*+ (['"`])
                (?: (?: (?!\\3). | (?<=\\\\)\\3 )*+ \\3 BEHIND
                  | (?: (?: (?!\\3). | (?<=\\\\)\\3 (?!BEHIND) )*+ (?<=\\\\)\\3 BEHIND )++ )
              | [^\\#\\n]++ )?+"""
                    .replace("BEHIND", "(?= [\\s&&[^\\n]]*+ (?: [\\#\\n] | \\z ) )")
                    .replace("\\s", SPACE),
            MULTILINE | UNIX_LINES | DOTALL | COMMENTS);

    /** A service's address: without a user's name, since a key in it would be shown. */
    private static final String ADDRESS = "(?i)https?://[^/?#@]+(?:[/?][^#]*)?";

    /** TLS knows no name that ends in a dot. */
    private static final String DOT_BEHIND_HOST = "^(\\w+://[^/?]+)\\.(?=(?::\\d*)?(?:[/?]|$))";

    /** An endpoint's own path, which people paste along with a service's address, and slashes at the end. */
    private static final String ENDPOINT =
            "(?<!/)(?:/+(?:(?:chat/)?completions|responses|images/generations|models/[^/?]+:\\w+))?/*(?=\\?|$)";

    /**
     * The text of a file.
     *
     * @throws InvalidSetting where it is not UTF-8
     */
    static String text(byte[] file) throws InvalidSetting {
        try {
            String text = decode(file);
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
        String lines = text.replaceAll("\r\n?", "\n");
        var file = new DotEnv(new LinkedHashMap<>(), new LinkedHashMap<>());
        for (Matcher variable = VARIABLE.matcher(lines); variable.find(); ) {
            String name = variable.group(1);
            file.lines.put(name, lines.substring(0, variable.start(1)).split("\n", -1).length);
            file.values.put(name, file.unquoted(name, requireNonNullElse(variable.group(2), "")));
        }
        var merged = overlay.apply(file.values);
        file.lines.keySet().removeIf(name -> !file.values.get(name).equals(merged.get(name)));
        return new DotEnv(merged, file.lines);
    }

    private String unquoted(String name, String text) throws InvalidSetting {
        String value = text.replaceAll("^\\s+|(?<!\\s)\\s+\\z".replace("\\s", SPACE), "");
        if (value.matches("(?s)(['\"`])(?!.*\\1).*")) throw invalid(name, "a quote is opened and not closed");
        String inside = withoutQuotes(value);
        return value.startsWith("\"") ? inside.replace("\\n", "\n").replace("\\r", "\r") : inside;
    }

    private static String withoutQuotes(String value) {
        return value.replaceFirst("(?s)^(['\"`])(.*)\\1\\z", "$2");
    }

    /** The file's variables, with those of the process's environment in their place where these are not empty. */
    static Map<String, String> withEnvironment(Map<String, String> file) {
        var both = new HashMap<>(file);
        getenv().forEach((name, value) -> {
            String bare = withoutQuotes(value); // Docker's --env-file leaves them in
            if (!bare.isBlank()) both.put(name, bare);
        });
        return both;
    }

    /**
     * These, with the defaults for those that are empty or absent. A list of CORS that is set and empty is no wish for
     * the default.
     */
    DotEnv withDefaults(Map<String, String> defaults) {
        var all = new HashMap<>(values);
        defaults.forEach((name, value) -> all.compute(
                name, (same, set) -> set == null || set.isBlank() && !name.startsWith("CORS_") ? value : set));
        return new DotEnv(all, lines);
    }

    /** The variable's text without the white space around it; null where it is unset. */
    String text(String name) {
        String text = values.getOrDefault(name, "").strip();
        return text.isEmpty() ? null : text;
    }

    /** The items of a list with commas; none where it is unset. */
    List<String> list(String name, String itemPattern, String what) throws InvalidSetting {
        var list = Stream.of(values.getOrDefault(name, "").split(","))
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
        if (text.matches(whole ? "\\d{1,20}" : "-?(\\d{1,20}(\\.\\d{0,20})?|\\.\\d{1,20})")) {
            var number = new BigDecimal(text);
            if (number.compareTo(new BigDecimal(least)) >= 0 && number.compareTo(new BigDecimal(most)) <= 0) {
                return number;
            }
        }
        throw invalid(name, "must be a " + (whole ? "whole " : "") + "number from " + least + " to " + most);
    }

    /** A JSON object; an empty one where it is unset. */
    Map<String, Object> object(String name) throws InvalidSetting {
        String text = text(name);
        try {
            if (Json.parse(text == null ? "{}" : text) instanceof Map<?, ?> map) return members(map);
        } catch (ParseException e) {
            throw invalid(name, "must be a JSON object, but " + e.getMessage());
        }
        throw invalid(name, "must be a JSON object");
    }

    /** The address of a service, with its query; null where it is unset. */
    URI address(String name) throws InvalidSetting {
        String text = text(name);
        if (text == null) return null;
        try {
            URI uri = new URI(text.replaceFirst(ENDPOINT, "").replaceFirst(DOT_BEHIND_HOST, "$1"));
            if (!text.matches(ADDRESS) || uri.getPort() > 65535) throw new URISyntaxException(name, "no service's");
            if (uri.getHost() != null) return uri;
            throw invalid(name, "names a host that Java cannot take: letters, digits, dots and hyphens, no underscore");
        } catch (URISyntaxException e) {
            throw invalid(name, "must be an address such as https://host/path");
        }
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
        return new InvalidSetting(placed(name) + " " + why);
    }

    /** The name, and where the variable is set. */
    String placed(String name) {
        Integer line = lines.get(name);
        return name + (line == null ? " (set by the environment, not by this file)" : " (line " + line + ")");
    }

    /** The names and no values: they may be keys. */
    @Override
    public String toString() {
        return "DotEnv" + values.keySet();
    }
}
