package parley;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.http.HttpHeaders;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Flow;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * A response's body as it arrives, waited for with a limit of time and of length: whole, or as server-sent events
 * (https://html.spec.whatwg.org/multipage/server-sent-events.html). It asks for a few portions ahead, so that little
 * lies in memory.
 * Closing it before its end hangs up.
 */
final class EventStream implements HttpResponse.BodySubscriber<EventStream>, AutoCloseable {
    /**
     * One thing that a stream said.
     *
     * @param kind {@code comment} for a line that says no more than that the other end lives, {@code json} for a body
     *             that is no
     *             stream but JSON, {@code unreadable} for a line that is none of these, {@code error} for an error's
     * own field;
     *             else the event's name, {@code message} where it has none
     */
    record Event(String kind, String data) {}

    /** Nothing came in time. */
    static final Event SILENCE = new Event("silence", "");

    /** The response is longer than may be. */
    @SuppressWarnings("serial")
    static final class TooLong extends IOException {}

    static final int MAX_LENGTH = (int) Math.min(32 << 20, Runtime.getRuntime().maxMemory() / 8); // bytes
    private static final ByteBuffer END = ByteBuffer.allocate(0);
    private static final int AHEAD = 4; // portions, each of 16 KiB at most

    private final HttpHeaders headers;
    private final Memory.Growing memory = new Memory.Growing();
    private final BlockingQueue<ByteBuffer> arrived = new LinkedBlockingQueue<>();
    private volatile Flow.Subscription subscription;
    private volatile Throwable broken;

    private final Queue<Event> events = new ArrayDeque<>();
    private final ByteArrayOutputStream line = new ByteArrayOutputStream(512);
    private StringBuilder data; // of the event that is being read; null where there is none yet
    private String name = "message";
    private boolean begun;
    private boolean json; // all of the body is one text
    private boolean afterReturn;
    private boolean ended;
    private long length;

    EventStream(HttpHeaders headers) {
        this.headers = headers;
    }

    /** What the response says that it is. */
    String contentType() {
        return headers.firstValue("Content-Type").orElse("no type");
    }

    /**
     * The next thing that the stream says; {@link #SILENCE} where nothing came in so many nanoseconds, null at its end.
     *
     * @throws TooLong where the body is too long
     */
    Event next(long nanos) throws IOException, InterruptedException {
        while (events.isEmpty() && !ended) {
            ByteBuffer portion = await(nanos);
            if (portion == null) return SILENCE;
            if (portion == END) end();
            else read(portion);
        }
        return events.poll();
    }

    /**
     * The body, or so much of it as is enough; null where that has not come by the deadline of {@link System#nanoTime}.
     */
    byte[] all(int enough, long deadline) throws IOException, InterruptedException {
        while (line.size() < enough) {
            ByteBuffer portion = await(deadline - System.nanoTime());
            if (portion == null) return null;
            if (portion == END) break;
            keep(portion, portion.remaining());
        }
        return line.toByteArray();
    }

    /** The next portion; null where nothing came in so many nanoseconds, {@code END} at the end. */
    private ByteBuffer await(long nanos) throws IOException, InterruptedException {
        long announced = headers.firstValueAsLong("Content-Length").orElse(0);
        if (Math.max(announced, length) > MAX_LENGTH) throw new TooLong();
        memory.grownTo(announced);
        ByteBuffer portion = arrived.poll(nanos, TimeUnit.NANOSECONDS);
        ended = portion == END;
        if (ended && broken != null) throw new IOException(broken.getMessage(), broken);
        if (portion == null || ended) return portion;
        subscription.request(1);
        length += portion.remaining();
        return portion;
    }

    private void keep(ByteBuffer bytes, int count) {
        memory.grownTo(line.size() + count);
        byte[] part = new byte[count];
        bytes.get(part);
        line.writeBytes(part);
    }

    private void read(ByteBuffer bytes) {
        while (bytes.hasRemaining()) {
            int end = bytes.position();
            while (end < bytes.limit() && bytes.get(end) != '\n' && bytes.get(end) != '\r') end++;
            keep(bytes, end - bytes.position());
            if (!bytes.hasRemaining()) return;
            byte ending = bytes.get();
            boolean secondHalf = ending == '\n'
                    && afterReturn
                    && line.size() == 0; // of a line's end that is a return and a line feed
            afterReturn = ending == '\r';
            if (!secondHalf) endLine();
        }
    }

    private void endLine() {
        String text = line.toString(StandardCharsets.UTF_8);
        line.reset();
        if (!begun) text = first(text);
        if (json) addData(text);
        else if (text.isBlank()) endEvent();
        else field(text);
    }

    /** The line without a byte order mark. The first line that is not blank tells whether this is a stream. */
    private String first(String line) {
        String text = line.startsWith("\ufeff") ? line.substring(1) : line;
        begun = !text.isBlank();
        json = text.stripLeading().startsWith("{") || text.stripLeading().startsWith("[");
        return text;
    }

    private void field(String text) {
        int colon = text.indexOf(':');
        String field = colon < 0 ? text : text.substring(0, colon);
        String value = colon < 0 ? "" : text.substring(text.startsWith(": ", colon) ? colon + 2 : colon + 1);
        switch (field) {
            case "data" -> addData(value);
            case "event" -> name = value;
            case "error" -> events.add(new Event("error", value));
            case "", "id", "retry" -> events.add(new Event("comment", value));
            default -> events.add(new Event("unreadable", text));
        }
    }

    private void addData(String value) {
        data = (data == null ? new StringBuilder() : data.append('\n')).append(value);
        memory.grownTo(data.length());
    }

    private void endEvent() {
        events.add(data == null ? new Event("comment", "") : new Event(json ? "json" : name, data.toString()));
        data = null;
        name = "message";
    }

    /** Ends the last event, also where no empty line did: some services leave it out. */
    private void end() {
        if (line.size() > 0) endLine();
        if (data != null) endEvent();
    }

    @Override
    public CompletionStage<EventStream> getBody() {
        return CompletableFuture.completedStage(this);
    }

    @Override
    public void onSubscribe(Flow.Subscription subscription) {
        this.subscription = subscription;
        subscription.request(AHEAD);
    }

    @Override
    public void onNext(List<ByteBuffer> bytes) {
        arrived.addAll(bytes);
    }

    @Override
    public void onError(Throwable broken) {
        this.broken = broken;
        arrived.add(END);
    }

    @Override
    public void onComplete() {
        arrived.add(END);
    }

    @Override
    public void close() {
        if (subscription != null && !ended)
            subscription.cancel(); // behind the end, it would cost an exception and do nothing
    }
}
