package parley;

import static java.lang.Math.min;
import static java.lang.Thread.interrupted;
import static java.lang.Thread.sleep;
import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;
import static java.time.Duration.ofSeconds;
import static java.util.concurrent.TimeUnit.NANOSECONDS;
import static java.util.regex.Pattern.compile;
import static parley.Log.log;
import static parley.Problem.Code.BUSY;
import static parley.Problem.Code.CONVERSATION_CHANGED;
import static parley.Problem.Code.STORAGE_UNAVAILABLE;
import static parley.Problem.stopping;

import java.io.IOException;
import java.nio.channels.FileLock;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Semaphore;
import java.util.regex.Pattern;

/**
 * The history files of one folder. Each user's turns come one at a time, in the order of their arrival, also among
 * several servers on that folder; different users never wait for each other.
 *
 * <p>Servers exclude each other by locks on bytes of the folder's {@link LockFile}, at places that a hash of the
 * history file's name tells: such locks cost no file a user. One byte is locked for the whole turn. A second one is
 * locked while it is stored: a file system in a network may have dropped the first lock, without telling, while the
 * provider answered.
 */
final class Histories implements AutoCloseable {
    /** A lock and a write that take longer may have met a broken network. */
    private static final Duration HANGING = ofSeconds(2);

    private static final Pattern ESCAPED = compile("[^a-z0-9_.@+-]");
    private static final long WRITING = 1L << 61; // added to a turn's place, it is the place of the lock for storing

    /** A user's requests in this process: so many, one of which has the permit. Gone when the last one leaves. */
    private record Queue(Semaphore first, int length) {}

    private final Folder folder;
    private final Duration timeout;
    private final ConcurrentHashMap<String, Queue> queues = new ConcurrentHashMap<>();
    private final LockFile locks;

    /**
     * Makes the folder where there is none, and sees that this process may write in it.
     *
     * @param timeout how long a request waits for its turn
     */
    Histories(Path folder, Duration timeout) throws IOException {
        this.folder = new Folder(folder);
        this.timeout = timeout;
        locks = new LockFile(this.folder);
    }

    /** The name of a user's file, in ASCII: no other user's, also where case or Unicode's forms don't count. */
    static String fileName(String user) {
        String bytes = new String(user.getBytes(UTF_8), ISO_8859_1); // a character for each
        return "history_"
                + ESCAPED.matcher(bytes).replaceAll(each -> "%%%02X"
                        .formatted((int) each.group().charAt(0))) + ".json";
    }

    /** What a user's file holds now, without waiting for turns that run. */
    Lines openStored(String user) throws IOException {
        return Lines.open(folder.path.resolve(fileName(user)));
    }

    /**
     * The user's turn, once it has come.
     *
     * @param ifVersion of the conversation that the turn is meant for; null for any
     * @throws Problem busy where an earlier turn lasts too long; conversation_changed
     */
    Turn begin(String user, String ifVersion) throws IOException {
        var turn = new Turn(fileName(user));
        try {
            turn.await();
            if (ifVersion == null || ifVersion.equals(turn.file.stamp().version())) return turn;
            throw new Problem(CONVERSATION_CHANGED, "The conversation has changed meanwhile: load it again first");
        } catch (IOException | RuntimeException e) {
            turn.close();
            throw e;
        }
    }

    /** What is done under a lock. */
    private interface Work<T> {
        T run() throws IOException;
    }

    /** One turn of a user. While it is open, nobody else changes the user's file. */
    final class Turn implements AutoCloseable {
        private final String name;
        private final HistoryFile file;
        private final long position; // of its lock
        private final Semaphore first;
        private boolean acquired;
        private FileLock lock;

        private Turn(String name) {
            this.name = name;
            file = new HistoryFile(folder, name);
            position = file.id.getMostSignificantBits() >>> 3;
            var alone = new Queue(new Semaphore(1, true), 1);
            first = queues.merge(name, alone, (queue, one) -> new Queue(queue.first, queue.length + 1)).first;
        }

        private void await() throws IOException {
            Deadline deadline = Deadline.in(timeout);
            try {
                acquired = first.tryAcquire(deadline.nanosLeft(), NANOSECONDS);
            } catch (InterruptedException e) {
                throw stopping();
            }
            if (!acquired) throw busy();
            lock = lock(position, deadline);
        }

        /** What a turn knows of the file, as {@link Tail#read} has it. A damaged file is mended first. */
        Tail read(int count, int replaced) throws IOException {
            Tail tail = file.read(count, replaced);
            if (!tail.damaged()) return tail;
            return locked(() -> {
                file.mend(tail.stamp());
                return file.read(count, replaced);
            });
        }

        /**
         * Stores messages behind those that stay: all or none. Where that took long, a network may have broken, and a
         * lock been lost meanwhile: then it is looked at again, whether nobody has written over it.
         *
         * @return the conversation's version then
         */
        String store(Tail tail, Message... messages) throws IOException {
            Deadline hung = Deadline.in(HANGING);
            Stamp stored = locked(() -> file.store(tail, messages));
            Deadline end = Deadline.in(timeout);
            while (hung.isOver() && !end.isOver()) {
                hung = Deadline.in(HANGING);
                locked(() -> file.stamp().unchangedSince(stored));
            }
            return stored.version();
        }

        /** Deletes the conversation, with the copies of it. */
        void delete() throws IOException {
            locked(() -> {
                file.delete();
                return null;
            });
        }

        /** Works on the file under a second lock, which is new: the turn's may have been lost. */
        private <T> T locked(Work<T> work) throws IOException {
            FileLock writing = lock(position + WRITING, Deadline.in(timeout));
            try {
                return work.run();
            } finally {
                release(writing);
            }
        }

        @Override
        public void close() {
            if (lock != null) release(lock);
            if (acquired) first.release();
            queues.computeIfPresent(
                    name, (same, queue) -> queue.length == 1 ? null : new Queue(queue.first, queue.length - 1));
        }
    }

    private FileLock lock(long position, Deadline deadline) throws IOException {
        try {
            // An interrupt would close the file, with all its locks.
            if (interrupted()) throw new InterruptedException();
            for (long pause = 1; ; pause = min(2 * pause, 20)) {
                FileLock lock = locks.tryLock(position);
                if (lock != null) return lock;
                if (deadline.isOver()) throw busy();
                sleep(pause);
            }
        } catch (InterruptedException e) {
            throw stopping();
        }
    }

    /** What was stored in a turn stays, whatever happens to its lock. */
    private static void release(FileLock lock) {
        try {
            lock.release();
        } catch (IOException e) {
            log("history: a lock could not be released: " + e);
        }
    }

    private static Problem busy() {
        return new Problem(
                BUSY, "This user's earlier request is still running: wait for its end, then try again", 5L, false);
    }

    /** The problem that an IOException of the disk makes, which the console tells more of. */
    static Problem unavailable(IOException e) {
        log("history: " + e);
        return new Problem(
                STORAGE_UNAVAILABLE, "The histories cannot be read or written: the server's console says why");
    }

    @Override
    public void close() {
        locks.close();
    }
}
