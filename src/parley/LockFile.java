package parley;

import java.io.IOException;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.locks.ReentrantLock;

/**
 * A folder's {@code .lock}, by whose bytes servers exclude each other: such locks die with their process. To close the
 * file would drop every lock that this process has on it (POSIX), also those of another server in the same process. So
 * it stays open until the last of them closes.
 */
final class LockFile implements AutoCloseable {
    private static final long SERVERS = 1L << 62; // from here on, each server that is open has a byte
    private static final int BYTES = Integer.MAX_VALUE;

    private final Folder folder;
    private final ReentrantLock opening = new ReentrantLock();
    private FileChannel file; // guarded by opening, like the two below
    private FileLock presence;
    private boolean closed;

    /** Makes the folder where there is none, and sees that this process may write in it. */
    LockFile(Folder folder) throws IOException {
        this.folder = folder;
        channel(true);
    }

    /**
     * The lock on the byte, or null while another server has it.
     *
     * @param position below 2^62
     * @param surely   whether the file is looked for, and made anew, with its folder, where somebody removed it
     */
    FileLock tryLock(long position, boolean surely) throws IOException {
        FileChannel channel = channel(surely);
        try {
            return channel.tryLock(position, 1, false);
        } catch (OverlappingFileLockException e) { // the other server is in this very process
            return null;
        } catch (IOException e) {
            channel.close(); // its locks are lost, as in a network that broke: the next one opens it anew
            throw e;
        }
    }

    private FileChannel channel(boolean surely) throws IOException {
        Path path = folder.path.resolve(".lock");
        opening.lock();
        try {
            if (closed) throw new ClosedChannelException();
            boolean open = file != null && file.isOpen();
            if (open && (!surely || Files.exists(path))) return file;
            if (Files.notExists(folder.path)) {
                Files.createDirectories(folder.path);
                new Folder(folder.path.toAbsolutePath().getParent()).force();
            }
            if (open) file.close();
            file = FileChannel.open(path, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
            while (!isPresent()) Thread.onSpinWait(); // while another one closes
            return file;
        } finally {
            opening.unlock();
        }
    }

    private boolean isPresent() throws IOException {
        try {
            presence = file.tryLock(SERVERS + ThreadLocalRandom.current().nextInt(BYTES), 1, false);
            return presence != null;
        } catch (OverlappingFileLockException e) {
            return false;
        } catch (IOException e) {
            file.close();
            throw e;
        }
    }

    @Override
    public void close() throws IOException {
        opening.lock();
        try {
            closed = true;
            if (!file.isOpen()) return;
            presence.release();
            if (!closedAsLast()) Thread.ofPlatform().daemon().start(this::closeBehindOthers);
        } finally {
            opening.unlock();
        }
    }

    /** Nobody opens the file here while it is closed: all bytes of servers are locked then. */
    private boolean closedAsLast() throws IOException {
        try {
            file.tryLock(SERVERS, BYTES, false); // null where another process has one: its locks stay
            file.close();
            return true;
        } catch (OverlappingFileLockException e) { // another server in this process has one
            return false;
        }
    }

    private void closeBehindOthers() {
        try {
            while (!closedAsLast()) Thread.sleep(20);
        } catch (IOException | InterruptedException e) {
            Log.log("history: .lock could not be closed: " + e);
        }
    }
}
