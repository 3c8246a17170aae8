package parley;

import static java.lang.System.getProperty;
import static java.nio.channels.FileChannel.open;
import static java.nio.file.StandardOpenOption.READ;
import static parley.Log.log;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicBoolean;

/** A folder whose own entries are forced to disk, so that a new name outlives a loss of power. */
final class Folder {
    final Path path;
    private final AtomicBoolean told = new AtomicBoolean();

    Folder(Path path) {
        this.path = path;
    }

    /**
     * Forces what was done in this folder, and never fails, since that is done already: a file system that cannot is
     * told of once. Windows opens no folder, and needs none.
     */
    void force() {
        if (getProperty("os.name").startsWith("Windows")) return;
        try (FileChannel entries = open(path, READ)) {
            entries.force(true);
        } catch (IOException e) {
            if (told.compareAndSet(false, true)) {
                log("new files may not outlive a loss of power: their folder cannot be forced to disk: " + e);
            }
        }
    }
}
