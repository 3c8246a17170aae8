package parley;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.CharacterCodingException;

/**
 * Reads the messages of a history file one after another, in any layout of JSON, as far as they are whole. It holds one
 * message in
 * memory, so the file may be of any length.
 */
final class HistoryReader {
    /** Bytes that are read or written at once: the JDK keeps buffers as large, for each thread and each connection. */
    static final int BUFFER_SIZE = 16 << 10;

    private static final int MAX_MESSAGE =
            (int) Math.min(64 << 20, Runtime.getRuntime().maxMemory() / 16); // bytes

    /**
     * A message of the file.
     *
     * @param end    the offset behind its text
     * @param length the bytes of its text
     * @param aLine  whether it is written on one line
     */
    record Item(Message message, long end, int length, boolean aLine) {}

    private final FileChannel channel;
    private final ByteBuffer buffer = ByteBuffer.allocate(BUFFER_SIZE).limit(0);
    private final ByteArrayOutputStream text = new ByteArrayOutputStream(); // of the message that is being read
    private final Memory.Growing memory; // for a message
    private long position; // in the file, behind the buffer
    private boolean ended; // as a history ends
    private Item ahead;

    /**
     * @param channel null where there is no file, which is an empty history
     * @param from    0, or an offset in the middle: reading begins at the first message behind it that begins a line
     */
    HistoryReader(FileChannel channel, long from, Memory.Growing memory) throws IOException {
        this.channel = channel;
        this.memory = memory;
        position = from;
        ended = channel == null;
        if (!ended) ahead = from == 0 ? first() : firstOfALine();
    }

    /** How many whole messages a file holds; none where there is no file. */
    static long count(FileChannel channel) throws IOException {
        var reader = new HistoryReader(channel, 0, new Memory.Growing());
        long count = 0;
        while (reader.next() != null) count++;
        return count;
    }

    /**
     * The next message; null at the end. The last question before a damage has lost its reply, and counts as damaged
     * too.
     */
    Item next() throws IOException {
        Item item = ahead;
        if (item == null) return null;
        int c = skipSpace();
        ahead = c == ',' ? item(skipSpace()) : end(c);
        return item.message.byUser() && ahead == null && !ended ? null : item;
    }

    /**
     * Once the end is reached: whether there is something behind the last message that does not belong to the array.
     */
    boolean damaged() {
        return !ended;
    }

    private Item first() throws IOException {
        int c = skipSpace();
        if (c == 0xEF && read() == 0xBB && read() == 0xBF) c = skipSpace(); // a byte order mark
        ended = c < 0; // an empty file is an empty history
        if (c != '[') return null;
        int inside = skipSpace();
        return inside == '{' ? item(inside) : end(inside);
    }

    private Item firstOfALine() throws IOException {
        int before = 0;
        int c = read();
        while (c >= 0 && !(before == '\n' && c == '{')) {
            before = c;
            c = read();
        }
        return item(c);
    }

    private Item end(int c) throws IOException {
        ended = c == ']' && skipSpace() < 0;
        return null;
    }

    /**
     * The message that begins with this character: all up to its own closing bracket. Null where it is none, or not
     * whole.
     */
    private Item item(int first) throws IOException {
        if (first != '{') return null;
        text.reset();
        text.write(first);
        int depth = 1;
        boolean quoted = false;
        boolean escaped = false;
        while (depth > 0 && fill()) {
            int at = buffer.position();
            while (depth > 0 && at < buffer.limit()) {
                byte b = buffer.array()[at++];
                if (escaped) escaped = false;
                else if (b == '"') quoted = !quoted;
                else if (quoted) escaped = b == '\\';
                else if (b == '{' || b == '[') depth++;
                else if (b == '}' || b == ']') depth--;
            }
            keep(at);
        }
        return depth == 0 ? parsed() : null;
    }

    private void keep(int end) throws IOException {
        text.write(buffer.array(), buffer.position(), end - buffer.position());
        buffer.position(end);
        if (text.size() > MAX_MESSAGE) throw new IOException("a message of over " + MAX_MESSAGE + " bytes");
        memory.grownTo(text.size());
    }

    private Item parsed() {
        try {
            String json = Json.decode(text.toByteArray());
            var message = new Message(Json.members(Json.parse(json)));
            return new Item(message, position - buffer.remaining(), text.size(), json.indexOf('\n') < 0);
        } catch (CharacterCodingException | Json.Malformed | IllegalArgumentException e) {
            return null;
        }
    }

    private int skipSpace() throws IOException {
        int c = read();
        while (c == ' ' || c == '\n' || c == '\r' || c == '\t') c = read();
        return c;
    }

    /** The next byte; -1 at the end. */
    private int read() throws IOException {
        return fill() ? buffer.get() & 0xFF : -1;
    }

    /** Whether there is more of the file, which lies in the buffer then. */
    private boolean fill() throws IOException {
        if (buffer.hasRemaining()) return true;
        position += Math.max(0, channel.read(buffer.clear(), position));
        return buffer.flip().hasRemaining();
    }
}
