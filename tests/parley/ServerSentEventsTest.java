package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Bytes in, events out: no server, no clock. */
class ServerSentEventsTest {
    private static final String FLAGS = "data: {\"a\":\"é🦊\"}\r\n\r\ndata:2\n\nid: 7\ndata: x\ndata: y\n\n";

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            textBlock =
                    """
                    # stream | its events
                    `` | ``
                    data: one\\n\\n | DATA one
                    data:one\\n\\n | DATA one
                    data:  one\\n\\n | DATA  one
                    data\\n\\n | ``
                    data: a\\ndata: b\\n\\n | DATA a\\nb
                    data: a\\r\\rdata: b\\r\\n\\r\\n | DATA a ⏎ DATA b
                    \ufeffdata: a\\n\\n | DATA a
                    : comment\\nevent: x\\nid: 1\\nretry: 5\\nunknown\\n\\ndata: a\\n\\n | \
                    IGNORED unknown ⏎ DATA a
                    event: error\\ndata: a\\n\\ndata: b\\n\\n | ERROR a ⏎ DATA b
                    error: {"code":500}\\n\\n | ERROR {"code":500}
                    database: no\\n\\n | IGNORED database: no
                    data: no end | DATA no end
                    data: no empty line\\n | DATA no empty line
                    \\n\\n\\ndata: a\\n\\n\\n\\n | DATA a
                    ` \\n {"one":\\n\\n"object"}` | JSON  {"one":\\n\\n"object"}
                    {"one":"object"}\\n | JSON {"one":"object"}
                    [{"one":1},\\n{"two":2}] | JSON [{"one":1},\\n{"two":2}]
                    data: {"not":"whole"}\\n\\n{"later":1}\\n\\n | DATA {"not":"whole"} ⏎ IGNORED {"later":1}
                    <html>\\n\\n<body> | IGNORED <html> ⏎ IGNORED <body>
                    """)
    void givesEachEventsData(String stream, String events) {
        byte[] bytes = stream.replace("\\n", "\n").replace("\\r", "\r").getBytes(StandardCharsets.UTF_8);
        assertEquals(events.replace("\\n", "\n"), String.join(" ⏎ ", read(bytes, bytes.length)));
    }

    @Test
    void readsTheSameWhereverTheBytesAreSplit() {
        byte[] bytes = FLAGS.getBytes(StandardCharsets.UTF_8);
        for (int size = 1; size <= bytes.length; size++) {
            assertEquals(
                    List.of("DATA {\"a\":\"é🦊\"}", "DATA 2", "DATA x\ny"), read(bytes, size), "in buffers of " + size);
        }
    }

    static List<ServerSentEvents.Event> events(byte[] bytes, int size) {
        var stream = new ServerSentEvents();
        var events = new ArrayList<ServerSentEvents.Event>();
        for (int from = 0; from < bytes.length; from += size) {
            byte[] part = Arrays.copyOfRange(bytes, from, Math.min(from + size, bytes.length));
            events.addAll(stream.read(part, part.length));
        }
        events.addAll(stream.end());
        return events;
    }

    private static List<String> read(byte[] bytes, int size) {
        return events(bytes, size).stream()
                .filter(event -> !event.data().isEmpty())
                .map(event -> event.kind() + " " + event.data())
                .toList();
    }

    @Test
    void takesCommentsIdsAndEmptyLinesForSignsOfLifeButNoPartOfALine() {
        var stream = new ServerSentEvents();
        for (String line : List.of(": queued\n", "id: 1\n", "retry: 5\n", "\n", "unknown\n")) {
            byte[] bytes = line.getBytes(StandardCharsets.UTF_8);
            assertEquals(List.of(), stream.read(bytes, bytes.length - 1), line);
            assertEquals(1, stream.read(new byte[] {'\n'}, 1).size(), line);
        }
    }

    @Test
    void tellsHowMuchItHolds() {
        var stream = new ServerSentEvents();
        stream.read("data: 12345\ndata: 6".getBytes(StandardCharsets.UTF_8), 19);
        assertEquals(5 + 7, stream.held());
        stream.read("\n\n".getBytes(StandardCharsets.UTF_8), 2);
        assertEquals(0, stream.held());
    }
}
