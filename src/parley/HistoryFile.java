package parley;

import static java.nio.file.LinkOption.NOFOLLOW_LINKS;
import static java.nio.file.StandardOpenOption.CREATE_NEW;
import static java.nio.file.StandardOpenOption.READ;
import static java.nio.file.StandardOpenOption.WRITE;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
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
    private static final long SPARE = 64 << 10; // bytes: where no more is left than this, the disk is full

    private final Folder folder;
    private final Path file;
    final UUID id; // names what is this user's alone
    private final Memory.Growing memory = new Memory.Growing();

    HistoryFile(Folder folder, String name) {
        this.folder = folder;
        this.file = folder.path.resolve(name);
        id = UUID.nameUUIDFromBytes(bytes(name));
    }

    /** The file as it is now; null where there is none. */
    FileChannel open(OpenOption... options) throws IOException {
        try {
            return FileChannel.open(file, options);
        } catch (NoSuchFileException e) {
            return null;
        }
    }

    Stamp stamp() throws IOException {
        try (FileChannel channel = open(READ, NOFOLLOW_LINKS)) {
            return Stamp.of(channel);
        }
    }

    /** Reads the end of the file, as {@link Tail#read} has it. */
    Tail read(int count, int replaced) throws IOException {
        try (FileChannel channel = open(READ, NOFOLLOW_LINKS)) {
            return Tail.read(channel, count, replaced, memory);
        }
    }

    /** @throws Problem storage_unavailable where another server has changed the file since */
    void check(Stamp stamp) throws IOException {
        check(stamp(), stamp);
    }

    private static void check(Stamp now, Stamp before) {
        if (now.size() == before.size() && now.end().equals(before.end())) return;
        throw new Problem(
                Problem.Code.STORAGE_UNAVAILABLE,
                "The conversation was changed by another server meanwhile: send it again");
    }

    /**
     * Stores messages behind those that stay, in one step: all of them or, where it throws, none.
     *
     * @return the state of the file then
     * @throws Problem storage_unavailable where the file is not what it was when the tail was read; storage_full
     */
    Stamp store(Tail tail, Message... messages) throws IOException {
        boolean nothing = tail.stamp().size() == 0 && messages.length == 0;
        if (nothing) return tail.stamp();
        if (tail.appendable()) return append(tail, messages);
        return rewrite(tail.stamp(), tail.keptUntil(), messages);
    }

    /** Writes a damaged file anew with its whole messages, and keeps it as it was beside it. */
    void mend(Stamp stamp) throws IOException {
        rewrite(stamp, stamp.size());
    }

    /** Overwrites the closing bracket with the messages and a new one. */
    private Stamp append(Tail tail, Message... messages) throws IOException {
        long from = tail.keptUntil();
        var lines = new ByteArrayOutputStream();
        for (Message message : messages) {
            boolean first = from == Tail.BEGINNING && lines.size() == 0;
            lines.writeBytes(bytes((first ? "\n" : ",\n") + Json.write(message.members())));
        }
        lines.writeBytes(bytes(Tail.END));
        byte[] end = lines.toByteArray();
        try (FileChannel channel = open(READ, WRITE, NOFOLLOW_LINKS)) {
            check(Stamp.of(channel), tail.stamp());
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
        long length = channel.size() - from;
        if (length > written.length) return;
        ByteBuffer found = ByteBuffer.allocate(HistoryReader.BUFFER_SIZE);
        for (int at = 0; at < length; at += found.limit()) {
            found.clear().limit((int) Math.min(found.capacity(), length - at));
            HistoryReader.readFully(channel, found, from + at);
            if (!found.flip().equals(ByteBuffer.wrap(written, at, found.limit()))) return;
        }
        write(channel.truncate(from + Tail.END.length()), bytes(Tail.END), from);
        channel.force(false);
    }

    /** Logs a failure to write so many bytes, and tells it as a full disk where no more space is left than that. */
    private void tellIfFull(IOException failure, long wanted) throws IOException {
        if (Files.getFileStore(folder.path).getUsableSpace() > wanted + SPARE) return;
        Log.log(file.getFileName() + ": " + failure);
        throw new Problem(
                Problem.Code.STORAGE_FULL, "The disk of the histories is full: free some space, then send it again");
    }

    /**
     * Replaces the file by its messages up to an offset and more behind them: at every moment its name leads to the old
     * ones or to the new ones.
     */
    private Stamp rewrite(Stamp before, long keptUntil, Message... messages) throws IOException {
        Path temporary = temporary();
        var made = new ArrayList<Path>(); // what goes again where this fails
        Files.deleteIfExists(temporary); // a crash may have left it
        try {
            made.add(temporary);
            Stamp written;
            boolean damaged;
            try (FileChannel old = open(READ, NOFOLLOW_LINKS);
                    FileChannel to = FileChannel.open(temporary, Set.of(CREATE_NEW, READ, WRITE), ownersOnly())) {
                check(Stamp.of(old), before);
                var reader = new HistoryReader(old, 0, before.size(), memory);
                write(reader, keptUntil, to, messages);
                damaged = reader.damaged();
                written = Stamp.of(to);
                to.force(true);
            } // Windows replaces no file that is open
            if (before.size() > 0) keepMode(temporary);
            if (damaged) made.add(keepCopy());
            Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE);
            folder.force();
            if (damaged) {
                Log.log(file.getFileName() + " was damaged: its whole messages live on, and "
                        + made.getLast().getFileName() + " keeps it as it was");
            }
            return written;
        } catch (IOException | RuntimeException e) {
            for (Path each : made) Files.deleteIfExists(each);
            if (e instanceof IOException failure) tellIfFull(failure, 2 * before.size());
            throw e;
        }
    }

    private Path temporary() {
        return folder.path.resolve(".tmp-" + id);
    }

    /** Writes a whole file: the messages up to an offset of another one, and more. */
    private static void write(HistoryReader reader, long keptUntil, FileChannel to, Message... more)
            throws IOException {
        var buffer = new ByteArrayOutputStream();
        String before = "[\n";
        long position = 0;
        HistoryReader.Item item = reader.next();
        while (item != null && item.end() <= keptUntil) {
            buffer.writeBytes(bytes(before));
            buffer.writeBytes(
                    item.aLine() ? item.json() : bytes(Json.write(item.message().members())));
            before = ",\n";
            if (buffer.size() > HistoryReader.BUFFER_SIZE) {
                position = write(to, buffer.toByteArray(), position);
                buffer.reset();
            }
            item = reader.next();
        }
        for (Message message : more) {
            buffer.writeBytes(bytes(before + Json.write(message.members())));
            before = ",\n";
        }
        buffer.writeBytes(bytes((before.startsWith("[") ? "[" : "") + Tail.END));
        write(to, buffer.toByteArray(), position);
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    /** Writes the bytes at the position, and tells the position behind them. */
    private static long write(FileChannel channel, byte[] bytes, long position) throws IOException {
        ByteBuffer left = ByteBuffer.wrap(bytes);
        while (left.position() < bytes.length) {
            left.limit(Math.min(bytes.length, left.position() + HistoryReader.BUFFER_SIZE));
            channel.write(left, position + left.position());
        }
        return position + bytes.length;
    }

    /** Keeps the file beside this one, as it is. */
    private Path keepCopy() throws IOException {
        Path copy = folder.path.resolve(copyPrefix() + TIME.format(Instant.now()));
        Files.copy(file, copy, NOFOLLOW_LINKS); // leaves nothing where it fails
        try (FileChannel channel = FileChannel.open(copy, WRITE)) {
            keepMode(copy);
            channel.force(true);
        } catch (IOException e) {
            Files.deleteIfExists(copy);
            throw e;
        }
        return copy;
    }

    private static boolean isPosix(Path file) {
        return file.getFileSystem().supportedFileAttributeViews().contains("posix");
    }

    private FileAttribute<?>[] ownersOnly() {
        if (!isPosix(file)) return new FileAttribute<?>[0];
        return new FileAttribute<?>[] {
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"))
        };
    }

    /** Gives another file this one's mode. Some file systems have one mode for all, and refuse to set any. */
    private void keepMode(Path other) throws IOException {
        if (!isPosix(file)) return;
        Set<PosixFilePermission> mode = Files.getPosixFilePermissions(file, NOFOLLOW_LINKS);
        if (!Files.getPosixFilePermissions(other).equals(mode)) Files.setPosixFilePermissions(other, mode);
    }

    /** No copy's name is another user's file or copy: those end otherwise, and a ~ is in no user's name. */
    private String copyPrefix() {
        String name = file.getFileName() + ".corrupt-";
        return name.length() < 230 ? name : "history_~" + id + ".json.corrupt-"; // with the time, at most 255 bytes
    }

    /** Removes the file, the copies of damaged ones, and what a crash has left. */
    void delete() throws IOException {
        try (DirectoryStream<Path> copies = Files.newDirectoryStream(folder.path, copyPrefix() + ANY_TIME)) {
            for (Path copy : copies) Files.deleteIfExists(copy);
        } catch (DirectoryIteratorException e) {
            throw e.getCause();
        }
        Files.deleteIfExists(temporary());
        if (Files.deleteIfExists(file)) folder.force();
    }
}
