package parley;

import static java.lang.Math.min;
import static java.lang.System.arraycopy;
import static java.nio.ByteBuffer.wrap;
import static java.nio.charset.StandardCharsets.US_ASCII;
import static java.nio.file.LinkOption.NOFOLLOW_LINKS;
import static java.nio.file.StandardOpenOption.READ;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.OptionalLong;

/** The bytes of a history file, as many as there were at first, and its lines, told by raw bytes. */
final class Lines implements AutoCloseable {
    /** Bytes that are read or written at once: the JDK keeps buffers as large, for each thread and each connection. */
    static final int BUFFER_SIZE = 16 << 10;

    /** Bytes of messages that are held for a turn. */
    static final int MAX_WINDOW = 1 << 20;

    /** How a file ends that Parley has written. */
    static final String END = "\n]\n";

    final long size;
    private final FileChannel channel;
    private final byte[] block;
    private long from; // of the file's bytes in the block
    private long until;

    /** @param channel of the file, which this closes; null for an empty one */
    Lines(FileChannel channel) throws IOException {
        this.channel = channel;
        size = channel == null ? 0 : channel.size();
        block = new byte[(int) min(size, BUFFER_SIZE)];
    }

    /** Opens a file; one that is not there is as an empty one. No link is followed. */
    static Lines open(Path file) throws IOException {
        try {
            return new Lines(FileChannel.open(file, READ, NOFOLLOW_LINKS));
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
        until = min(size, from + BUFFER_SIZE);
        ByteBuffer bytes = wrap(block, 0, (int) (until - from));
        while (bytes.hasRemaining()) {
            int read = channel.read(bytes, from + bytes.position());
            if (read < 0) throw new EOFException("the history became shorter while it was read");
        }
    }

    byte[] copy(long start, long end) throws IOException {
        byte[] copy = new byte[(int) (end - start)];
        for (long i = start; i < end; i = until) {
            at(i);
            int length = (int) (min(end, until) - i);
            arraycopy(block, (int) (i - from), copy, (int) (i - start), length);
        }
        return copy;
    }

    /** Whether {@link #END} and nothing else stands behind an offset. */
    boolean endsAt(long offset) throws IOException {
        return offset >= 0 && size - offset == END.length() && new String(copy(offset, size), US_ASCII).equals(END);
    }

    /**
     * Where the last lines before an offset begin that begin with a message: at least so many, and at most so many
     * while they fit into {@link #MAX_WINDOW}; 0 where there are fewer.
     */
    long last(long least, long most, long before) throws IOException {
        long found = 0;
        for (long i = before - 1; i > 0; i--) {
            if (at(i) != '{' || at(i - 1) != '\n') continue;
            found++;
            if (found >= most || found >= least && before - i > MAX_WINDOW) return i;
        }
        return 0;
    }

    /**
     * How many messages there are, told by raw bytes: nothing where objects are nested or stand on several lines,
     * where a line misses a quote or a bracket or holds a control character, or where the end is not {@link #END}. What
     * else may be damaged only reading tells.
     */
    OptionalLong count() throws IOException {
        long messages = 0;
        boolean quoted = false;
        boolean open = false; // a message
        boolean escaped = false;
        for (long start = 0; start < size; start = until) {
            load(start);
            for (int i = 0; i < until - start; i++) {
                byte b = block[i];
                boolean misplaced = b == '\n' ? quoted || open : b >= 0 && b < ' ';
                if (escaped) escaped = false;
                else if (b == '\\') escaped = true;
                else if (b == '"') quoted = !quoted;
                else if (!quoted && b == '{') {
                    misplaced = open;
                    open = true;
                    messages++;
                } else if (!quoted && b == '}') {
                    misplaced = !open;
                    open = false;
                }
                if (misplaced) return OptionalLong.empty();
            }
        }
        return endsAt(size - END.length()) ? OptionalLong.of(messages) : OptionalLong.empty();
    }
}
