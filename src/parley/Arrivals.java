package parley;

import java.io.IOException;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Flow;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * A response's body as it arrives, waited for with a limit. Once somebody reads it, it is asked for a few portions ahead, so that
 * many small ones come without a pause and little lies in memory. Closing it before its end hangs up.
 */
final class Arrivals implements HttpResponse.BodySubscriber<Arrivals>, AutoCloseable {
    private static final Object END = new Object();
    private static final int AHEAD = 16; // portions, each of 16 KiB at most

    private final OptionalLong announced;
    private final CompletableFuture<Arrivals> started = new CompletableFuture<>();
    private final BlockingQueue<Object> queue = new LinkedBlockingQueue<>();
    private Flow.Subscription subscription;
    private int wanted = AHEAD - 1; // portions to be asked for next
    private volatile boolean ended;

    /** @param announced how many bytes the response's head says there are, if it does */
    Arrivals(OptionalLong announced) {
        this.announced = announced;
    }

    OptionalLong announced() {
        return announced;
    }

    /** The next portion; an empty one where nothing came in so many nanoseconds, null at the end. */
    List<ByteBuffer> next(long nanos) throws IOException, InterruptedException {
        if (wanted > 0) subscription.request(wanted);
        wanted = 0;
        return switch (queue.poll(nanos, TimeUnit.NANOSECONDS)) {
            case null -> List.of();
            case Portion portion -> {
                wanted = 1;
                yield portion.bytes;
            }
            case Throwable broken -> throw new IOException(broken.getMessage() == null ? broken.toString() : broken.getMessage(), broken);
            default -> null;
        };
    }

    private record Portion(List<ByteBuffer> bytes) {
    }

    @Override
    public CompletionStage<Arrivals> getBody() {
        return started;
    }

    @Override
    public void onSubscribe(Flow.Subscription subscription) {
        this.subscription = subscription;
        subscription.request(1);
        started.complete(this);
    }

    @Override
    public void onNext(List<ByteBuffer> bytes) {
        queue.add(new Portion(bytes));
    }

    @Override
    public void onError(Throwable broken) {
        queue.add(broken);
        started.complete(this);
    }

    @Override
    public void onComplete() {
        ended = true;
        queue.add(END);
    }

    @Override
    public void close() {
        if (subscription != null && !ended) subscription.cancel(); // behind the end, a cancellation costs an exception and does nothing
    }
}
