package parley;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Queue;

/**
 * Reads server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html) from bytes that arrive in any portions,
 * and gives each event's data. Names, ids and comments are passed over: no provider says anything in them.
 *
 * <p>A text that begins with a brace is no stream but one JSON object, which some services answer instead: it counts as one event.
 */
final class Sse {
    private static final byte[] FIELD = {'d', 'a', 't', 'a'};

    private final Queue<byte[]> events = new ArrayDeque<>();
    private final ByteArrayOutputStream line = new ByteArrayOutputStream(512);
    private final ByteArrayOutputStream data = new ByteArrayOutputStream(512); // of the event that is being read
    private boolean hasData;
    private boolean begun;
    private boolean oneObject;
    private boolean afterReturn;
    private boolean ended;

    void read(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        int from = 0;
        for (int i = 0; i < bytes.length; i++) {
            byte b = bytes[i];
            if (b == '\n' || b == '\r') {
                line.write(bytes, from, i - from);
                from = i + 1;
                if (b == '\r' || !afterReturn) endLine(); // a line feed behind a return is the second half of one line's end
            }
            afterReturn = b == '\r';
        }
        line.write(bytes, from, bytes.length - from);
    }

    /** Ends the last event, also where no empty line did: some services leave it out. */
    void end() {
        endLine();
        endEvent();
        ended = true;
    }

    boolean ended() {
        return ended;
    }

    /** The data of the next event that is complete, in UTF-8, or null. */
    byte[] next() {
        return events.poll();
    }

    private void endLine() {
        byte[] text = line.toByteArray();
        line.reset();
        if (!begun) text = first(text);
        if (oneObject) add(text, 0);
        else if (text.length == 0) endEvent();
        else if (Arrays.mismatch(text, FIELD) == FIELD.length && text[4] == ':') add(text, text.length > 5 && text[5] == ' ' ? 6 : 5);
        else if (Arrays.equals(text, FIELD)) add(text, 4);
    }

    /** The line without a byte order mark. The first line that is not blank tells whether this is a stream. */
    private byte[] first(byte[] line) {
        String text = new String(line, StandardCharsets.UTF_8);
        String unmarked = text.startsWith("\ufeff") ? text.substring(1) : text;
        begun = !unmarked.isBlank();
        oneObject = unmarked.stripLeading().startsWith("{");
        return unmarked.getBytes(StandardCharsets.UTF_8);
    }

    private void add(byte[] text, int from) {
        if (hasData) data.write('\n');
        data.write(text, from, text.length - from);
        hasData = true;
    }

    private void endEvent() {
        if (hasData) events.add(data.toByteArray());
        data.reset();
        hasData = false;
    }
}
