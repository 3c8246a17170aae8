package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.net.http.HttpHeaders;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Flow;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class EventStreamTest {
    private static final String FLAGS = "data: {\"a\":\"é🦊\"}\r\n\r\ndata:2\n\nid: 7\ndata: x\ndata: y\n\n";

    @ParameterizedTest
    @MethodSource("streams")
    void givesEachEventsData(String stream, List<String> events) throws Exception {
        assertEquals(events, read(stream.getBytes(StandardCharsets.UTF_8), stream.length() + 9));
    }

    static List<Arguments> streams() {
        return List.of(
                Arguments.of("", List.of()),
                Arguments.of("data: one\n\n", List.of("message one")),
                Arguments.of("data:one\n\n", List.of("message one")),
                Arguments.of("data:  one\n\n", List.of("message  one")),
                Arguments.of("data\n\n", List.of("message ")),
                Arguments.of("data: a\ndata: b\n\n", List.of("message a\nb")),
                Arguments.of("data: a\r\rdata: b\r\n\r\n", List.of("message a", "message b")),
                Arguments.of("\ufeffdata: a\n\n", List.of("message a")),
                Arguments.of(
                        ": comment\nevent: x\nid: 1\nretry: 5\nunknown\n\ndata: a\n\n",
                        List.of("unreadable unknown", "message a")),
                Arguments.of("event: error\ndata: a\n\ndata: b\n\n", List.of("error a", "message b")),
                Arguments.of("error: {\"code\":500}\n\n", List.of("error {\"code\":500}")),
                Arguments.of("database: no\n\n", List.of("unreadable database: no")),
                Arguments.of("data: no end", List.of("message no end")),
                Arguments.of("data: no empty line\n", List.of("message no empty line")),
                Arguments.of("\n\n\ndata: a\n\n\n\n", List.of("message a")),
                Arguments.of(" \n {\"one\":\n\n\"object\"}", List.of("json  {\"one\":\n\n\"object\"}")),
                Arguments.of("{\"one\":\"object\"}\n", List.of("json {\"one\":\"object\"}")),
                Arguments.of("[{\"one\":1},\n{\"two\":2}]", List.of("json [{\"one\":1},\n{\"two\":2}]")),
                Arguments.of(
                        "data: {\"not\":\"whole\"}\n\n{\"later\":1}\n\n",
                        List.of("message {\"not\":\"whole\"}", "unreadable {\"later\":1}")),
                Arguments.of("<html>\n\n<body>", List.of("unreadable <html>", "unreadable <body>")));
    }

    @Test
    void readsTheSameWhereverTheBytesAreSplit() throws Exception {
        byte[] bytes = FLAGS.getBytes(StandardCharsets.UTF_8);
        for (int portion = 1; portion <= bytes.length; portion++) {
            assertEquals(
                    List.of("message {\"a\":\"é🦊\"}", "message 2", "message x\ny"),
                    read(bytes, portion),
                    "in portions of " + portion);
        }
    }

    /** What nobody subscribed to: the test hands the portions over itself. */
    private static final Flow.Subscription NOTHING = new Flow.Subscription() {
        @Override
        public void request(long count) {}

        @Override
        public void cancel() {}
    };

    static List<EventStream.Event> events(byte[] bytes, int portion) throws Exception {
        var stream = new EventStream(HttpHeaders.of(Map.of(), (name, value) -> true));
        stream.onSubscribe(NOTHING);
        for (int from = 0; from < bytes.length; from += portion)
            stream.onNext(List.of(ByteBuffer.wrap(bytes, from, Math.min(portion, bytes.length - from))));
        stream.onComplete();
        var events = new ArrayList<EventStream.Event>();
        while (true) {
            EventStream.Event event = stream.next(1);
            if (event == null) return events;
            events.add(event);
        }
    }

    private static List<String> read(byte[] bytes, int portion) throws Exception {
        return events(bytes, portion).stream()
                .filter(event -> !event.kind().equals("comment"))
                .map(event -> event.kind() + " " + event.data())
                .toList();
    }
}
