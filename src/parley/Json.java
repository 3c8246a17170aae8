package parley;

import static java.lang.Math.max;
import static java.lang.Runtime.getRuntime;
import static java.nio.ByteBuffer.wrap;
import static java.nio.charset.StandardCharsets.UTF_8;
import static java.util.HexFormat.fromHexDigits;
import static java.util.regex.Pattern.compile;

import java.math.BigDecimal;
import java.nio.charset.CharacterCodingException;
import java.text.ParseException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * JSON text (RFC 8259) to and from plain objects: {@code Map<String, Object>} in the order of the text,
 * {@code List<Object>}, {@code String}, {@code Number}, {@code Boolean} and null; nothing else.
 *
 * <p>Numbers keep their exact value: a {@code Long} where up to 18 digits hold it, else a {@code BigDecimal}. Of two
 * members of one name the last wins.
 */
final class Json {
    /**
     * Levels of nesting that are read, with what lies innermost: deeper ones are refused, so that no text can overflow
     * the stack.
     */
    static final int MAX_DEPTH = 500;

    /** Values that a request may hold: small ones take 20 times as much memory as their text. */
    static final int MAX_REQUEST_VALUES = 10_000;

    /** Values that any other text may hold: so many as take a sixteenth of the heap, at up to 250 bytes each. */
    static final int MAX_VALUES = (int) max(MAX_REQUEST_VALUES, getRuntime().maxMemory() / 16 / 250);

    /** Characters of a number: to compute with it takes time that grows with the square of them. */
    private static final int MAX_NUMBER = 1000;

    /** The characters that an escape of one letter stands for, and those letters (RFC 8259, section 7). */
    private static final String ESCAPED = "\"\\/\b\f\n\r\t";

    private static final String ESCAPES = "\"\\/bfnrt";

    private static final Pattern NUMBER = compile("-?(?:0|[1-9]\\d*+)(?:\\.\\d++)?(?:[eE][+-]?\\d++)?");

    /** A pair of surrogates is one character, of another category. */
    static final Pattern LONE_SURROGATE = compile("\\p{Cs}");

    /**
     * The value that the text holds. A byte order mark before it is passed over. Lone surrogates are kept: a provider
     * may send a character's two halves in two events.
     *
     * @throws ParseException where the text is not one JSON value, is nested deeper than {@link #MAX_DEPTH}, or holds
     *                        more than {@link #MAX_VALUES}
     */
    static Object parse(String text) throws ParseException {
        return new Json(text, false).document();
    }

    /**
     * The value that a person's request holds. Lone surrogates are malformed, and so is more than {@link
     * #MAX_REQUEST_VALUES}.
     */
    static Object parseRequest(String text) throws ParseException {
        return new Json(text, true).document();
    }

    /** The text that bytes of UTF-8 hold. Unlike {@code new String}, it throws where they are none. */
    static String decode(byte[] utf8) throws CharacterCodingException {
        return UTF_8.newDecoder().decode(wrap(utf8)).toString();
    }

    /** The object of the pairs (name, value, name, value, …) in their order. A null value leaves its member out. */
    static Map<String, Object> object(Object... pairs) {
        var object = new LinkedHashMap<String, Object>();
        for (int i = 0; i < pairs.length; i += 2) {
            if (pairs[i + 1] != null) object.put((String) pairs[i], pairs[i + 1]);
        }
        return object;
    }

    /**
     * What lies at the path of names and indexes, such as {@code "choices", 0, "delta"}; null where any step is absent.
     */
    static Object at(Object value, Object... path) {
        for (Object step : path) {
            if (value instanceof Map<?, ?> map) value = map.get(step);
            else if (value instanceof List<?> list && step instanceof Integer i && i < list.size()) value = list.get(i);
            else return null;
        }
        return value;
    }

    /** The string at the path, or null where there is none. */
    static String string(Object value, Object... path) {
        return at(value, path) instanceof String string ? string : null;
    }

    /** The items of the list at the path; none where there is no list. */
    static List<?> items(Object value, Object... path) {
        return at(value, path) instanceof List<?> list ? list : List.of();
    }

    /** The members of an object as {@link #parse} reads it; none where the value is no object. */
    @SuppressWarnings("unchecked")
    static Map<String, Object> members(Object value) { // parse makes maps of no other kind
        return value instanceof Map<?, ?> map ? (Map<String, Object>) map : Map.of();
    }

    /**
     * The target with the patch merged into it as RFC 7396 has it: objects are merged, null removes, all else replaces.
     */
    static Object merge(Object target, Object patch) {
        if (!(patch instanceof Map<?, ?> changes)) return patch;
        var merged = new LinkedHashMap<>(members(target));
        changes.forEach((name, value) -> {
            if (value == null) merged.remove(name);
            else merged.put((String) name, merge(merged.get(name), value));
        });
        return merged;
    }

    /** The value as JSON on one line: of the kinds that {@link #parse} gives, and of no other. */
    static String toJson(Object value) {
        return write(value, new StringBuilder(256)).toString();
    }

    private static StringBuilder write(Object value, StringBuilder out) {
        if (value instanceof String string) return writeString(string, out);
        if (value instanceof Map<?, ?> map) {
            out.append('{');
            map.forEach(
                    (name, member) -> write(member, write(name, separated(out)).append(':')));
            return out.append('}');
        }
        if (value instanceof List<?> list) {
            out.append('[');
            list.forEach(item -> write(item, separated(out)));
            return out.append(']');
        }
        return out.append(value); // a number, a boolean or null
    }

    /** With a comma, but for the first item: only a bracket that has just been opened stands last before that one. */
    private static StringBuilder separated(StringBuilder out) {
        return "{[".indexOf(out.charAt(out.length() - 1)) < 0 ? out.append(',') : out;
    }

    private static StringBuilder writeString(String string, StringBuilder out) {
        out.append('"');
        int from = 0;
        for (int i = 0; i < string.length(); i++) {
            char c = string.charAt(i);
            if (c >= ' ' && c != '"' && c != '\\') continue;
            out.append(string, from, i).append(escape(c));
            from = i + 1;
        }
        return out.append(string, from, string.length()).append('"');
    }

    private static String escape(char c) {
        int known = ESCAPED.indexOf(c);
        return known < 0 ? "\\u%04x".formatted((int) c) : "\\" + ESCAPES.charAt(known);
    }

    // The reader: one object a text, recursive descent, a method for each rule of RFC 8259.

    private final String text;
    private final boolean request;
    private int values; // that have begun
    private int at;
    private int depth;

    private Json(String text, boolean request) {
        this.text = text;
        this.request = request;
    }

    private Object document() throws ParseException {
        skip('\ufeff'); // a byte order mark
        Object value = value();
        skipSpace();
        if (at < text.length()) throw expected("the end");
        return value;
    }

    /** A value, behind white space. */
    private Object value() throws ParseException {
        skipSpace();
        if (++values > (request ? MAX_REQUEST_VALUES : MAX_VALUES)) {
            throw malformed("more values than are taken", at);
        }
        if (++depth > MAX_DEPTH) throw malformed("nested deeper than " + MAX_DEPTH + " levels", at);
        Object value =
                switch (peek()) {
                    case '{' -> object();
                    case '[' -> array();
                    case '"' -> string();
                    case 't' -> word("true", true);
                    case 'f' -> word("false", false);
                    case 'n' -> word("null", null);
                    default -> number();
                };
        depth--;
        return value;
    }

    private Map<String, Object> object() throws ParseException {
        var object = new LinkedHashMap<String, Object>();
        at++;
        if (skipTo('}')) return object;
        do member(object);
        while (skipTo(','));
        if (!skipTo('}')) throw expected("',' or '}'");
        return object;
    }

    private void member(Map<String, Object> object) throws ParseException {
        skipSpace();
        if (peek() != '"') throw expected("a name in quotes");
        String name = string();
        if (!skipTo(':')) throw expected("':'");
        object.put(name, value());
    }

    private List<Object> array() throws ParseException {
        var array = new ArrayList<Object>();
        at++;
        if (skipTo(']')) return array;
        do array.add(value());
        while (skipTo(','));
        if (!skipTo(']')) throw expected("',' or ']'");
        return array;
    }

    private Object word(String word, Object value) throws ParseException {
        if (!text.startsWith(word, at)) throw expected("a value");
        at += word.length();
        return value;
    }

    private String string() throws ParseException {
        int from = ++at;
        var string = new StringBuilder();
        for (char c = peek(); c != '"'; c = peek()) {
            if (c < ' ') throw expected("'\"', or a character that needs no escape,");
            at++;
            if (c != '\\') continue;
            string.append(text, from, at - 1).append(escaped());
            from = at;
        }
        String end = text.substring(from, at++);
        String whole = string.isEmpty() ? end : string + end;
        if (request && LONE_SURROGATE.matcher(whole).find()) {
            throw malformed("lone surrogates in the string that ends", at);
        }
        return whole;
    }

    private char escaped() throws ParseException {
        if (skip('u')) return hexadecimal();
        int known = ESCAPES.indexOf(peek());
        if (known < 0) throw expected("an escape");
        at++;
        return ESCAPED.charAt(known);
    }

    private char hexadecimal() throws ParseException {
        try {
            var unit = (char) fromHexDigits(text, at, at + 4);
            at += 4;
            return unit;
        } catch (IllegalArgumentException | IndexOutOfBoundsException e) {
            throw expected("four hexadecimal digits");
        }
    }

    /** A number is of one kind however it was written, so that what is written is read as the same again. */
    private Number number() throws ParseException {
        Matcher number = NUMBER.matcher(text).region(at, text.length());
        if (!number.lookingAt()) throw expected("a value");
        int from = at;
        at = number.end();
        if (at - from > MAX_NUMBER) throw malformed("a number of more than " + MAX_NUMBER + " characters", from);
        try {
            var value = new BigDecimal(number.group());
            return value.scale() == 0 && value.precision() <= 18 ? value.longValue() : value;
        } catch (NumberFormatException e) {
            throw malformed("a number whose exponent is out of range", from);
        }
    }

    private void skipSpace() {
        while (" \n\r\t".indexOf(peek()) >= 0) at++;
    }

    private boolean skipTo(char behindSpace) {
        skipSpace();
        return skip(behindSpace);
    }

    private boolean skip(char c) {
        if (peek() != c) return false;
        at++;
        return true;
    }

    /** The next character, or NUL at the end, which no rule of the grammar starts with. */
    private char peek() {
        return at < text.length() ? text.charAt(at) : 0;
    }

    private ParseException expected(String what) {
        return malformed("expected " + what + (at < text.length() ? "" : " but the text ended"), at);
    }

    private static ParseException malformed(String what, int offset) {
        return new ParseException(what + " at offset " + offset, offset);
    }
}
