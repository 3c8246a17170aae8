package parley;

import static java.lang.Math.min;
import static java.lang.Thread.interrupted;
import static java.nio.ByteBuffer.wrap;
import static java.nio.channels.FileChannel.open;
import static java.nio.charset.StandardCharsets.UTF_8;
import static java.nio.file.Files.copy;
import static java.nio.file.Files.createFile;
import static java.nio.file.Files.deleteIfExists;
import static java.nio.file.Files.getFileStore;
import static java.nio.file.Files.getPosixFilePermissions;
import static java.nio.file.Files.move;
import static java.nio.file.Files.newDirectoryStream;
import static java.nio.file.Files.notExists;
import static java.nio.file.Files.setPosixFilePermissions;
import static java.nio.file.LinkOption.NOFOLLOW_LINKS;
import static java.nio.file.StandardCopyOption.ATOMIC_MOVE;
import static java.nio.file.StandardCopyOption.COPY_ATTRIBUTES;
import static java.nio.file.StandardOpenOption.READ;
import static java.nio.file.StandardOpenOption.WRITE;
import static java.nio.file.attribute.PosixFilePermissions.asFileAttribute;
import static java.nio.file.attribute.PosixFilePermissions.fromString;
import static java.time.Instant.now;
import static java.time.ZoneOffset.UTC;
import static java.time.format.DateTimeFormatter.ofPattern;
import static java.util.Arrays.copyOf;
import static java.util.UUID.nameUUIDFromBytes;
import static parley.HistoryReader.MAX_MESSAGE;
import static parley.Json.toJson;
import static parley.Lines.BUFFER_SIZE;
import static parley.Lines.END;
import static parley.Log.log;
import static parley.Problem.Code.STORAGE_FULL;
import static parley.Problem.overloaded;
import static parley.Tail.BEGINNING;

import java.io.BufferedOutputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.UUID;
import parley.HistoryReader.Item;
import parley.Memory.Growing;

/**
 * One user's file. It is a JSON array, a message a line:
 * <pre>
 * [
 * {"role":"user", …},
 * {"role":"assistant", …}
 * ]
 * </pre>
 * While the file's end looks like this, a turn reads and writes the end only, unless it replaces the last one. Any
 * other layout, and a damaged file, is read from its beginning and rewritten in this layout. What is written has been
 * forced to disk when a method returns.
 */
final class HistoryFile {
    private final Folder folder;
    private final boolean posix; // Windows has no modes
    private final Path file;
    private final Path made; // takes the file's place once it is written
    private final Growing memory = new Growing();
    final UUID id; // names what is this user's alone

    HistoryFile(Folder folder, String name) {
        this.folder = folder;
        posix = folder.path.getFileSystem().supportedFileAttributeViews().contains("posix");
        id = nameUUIDFromBytes(bytes(name));
        file = folder.path.resolve(name);
        made = folder.path.resolve(".tmp-" + id);
    }

    Stamp stamp() throws IOException {
        return stamp(file);
    }

    private static Stamp stamp(Path file) throws IOException {
        try (var lines = Lines.open(file)) {
            return Stamp.of(lines);
        }
    }

    /** Reads the end of the file, as {@link Tail#read} has it. */
    Tail read(int count, int replaced) throws IOException {
        try (var lines = Lines.open(file)) {
            return Tail.read(lines, count, replaced, memory);
        }
    }

    /**
     * Stores messages behind those that stay, in one step: all of them or, where it throws, none.
     *
     * @return the state of the file then
     * @throws Problem storage_unavailable where the file is not what it was when the tail was read, or the disk is full
     */
    Stamp store(Tail tail, Message... messages) throws IOException {
        if (tail.stamp().size() == 0 && messages.length == 0) return tail.stamp();
        return tail.appendable() ? append(tail, messages) : rewrite(tail.stamp(), tail.keptUntil(), messages);
    }

    /** Writes a damaged file anew with its whole messages, and keeps it as it was beside it. */
    void mend(Stamp stamp) throws IOException {
        memory.release(); // what was read is not used
        rewrite(stamp, stamp.size());
    }

    /** Overwrites the closing bracket with the messages and a new one. */
    private Stamp append(Tail tail, Message... messages) throws IOException {
        long from = tail.keptUntil();
        byte[] end = lines(from, messages);
        try (var channel = open(file, READ, WRITE, NOFOLLOW_LINKS)) {
            Stamp.of(new Lines(channel)).unchangedSince(tail.stamp());
            write(channel, from, end);
        } catch (IOException e) {
            interrupted(); // a stop has closed the channel, and would close the next one
            undo(from, end);
            tellIfFull(e, end.length);
            throw e;
        }
        return tail.stamp().overwritten(from, end);
    }

    private static void write(FileChannel channel, long position, byte[] bytes) throws IOException {
        for (int done = 0; done < bytes.length; ) {
            int length = min(bytes.length - done, BUFFER_SIZE);
            done += channel.write(wrap(bytes, done, length), position + done);
        }
        channel.force(false);
    }

    /**
     * Puts the old end back where nothing but a beginning of the written bytes is found: else another server has gone
     * on with this file, as a file system in a network allows.
     */
    private void undo(long from, byte[] written) throws IOException {
        try (var channel = open(file, READ, WRITE, NOFOLLOW_LINKS)) {
            var lines = new Lines(channel);
            if (lines.size < from) return;
            byte[] found = lines.copy(from, lines.size);
            if (!Arrays.equals(found, copyOf(written, found.length))) return;
            channel.truncate(from + END.length());
            write(channel, from, bytes(END));
        }
    }

    /** Tells a failure to write so many bytes as a full disk where not more than that, and 64 KiB, is left. */
    private void tellIfFull(IOException failure, long wanted) throws IOException {
        if (getFileStore(folder.path).getUsableSpace() > wanted + (64 << 10)) return;
        log("history: " + failure);
        throw new Problem(STORAGE_FULL, "The disk of the histories is full: free some space, then send it again");
    }

    /**
     * Replaces the file by its messages up to an offset and more behind them: at every moment its name leads to the old
     * ones or to the new ones.
     */
    private Stamp rewrite(Stamp before, long keptUntil, Message... messages) throws IOException {
        Path copy = null; // of a damaged file
        try {
            boolean damaged = write(before, keptUntil, messages);
            if (damaged) copy = keepCopy();
            Stamp written = stamp(made);
            keepMode();
            move(made, file, ATOMIC_MOVE); // nothing is open: Windows would refuse it
            folder.force();
            if (copy != null) {
                log(file.getFileName() + " was damaged: its whole messages live on, and " + copy.getFileName()
                        + " keeps it as it was");
            }
            return written;
        } catch (IOException | RuntimeException e) {
            deleteIfExists(made);
            if (copy != null) deleteIfExists(copy);
            if (e instanceof IOException failure) tellIfFull(failure, 2 * before.size() + lines(0, messages).length);
            throw e;
        }
    }

    /** Makes the new file: the messages of this one up to an offset, and more. Tells whether this one is damaged. */
    private boolean write(Stamp before, long keptUntil, Message... more) throws IOException {
        create();
        try (var old = Lines.open(file);
                var anew = new FileOutputStream(made.toFile());
                var out = new BufferedOutputStream(anew, BUFFER_SIZE)) {
            Stamp.of(old).unchangedSince(before);
            boolean damaged = writeMessages(old, keptUntil, out);
            out.flush();
            out.write(lines(anew.getChannel().size(), more));
            out.flush();
            anew.getFD().sync();
            return damaged;
        }
    }

    /** Makes the new file, for its owner's eyes only. */
    private void create() throws IOException {
        deleteIfExists(made);
        if (posix) createFile(made, asFileAttribute(fromString("rw-------")));
    }

    /** Some disks have one mode for all files, and refuse to set any. */
    private void keepMode() throws IOException {
        if (!posix || notExists(file, NOFOLLOW_LINKS)) return;
        var mode = getPosixFilePermissions(file, NOFOLLOW_LINKS);
        if (!mode.equals(getPosixFilePermissions(made))) setPosixFilePermissions(made, mode);
    }

    private boolean writeMessages(Lines lines, long keptUntil, OutputStream out) throws IOException {
        var reader = new HistoryReader(lines, 0, memory);
        out.write('[');
        String between = "\n";
        for (Item item = reader.next(); item != null && item.end() <= keptUntil; item = reader.next()) {
            out.write(bytes(between));
            out.write(item.line());
            between = ",\n";
        }
        return reader.damaged();
    }

    /** What stands behind the messages up to an offset: more messages, and the end of the file. */
    private static byte[] lines(long from, Message... messages) {
        String lines = "";
        for (Message message : messages) lines += ",\n" + toJson(message.members());
        byte[] all = bytes((from == BEGINNING ? lines.replaceFirst(",", "") : lines) + END);
        if (all.length > MAX_MESSAGE) throw overloaded("short of memory"); // as a reader would be
        return all;
    }

    private static byte[] bytes(String text) {
        return text.getBytes(UTF_8);
    }

    /** Keeps the file beside this one, as it is. */
    private Path keepCopy() throws IOException {
        Path copy = folder.path.resolve(copyPrefix()
                + ofPattern("yyyyMMdd'T'HHmmss.SSS'Z'").withZone(UTC).format(now()));
        copy(file, copy, NOFOLLOW_LINKS, COPY_ATTRIBUTES); // leaves nothing where it fails
        try (FileChannel channel = open(copy, READ)) {
            channel.force(true);
        }
        return copy;
    }

    /** No copy's name is another user's file or copy: those end otherwise, and a ~ is in no user's name. */
    private String copyPrefix() {
        String name = file.getFileName() + ".corrupt-";
        return name.length() < 230 ? name : "history_~" + id + ".json.corrupt-"; // with the time, at most 255 bytes
    }

    /** Removes the file, the copies of damaged ones, and what a crash has left. */
    void delete() throws IOException {
        String glob = copyPrefix() + "????????T??????.???Z";
        try (var copies = newDirectoryStream(folder.path, glob)) {
            for (Path copy : copies) deleteIfExists(copy);
        } catch (DirectoryIteratorException e) {
            throw e.getCause();
        }
        deleteIfExists(made);
        if (deleteIfExists(file)) folder.force();
    }
}
