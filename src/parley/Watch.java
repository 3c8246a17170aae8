package parley;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * Ends a request's wait when its client has left, or takes nothing any more, by interrupting the request's thread.
 *
 * <p>{@code com.sun.net.httpserver} does not tell that a client closed its connection. Linux does: its table of TCP connections
 * (proc(5), {@code /proc/net/tcp}) has such ones in the state CLOSE_WAIT. Elsewhere a lost client is found at the next write to it.
 */
final class Watch implements AutoCloseable {
    private static final List<Path> TABLES = Stream.of("/proc/net/tcp", "/proc/net/tcp6").map(Path::of).filter(Files::isReadable).toList();
    private static final String CLOSE_WAIT = " 08 "; // no other column of a row can read so
    private static final long STEP = TimeUnit.MILLISECONDS.toNanos(500);

    private final Set<Wait> waits = ConcurrentHashMap.newKeySet();
    private final ScheduledExecutorService clock = Executors.newSingleThreadScheduledExecutor(Thread.ofPlatform().daemon().name("watch").factory());

    Watch() {
        clock.scheduleWithFixedDelay(this::look, STEP, STEP, TimeUnit.NANOSECONDS);
    }

    /** What waits, and may be interrupted. */
    interface Waiting<T> {
        T done() throws IOException, InterruptedException;
    }

    /** The client of one connection. */
    final class Client {
        private final InetSocketAddress local;
        private final InetSocketAddress remote;
        private volatile long served = System.nanoTime(); // when something was last written to it: a write tells by itself that a client left

        Client(InetSocketAddress local, InetSocketAddress remote) {
            this.local = local;
            this.remote = remote;
        }

        /** As {@link #left} names connections: by the local port and the end of the remote address. */
        private String connection() {
            byte[] address = remote.getAddress().getAddress();
            int lastWord = ByteBuffer.wrap(address, address.length - 4, 4).order(ByteOrder.nativeOrder()).getInt();
            return "%04X %08X:%04X".formatted(local.getPort(), lastWord, remote.getPort());
        }

        /** For how many nanoseconds nothing has been written to it. */
        private long unserved() {
            return System.nanoTime() - served;
        }

        /** Waits for somebody else while this client is there; throws a client_gone Problem once it is not. */
        <T> T whileThere(Waiting<T> waiting) throws IOException {
            return watched(new Wait(this, Long.MAX_VALUE), waiting);
        }

        /** Waits for this client itself, for at most so many seconds; throws a client_gone Problem after them. */
        <T> T within(int seconds, Waiting<T> waiting) throws IOException {
            served = System.nanoTime();
            return watched(new Wait(this, TimeUnit.SECONDS.toNanos(seconds)), waiting);
        }
    }

    private <T> T watched(Wait wait, Waiting<T> waiting) throws IOException {
        waits.add(wait);
        try {
            return waiting.done();
        } catch (InterruptedException e) {
            throw Problem.clientGone();
        } finally {
            waits.remove(wait);
            wait.end();
        }
    }

    private static final class Wait {
        private final Thread thread = Thread.currentThread();
        private final Client client;
        private final long limit;
        private boolean interrupted;
        private boolean over;

        Wait(Client client, long limit) {
            this.client = client;
            this.limit = limit;
        }

        synchronized void interrupt() {
            if (over) return;
            interrupted = true;
            thread.interrupt();
        }

        /** After this nothing is interrupted any more: an interrupt would close the history's file under the thread's hands. */
        synchronized void end() {
            over = true;
            if (interrupted) Thread.interrupted();
        }
    }

    private void look() {
        try {
            List<Wait> waiting = waits.stream().filter(wait -> wait.client.unserved() > STEP).toList();
            Set<String> left = waiting.isEmpty() ? Set.of() : left();
            for (Wait wait : waiting) {
                if (wait.client.unserved() > wait.limit || !left.isEmpty() && left.contains(wait.client.connection())) wait.interrupt();
            }
        } catch (IOException e) {
            Log.say("the table of connections cannot be read: " + e);
        }
    }

    /** The connections whose other end has closed. */
    private static Set<String> left() throws IOException {
        var left = new HashSet<String>();
        for (Path table : TABLES) {
            for (String row : Files.readAllLines(table)) {
                if (row.contains(CLOSE_WAIT)) left.add(connection(row));
            }
        }
        return left;
    }

    private static String connection(String row) {
        String[] columns = row.strip().split("\\s+", 4); // number, local and remote address, state and more
        return columns[1].substring(columns[1].indexOf(':') + 1) + " " + columns[2].substring(columns[2].indexOf(':') - 8);
    }

    @Override
    public void close() {
        clock.shutdownNow();
    }
}
