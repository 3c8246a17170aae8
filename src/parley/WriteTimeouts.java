package parley;

import static java.lang.System.nanoTime;
import static java.lang.Thread.currentThread;
import static java.lang.Thread.interrupted;
import static java.lang.Thread.ofPlatform;
import static java.util.concurrent.Executors.newSingleThreadScheduledExecutor;
import static java.util.concurrent.TimeUnit.SECONDS;
import static parley.Problem.stopping;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ScheduledExecutorService;

/**
 * Interrupts writes to a client that takes nothing for 30 s, which closes its connection: else it would hold a thread
 * for ever.
 */
final class WriteTimeouts implements AutoCloseable {
    /** What writes to a client. */
    interface Write {
        void run() throws IOException;
    }

    private static final long TIMEOUT = SECONDS.toNanos(30);

    private final Map<Thread, Long> running = new ConcurrentHashMap<>(); // since when; gone once interrupted
    private final ScheduledExecutorService clock =
            newSingleThreadScheduledExecutor(ofPlatform().daemon().factory());

    WriteTimeouts() {
        clock.scheduleWithFixedDelay(() -> running.keySet().forEach(this::interruptIfLate), 1, 1, SECONDS);
    }

    private void interruptIfLate(Thread thread) {
        running.computeIfPresent(thread, (same, begun) -> {
            if (nanoTime() - begun < TIMEOUT) return begun;
            thread.interrupt();
            return null;
        });
    }

    /**
     * Once it returns, nothing is interrupted any more: that would close the history's file under the thread's
     * hands.
     */
    void run(Write write) {
        running.put(currentThread(), nanoTime());
        try {
            write.run();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } finally {
            if (running.remove(currentThread()) == null) interrupted();
        }
    }

    /** @throws Problem overloaded once this is closed: a thread that writes cannot be told by an interrupt */
    void checkOpen() {
        if (clock.isShutdown()) throw stopping();
    }

    @Override
    public void close() {
        clock.shutdownNow();
    }
}
