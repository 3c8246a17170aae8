package parley;

import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * JSON text (RFC 8259) to and from plain objects: {@code Map<String, Object>} in the order of the text, {@code List<Object>},
 * {@code String}, {@code Number}, {@code Boolean} and null; nothing else.
 *
 * <p>Numbers keep their exact value: a {@code Long} where up to 18 digits hold it, else a {@code BigDecimal}. Of two members
 * of one name the last wins. A lone surrogate, which JSON can write and UTF-8 cannot, is read and written as an escape.
 */
final class Json {
    /** Levels of nesting that are read: deeper ones are refused, so that no text can overflow the stack. */
    static final int MAX_DEPTH = 500;

    /** Characters of one number: computing with longer ones takes time that grows with the square of their length. */
    private static final int MAX_NUMBER = 1000;

    /** The text is not JSON. The message says what was expected, and the offset where, in characters from 0. */
    static final class Malformed extends Exception {
        private static final long serialVersionUID = 1;
        final int offset;

        Malformed(String what, int offset) {
            super(what + " at offset " + offset);
            this.offset = offset;
        }
    }

    /**
     * The value that the text holds. A byte order mark before it is passed over.
     *
     * @throws Malformed where the text is not one JSON value, or is nested deeper than {@link #MAX_DEPTH}
     */
    static Object parse(String text) throws Malformed {
        return new Json(text).text();
    }

    /** The value that bytes of UTF-8 hold. */
    static Object parse(byte[] utf8, int from, int to) throws Malformed {
        return parse(text(utf8, from, to));
    }

    /**
     * The text of bytes that must be UTF-8.
     *
     * @throws Malformed where they are not, with the offset of the first wrong byte
     */
    static String text(byte[] utf8, int from, int to) throws Malformed {
        ByteBuffer bytes = ByteBuffer.wrap(utf8, from, to - from);
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(bytes).toString();
        } catch (CharacterCodingException e) {
            throw new Malformed("bytes that are not UTF-8", bytes.position() - from);
        }
    }

    /** The object of the pairs (name, value, name, value, …) in their order. A null value leaves its member out. */
    static Map<String, Object> object(Object... pairs) {
        var object = new LinkedHashMap<String, Object>();
        for (int i = 0; i < pairs.length; i += 2) {
            if (pairs[i + 1] != null) object.put((String) pairs[i], pairs[i + 1]);
        }
        return object;
    }

    /** What lies at the path of names and indexes, such as {@code "choices", 0, "delta"}; null where any step is absent. */
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

    /** The target with the patch laid over it as RFC 7396 has it: objects are merged, null removes, all else replaces. */
    static Map<String, Object> merge(Map<String, Object> target, Map<?, ?> patch) {
        var merged = new LinkedHashMap<>(target);
        patch.forEach((name, value) -> {
            if (value == null) merged.remove(name);
            else if (value instanceof Map<?, ?> inner) merged.put((String) name, merge(members(merged.get(name)), inner));
            else merged.put((String) name, value);
        });
        return merged;
    }

    /** The members of an object as {@link #parse} reads it; none where the value is no object. */
    @SuppressWarnings("unchecked") // parse makes maps of no other kind
    static Map<String, Object> members(Object value) {
        return value instanceof Map<?, ?> map ? (Map<String, Object>) map : Map.of();
    }

    /**
     * The value as JSON on one line.
     *
     * @throws IllegalArgumentException for a value of any other kind than those that {@link #parse} gives
     */
    static String write(Object value) {
        var out = new StringBuilder();
        write(value, out);
        return out.toString();
    }

    private static void write(Object value, StringBuilder out) {
        switch (value) {
            case null -> out.append("null");
            case String string -> quote(string, out);
            case Number number -> out.append(number);
            case Boolean bool -> out.append(bool);
            case Map<?, ?> map -> {
                String separator = "{";
                for (var member : map.entrySet()) {
                    quote((String) member.getKey(), out.append(separator));
                    write(member.getValue(), out.append(':'));
                    separator = ",";
                }
                out.append(map.isEmpty() ? "{}" : "}");
            }
            case List<?> list -> {
                String separator = "[";
                for (Object item : list) {
                    write(item, out.append(separator));
                    separator = ",";
                }
                out.append(list.isEmpty() ? "[]" : "]");
            }
            default -> throw new IllegalArgumentException("not JSON: " + value.getClass());
        }
    }

    private static void quote(String string, StringBuilder out) {
        out.append('"');
        int run = 0; // where the characters begin that are copied as they are
        for (int i = 0; i < string.length(); i++) {
            char c = string.charAt(i);
            if (c >= ' ' && c != '"' && c != '\\' && !loneSurrogate(string, i)) continue;
            out.append(string, run, i).append(escape(c));
            run = i + 1;
        }
        out.append(string, run, string.length()).append('"');
    }

    private static String escape(char c) {
        return switch (c) {
            case '"' -> "\\\"";
            case '\\' -> "\\\\";
            case '\n' -> "\\n";
            case '\r' -> "\\r";
            case '\t' -> "\\t";
            default -> String.format("\\u%04x", (int) c);
        };
    }

    /** Whether the character is one half of a pair whose other half is not beside it. */
    static boolean loneSurrogate(String string, int i) {
        char c = string.charAt(i);
        if (!Character.isSurrogate(c)) return false;
        int other = Character.isHighSurrogate(c) ? i + 1 : i - 1;
        return other < 0 || other == string.length()
                || !Character.isSurrogatePair(string.charAt(Math.min(i, other)), string.charAt(Math.max(i, other)));
    }

    // The reader: one object a text, recursive descent, a method for each rule of RFC 8259.

    private final String text;
    private int at;
    private int depth;

    private Json(String text) {
        this.text = text;
    }

    private Object text() throws Malformed {
        if (peek() == '\ufeff') at++;
        Object value = value();
        if (at < text.length()) throw expected("the end");
        return value;
    }

    /** A value with the white space around it. */
    private Object value() throws Malformed {
        skipSpace();
        Object value = switch (peek()) {
            case '{' -> object();
            case '[' -> array();
            case '"' -> string();
            case 't' -> word("true", true);
            case 'f' -> word("false", false);
            case 'n' -> word("null", null);
            default -> number();
        };
        skipSpace();
        return value;
    }

    private Map<String, Object> object() throws Malformed {
        var object = new LinkedHashMap<String, Object>();
        enter();
        skipSpace();
        if (!skip('}')) {
            do {
                skipSpace();
                if (peek() != '"') throw expected("a name in quotes");
                String name = string();
                skipSpace();
                if (!skip(':')) throw expected("':'");
                object.put(name, value());
            } while (skip(','));
            if (!skip('}')) throw expected("',' or '}'");
        }
        depth--;
        return object;
    }

    private List<Object> array() throws Malformed {
        var array = new ArrayList<Object>();
        enter();
        skipSpace();
        if (!skip(']')) {
            do array.add(value()); while (skip(','));
            if (!skip(']')) throw expected("',' or ']'");
        }
        depth--;
        return array;
    }

    private void enter() throws Malformed {
        if (++depth > MAX_DEPTH) throw new Malformed("nested deeper than " + MAX_DEPTH + " levels", at);
        at++;
    }

    private Object word(String word, Object value) throws Malformed {
        if (!text.startsWith(word, at)) throw expected("a value");
        at += word.length();
        return value;
    }

    private String string() throws Malformed {
        StringBuilder unescaped = null; // made at the first escape: most strings have none
        int run = ++at;
        while (true) {
            char c = peek();
            if (c == '"') {
                String rest = text.substring(run, at++);
                return unescaped == null ? rest : unescaped.append(rest).toString();
            }
            if (at == text.length()) throw expected("'\"'");
            if (c < ' ') throw new Malformed("a control character that is not escaped", at);
            at++;
            if (c == '\\') {
                if (unescaped == null) unescaped = new StringBuilder();
                unescaped.append(text, run, at - 1).append(escaped());
                run = at;
            }
        }
    }

    private char escaped() throws Malformed {
        char c = peek();
        int plain = "\"\\/bfnrt".indexOf(c);
        if (plain >= 0) {
            at++;
            return "\"\\/\b\f\n\r\t".charAt(plain);
        }
        if (c != 'u') throw expected("an escape");
        int code = 0;
        for (int i = 0; i < 4; i++) {
            at++;
            int digit = peek() < 128 ? Character.digit(peek(), 16) : -1;
            if (digit < 0) throw expected("four hexadecimal digits");
            code = code * 16 + digit;
        }
        at++;
        return (char) code;
    }

    private Number number() throws Malformed {
        int start = at;
        skip('-');
        if (!skip('0')) digits("a value");
        int integer = at;
        if (skip('.')) digits("a digit");
        if (skip('e') || skip('E')) {
            if (!skip('+')) skip('-');
            digits("a digit");
        }
        String number = text.substring(start, at);
        if (at == integer && number.length() <= 18) return Long.valueOf(number);
        try {
            if (number.length() <= MAX_NUMBER) return whole(new BigDecimal(number));
        } catch (NumberFormatException e) {
            throw new Malformed("a number whose exponent is out of range", start);
        }
        throw new Malformed("a number of more than " + MAX_NUMBER + " characters", start);
    }

    /** A number is of one kind however it was written, so that what is written is read as the same again. */
    private static Number whole(BigDecimal number) {
        if (number.scale() == 0 && number.toString().length() <= 18) return number.longValue();
        return number;
    }

    private void digits(String what) throws Malformed {
        int start = at;
        while (peek() >= '0' && peek() <= '9') at++;
        if (at == start) throw expected(what);
    }

    private void skipSpace() {
        while (peek() == ' ' || peek() == '\n' || peek() == '\r' || peek() == '\t') at++;
    }

    private boolean skip(char c) {
        if (at == text.length() || text.charAt(at) != c) return false;
        at++;
        return true;
    }

    /** The next character, or NUL at the end, which no rule of the grammar starts with. */
    private char peek() {
        return at < text.length() ? text.charAt(at) : 0;
    }

    private Malformed expected(String what) {
        return new Malformed("expected " + what + (at < text.length() ? "" : " but the text ended"), at);
    }
}
