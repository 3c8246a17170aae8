package parley;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/** JSON beside Jackson's tree model, and the reader of events. {@code mvn -q -Pjmh test-compile exec:exec} prints microseconds a call. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
public class ReadersBenchmark {
    /** A request of 40 messages, and one of a megabyte. */
    @Param({"40 messages", "1 MB"})
    public String size;

    private final ObjectMapper jackson = new ObjectMapper();
    private byte[] text;
    private Object value;
    private JsonNode tree;
    private byte[] events;

    @Setup
    public void make() throws Exception {
        var messages = new ArrayList<Object>();
        String sentence = "The quick brown fox \u2014 so they say \u2014 jumps over the lazy dog.\nIt is \"quick\"; caf\u00e9. ";
        for (int i = 0; i < 40; i++) messages.add(Json.object("role", i % 2 == 0 ? "user" : "model", "parts", List.of(Json.object("text", sentence.repeat(size.equals("1 MB") ? 300 : 3)))));
        value = Json.object("contents", messages, "generationConfig", Json.object("temperature", 1L, "maxOutputTokens", 1024L));
        text = Json.bytes(value);
        tree = jackson.readTree(text);
        if (!jackson.readTree(Json.bytes(Json.parse(text))).equals(tree)) throw new IllegalStateException("they read different things");
        events = ("data: " + Json.write(Json.object("candidates", List.of(Json.object("content", Json.object("parts", List.of(Json.object("text", "word "))))))) + "\r\n\r\n")
                .repeat(1000).getBytes(StandardCharsets.UTF_8);
    }

    @Benchmark
    public Object readParley() throws Json.Malformed {
        return Json.parse(text);
    }

    @Benchmark
    public Object readJackson() throws IOException {
        return jackson.readTree(text);
    }

    @Benchmark
    public byte[] writeParley() {
        return Json.bytes(value);
    }

    @Benchmark
    public byte[] writeJackson() throws IOException {
        return jackson.writeValueAsBytes(tree);
    }

    @Benchmark
    public int readThousandEvents() {
        var reader = new Sse();
        reader.read(ByteBuffer.wrap(events));
        int bytes = 0;
        for (byte[] data; (data = reader.next()) != null; ) bytes += data.length;
        return bytes;
    }
}
