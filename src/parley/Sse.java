package parley;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Queue;

/**
 * Reads server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html) from bytes that arrive in any portions,
 * and gives each event's data. Names, ids and comments are passed over: no provider says anything in them.
 *
 * <p>A text that begins with a brace is no stream but one JSON object, which some services answer instead: it counts as one event.
 */
final class Sse {
    private final Queue<String> events = new ArrayDeque<>();
    private final ByteArrayOutputStream line = new ByteArrayOutputStream();
    private StringBuilder data; // of the event that is being read; null while it has none
    private boolean begun;
    private boolean oneObject;
    private boolean afterReturn;
    private boolean ended;

    void read(ByteBuffer bytes) {
        while (bytes.hasRemaining()) {
            byte b = bytes.get();
            if (b == '\n' && afterReturn) afterReturn = false; // the second half of one line's end
            else if (b == '\n' || b == '\r') {
                afterReturn = b == '\r';
                endLine();
            } else {
                afterReturn = false;
                line.write(b);
            }
        }
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

    /** The data of the next event that is complete, or null. */
    String next() {
        return events.poll();
    }

    private void endLine() {
        String text = line.toString(StandardCharsets.UTF_8);
        line.reset();
        if (!begun && text.startsWith("\ufeff")) text = text.substring(1);
        if (!begun && !text.isBlank()) {
            begun = true;
            oneObject = text.stripLeading().startsWith("{");
        }
        if (oneObject) add(text);
        else if (text.isEmpty()) endEvent();
        else if (text.equals("data") || text.startsWith("data:")) add(text.substring(text.startsWith("data: ") ? 6 : Math.min(5, text.length())));
    }

    private void add(String text) {
        if (data == null) data = new StringBuilder(text);
        else data.append('\n').append(text);
    }

    private void endEvent() {
        if (data != null) events.add(data.toString());
        data = null;
    }
}
