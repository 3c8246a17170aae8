package parley;

import static java.lang.Math.max;
import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.util.UUID.nameUUIDFromBytes;
import static parley.Problem.Code.STORAGE_UNAVAILABLE;

import java.io.IOException;

/**
 * The state of a history file, found in constant time: every turn changes its size or its last bytes.
 *
 * @param size in bytes; 0 where there is no file
 * @param end  its last bytes, a character for each
 */
record Stamp(long size, String end) {
    private static final int LENGTH = 256; // bytes of the end

    static Stamp of(Lines file) throws IOException {
        return new Stamp(file.size, text(file.copy(max(0, file.size - LENGTH), file.size)));
    }

    /** This state once bytes are written from the offset on, which is one of the last ones. */
    Stamp overwritten(long from, byte[] bytes) {
        String all = end.substring(0, end.length() - (int) (size - from)) + text(bytes);
        return new Stamp(from + bytes.length, all.substring(max(0, all.length() - LENGTH)));
    }

    /**
     * {@return this state, which is the same as before}
     *
     * @throws Problem storage_unavailable where another server has changed the file meanwhile
     */
    Stamp unchangedSince(Stamp before) {
        if (equals(before)) return this;
        throw new Problem(
                STORAGE_UNAVAILABLE, "The conversation was changed by another server meanwhile: send it again");
    }

    /** Names this state to clients; empty for a conversation without a message. The same on every server. */
    String version() {
        if (size == end.length() && end.indexOf('{') < 0) return "";
        return nameUUIDFromBytes((size + end).getBytes(ISO_8859_1)).toString();
    }

    private static String text(byte[] bytes) {
        return new String(bytes, ISO_8859_1);
    }
}
