package parley;

import static java.lang.Math.clamp;
import static java.lang.Math.max;
import static java.lang.Runtime.getRuntime;
import static java.lang.Runtime.version;
import static java.lang.System.nanoTime;
import static java.lang.ThreadLocal.withInitial;
import static java.util.concurrent.TimeUnit.NANOSECONDS;
import static java.util.concurrent.TimeUnit.SECONDS;
import static parley.Problem.overloaded;
import static parley.Problem.stopping;

import java.util.concurrent.Semaphore;

/**
 * The heap that all requests share: two thirds of it may be filled with what they read. A thread serves one request
 * at a time. It reserves memory before it reads something long, and releases all of it when the request ends.
 *
 * <p>The heap is one for the whole process, and so is this budget: the one exception to "no static mutable state".
 */
final class Memory {
    /** Bytes that the JVM may use. */
    static final long HEAP = getRuntime().maxMemory();

    /** Bytes of a text that need no memory to be reserved, so that small chats are never kept out. */
    static final int SMALL = 16 << 10;

    /** Bytes of memory that a byte of text takes, at most, while it is read, kept, written again and sent. */
    static final int PER_BYTE = 8;

    /**
     * How many requests may be served at once, with as many connections open besides. They take 82 and 22 KiB each,
     * measured; beyond the first 8 MiB, the heap has 120 KiB for each two. Before JDK 24, each request has a thread of
     * the system.
     */
    static final int MAX_REQUESTS =
            clamp((HEAP - (8 << 20)) / (120 << 10), 16, version().feature() < 24 ? 4_000 : 10_000);

    private static final int UNIT = 1 << 10; // bytes; a semaphore counts no further than an int

    /** How long a request waits, in all, for others to release memory. */
    private static final long TIMEOUT = SECONDS.toNanos(10);

    private static final int BUDGET = (int) (HEAP / UNIT / 3 * 2);
    private static final Semaphore BUDGET_LEFT = new Semaphore(BUDGET, true);
    private static final ThreadLocal<Share> SHARE = withInitial(Share::new);

    /** What one request has. */
    private static final class Share {
        private long reserved; // units
        private long waiting = TIMEOUT; // that it may still wait
    }

    /** Memory for a text whose length is not known before it is read. */
    static final class Growing {
        private long reserved = SMALL; // bytes of text

        /** Reserves memory for a text that has grown to so many bytes, or will. */
        void grownTo(long bytes) {
            if (bytes <= reserved) return;
            long more = (max(bytes, reserved + reserved / 4) / UNIT + 1) * UNIT; // so that as much is released later
            reserve(PER_BYTE * (more - reserved));
            reserved = more;
        }

        /** Gives the memory back: the text is no longer held. */
        void release() {
            Memory.release(PER_BYTE * (reserved - SMALL));
            reserved = SMALL;
        }
    }

    /**
     * Reserves memory for this thread's request, beside what it has reserved before. Waits a little while others have
     * it.
     *
     * @throws Problem overloaded where they do not release it in time
     */
    static void reserve(long bytes) {
        Share share = SHARE.get();
        long more = bytes / UNIT;
        long begun = nanoTime();
        try {
            if (more > BUDGET || !BUDGET_LEFT.tryAcquire((int) more, share.waiting, NANOSECONDS)) {
                throw overloaded("short of memory");
            }
        } catch (InterruptedException e) {
            throw stopping();
        }
        share.waiting -= nanoTime() - begun;
        share.reserved += more;
    }

    private static void release(long bytes) {
        SHARE.get().reserved -= bytes / UNIT;
        BUDGET_LEFT.release((int) (bytes / UNIT));
    }

    /** Gives back all that this thread's request has reserved. */
    static void release() {
        release(SHARE.get().reserved * UNIT);
        SHARE.remove();
    }
}
