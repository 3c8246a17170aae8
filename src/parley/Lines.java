package parley;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;

/** The bytes of a history file, as many as there were at first, and its lines, told by raw bytes. */
final class Lines {
    /** Bytes that are read or written at once: the JDK keeps buffers as large, for each thread and each connection. */
    static final int BUFFER_SIZE = 16 << 10;

    /** Bytes of messages that are held for a turn. */
    static final int MAX_WINDOW = 1 << 20;

    final long size;
    private final FileChannel channel;
    private final byte[] block = new byte[BUFFER_SIZE];
    private long from; // of the file's bytes in the block
    private long until;

    /** @param channel null where there is no file */
    Lines(FileChannel channel) throws IOException {
        this.channel = channel;
        size = channel == null ? 0 : channel.size();
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
        for (int i = 0; i < copy.length; i++) copy[i] = at(start + i);
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

    /** How many messages there are, where all lines but the first and the last are one each; negative where not. */
    long count() throws IOException {
        long feeds = 0;
        long begins = 0; // of lines with an object
        long objects = 0;
        byte before = 0;
        for (long i = 0; i < size; i++) {
            byte b = at(i);
            if (b == '\n') feeds++;
            if (b == '{' && before == '\n') begins++;
            if (b == '"' && before == '{') objects++;
            before = b;
        }
        return objects == begins && feeds == begins + 2 ? begins : -1;
    }
}
