package parley;

import static java.lang.Long.parseLong;
import static java.lang.Math.max;
import static java.lang.Math.min;
import static java.nio.ByteBuffer.allocate;
import static java.time.Duration.ofNanos;
import static parley.Lines.BUFFER_SIZE;
import static parley.Memory.HEAP;
import static parley.Problem.stopping;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.net.http.HttpClient;
import java.net.http.HttpHeaders;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.Builder;
import java.net.http.HttpResponse.BodyHandler;
import java.net.http.HttpResponse.BodySubscriber;
import java.net.http.HttpResponse.ResponseInfo;
import java.net.http.HttpTimeoutException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Flow.Subscription;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.zip.GZIPInputStream;
import java.util.zip.ZipException;
import parley.Memory.Growing;

/**
 * A response as it arrives: waited for until a deadline, with heartbeats meanwhile, read up to a limit, gzip undone.
 * It asks for a few buffers ahead, so that little lies in memory. Closing it before its end hangs up, also where the
 * response has yet to come.
 */
final class ResponseBody implements BodyHandler<Void>, BodySubscriber<Void>, AutoCloseable {
    /** The response is too long, or compressed in another way: asked again, it would be the same. */
    @SuppressWarnings("serial")
    static final class Unreadable extends IOException {
        Unreadable(String why) {
            super(why);
        }
    }

    private static final int MAX_LENGTH = (int) min(32 << 20, HEAP / 8); // bytes
    private static final int AHEAD = 4; // buffers, each of 16 KiB at most
    private static final ByteBuffer HEAD = allocate(0);
    private static final ByteBuffer END = allocate(0);

    private final ReplyStream stream;
    private final BlockingQueue<ByteBuffer> arrived = new LinkedBlockingQueue<>();
    private volatile ResponseInfo head;
    private volatile Subscription subscription;
    private volatile Throwable broken;
    private volatile boolean closed;
    private final CompletableFuture<Void> released = new CompletableFuture<>();
    private CompletableFuture<?> exchange; // null where the request's own thread exchanges
    private Deadline deadline;
    private InputStream decoded; // null until the first byte is asked for
    private long length; // of what has been read
    private boolean ended;

    private ResponseBody(ReplyStream stream, Deadline deadline) {
        this.stream = stream;
        this.deadline = deadline;
        if (stream.isWhole()) released.complete(null);
    }

    /**
     * Sends the request, and waits for the head of its response. Where no heartbeat has to go out meanwhile, this is
     * done on the request's own thread, which costs half as much.
     *
     * @throws HttpTimeoutException where it has not come by the deadline
     */
    static ResponseBody of(HttpClient client, Builder request, ReplyStream stream, Deadline deadline)
            throws IOException {
        var body = new ResponseBody(stream, deadline);
        HttpRequest asked = request.setHeader("Accept-Encoding", "identity")
                .timeout(ofNanos(1 + deadline.nanosLeft()))
                .build();
        try {
            if (stream.isWhole()) client.send(asked, body);
            else body.exchangeWith(client, asked);
            body.await();
            return body;
        } catch (InterruptedException e) {
            throw stopping();
        } catch (IllegalArgumentException e) { // a host that the client cannot take, or a length that is no number
            throw new IOException(e.getMessage(), e);
        } catch (IOException | RuntimeException e) {
            body.close();
            throw e;
        }
    }

    private void exchangeWith(HttpClient client, HttpRequest request) {
        exchange = client.sendAsync(request, this);
        exchange.whenComplete((nothing, failure) -> {
            if (failure != null) onError(failure);
        });
    }

    int status() {
        return head.statusCode();
    }

    HttpHeaders headers() {
        return head.headers();
    }

    /** What is read from now on is waited for until then. */
    void waitUntil(Deadline deadline) {
        this.deadline = deadline;
    }

    /**
     * Reads some bytes, once there are any.
     *
     * @return how many; -1 at the end
     * @throws HttpTimeoutException where nothing has come by the deadline
     */
    int read(byte[] buffer) throws IOException {
        try {
            if (decoded == null) decoded = decoded();
            int count = decoded.read(buffer);
            length += max(0, count);
            if (length > MAX_LENGTH) throw new Unreadable("more than " + MAX_LENGTH + " bytes");
            return count;
        } catch (ZipException | EOFException e) {
            throw new Unreadable("broken gzip");
        }
    }

    /** Memory for the body, or so many bytes of it: what will be read is reserved at once, as far as it is known. */
    Growing memory(int limit) {
        var memory = new Growing();
        String announced = headers()
                .firstValue("Content-Length")
                .filter(length -> length.matches("\\d{1,18}"))
                .orElse("0");
        memory.grownTo(min(parseLong(announced), min(limit, MAX_LENGTH)));
        return memory;
    }

    /** The body, or so many bytes of it. */
    byte[] read(int limit) throws IOException {
        Growing memory = memory(limit);
        var whole = new ByteArrayOutputStream();
        var buffer = new byte[BUFFER_SIZE];
        while (whole.size() < limit) {
            int count = read(buffer);
            if (count < 0) break;
            memory.grownTo(whole.size() + count);
            whole.write(buffer, 0, count);
        }
        return whole.toByteArray();
    }

    /** The bytes without their compression, which is known by its first bytes: headers may be wrong. */
    private InputStream decoded() throws IOException {
        var unknown = headers()
                .firstValue("Content-Encoding")
                .filter(coding -> coding.matches("(?i)br|zstd|deflate|compress"));
        if (unknown.isPresent()) throw new Unreadable("compressed as " + unknown.get());
        var raw = new BufferedInputStream(new Raw(), 2); // what tells gzip
        raw.mark(2);
        boolean isGzip = raw.read() == 0x1f && raw.read() == 0x8b; // RFC 1952
        raw.reset();
        return isGzip ? new GZIPInputStream(raw, BUFFER_SIZE) : raw;
    }

    /** The bytes as they arrive. */
    private final class Raw extends InputStream {
        private ByteBuffer buffer = HEAD;

        @Override
        public int read() throws IOException {
            var one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] into, int offset, int length) throws IOException {
            while (!ended && !buffer.hasRemaining()) buffer = await();
            if (ended) return -1;
            int count = min(length, buffer.remaining());
            buffer.get(into, offset, count);
            return count;
        }
    }

    /** What arrives next: the head, a buffer, or the end. */
    private ByteBuffer await() throws IOException {
        ByteBuffer came = stream.await(deadline, arrived);
        if (came == null) throw new HttpTimeoutException("nothing came in time");
        ended = came == END;
        if (ended && broken != null) throw new IOException(broken.getMessage(), broken);
        if (came != HEAD && !ended) subscription.request(1);
        return came;
    }

    @Override
    public BodySubscriber<Void> apply(ResponseInfo head) {
        this.head = head;
        arrived.add(HEAD);
        return this;
    }

    @Override
    public CompletionStage<Void> getBody() {
        return released;
    }

    @Override
    public void onSubscribe(Subscription subscription) {
        this.subscription = subscription;
        if (closed) subscription.cancel(); // the time ended just as the head came
        else subscription.request(AHEAD);
    }

    @Override
    public void onNext(List<ByteBuffer> buffers) {
        arrived.addAll(buffers);
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

    /**
     * What the client does behind a streamed response starts a thread where there are one or two processors: so it is
     * done here, and not on the one thread that brings every response.
     */
    @Override
    public void close() {
        closed = true;
        released.complete(null);
        if (ended) return; // a cancellation would cost an exception, and do nothing
        if (exchange != null) exchange.cancel(true);
        if (subscription != null) subscription.cancel();
    }
}
