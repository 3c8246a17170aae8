package parley;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import java.util.regex.Pattern;

/**
 * The history files of one folder. Each user's turns come one at a time, in the order of their arrival, also among
 * several servers
 * on that folder; different users never wait for each other.
 *
 * <p>Servers exclude each other by locks on bytes of the folder's {@code .lock} file, at places that a hash of the
 * history file's
 * name tells: such locks cost no file a user and die with their process. One byte is locked for the whole turn. A
 * second one is
 * locked while it is stored: a file system in a network may have dropped the first lock, without telling, while the
 * provider
 * answered. {@code .lock} stays open to the end, since on POSIX systems closing it would drop every lock that this
 * process has on it.
 */
final class Histories implements AutoCloseable {
    private static final long HANGING =
            TimeUnit.SECONDS.toNanos(2); // for a lock and a write; a broken network takes longer
    private static final Pattern ESCAPED = Pattern.compile("[^a-z0-9_.@+-]");
    private static final long WRITING = 1L << 61; // added to a turn's place, it is the place of the lock for storing

    /** What is done in a turn. */
    interface Work<T> {
        T with(HistoryFile history) throws IOException, InterruptedException;
    }

    /** A user's requests in this process: so many, one of which has the permit. Gone when the last one leaves. */
    private record Queue(Semaphore turn, int length) {}

    private final Path folder;
    private final Duration timeout;
    private final ConcurrentHashMap<String, Queue> queues = new ConcurrentHashMap<>();
    private final ReentrantLock opening = new ReentrantLock();
    private FileChannel lockFile; // guarded by opening

    /**
     * Makes the folder where there is none, and sees that this process may write in it.
     *
     * @param timeout how long a request waits for its turn
     */
    Histories(Path folder, Duration timeout) throws IOException {
        this.folder = folder;
        this.timeout = timeout;
        lockFile();
    }

    /** The name of a user's file, in ASCII: no other user's, also where case or Unicode's forms don't count. */
    static String fileName(String user) {
        String bytes =
                new String(user.getBytes(StandardCharsets.UTF_8), StandardCharsets.ISO_8859_1); // a character for each
        return "history_"
                + ESCAPED.matcher(bytes)
                        .replaceAll(each ->
                                String.format("%%%02X", (int) each.group().charAt(0))) + ".json";
    }

    /**
     * Does the work when the user's turn has come. Nobody else changes the file meanwhile.
     *
     * @throws Problem what the work throws; busy where an earlier turn lasts too long; a storage problem for each
     *                 IOException
     */
    <T> T inTurn(String user, Work<T> work) {
        String name = fileName(user);
        UUID id = UUID.nameUUIDFromBytes(name.getBytes(StandardCharsets.UTF_8));
        var alone = new Queue(new Semaphore(1, true), 1);
        Semaphore turn = queues.merge(name, alone, (queue, one) -> new Queue(queue.turn, queue.length + 1)).turn;
        boolean first = false;
        FileLock lock = null;
        try {
            first = turn.tryAcquire(timeout.toNanos(), TimeUnit.NANOSECONDS);
            if (!first) throw busy();
            lock = lock(place(id));
            return work.with(new HistoryFile(folder.resolve(name), id));
        } catch (IOException e) {
            throw unavailable(user, e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw busy();
        } finally {
            if (lock != null) release(lock);
            if (first) turn.release();
            queues.computeIfPresent(
                    name, (same, queue) -> queue.length == 1 ? null : new Queue(queue.turn, queue.length - 1));
        }
    }

    /**
     * Stores messages in a user's turn, in the place of the turns that were to be replaced: all or none. Where that
     * took long, a network
     * may have broken, and a lock been lost meanwhile: then it is looked at again, whether nobody has written over it.
     */
    void store(HistoryFile file, Message... messages) throws IOException {
        boolean hung = whileWriting(file, () -> file.store(messages));
        while (hung) hung = whileWriting(file, file::checkStored);
    }

    private interface Writing {
        void run() throws IOException;
    }

    /**
     * Does it under a lock that is asked for anew, since the turn's may have been lost; tells whether this took long.
     */
    private boolean whileWriting(HistoryFile file, Writing work) throws IOException {
        long begun = System.nanoTime();
        FileLock lock = lock(place(file.id) + WRITING);
        try {
            work.run();
        } finally {
            release(lock);
        }
        return System.nanoTime() - begun > HANGING;
    }

    /**
     * What a user's file holds now, without waiting for turns that run: those only add to it, or put another in its
     * place.
     */
    FileChannel openStored(String user) throws IOException {
        return HistoryFile.openIfThere(
                folder.resolve(fileName(user)), StandardOpenOption.READ, LinkOption.NOFOLLOW_LINKS);
    }

    private static long place(UUID id) {
        return id.getMostSignificantBits() >>> 3;
    }

    private FileLock lock(long place) throws IOException {
        long deadline = System.nanoTime() + timeout.toNanos();
        FileLock lock = tryLock(place);
        for (long pause = 1; lock == null; pause = Math.min(2 * pause, 20)) {
            if (System.nanoTime() > deadline) throw busy();
            LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(pause));
            lock = tryLock(place);
        }
        return lock;
    }

    /** The lock on the byte, or null while another server has it. */
    private FileLock tryLock(long place) throws IOException {
        FileChannel file = lockFile();
        try {
            return file.tryLock(place, 1, false);
        } catch (OverlappingFileLockException e) { // the other server is in this very process
            return null;
        } catch (IOException e) {
            file.close(); // its locks are lost, as in a network that broke: the next one opens it anew
            throw e;
        }
    }

    /** What was stored in a turn stays, whatever happens to its lock. */
    private static void release(FileLock lock) {
        try {
            lock.release();
        } catch (IOException e) {
            Log.log("history: a lock could not be released: " + e);
        }
    }

    /** The open lock file, in a folder that is made anew where somebody removed it. */
    private FileChannel lockFile() throws IOException {
        Path file = folder.resolve(".lock");
        opening.lock();
        try {
            if (lockFile != null && lockFile.isOpen() && Files.exists(file)) return lockFile;
            if (Files.notExists(folder)) {
                Files.createDirectories(folder);
                HistoryFile.force(folder.toAbsolutePath().getParent());
            }
            FileChannel old = lockFile;
            lockFile = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
            if (old != null) old.close();
            return lockFile;
        } finally {
            opening.unlock();
        }
    }

    private static Problem busy() {
        return new Problem(
                Problem.Code.BUSY,
                "This user's earlier request is still running: wait for its end, then try again",
                5L,
                false);
    }

    /** The problem that an IOException of the disk makes, which the console tells more of. */
    static Problem unavailable(String user, IOException e) {
        Log.log("history of " + user + ": " + e);
        return HistoryFile.isDiskFull(e)
                ? new Problem(
                        Problem.Code.STORAGE_FULL,
                        "The disk of the histories is full: free some space, then send it again")
                : new Problem(
                        Problem.Code.STORAGE_UNAVAILABLE,
                        "The histories cannot be read or written: the server's console says why");
    }

    @Override
    public void close() throws IOException {
        lockFile.close();
    }
}
