package parley;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.IntConsumer;

/**
 * Gives each user's requests their turns: one at a time in the order of their arrival, also among several servers on one folder,
 * and never waiting for another user.
 *
 * <p>Servers exclude each other by a lock on one byte of the folder's {@code .lock} file: the byte whose place is the hash of
 * the history file's name. Such locks cost no file a user and die with their process. The file stays open to the end, since on
 * POSIX systems closing it would let go of every lock that this process has on it.
 */
final class Histories implements AutoCloseable {
    /** What is done in a turn. */
    interface Work<T> {
        T with(History history) throws IOException;
    }

    /** A user's requests in this process: as many as are counted, one of which has the permit. Gone when the last one leaves. */
    private static final class Queue {
        final Semaphore turn = new Semaphore(1, true);
        int length;
    }

    private final Duration patience;
    private final ConcurrentHashMap<Path, Queue> queues = new ConcurrentHashMap<>();
    private final Map<Path, FileChannel> locks = new HashMap<>(); // by folder; guarded by opening
    private final ReentrantLock opening = new ReentrantLock();

    /** @param patience how long a request waits for its turn */
    Histories(Duration patience) {
        this.patience = patience;
    }

    /** Makes the folder where there is none, also where somebody removed it, and sees that this process may write in it. */
    FileChannel open(Path folder) throws IOException {
        Path file = folder.resolve(".lock");
        opening.lock();
        try {
            FileChannel present = locks.get(folder);
            if (present != null && Files.exists(file)) return present;
            if (Files.notExists(folder)) {
                Files.createDirectories(folder);
                History.force(folder.toAbsolutePath().getParent());
            }
            locks.put(folder, FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE));
            if (present != null) present.close();
            return locks.get(folder);
        } finally {
            opening.unlock();
        }
    }

    /**
     * Does the work when the user's turn has come.
     *
     * @param client  whoever waits for it: one that leaves gives up its place
     * @param reserve is told how many bytes of memory a history takes, before it is read
     * @throws Problem what the work throws; busy where an earlier turn lasts too long; a storage problem for each IOException
     */
    <T> T inTurn(Path folder, User user, Watch.Client client, IntConsumer reserve, Work<T> work) {
        Path file = folder.resolve(user.fileName());
        long deadline = System.nanoTime() + patience.toNanos();
        Queue queue = queues.compute(file, (any, present) -> {
            Queue joined = present == null ? new Queue() : present;
            joined.length++;
            return joined;
        });
        try {
            if (!client.whileThere(() -> queue.turn.tryAcquire(patience.toNanos(), TimeUnit.NANOSECONDS))) throw busy();
            try {
                return locked(folder, file, deadline, reserve, work);
            } finally {
                queue.turn.release();
            }
        } catch (IOException e) {
            Log.say("history of " + user + ": " + e);
            throw unavailable(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw busy();
        } finally {
            queues.computeIfPresent(file, (any, present) -> --present.length == 0 ? null : present);
        }
    }

    private <T> T locked(Path folder, Path file, long deadline, IntConsumer reserve, Work<T> work) throws IOException, InterruptedException {
        FileChannel servers = open(folder);
        byte[] hash = sha256(file.getFileName().toString());
        long place = ByteBuffer.wrap(hash).getLong() >>> 2;
        FileLock lock = tryLock(servers, place);
        for (long pause = 1; lock == null; pause = Math.min(2 * pause, 20)) {
            if (System.nanoTime() > deadline) throw busy();
            Thread.sleep(pause);
            lock = tryLock(servers, place);
        }
        try {
            return work.with(new History(file, folder.resolve(".tmp-" + HexFormat.of().formatHex(hash)), reserve));
        } finally {
            lock.release();
        }
    }

    /** The lock on the byte, or null while another server has it. */
    private static FileLock tryLock(FileChannel channel, long place) throws IOException {
        try {
            return channel.tryLock(place, 1, false);
        } catch (OverlappingFileLockException e) { // the other server is in this very process
            return null;
        }
    }

    private static byte[] sha256(String text) {
        try {
            return MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java platform has SHA-256", e);
        }
    }

    private Problem busy() {
        return new Problem(Problem.Code.BUSY, "An earlier request of this user is still running: wait for it to end, then send this one again", 5L);
    }

    private static Problem unavailable(IOException e) {
        String reason = String.valueOf(e.getMessage()).toLowerCase(Locale.ROOT);
        boolean full = reason.contains("no space left") || reason.contains("not enough space") || reason.contains("quota exceeded");
        return full ? new Problem(Problem.Code.STORAGE_FULL, "The disk with the history folder is full: nothing was stored. Free some space and send it again")
                : new Problem(Problem.Code.STORAGE_UNAVAILABLE, "The history folder cannot be read or written: nothing was stored. The server's console says why");
    }

    @Override
    public void close() throws IOException {
        for (FileChannel channel : locks.values()) channel.close();
    }
}
