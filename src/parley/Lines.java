package parley;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.OptionalLong;

/** The bytes of a history file, as many as there were at first, and its lines, told by raw bytes. */
final class Lines implements AutoCloseable {
    /** Bytes that are read or written at once: the JDK keeps buffers as large, for each thread and each connection. */
    static final int BUFFER_SIZE = 16 << 10;

    /** Bytes of messages that are held for a turn. */
    static final int MAX_WINDOW = 1 << 20;

    final long size;
    private final FileChannel channel;
    private final byte[] block = new byte[BUFFER_SIZE];
    private long from; // of the file's bytes in the block
    private long until;

    /** @param channel of the file, which this closes; null for an empty one */
    Lines(FileChannel channel) throws IOException {
        this.channel = channel;
        size = channel == null ? 0 : channel.size();
    }

    /** Opens a file; one that is not there is as an empty one. No link is followed. */
    static Lines open(Path file) throws IOException {
        try {
            return new Lines(FileChannel.open(file, StandardOpenOption.READ, LinkOption.NOFOLLOW_LINKS));
        } catch (NoSuchFileException e) {
            return new Lines(null);
        }
    }

    @Override
    public void close() throws IOException {
        if (channel != null) channel.close();
    }

    byte at(long offset) throws IOException {
        if (offset < from || offset >= until) load(offset);
        return block[(int) (offset - from)];
    }

    private void load(long offset) throws IOException {
        from = offset - offset % BUFFER_SIZE;
        until = Math.min(size, from + BUFFER_SIZE);
        ByteBuffer bytes = ByteBuffer.wrap(block, 0, (int) (until - from));
        while (bytes.hasRemaining()) {
            int read = channel.read(bytes, from + bytes.position());
            if (read < 0) throw new EOFException("the history became shorter while it was read");
        }
    }

    byte[] copy(long start, long end) throws IOException {
        byte[] copy = new byte[(int) (end - start)];
        for (long i = start; i < end; i = until) {
            at(i);
            int length = (int) (Math.min(end, until) - i);
            System.arraycopy(block, (int) (i - from), copy, (int) (i - start), length);
        }
        return copy;
    }

    /**
     * Where the last lines begin that begin with a message: at least so many, and at most so many while they fit into
     * {@link #MAX_WINDOW}; 0 where there are fewer.
     */
    long last(long least, long most) throws IOException {
        long found = 0;
        for (long i = size - 1; i > 0; i--) {
            if (at(i) != '{' || at(i - 1) != '\n') continue;
            found++;
            if (found >= most || found >= least && size - i > MAX_WINDOW) return i;
        }
        return 0;
    }

    /**
     * How many messages there are, told by raw bytes: nothing where the file's lines are not a bracket, one object each
     * with commas between, and a bracket, or where a line misses a quote or holds a control character. What else may be
     * damaged only reading tells.
     */
    OptionalLong count() throws IOException {
        long feeds = 0;
        long messages = 0;
        boolean quoted = false;
        boolean escaped = false;
        long last = 0; // eight bytes
        for (long start = 0; start < size; start = until) {
            load(start);
            for (int i = 0; i < until - start; i++) {
                byte b = block[i];
                last = last << 8 | b & 0xFF;
                if (b >= 0 && b < ' ') {
                    if (quoted || b != '\n') return OptionalLong.empty();
                    feeds++;
                }
                if (b == '"' && !escaped) quoted = !quoted;
                if ((last & 0xFFFF) == 0x7B22) { // {"
                    if (!beginsLine(last)) return OptionalLong.empty();
                    messages++;
                }
                escaped = b == '\\' && !escaped;
            }
        }
        if (feeds != messages + 2 || (last & 0xFFFFFFFFFFL) != 0x227D0A5D0AL) return OptionalLong.empty(); // "}\n]\n
        return OptionalLong.of(messages);
    }

    /** Whether an object begins on a line of its own, behind another one or as the first: "},\n{" or [\n{". */
    private static boolean beginsLine(long last) {
        return (last & 0xFFFFFFFFFFFFL) == 0x227D2C0A7B22L || (last & 0xFFFFFFFFL) == 0x5B0A7B22;
    }
}
