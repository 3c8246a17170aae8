package parley;

import static java.lang.Thread.ofPlatform;
import static java.nio.channels.FileChannel.open;
import static java.nio.file.Files.createDirectories;
import static java.nio.file.Files.getAttribute;
import static java.nio.file.Files.notExists;
import static java.nio.file.StandardOpenOption.CREATE;
import static java.nio.file.StandardOpenOption.WRITE;
import static java.util.concurrent.locks.LockSupport.parkNanos;
import static parley.Log.log;

import java.io.IOException;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Objects;
import java.util.concurrent.locks.ReentrantLock;

/**
 * A folder's {@code .lock}, by whose bytes servers exclude each other: such locks die with their process. To close the
 * file would drop every lock that this process has on it (POSIX), also those of another server in the same process. So
 * it stays open until nobody has a lock.
 */
final class LockFile implements AutoCloseable {
    private final Folder folder;
    private final ReentrantLock opening = new ReentrantLock();
    private FileChannel file; // guarded by opening, as are the next two
    private Object key; // of the file: another one that takes its place has another
    private boolean closed;

    /** Makes the folder where there is none, and sees that this process may write in it. */
    LockFile(Folder folder) throws IOException {
        this.folder = folder;
        channel();
    }

    /** The lock on a byte, or null while another server has it. */
    FileLock tryLock(long position) throws IOException {
        FileChannel channel = channel();
        try {
            return channel.tryLock(position, 1, false);
        } catch (OverlappingFileLockException e) { // the other server is in this very process
            return null;
        } catch (IOException e) {
            channel.close(); // its locks are lost, as in a network that broke: the next one opens it anew
            throw e;
        }
    }

    /** The file, made anew, with its folder, where somebody removed it: perhaps another server has done so already. */
    private FileChannel channel() throws IOException {
        Path path = folder.path.resolve(".lock");
        opening.lock();
        try {
            if (closed) throw new ClosedChannelException();
            try {
                if (file != null && file.isOpen() && Objects.equals(key, getAttribute(path, "fileKey"))) return file;
            } catch (NoSuchFileException e) {
                // somebody removed it: it is made anew
            }
            if (file != null) file.close();
            if (notExists(folder.path)) {
                createDirectories(folder.path);
                new Folder(folder.path.toAbsolutePath().getParent()).force();
            }
            file = open(path, CREATE, WRITE);
            key = getAttribute(path, "fileKey");
            return file;
        } finally {
            opening.unlock();
        }
    }

    @Override
    public void close() {
        opening.lock();
        try {
            closed = true;
            if (!closedAlone()) ofPlatform().daemon().start(this::closeBehindOthers);
        } finally {
            opening.unlock();
        }
    }

    /** Closes the file while it has all locks, so that nobody here gets one that would be lost. */
    private boolean closedAlone() {
        try {
            if (file.isOpen() && file.tryLock() == null) return false; // another process has a lock
            file.close();
        } catch (OverlappingFileLockException e) { // this process has one
            return false;
        } catch (IOException e) {
            log("history: .lock could not be closed: " + e);
        }
        return true;
    }

    private void closeBehindOthers() {
        while (!closedAlone()) parkNanos(20_000_000);
    }
}
