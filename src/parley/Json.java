package parley;

import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
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

    /** Bytes of memory that each byte of long strings takes, at most, while it is read, kept and written again. */
    static final int COST = 5;

    /** Characters of one number: computing with longer ones takes time that grows with the square of their length. */
    private static final int MAX_NUMBER = 1000;

    /** The text is not JSON. The message says what was expected, and the offset where, in bytes of UTF-8 from 0. */
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
        return parse(text.getBytes(StandardCharsets.UTF_8));
    }

    /** The value that bytes of UTF-8 hold. */
    static Object parse(byte[] utf8) throws Malformed {
        return parse(utf8, 0, utf8.length);
    }

    /** The value that a part of the bytes holds; a Malformed's offset starts from that part. */
    static Object parse(byte[] utf8, int from, int to) throws Malformed {
        return new Json(utf8, from, to, Integer.MAX_VALUE).text();
    }

    /** The value that bytes of UTF-8 hold, which is refused where there are more in it: small ones take 20 times as much memory as their text. */
    static Object parseAtMost(int values, byte[] utf8) throws Malformed {
        return new Json(utf8, 0, utf8.length, values).text();
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

    /** Whether the character is one half of a pair whose other half is not beside it. */
    static boolean loneSurrogate(String string, int i) {
        char c = string.charAt(i);
        if (!Character.isSurrogate(c)) return false;
        int other = Character.isHighSurrogate(c) ? i + 1 : i - 1;
        return other < 0 || other == string.length()
                || !Character.isSurrogatePair(string.charAt(Math.min(i, other)), string.charAt(Math.max(i, other)));
    }

    /**
     * The value as JSON on one line.
     *
     * @throws IllegalArgumentException for a value of any other kind than those that {@link #parse} gives
     */
    static String write(Object value) {
        return new String(bytes(value), StandardCharsets.UTF_8);
    }

    /** The value as {@link #write} has it, in UTF-8. */
    static byte[] bytes(Object value) {
        var out = new Writer(roughly(value));
        out.value(value);
        return Arrays.copyOf(out.bytes, out.size);
    }

    /** What the value takes as JSON, give or take a few escapes: a buffer of that size need not grow. */
    private static int roughly(Object value) {
        int size = 16;
        if (value instanceof String string) size += string.length();
        else if (value instanceof Map<?, ?> map) for (var member : map.entrySet()) size += roughly(member.getKey()) + roughly(member.getValue());
        else if (value instanceof List<?> list) for (Object item : list) size += roughly(item);
        return size;
    }

    /**
     * The characters that stand in a string as they are, in a byte each: the ASCII ones but quote, backslash and control characters.
     * There is an entry for each char there is, so that a look needs no check of bounds: that takes a sixth off the time of writing.
     */
    private static final boolean[] PLAIN = new boolean[Character.MAX_VALUE + 1];

    static {
        for (int c = ' '; c < 128; c++) PLAIN[c] = c != '"' && c != '\\';
    }

    /** Writes straight to UTF-8. */
    private static final class Writer {
        private static final int LONGEST = 6; // bytes that one character may take, written as an escape
        private static final int BLOCK = 128; // characters that room is made for at once

        private byte[] bytes;
        private int size;

        Writer(int roughly) {
            bytes = new byte[roughly + roughly / 8 + LONGEST * BLOCK];
        }

        void value(Object value) {
            if (value instanceof String string) string(string);
            else if (value instanceof Map<?, ?> map) object(map);
            else if (value instanceof List<?> list) array(list);
            else if (value instanceof Number || value instanceof Boolean) put(value.toString());
            else if (value == null) put("null");
            else throw new IllegalArgumentException("not JSON: " + value.getClass());
        }

        private void object(Map<?, ?> map) {
            char separator = '{';
            for (var member : map.entrySet()) {
                put(separator);
                string((String) member.getKey());
                put(':');
                value(member.getValue());
                separator = ',';
            }
            if (map.isEmpty()) put('{');
            put('}');
        }

        private void array(List<?> list) {
            char separator = '[';
            for (Object item : list) {
                put(separator);
                value(item);
                separator = ',';
            }
            if (list.isEmpty()) put('[');
            put(']');
        }

        private void string(String string) {
            put('"');
            for (int from = 0; from < string.length(); from += BLOCK) characters(string, from, Math.min(from + BLOCK, string.length()));
            put('"');
        }

        private void characters(String string, int from, int to) {
            room(LONGEST * (to - from));
            byte[] out = bytes; // variables of its own: the loop over the fields took longer
            int at = size;
            for (int i = from; i < to; i++) {
                int ahead = at - i; // one counter instead of two takes a tenth off the time
                char c = 0;
                while (i < to && PLAIN[c = string.charAt(i)]) {
                    out[ahead + i] = (byte) c;
                    i++;
                }
                at = ahead + i;
                if (i == to) break;
                if (c < 128 || Character.isSurrogate(c)) at = special(c, string, i, out, at);
                else { // two bytes or three (RFC 3629, section 3)
                    out[at++] = (byte) (c < 0x800 ? 0xC0 | c >> 6 : 0xE0 | c >> 12);
                    if (c >= 0x800) out[at++] = (byte) (0x80 | c >> 6 & 0x3F);
                    out[at++] = (byte) (0x80 | c & 0x3F);
                }
            }
            size = at;
        }

        /** Writes a character that is escaped, or half of a pair of surrogates, and gives the place behind it. */
        private static int special(char c, String string, int i, byte[] out, int at) {
            if (c < 128 || loneSurrogate(string, i)) return escape(c, out, at);
            if (Character.isLowSurrogate(c)) return at; // written with the other half
            int code = string.codePointAt(i);
            out[at++] = (byte) (0xF0 | code >> 18);
            for (int shift = 12; shift >= 0; shift -= 6) out[at++] = (byte) (0x80 | code >> shift & 0x3F);
            return at;
        }

        private static int escape(char c, byte[] out, int at) {
            char letter = switch (c) {
                case '"', '\\' -> c;
                case '\n' -> 'n';
                case '\r' -> 'r';
                case '\t' -> 't';
                default -> 'u';
            };
            out[at++] = '\\';
            out[at++] = (byte) letter;
            for (int shift = 12; letter == 'u' && shift >= 0; shift -= 4) out[at++] = (byte) Character.forDigit(c >> shift & 15, 16);
            return at;
        }

        private void put(String text) {
            byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
            room(utf8.length);
            System.arraycopy(utf8, 0, bytes, size, utf8.length);
            size += utf8.length;
        }

        private void put(char c) {
            room(1);
            bytes[size++] = (byte) c;
        }

        private void room(int more) {
            if (bytes.length - size < more) bytes = Arrays.copyOf(bytes, Math.max(2 * bytes.length, size + more));
        }
    }

    // The reader: one object a text, recursive descent, a method for each rule of RFC 8259.

    private final byte[] bytes;
    private final int start;
    private final int end;
    private int at;
    private int depth;
    private int values; // that may still be read
    private char[] chars = new char[64]; // of the string that is being read

    private Json(byte[] bytes, int start, int end, int values) {
        this.bytes = bytes;
        this.start = start;
        this.end = end;
        this.values = values;
        at = start;
    }

    private Object text() throws Malformed {
        if (end - at >= 3 && bytes[at] == (byte) 0xEF && bytes[at + 1] == (byte) 0xBB && bytes[at + 2] == (byte) 0xBF) at += 3; // a byte order mark
        Object value = value();
        if (at < end) throw expected("the end");
        return value;
    }

    /** A value with the white space around it. */
    private Object value() throws Malformed {
        skipSpace();
        if (values-- == 0) throw malformed("more values than are taken", at);
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
        if (++depth > MAX_DEPTH) throw malformed("nested deeper than " + MAX_DEPTH + " levels", at);
        at++;
    }

    private Object word(String word, Object value) throws Malformed {
        for (int i = 0; i < word.length(); i++) {
            if (at + i >= end || bytes[at + i] != word.charAt(i)) throw expected("a value");
        }
        at += word.length();
        return value;
    }

    private String string() throws Malformed {
        int from = ++at;
        int i = from;
        while (i < end && PLAIN[bytes[i] & 0xFF]) i++;
        if (i == end || bytes[i] != '"') return decoded(from);
        at = i + 1;
        return new String(bytes, from, i - from, StandardCharsets.ISO_8859_1); // ASCII: copied, not decoded
    }

    /** The rest of a string, up to its quote, with what is escaped or not ASCII in it. */
    private String decoded(int from) throws Malformed {
        byte[] in = bytes;
        char[] out = chars;
        int n = 0;
        for (int i = from; i < end; i = at) {
            if (n + 2 > out.length) out = chars = Arrays.copyOf(out, 2 * out.length);
            int most = Math.min(end, i + out.length - n - 1); // so that a pair of surrogates has room behind
            byte b = 0;
            int ahead = n - i;
            while (i < most && PLAIN[(b = in[i]) & 0xFF]) {
                out[ahead + i] = (char) b;
                i++;
            }
            n = ahead + i;
            at = i;
            if (i == most) continue;
            at++;
            if (b == '"') return new String(out, 0, n);
            if (b == '\\') out[n++] = escaped();
            else if (b >= (byte) 0xE1 && b <= (byte) 0xEC && i + 2 < end && in[i + 1] < -64 && in[i + 2] < -64) {
                // three bytes that need no further check: kana, Chinese, dashes, quotes
                out[n++] = (char) (b << 12 | (in[i + 1] & 0x3F) << 6 | in[i + 2] & 0x3F);
                at += 2;
            } else n += Character.toChars(multibyte(b & 0xFF), out, n);
        }
        throw expected("'\"'");
    }

    private char escaped() throws Malformed {
        char c = switch (peek()) {
            case '"' -> '"';
            case '\\' -> '\\';
            case '/' -> '/';
            case 'b' -> '\b';
            case 'f' -> '\f';
            case 'n' -> '\n';
            case 'r' -> '\r';
            case 't' -> '\t';
            case 'u' -> hexadecimal();
            default -> throw expected("an escape");
        };
        at++;
        return c;
    }

    private char hexadecimal() throws Malformed {
        int code = 0;
        for (int i = 0; i < 4; i++) {
            at++;
            int digit = Character.digit(peek(), 16);
            if (digit < 0) throw expected("four hexadecimal digits");
            code = code * 16 + digit;
        }
        return (char) code;
    }

    /** The character that two to four bytes make, of which the first has been read (RFC 3629, section 3). */
    private int multibyte(int lead) throws Malformed {
        int from = at - 1;
        if (lead < ' ') throw malformed("a control character that is not escaped", from);
        int length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
        int code = lead & 0xFF >> length + 1;
        for (int i = 1; i < length; i++) {
            if ((peek() & 0xC0) != 0x80) throw malformed("bytes that are not UTF-8", from);
            code = code << 6 | bytes[at++] & 0x3F;
        }
        int least = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
        boolean surrogate = code >= Character.MIN_SURROGATE && code <= Character.MAX_SURROGATE;
        if (lead < 0xC0 || lead >= 0xF8 || code < least || code > Character.MAX_CODE_POINT || surrogate) throw malformed("bytes that are not UTF-8", from);
        return code;
    }

    private Number number() throws Malformed {
        int from = at;
        skip('-');
        if (!skip('0')) digits("a value");
        int integer = at;
        if (skip('.')) digits("a digit");
        if (skip('e') || skip('E')) {
            if (!skip('+')) skip('-');
            digits("a digit");
        }
        String number = new String(bytes, from, at - from, StandardCharsets.ISO_8859_1);
        if (at == integer && number.length() <= 18) return Long.valueOf(number);
        try {
            if (number.length() <= MAX_NUMBER) return whole(new BigDecimal(number));
        } catch (NumberFormatException e) {
            throw malformed("a number whose exponent is out of range", from);
        }
        throw malformed("a number of more than " + MAX_NUMBER + " characters", from);
    }

    /** A number is of one kind however it was written, so that what is written is read as the same again. */
    private static Number whole(BigDecimal number) {
        if (number.scale() == 0 && number.toString().length() <= 18) return number.longValue();
        return number;
    }

    private void digits(String what) throws Malformed {
        int from = at;
        while (peek() >= '0' && peek() <= '9') at++;
        if (at == from) throw expected(what);
    }

    private void skipSpace() {
        while (peek() == ' ' || peek() == '\n' || peek() == '\r' || peek() == '\t') at++;
    }

    private boolean skip(char c) {
        if (at == end || bytes[at] != c) return false;
        at++;
        return true;
    }

    /** The next byte, or NUL at the end, which no rule of the grammar starts with. */
    private byte peek() {
        return at < end ? bytes[at] : 0;
    }

    private Malformed expected(String what) {
        return malformed("expected " + what + (at < end ? "" : " but the text ended"), at);
    }

    private Malformed malformed(String what, int where) {
        return new Malformed(what, where - start);
    }
}
