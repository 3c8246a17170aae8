package parley;

import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.CharacterCodingException;

/**
 * Reads the messages of a history file one after another, in any layout of JSON, and goes on behind damage. It holds
 * one message in memory, so the file may be of any length.
 */
final class HistoryReader {
    /** Bytes that are read or written at once: the JDK keeps buffers as large, for each thread and each connection. */
    static final int BUFFER_SIZE = 16 << 10;

    /** Bytes of messages that are held for a turn. */
    static final int MAX_WINDOW = 1 << 20;

    private static final int MAX_MESSAGE =
            (int) Math.min(64 << 20, Runtime.getRuntime().maxMemory() / 16); // bytes; a longer one is damage
    private static final String BEGINNING = "[\u00ef\u00bb\u00bf"; // perhaps with a byte order mark
    private static final String MESSAGE = "{";
    private static final String MESSAGE_OR_END = "{]";
    private static final String COMMA_OR_END = ",]";
    private static final String NOTHING = "";
    private static final String BEFORE_A_MESSAGE = "[,\n"; // behind damage

    /**
     * A message of the file.
     *
     * @param json  its text
     * @param aLine whether that stands on one line
     * @param end   the offset behind it
     */
    record Item(Message message, byte[] json, boolean aLine, long end) {}

    private final FileChannel channel;
    private final long size;
    private final Memory.Growing memory; // for a message
    private final ByteBuffer buffer = ByteBuffer.allocate(BUFFER_SIZE).limit(0);
    private final ByteArrayOutputStream text = new ByteArrayOutputStream(); // of the message that is being read
    private long position; // in the file, behind the buffer
    private String expected; // the characters of which one comes next in an array of objects
    private boolean damaged;
    private boolean damagedBehind; // the last item that was returned
    private Item ahead;

    /**
     * @param channel null where there is no file
     * @param from    0, or where a line begins with a message
     * @param size    the bytes of the file that are read: it may grow meanwhile
     */
    HistoryReader(FileChannel channel, long from, long size, Memory.Growing memory) throws IOException {
        this.channel = channel;
        this.size = size;
        this.memory = memory;
        position = from;
        expected = from == 0 ? BEGINNING : MESSAGE;
        ahead = find();
    }

    /** A reader of the last messages: so many, or all where there are fewer. */
    static HistoryReader ofLast(long count, FileChannel channel, long size, Memory.Growing memory) throws IOException {
        long from;
        long found;
        long lines = 0;
        do {
            lines += count;
            from = lastLines(channel, size, lines, lines);
            found = new HistoryReader(channel, from, size, memory).countLeft();
        } while (found < count && from > 0); // some of those lines are damaged
        var reader = new HistoryReader(channel, from, size, memory);
        for (; found > count; found--) reader.next();
        return reader;
    }

    /**
     * Where the last lines begin that begin with a message: at least so many, and at most so many while they fit into
     * {@link #MAX_WINDOW}; 0 where there are fewer.
     */
    static long lastLines(FileChannel channel, long size, long least, long most) throws IOException {
        ByteBuffer block = ByteBuffer.allocate(BUFFER_SIZE);
        long lines = 0;
        int behind = 0;
        for (long start = size; start > 0; ) {
            int length = (int) Math.min(BUFFER_SIZE, start);
            start -= length;
            readFully(channel, block.clear().limit(length), start);
            for (int i = length - 1; i >= 0; i--) {
                if (block.get(i) == '\n' && behind == '{') {
                    lines++;
                    long begin = start + i + 1;
                    if (lines >= most || lines >= least && size - begin > MAX_WINDOW) return begin;
                }
                behind = block.get(i);
            }
        }
        return 0;
    }

    static void readFully(FileChannel channel, ByteBuffer block, long from) throws IOException {
        while (block.hasRemaining()) {
            if (channel.read(block, from + block.position()) <= 0) throw becameShorter();
        }
    }

    private static EOFException becameShorter() {
        return new EOFException("the history became shorter while it was read");
    }

    /**
     * How many messages there are: quickly, as the whole lines that hold one each; by reading them where any line is
     * another.
     */
    static long count(FileChannel channel, long size, Memory.Growing memory) throws IOException {
        ByteBuffer block = ByteBuffer.allocate(BUFFER_SIZE);
        var lines = new Lines();
        for (long start = 0; start < size; start += block.limit()) {
            readFully(channel, block.clear().limit((int) Math.min(BUFFER_SIZE, size - start)), start);
            lines.take(block.array(), block.limit());
        }
        lines.end();
        boolean quickly = lines.closed && !lines.odd;
        return quickly ? lines.messages : new HistoryReader(channel, 0, size, memory).countLeft();
    }

    /** Counts the lines that are a message, by their first and last bytes. */
    private static final class Lines {
        private long messages;
        private boolean odd; // whether there is any other line but the brackets
        private boolean closed; // whether the last line is a bracket
        private long length; // of the line
        private byte first; // of the line
        private byte last;

        void take(byte[] bytes, int count) {
            for (int i = 0; i < count; i++) {
                byte b = bytes[i];
                if (b == '\n') end();
                else if (length++ == 0) first = b;
                else if (b == '"' && last == '{' && length > 2) odd = true; // perhaps one more object on this line
                if (b != ',' && b != '\r') last = b;
            }
        }

        void end() {
            if (length == 0) return;
            closed = length <= 2 && first == ']';
            if (first == '{' && last == '}') messages++;
            else if (length > 2 || first != '[' && first != ']') odd = true;
            length = 0;
        }
    }

    private long countLeft() throws IOException {
        long count = 0;
        while (next() != null) count++;
        return count;
    }

    /**
     * The next message; null at the end. The last question before a damage has lost its reply, and counts as damaged
     * too.
     */
    Item next() throws IOException {
        Item item = ahead;
        if (item == null) return null;
        ahead = find();
        return ahead == null && damagedBehind && item.message.byUser() ? null : item;
    }

    /** Once the end is reached: whether there was anything that is no message of an array. */
    boolean damaged() {
        return damaged;
    }

    /** Looks for the next message; null at the end. Behind damage it begins a line, or follows a comma or bracket. */
    private Item find() throws IOException {
        damagedBehind = false;
        int before = '\n'; // the last byte that is no blank
        for (int c = read(); c >= 0; c = read()) {
            if (c == ' ' || c == '\t' || c == '\r') continue;
            if (c != '\n' && expected.indexOf(c) < 0) damagedBehind = true;
            if (c != '{') expected = behind(c);
            else if (!damagedBehind || BEFORE_A_MESSAGE.indexOf(before) >= 0) {
                Item item = item();
                if (item != null) return item;
                damagedBehind = true;
            }
            before = c;
        }
        if (!expected.equals(NOTHING) && !expected.equals(BEGINNING)) damagedBehind = true;
        damaged |= damagedBehind;
        return null;
    }

    private String behind(int c) {
        return switch (c) {
            case '[' -> MESSAGE_OR_END;
            case ',' -> MESSAGE;
            case ']' -> NOTHING;
            default -> expected;
        };
    }

    /**
     * The message that begins with the bracket that was read: all up to its own closing one. Where it is none, null;
     * reading goes on behind its first bracket then.
     */
    private Item item() throws IOException {
        long start = position - buffer.remaining();
        text.reset();
        text.write('{');
        var scan = new Scan();
        while (scan.goesOn() && text.size() <= MAX_MESSAGE && fill()) {
            int from = buffer.position();
            int at = from;
            while (scan.goesOn() && at < buffer.limit()) scan.take(buffer.get(at++));
            text.write(buffer.array(), from, at - from);
            buffer.position(at);
            memory.grownTo(text.size());
        }
        Item item = scan.depth == 0 ? parsed() : null;
        if (item == null) goBackTo(start);
        else expected = COMMA_OR_END;
        damaged |= damagedBehind;
        return item;
    }

    /** Follows the brackets and strings of an object, as far as they are in order. */
    private static final class Scan {
        private int depth = 1;
        private boolean broken;
        private boolean quoted;
        private boolean escaped;
        private byte before; // the last one that is no white space

        boolean goesOn() {
            return depth > 0 && !broken;
        }

        void take(byte b) {
            if (escaped) escaped = false;
            else if (b == '"') quoted = !quoted;
            else if (b == '\\') escaped = true;
            else if (!quoted) takeOutside(b);
            if (quoted ? b >= 0 && b < ' ' : escaped) broken = true; // a quote is missing
            if (b > ' ') before = b;
        }

        private void takeOutside(byte b) {
            if (b == '{' && depth == 1 && before != ':') broken = true; // the next message: a bracket is missing
            if (b == '{' || b == '[') depth++;
            if (b == '}' || b == ']') depth--;
        }
    }

    private Item parsed() {
        byte[] json = text.toByteArray();
        try {
            String decoded = Json.decode(json);
            var message = new Message(Json.members(Json.parse(decoded)));
            return new Item(message, json, decoded.indexOf('\n') < 0, position - buffer.remaining());
        } catch (CharacterCodingException | Json.Malformed | IllegalArgumentException e) {
            return null; // damage, which the caller sees to
        }
    }

    private void goBackTo(long offset) {
        long back = position - offset;
        if (back <= buffer.limit()) buffer.position(buffer.limit() - (int) back);
        else {
            position = offset;
            buffer.limit(0);
        }
    }

    /** The next byte; -1 at the end. */
    private int read() throws IOException {
        return fill() ? buffer.get() & 0xFF : -1;
    }

    /** Whether there is more of the file, which lies in the buffer then. */
    private boolean fill() throws IOException {
        if (buffer.hasRemaining()) return true;
        if (position >= size) return false;
        int read = channel.read(buffer.clear().limit((int) Math.min(BUFFER_SIZE, size - position)), position);
        if (read <= 0) throw becameShorter();
        position += read;
        buffer.flip();
        return true;
    }
}
