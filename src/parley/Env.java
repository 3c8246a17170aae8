package parley;

import java.io.IOException;
import java.math.BigDecimal;
import java.net.URI;
import java.net.URISyntaxException;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The variables of an {@code .env} file, each with the checks that its kind needs. A variable that is empty counts as unset.
 *
 * @param values the variables by name
 * @param lines  the line of the file that a variable stands on, from 1; none for one that came from elsewhere
 */
record Env(Map<String, String> values, Map<String, Integer> lines) {
    /** A variable makes no sense. The message tells its name, its line and what it must be, and never its value: it may be a key. */
    static final class Senseless extends IOException {
        private static final long serialVersionUID = 1;

        Senseless(String message) {
            super(message);
        }
    }

    /**
     * What one variable looks like to npm's dotenv 16 (https://github.com/motdotla/dotenv, lib/main.js, LINE), with its
     * alternatives unrolled, since Java's would overflow the stack on a long value.
     */
    private static final Pattern LINE = Pattern.compile("""
            ^\\s*(?:export\\s+)?([\\w.-]+)(?:\\s*=\\s*?|:\\s+?)\
            (\\s*'[^']*(?:(?<=\\\\)'[^']*)*'|\\s*"[^"]*(?:(?<=\\\\)"[^"]*)*"|\\s*`[^`]*(?:(?<=\\\\)`[^`]*)*`|[^#\\n]+)?\
            \\s*(?:#.*)?$""".replace("\\s", "[\\s\\x{a0}\\x{feff}]"), Pattern.MULTILINE | Pattern.UNIX_LINES);

    /**
     * The variables that the text holds, read as dotenv reads them, and laid over by those of the overlay.
     *
     * @throws Senseless where a quote is opened and never closed: the file is half-written
     */
    static Env parse(String text, UnaryOperator<Map<String, String>> overlay) throws Senseless {
        String unix = text.replaceAll("\r\n?", "\n");
        var values = new LinkedHashMap<String, String>();
        var lines = new LinkedHashMap<String, Integer>();
        for (Matcher line = LINE.matcher(unix); line.find(); ) {
            String name = line.group(1);
            lines.put(name, 1 + (int) unix.substring(0, line.start(1)).chars().filter(c -> c == '\n').count());
            String value = line.group(2) == null ? "" : line.group(2).replaceAll("^[\\s\\x{a0}\\x{feff}]+|[\\s\\x{a0}\\x{feff}]+$", "");
            char quote = value.isEmpty() ? 0 : value.charAt(0);
            if ("'\"`".indexOf(quote) >= 0) {
                if (value.indexOf(quote, 1) < 0) throw senseless(name, lines, "a quote is opened and not closed");
                if (value.charAt(value.length() - 1) == quote) value = value.substring(1, value.length() - 1);
                if (quote == '"') value = value.replace("\\n", "\n").replace("\\r", "\r");
            }
            values.put(name, value);
        }
        Map<String, String> laidOver = overlay.apply(values);
        lines.keySet().removeIf(name -> !values.get(name).equals(laidOver.get(name)));
        return new Env(laidOver, lines);
    }

    /** The variable's text without the white space around it; the default where it is unset. */
    String text(String name, String otherwise) {
        String text = values.getOrDefault(name, "").strip();
        return text.isEmpty() ? otherwise : text;
    }

    /** The items of a list with commas. One that is set and empty has none: it is no wish for the default. */
    List<String> list(String name, String otherwise, String itemPattern, String what) throws Senseless {
        List<String> items = Arrays.stream(values.getOrDefault(name, otherwise).split(",")).map(String::strip).filter(item -> !item.isEmpty()).toList();
        for (String item : items) {
            if (!item.matches(itemPattern)) throw senseless(name, "must be a list of " + what + " with commas between them");
        }
        return items;
    }

    /** A number within the bounds, exactly as it is written; null where it is unset. */
    BigDecimal number(String name, String least, String most) throws Senseless {
        String text = text(name, "");
        if (text.isEmpty()) return null;
        if (text.matches("-?\\d{1,20}(\\.\\d{1,20})?")) {
            var number = new BigDecimal(text);
            if (number.compareTo(new BigDecimal(least)) >= 0 && number.compareTo(new BigDecimal(most)) <= 0) return number;
        }
        throw senseless(name, "must be a number from " + least + " to " + most);
    }

    /** A whole number within the bounds; null where it is unset. */
    Integer whole(String name, int least, int most) throws Senseless {
        BigDecimal number = number(name, Integer.toString(least), Integer.toString(most));
        if (number != null && number.scale() > 0) throw senseless(name, "must be a whole number from " + least + " to " + most);
        return number == null ? null : number.intValue();
    }

    /** A JSON object; an empty one where it is unset. */
    Map<String, Object> object(String name) throws Senseless {
        try {
            if (Json.parse(text(name, "{}")) instanceof Map<?, ?> map) return Json.members(map);
        } catch (Json.Malformed e) {
            throw senseless(name, "must be a JSON object, but " + e.getMessage());
        }
        throw senseless(name, "must be a JSON object");
    }

    /** The address of a service, without a slash at its end; null where it is unset. */
    URI address(String name, String otherwise) throws Senseless {
        String text = text(name, otherwise);
        if (text == null) return null;
        try {
            URI uri = new URI(text.replaceAll("/+$", ""));
            boolean web = "http".equalsIgnoreCase(uri.getScheme()) || "https".equalsIgnoreCase(uri.getScheme());
            boolean bare = uri.getRawUserInfo() == null && uri.getRawQuery() == null && uri.getRawFragment() == null;
            if (web && bare && uri.getHost() != null && uri.getPort() < 65536) return uri;
            throw new URISyntaxException(text, "not the address of a service");
        } catch (URISyntaxException e) {
            throw senseless(name, "must be an address such as https://host/path");
        }
    }

    /** A text that can stand in a header of a request, checked here because the HTTP client's own complaint would print it. */
    String token(String name) throws Senseless {
        String token = text(name, "");
        if (!token.matches("[!-~]*")) throw senseless(name, "holds white space or a character that cannot stand in an HTTP header");
        return token;
    }

    Senseless senseless(String name, String why) {
        return senseless(name, lines, why);
    }

    private static Senseless senseless(String name, Map<String, Integer> lines, String why) {
        return new Senseless(name + (lines.containsKey(name) ? " (line " + lines.get(name) + ") " : " (of the environment) ") + why);
    }

    /** The names and no values: they may be keys. */
    @Override
    public String toString() {
        return "Env" + values.keySet();
    }
}
