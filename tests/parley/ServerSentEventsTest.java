package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Bytes in, events out: no server, no clock. */
class ServerSentEventsTest {
    private static final String FLAGS = "data: {\"a\":\"é🦊\"}\r\n\r\ndata:2\n\nid: 7\ndata: x\ndata: y\n\n";

    @ParameterizedTest
    @MethodSource("streams")
    void givesEachEventsData(String stream, List<String> events) {
        assertEquals(events, read(stream.getBytes(StandardCharsets.UTF_8), stream.length() + 9));
    }

    static List<Arguments> streams() {
        return List.of(
                Arguments.of("", List.of()),
                Arguments.of("data: one\n\n", List.of("DATA one")),
                Arguments.of("data:one\n\n", List.of("DATA one")),
                Arguments.of("data:  one\n\n", List.of("DATA  one")),
                Arguments.of("data\n\n", List.of()),
                Arguments.of("data: a\ndata: b\n\n", List.of("DATA a\nb")),
                Arguments.of("data: a\r\rdata: b\r\n\r\n", List.of("DATA a", "DATA b")),
                Arguments.of("\ufeffdata: a\n\n", List.of("DATA a")),
                Arguments.of(
                        ": comment\nevent: x\nid: 1\nretry: 5\nunknown\n\ndata: a\n\n",
                        List.of("IGNORED unknown", "DATA a")),
                Arguments.of("event: error\ndata: a\n\ndata: b\n\n", List.of("ERROR a", "DATA b")),
                Arguments.of("error: {\"code\":500}\n\n", List.of("ERROR {\"code\":500}")),
                Arguments.of("database: no\n\n", List.of("IGNORED database: no")),
                Arguments.of("data: no end", List.of("DATA no end")),
                Arguments.of("data: no empty line\n", List.of("DATA no empty line")),
                Arguments.of("\n\n\ndata: a\n\n\n\n", List.of("DATA a")),
                Arguments.of(" \n {\"one\":\n\n\"object\"}", List.of("JSON  {\"one\":\n\n\"object\"}")),
                Arguments.of("{\"one\":\"object\"}\n", List.of("JSON {\"one\":\"object\"}")),
                Arguments.of("[{\"one\":1},\n{\"two\":2}]", List.of("JSON [{\"one\":1},\n{\"two\":2}]")),
                Arguments.of(
                        "data: {\"not\":\"whole\"}\n\n{\"later\":1}\n\n",
                        List.of("DATA {\"not\":\"whole\"}", "IGNORED {\"later\":1}")),
                Arguments.of("<html>\n\n<body>", List.of("IGNORED <html>", "IGNORED <body>")));
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
