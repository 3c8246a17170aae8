package parley;

import static java.lang.Math.min;
import static java.nio.charset.StandardCharsets.UTF_8;
import static parley.Json.decode;
import static parley.Json.members;
import static parley.Json.parse;
import static parley.Memory.HEAP;

import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.text.ParseException;
import java.util.OptionalLong;
import java.util.Set;
import java.util.function.Predicate;
import parley.Memory.Growing;

/**
 * Reads the messages of a history file one after another, in any layout of JSON, and goes on behind damage. It holds
 * one message in memory, so the file may be of any length.
 */
final class HistoryReader {
    static final int MAX_MESSAGE = (int) min(64 << 20, HEAP / 16); // bytes; a longer one is damage
    private static final String BYTE_ORDER_MARK = "^\uffef\uffbb\uffbf"; // its bytes, as signed characters
    private static final Set<String> IN_ORDER = Set.of("^$", "^[]$", "^[{", "},{", "}]$"); // from ^, or } of a message

    /**
     * A message of the file.
     *
     * @param line  its text on one line
     * @param begin the offset of it
     * @param end   the offset behind it
     */
    record Item(Message message, byte[] line, long begin, long end) {}

    private final Lines file;
    private final Growing memory; // for a message
    private long position;
    private String before; // the next message, but for white space
    private boolean damaged;
    private boolean damagedBehind; // whether damage stands behind the message that next() gives
    private Item ahead;

    /** @param from 0, or where a line begins with a message */
    HistoryReader(Lines file, long from, Growing memory) throws IOException {
        this.file = file;
        this.memory = memory;
        position = from;
        before = from == 0 ? "^" : "},";
        ahead = find();
    }

    /** A reader of the last messages that have so many of a kind among them, or of more where there are fewer. */
    static HistoryReader ofLast(long count, Predicate<Message> kind, Lines file, Growing memory) throws IOException {
        for (long lines = count; ; lines = 8 * lines + count) {
            long from = file.last(lines, lines, file.size);
            var reader = new HistoryReader(file, from, memory);
            long left = reader.count(kind);
            // Too few: some of these lines are damaged, or of another kind, or the first one is inside a message.
            if (from > 0 && (left < count || reader.damaged)) continue;
            reader = new HistoryReader(file, from, memory);
            while (left > count) {
                if (kind.test(reader.next().message)) left--;
            }
            return reader;
        }
    }

    /** How many messages a file holds. */
    static long count(Lines file, Growing memory) throws IOException {
        OptionalLong lines = file.count();
        return lines.isPresent() ? lines.getAsLong() : new HistoryReader(file, 0, memory).count(any -> true);
    }

    /** How many messages of a kind are left. */
    private long count(Predicate<Message> kind) throws IOException {
        long count = 0;
        for (Item item = next(); item != null; item = next()) {
            if (kind.test(item.message)) count++;
        }
        return count;
    }

    /**
     * The next message; null at the end. A question behind which there is only damage has lost its reply, and counts as
     * damaged too.
     */
    Item next() throws IOException {
        Item item = ahead;
        if (item == null) return null;
        ahead = find();
        return ahead == null && damagedBehind && item.message.byUser() ? null : item;
    }

    /** Whether there was anything, in what has been read, that is no message of an array. */
    boolean damaged() {
        return damaged;
    }

    /** Looks for the next message, at each bracket that may begin one; null at the end. */
    private Item find() throws IOException {
        var between = new StringBuilder(before);
        Item found = null;
        while (found == null && position < file.size) {
            byte b = file.at(position++);
            if (b == '{') found = item();
            if (found == null && " \t\r\n".indexOf(b) < 0 && between.length() < 10) between.append((char) b);
        }
        String gap = between.append(found == null ? '$' : '{').toString().replace(BYTE_ORDER_MARK, "^");
        damagedBehind = !IN_ORDER.contains(gap);
        damaged |= damagedBehind;
        before = "}";
        return found;
    }

    /** The message whose first bracket was read: all up to its own closing one. Null, and none of it read, for none. */
    private Item item() throws IOException {
        int depth = 1;
        boolean quoted = false;
        byte last = '{'; // that is no white space
        long end = position;
        while (depth > 0 && depth < Json.MAX_DEPTH && end < file.size && end - position < MAX_MESSAGE) {
            byte b = file.at(end++);
            boolean broken = quoted ? b >= 0 && b < ' ' : b == '\\' || b == '{' && depth == 1 && last != ':';
            if (broken) return null; // a quote or a bracket is missing
            if (b == '\\') end++; // what is escaped
            else if (b == '"') quoted = !quoted;
            else if (quoted) continue;
            else if (b == '{' || b == '[') depth++;
            else if (b == '}' || b == ']') depth--;
            if (b > ' ') last = b;
        }
        return depth == 0 ? parsed(end) : null;
    }

    private Item parsed(long end) throws IOException {
        long begin = position - 1;
        memory.grownTo(end - begin);
        try {
            byte[] json = file.copy(begin, end);
            String text = decode(json);
            var message = new Message(members(parse(text)));
            position = end;
            // no string holds a line feed
            byte[] line = text.indexOf('\n') < 0
                    ? json
                    : text.replaceAll("[\r\n]\\s*", "").getBytes(UTF_8);
            return new Item(message, line, begin, end);
        } catch (CharacterCodingException | ParseException | IllegalArgumentException e) {
            return null; // damage, which the caller sees to
        }
    }
}
