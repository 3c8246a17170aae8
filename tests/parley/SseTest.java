package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class SseTest {
    private static final String FLAGS = "data: {\"a\":\"é🦊\"}\r\n\r\ndata:2\n\nid: 7\ndata: x\ndata: y\n\n";

    @ParameterizedTest
    @MethodSource("streams")
    void givesEachEventsData(String stream, List<String> events) {
        assertEquals(events, read(stream.getBytes(StandardCharsets.UTF_8), stream.length() + 9));
    }

    static List<Arguments> streams() {
        return List.of(
                Arguments.of("", List.of()),
                Arguments.of("data: one\n\n", List.of("one")),
                Arguments.of("data:one\n\n", List.of("one")),
                Arguments.of("data:  one\n\n", List.of(" one")),
                Arguments.of("data\n\n", List.of("")),
                Arguments.of("data: a\ndata: b\n\n", List.of("a\nb")),
                Arguments.of("data: a\r\rdata: b\r\n\r\n", List.of("a", "b")),
                Arguments.of("\ufeffdata: a\n\n", List.of("a")),
                Arguments.of(": comment\nevent: x\nid: 1\nretry: 5\nunknown\n\ndata: a\n\n", List.of("a")),
                Arguments.of("database: no\n\n", List.of()),
                Arguments.of("data: no end", List.of("no end")),
                Arguments.of("data: no empty line\n", List.of("no empty line")),
                Arguments.of("\n\n\ndata: a\n\n\n\n", List.of("a")),
                Arguments.of(" \n {\"one\":\n\n\"object\"}", List.of(" {\"one\":\n\n\"object\"}")),
                Arguments.of("{\"one\":\"object\"}\n", List.of("{\"one\":\"object\"}\n")),
                Arguments.of("data: {\"not\":\"whole\"}\n\n{\"later\":1}\n\n", List.of("{\"not\":\"whole\"}")),
                Arguments.of("<html>\n\n<body>", List.of()));
    }

    @Test
    void readsTheSameWhereverTheBytesAreSplit() {
        byte[] bytes = FLAGS.getBytes(StandardCharsets.UTF_8);
        for (int portion = 1; portion <= bytes.length; portion++) {
            assertEquals(List.of("{\"a\":\"é🦊\"}", "2", "x\ny"), read(bytes, portion), "in portions of " + portion);
        }
    }

    private static List<String> read(byte[] bytes, int portion) {
        var sse = new Sse();
        var events = new ArrayList<String>();
        for (int from = 0; from < bytes.length; from += portion) {
            sse.read(ByteBuffer.wrap(bytes, from, Math.min(portion, bytes.length - from)));
            for (byte[] event; (event = sse.next()) != null; ) events.add(new String(event, StandardCharsets.UTF_8));
        }
        sse.end();
        for (byte[] event; (event = sse.next()) != null; ) events.add(new String(event, StandardCharsets.UTF_8));
        return events;
    }
}
