package parley;

import static java.lang.Math.min;
import static java.time.Duration.ofSeconds;
import static java.util.concurrent.TimeUnit.NANOSECONDS;
import static parley.Problem.stopping;

import java.time.Duration;
import java.util.concurrent.BlockingQueue;
import java.util.function.Consumer;

/**
 * The way of a reply's deltas to the client, while they come. In their silence it sends heartbeats: the client sees
 * that its request lives, and a client that left is noticed.
 */
final class ReplyStream {
    private static final Duration FIRST_SILENCE = ofSeconds(2); // before the first delta
    private static final Duration LATER_SILENCE = ofSeconds(15);

    private final Consumer<String> client;
    private Deadline nextHeartbeat = Deadline.in(FIRST_SILENCE);
    private boolean begun;

    /**
     * @param client gets each delta, and an empty text for a heartbeat; null where a whole reply is asked for. What it
     *               throws ends the request
     */
    ReplyStream(Consumer<String> client) {
        this.client = client;
    }

    /** {@return one for a whole answer: nobody hears of it before} */
    static ReplyStream noStream() {
        return new ReplyStream(null);
    }

    boolean isWhole() {
        return client == null;
    }

    /** {@return whether the client has seen a part of the reply: then nothing may be asked again} */
    boolean hasBegun() {
        return begun;
    }

    void delta(String text) {
        if (isWhole()) return;
        begun = true;
        send(text);
    }

    private void send(String text) {
        client.accept(text);
        nextHeartbeat = Deadline.in(begun ? LATER_SILENCE : FIRST_SILENCE);
    }

    /**
     * Takes what comes from the queue next. The heartbeats go out meanwhile.
     *
     * @return what came before the deadline, or null for nothing
     * @throws Problem overloaded where the server stops meanwhile
     */
    <T> T await(Deadline deadline, BlockingQueue<T> queue) {
        try {
            while (true) {
                if (!isWhole() && nextHeartbeat.isOver()) send("");
                long left = deadline.nanosLeft();
                T came = queue.poll(isWhole() ? left : min(left, nextHeartbeat.nanosLeft()), NANOSECONDS);
                if (came != null || deadline.isOver()) return came;
            }
        } catch (InterruptedException e) {
            throw stopping();
        }
    }
}
