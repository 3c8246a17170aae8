package parley;

import static java.lang.Math.max;
import static java.lang.System.nanoTime;

import java.time.Duration;

/**
 * A moment on the clock that only goes forward. A wait that ends at a deadline ends, however often it is woken before;
 * one that lasts a duration begins anew each time.
 *
 * @param nanos of {@link System#nanoTime}
 */
record Deadline(long nanos) {
    static Deadline in(Duration duration) {
        return new Deadline(nanoTime() + duration.toNanos());
    }

    /** {@return the nanoseconds until then, or 0 once it is over} */
    long nanosLeft() {
        return max(0, nanos - nanoTime());
    }

    boolean isOver() {
        return nanosLeft() == 0;
    }
}
