package parley;

import static java.nio.file.LinkOption.NOFOLLOW_LINKS;
import static java.nio.file.StandardCopyOption.ATOMIC_MOVE;
import static java.nio.file.StandardOpenOption.READ;
import static java.nio.file.StandardOpenOption.WRITE;

import java.io.BufferedOutputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayDeque;
import java.util.Collection;
import java.util.Set;
import java.util.UUID;

/**
 * One user's file. It is a JSON array, a message a line:
 * <pre>
 * [
 * {"role":"user", …},
 * {"role":"assistant", …}
 * ]
 * </pre>
 * While the file's end looks like this, a turn reads and writes the end only. Any other layout, and a damaged file, is
 * read from its beginning and rewritten in this layout. What is written has been forced to disk when a method returns.
 */
final class HistoryFile {
    private static final DateTimeFormatter TIME =
            DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss.SSS'Z'").withZone(ZoneOffset.UTC);
    private static final String ANY_TIME = TIME.format(Instant.EPOCH).replaceAll("\\d", "[0-9]"); // a glob
    private static final long SPARE = 64 << 10; // bytes: where no more is left beside what is wanted, a disk is full

    private final Folder folder;
    private final Path file;
    private final Memory.Growing memory = new Memory.Growing();
    final UUID id; // names what is this user's alone

    HistoryFile(Folder folder, String name) {
        this.folder = folder;
        id = UUID.nameUUIDFromBytes(bytes(name));
        file = folder.path.resolve(name);
    }

    /** What the file holds now, without waiting for turns that run; null where there is none. */
    FileChannel open(OpenOption... options) throws IOException {
        try {
            return FileChannel.open(file, options);
        } catch (NoSuchFileException e) {
            return null;
        }
    }

    Stamp stamp() throws IOException {
        try (FileChannel channel = open(READ, NOFOLLOW_LINKS)) {
            return Stamp.of(new Lines(channel));
        }
    }

    /** Reads the end of the file, as {@link Tail#read} has it. */
    Tail read(int count, int replaced) throws IOException {
        try (FileChannel channel = open(READ, NOFOLLOW_LINKS)) {
            return Tail.read(new Lines(channel), count, replaced, memory);
        }
    }

    /** @throws Problem storage_unavailable where another server has changed the file since it had this stamp */
    static void check(Stamp now, Stamp before) {
        if (now.size() == before.size() && now.end().equals(before.end())) return;
        throw new Problem(
                Problem.Code.STORAGE_UNAVAILABLE,
                "The conversation was changed by another server meanwhile: send it again");
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
        byte[] end = lines(from == Tail.BEGINNING ? "" : ",", messages);
        try (FileChannel channel = open(READ, WRITE, NOFOLLOW_LINKS)) {
            check(Stamp.of(new Lines(channel)), tail.stamp());
            try {
                write(channel, end, from);
                channel.force(false);
            } catch (IOException e) {
                undo(channel, end, from);
                tellIfFull(e, end.length);
                throw e;
            }
        }
        return tail.stamp().overwritten(from, end);
    }

    /**
     * Puts the old end back where nothing but a beginning of the written bytes is found: else another server has gone
     * on with this file, as a file system in a network allows.
     */
    private static void undo(FileChannel channel, byte[] written, long from) throws IOException {
        var found = new Lines(channel);
        if (found.size > from + written.length) return;
        for (long i = from; i < found.size; i++) {
            if (found.at(i) != written[(int) (i - from)]) return;
        }
        write(channel.truncate(from + Tail.END.length()), bytes(Tail.END), from);
        channel.force(false);
    }

    /** Tells a failure to write so many bytes as a full disk where not more than that is left. */
    private void tellIfFull(IOException failure, long wanted) throws IOException {
        if (Files.getFileStore(folder.path).getUsableSpace() > wanted + SPARE) return;
        Log.log("history: " + failure);
        throw new Problem(
                Problem.Code.STORAGE_FULL, "The disk of the histories is full: free some space, then send it again");
    }

    /**
     * Replaces the file by its messages up to an offset and more behind them: at every moment its name leads to the old
     * ones or to the new ones.
     */
    private Stamp rewrite(Stamp before, long keptUntil, Message... messages) throws IOException {
        var made = new ArrayDeque<Path>(); // what goes again where this fails: a new file, and a copy of a damaged one
        try {
            remove(temporary() + "*"); // what a crash has left
            Path temporary = Files.createTempFile(folder.path, temporary(), ""); // for its owner's eyes only
            made.add(temporary);
            if (write(temporary, before, keptUntil, messages)) keepCopy(made);
            Stamp written = new HistoryFile(folder, temporary.getFileName().toString()).stamp();
            Files.move(temporary, file, ATOMIC_MOVE); // nothing is open: Windows would refuse it
            folder.force();
            if (made.size() > 1) {
                Log.log(file.getFileName() + " was damaged: its whole messages live on, and "
                        + made.getLast().getFileName() + " keeps it as it was");
            }
            return written;
        } catch (IOException | RuntimeException e) {
            for (Path each : made) Files.deleteIfExists(each);
            if (e instanceof IOException failure) tellIfFull(failure, 2 * before.size() + lines("", messages).length);
            throw e;
        }
    }

    /** Writes a whole file: the messages of this one up to an offset, and more; tells whether this one is damaged. */
    private boolean write(Path to, Stamp before, long keptUntil, Message... more) throws IOException {
        try (FileChannel old = open(READ, NOFOLLOW_LINKS);
                var file = new FileOutputStream(to.toFile());
                var out = new BufferedOutputStream(file, Lines.BUFFER_SIZE)) {
            var lines = new Lines(old);
            check(Stamp.of(lines), before);
            if (old != null) keepMode(to);
            boolean inLines = keptUntil < lines.size && lines.count().isPresent();
            boolean damaged = !inLines && writeMessages(lines, keptUntil, out, more);
            if (inLines) {
                lines.writeTo(out, keptUntil);
                out.write(lines(keptUntil == Tail.BEGINNING ? "" : ",", more));
            }
            out.flush();
            file.getFD().sync();
            return damaged;
        }
    }

    private boolean writeMessages(Lines lines, long keptUntil, OutputStream out, Message... more) throws IOException {
        var reader = new HistoryReader(lines, 0, memory);
        String comma = "";
        out.write('[');
        for (HistoryReader.Item item = reader.next(); item != null && item.end() <= keptUntil; item = reader.next()) {
            out.write(bytes(comma + "\n"));
            out.write(item.line());
            comma = ",";
        }
        out.write(lines(comma, more));
        return reader.damaged();
    }

    /** The lines of messages, and the end of the file. */
    private static byte[] lines(String before, Message... messages) {
        var lines = new StringBuilder();
        String comma = before;
        for (Message message : messages) {
            lines.append(comma).append('\n').append(Json.write(message.members()));
            comma = ",";
        }
        return bytes(lines + Tail.END);
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static void write(FileChannel channel, byte[] bytes, long position) throws IOException {
        ByteBuffer left = ByteBuffer.wrap(bytes);
        while (left.position() < bytes.length) {
            left.limit(Math.min(bytes.length, left.position() + Lines.BUFFER_SIZE));
            channel.write(left, position + left.position());
        }
    }

    /** Keeps the file beside this one, as it is. */
    private void keepCopy(Collection<Path> made) throws IOException {
        Path copy = folder.path.resolve(copyPrefix() + TIME.format(Instant.now()));
        Files.copy(file, copy, NOFOLLOW_LINKS); // leaves nothing where it fails
        made.add(copy);
        keepMode(copy);
        try (FileChannel channel = FileChannel.open(copy, WRITE)) {
            channel.force(true);
        }
    }

    /** Gives another file this one's mode. Some file systems have one mode for all, and refuse to set any. */
    private void keepMode(Path other) throws IOException {
        try {
            Set<PosixFilePermission> mode = Files.getPosixFilePermissions(file, NOFOLLOW_LINKS);
            if (!Files.getPosixFilePermissions(other).equals(mode)) Files.setPosixFilePermissions(other, mode);
        } catch (UnsupportedOperationException e) {
            // Windows: there are no modes
        }
    }

    private String temporary() {
        return ".tmp-" + id;
    }

    /** No copy's name is another user's file or copy: those end otherwise, and a ~ is in no user's name. */
    private String copyPrefix() {
        String name = file.getFileName() + ".corrupt-";
        return name.length() < 230 ? name : "history_~" + id + ".json.corrupt-"; // with the time, at most 255 bytes
    }

    /** Removes the file, the copies of damaged ones, and what a crash has left. */
    void delete() throws IOException {
        remove("{" + copyPrefix() + ANY_TIME + "," + temporary() + "*}");
        if (Files.deleteIfExists(file)) folder.force();
    }

    private void remove(String glob) throws IOException {
        try (DirectoryStream<Path> left = Files.newDirectoryStream(folder.path, glob)) {
            for (Path each : left) Files.deleteIfExists(each);
        } catch (DirectoryIteratorException e) {
            throw e.getCause();
        }
    }
}
