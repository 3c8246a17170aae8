package parley;

import static java.nio.charset.StandardCharsets.UTF_8;
import static java.util.regex.Pattern.compile;
import static parley.ServerSentEvents.Kind.DATA;
import static parley.ServerSentEvents.Kind.ERROR;
import static parley.ServerSentEvents.Kind.IGNORED;
import static parley.ServerSentEvents.Kind.JSON;

import java.io.ByteArrayOutputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

/**
 * Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html): bytes in, events out, wherever
 * the bytes are split. It also reads what services send in their place: one text of JSON, or lines that are neither.
 */
final class ServerSentEvents {
    /** What an event is. */
    enum Kind {
        /** An event, whatever its name. One without data says no more than that the other end lives. */
        DATA,
        /** An event named {@code error}, or a line {@code error: …}, as some services write it. */
        ERROR,
        /** The body is no stream, but this JSON. */
        JSON,
        /** A line that the standard ignores. */
        IGNORED
    }

    /** @param data the event's text, or none; several lines of data are joined by line feeds */
    record Event(Kind kind, String data) {}

    private static final Pattern JSON_BEGINS = compile("\\s*[{\\[]");

    private final ByteArrayOutputStream line = new ByteArrayOutputStream(512); // that has yet to end
    private List<Event> events; // of the bytes that are being read
    private final StringBuilder data = new StringBuilder(); // of the event that is being read
    private Kind kind = DATA;
    private boolean begun;
    private byte last;

    /** {@return the events that these bytes end} */
    List<Event> read(byte[] bytes, int count) {
        events = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            if (bytes[i] != '\n' && bytes[i] != '\r') line.write(bytes[i]);
            else if (bytes[i] == '\r' || last != '\r') endLine(); // a return and a line feed end one line
            last = bytes[i];
        }
        return events;
    }

    /** {@return the event at the end of the body} Some services leave out the empty line that ends it. */
    List<Event> end() {
        events = new ArrayList<>();
        if (line.size() > 0) endLine();
        endEvent();
        return events;
    }

    /** {@return the bytes and characters that are held until their event ends} */
    int held() {
        return line.size() + data.length();
    }

    private void endLine() {
        String text = line.toString(UTF_8);
        line.reset();
        if (!begun) text = begin(text);
        if (kind == JSON) addData(text);
        else if (text.isBlank()) endEvent();
        else field(text);
    }

    /** The line without a byte order mark. The first line that is not blank tells whether this is a stream. */
    private String begin(String line) {
        String text = line.startsWith("\ufeff") ? line.substring(1) : line;
        begun = !text.isBlank();
        if (JSON_BEGINS.matcher(text).lookingAt()) kind = JSON;
        return text;
    }

    private void field(String text) {
        String[] field = text.split(":", 2);
        String value = field.length == 1 ? "" : field[1];
        if (value.startsWith(" ")) value = value.substring(1);
        switch (field[0]) {
            case "data" -> addData(value);
            case "event" -> kind = value.equals("error") ? ERROR : DATA;
            case "error" -> events.add(new Event(ERROR, value));
            case "", "id", "retry" -> events.add(new Event(DATA, ""));
            default -> events.add(new Event(IGNORED, text));
        }
    }

    private void addData(String value) {
        if (!data.isEmpty()) data.append('\n');
        data.append(value);
    }

    private void endEvent() {
        events.add(new Event(kind, data.toString()));
        data.setLength(0);
        kind = DATA;
    }
}
