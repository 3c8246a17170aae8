package parley;

import static java.nio.file.LinkOption.NOFOLLOW_LINKS;
import static java.nio.file.StandardOpenOption.CREATE;
import static java.nio.file.StandardOpenOption.READ;
import static java.nio.file.StandardOpenOption.TRUNCATE_EXISTING;
import static java.nio.file.StandardOpenOption.WRITE;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.UUID;

/**
 * One user's file, during one turn of that user. It is a JSON array, a message a line:
 * <pre>
 * [
 * {"role":"user", …},
 * {"role":"assistant", …}
 * ]
 * </pre>
 * While the file's end looks like this, a turn reads and writes the end only. Any other layout, and a damaged file, is
 * read from
 * its beginning, and rewritten in this layout when a turn is stored. What is written has been forced to disk when a
 * method returns.
 */
final class HistoryFile {
    private static final byte[] BEGINNING = {'['};
    private static final byte[] END = {'\n', ']', '\n'};
    private static final int FIRST_WINDOW = 4 << 10; // bytes that are read first: most conversations need no more
    private static final int MAX_WINDOW = 1 << 20; // bytes of messages that are read for a turn
    private static final int REMEMBERED = 256; // bytes of the file's end, which tell whether somebody has changed it
    private static final DateTimeFormatter TIME =
            DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss.SSS'Z'").withZone(ZoneOffset.UTC);

    private static final String ANY_TIME = TIME.format(Instant.EPOCH).replaceAll("\\d", "[0-9]"); // a glob

    private final Path file;
    final UUID id; // names what is this user's alone

    // What was found when the conversation was read:
    private long size = -1; // -1 where there was no file
    private byte[] end = {}; // its last bytes
    private long cut; // bytes of it that stay: all up to the end of the last message that is not to be replaced
    private boolean inLines; // whether its end looks like Parley's own
    private boolean damaged;

    HistoryFile(Path file, UUID id) {
        this.file = file;
        this.id = id;
    }

    /**
     * The last messages, oldest first, of those that will be left when the last turns are replaced.
     *
     * @param count    how many messages at most; fewer where {@link #MAX_WINDOW} bytes do not hold them
     * @param replaced how many of the last turns are to be replaced; a turn is a user's message and all behind it
     */
    List<Message> last(int count, int replaced) throws IOException {
        try (FileChannel channel = openIfThere(file, READ, NOFOLLOW_LINKS)) {
            if (channel == null) return List.of();
            size = channel.size();
            end = readEnd(channel, REMEMBERED);
            var memory = new Memory.Growing();
            for (int length = FIRST_WINDOW; length <= MAX_WINDOW && length < size; length *= 4) {
                memory.grownTo(length);
                List<Message> last = read(new HistoryReader(channel, size - length, memory), -1, count, replaced);
                if (!damaged && cut > 0 && (last.size() == count || length == MAX_WINDOW)) return last;
                memory.release(); // first: who holds memory and waits for more could wait for others who do the same
            }
            memory.grownTo(Math.min(size, MAX_WINDOW));
            return read(new HistoryReader(channel, 0, memory), BEGINNING.length, count, replaced);
        }
    }

    /**
     * Takes the messages that are read, and finds what is to be replaced.
     *
     * @param before the bytes before the first of them, or -1: then {@code cut} is -1 too where not all that is to be
     *               replaced was read
     */
    private List<Message> read(HistoryReader reader, long before, int count, int replaced) throws IOException {
        var last = new ArrayDeque<HistoryReader.Item>();
        var turns = new ArrayDeque<Long>(); // for each of the last ones, the bytes before it
        cut = before;
        long length = 0;
        HistoryReader.Item item = reader.next();
        while (item != null) {
            if (item.message().byUser()) turns.addLast(cut);
            if (turns.size() > replaced) turns.removeFirst();
            cut = item.end();
            last.addLast(item);
            length += item.length();
            while (last.size() > 1 && (length > MAX_WINDOW || last.size() > count + 100L))
                length -= last.removeFirst().length();
            item = reader.next();
        }
        damaged = reader.damaged();
        inLines = size - cut == END.length
                && Arrays.equals(end, end.length - END.length, end.length, END, 0, END.length)
                && (last.isEmpty() || last.getLast().aLine());
        if (replaced > 0) cut = turns.size() < replaced ? before : turns.getFirst();
        List<Message> kept = last.stream()
                .filter(each -> each.end() <= cut)
                .map(HistoryReader.Item::message)
                .toList();
        return kept.subList(Math.max(0, kept.size() - count), kept.size());
    }

    /**
     * Stores messages in the place of the turns that were to be replaced, in one step: all of them or, where it throws,
     * none.
     *
     * @throws Problem storage_unavailable where the file is not what it was when the conversation was read
     */
    void store(Message... messages) throws IOException {
        try (FileChannel channel = openIfThere(file, READ, WRITE, NOFOLLOW_LINKS)) {
            checkUnchanged(channel);
            if (channel == null && messages.length == 0) return; // nothing is there to be taken back
            if (channel != null && inLines && cut == size - END.length) append(channel, messages);
            else rewrite(channel, messages);
        }
    }

    /** @throws Problem storage_unavailable where another server has written over what was stored */
    void checkStored() throws IOException {
        try (FileChannel channel = openIfThere(file, READ, NOFOLLOW_LINKS)) {
            checkUnchanged(channel);
        }
    }

    private void checkUnchanged(FileChannel channel) throws IOException {
        long now = channel == null ? -1 : channel.size();
        if (now == size && (now < 0 || Arrays.equals(readEnd(channel, end.length), end))) return;
        throw new Problem(
                Problem.Code.STORAGE_UNAVAILABLE,
                "The conversation was changed by another server meanwhile: send it again");
    }

    /** Ends the file with the messages from the position on, and remembers what it is now. */
    private void writeEnd(FileChannel channel, long position, Message... messages) throws IOException {
        var lines = new ByteArrayOutputStream();
        for (Message message : messages)
            lines.writeBytes(line(position == BEGINNING.length && lines.size() == 0, message));
        lines.writeBytes(END);
        byte[] written = lines.toByteArray();
        size = write(channel, written, position);
        end = Arrays.copyOfRange(written, Math.max(0, written.length - REMEMBERED), written.length);
    }

    /**
     * Overwrites the closing bracket with the messages and a new one. Where the disk is full, the old end is put back.
     * After any other
     * failure nothing is touched: on a file system in a network, another server may have gone on with this file
     * meanwhile.
     */
    private void append(FileChannel channel, Message... messages) throws IOException {
        try {
            writeEnd(channel, cut, messages);
            channel.force(false);
        } catch (IOException e) {
            if (isDiskFull(e)) write(channel.truncate(cut + END.length), END, cut);
            throw e;
        }
    }

    static boolean isDiskFull(IOException e) {
        return String.valueOf(e.getMessage()).matches("(?is).*(no space left|not enough space|quota exceeded).*");
    }

    /** Replaces the file as a whole: at every moment its name leads to the old messages or to the new ones. */
    private void rewrite(FileChannel old, Message... messages) throws IOException {
        if (damaged) keepCopy();
        Path temporary = file.resolveSibling(".tmp-" + id);
        try {
            try (FileChannel channel =
                    FileChannel.open(temporary, Set.of(CREATE, TRUNCATE_EXISTING, WRITE, NOFOLLOW_LINKS))) {
                writeEnd(channel, copyKept(old, channel), messages);
                channel.force(true);
            }
            Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            Files.deleteIfExists(temporary);
            throw e;
        }
        force(file.getParent());
    }

    /** Copies what is kept, in Parley's layout but for the end, and tells its length. */
    private long copyKept(FileChannel old, FileChannel to) throws IOException {
        long position = 0;
        if (cut > BEGINNING.length && inLines) {
            while (position < cut) position += old.transferTo(position, cut - position, to);
            return position;
        }
        position = write(to, BEGINNING, 0);
        var reader = new HistoryReader(old, 0, new Memory.Growing());
        HistoryReader.Item item = reader.next();
        while (item != null && item.end() <= cut) {
            position = write(to, line(position == BEGINNING.length, item.message()), position);
            item = reader.next();
        }
        return position;
    }

    /** Keeps a damaged file beside this one, as it is. */
    private void keepCopy() throws IOException {
        Path copy = file.resolveSibling(copyPrefix() + TIME.format(Instant.now()));
        Files.copy(file, copy, NOFOLLOW_LINKS);
        try (FileChannel channel = FileChannel.open(copy, WRITE)) {
            channel.force(true);
        }
        force(file.getParent());
        Log.log(file.getFileName() + " was damaged: its whole messages live on, and " + copy.getFileName()
                + " keeps it as it was");
    }

    /** No copy's name is another user's file or copy: those end otherwise, and a ~ is in no user's name. */
    private String copyPrefix() {
        String name = file.getFileName() + ".corrupt-";
        return name.length() < 230 ? name : "history_~" + id + ".json.corrupt-"; // with the time, at most 255 bytes
    }

    /** Removes the file, and the copies of damaged ones. */
    void delete() throws IOException {
        try (DirectoryStream<Path> copies = Files.newDirectoryStream(file.getParent(), copyPrefix() + ANY_TIME)) {
            for (Path copy : copies) Files.deleteIfExists(copy);
        }
        if (Files.deleteIfExists(file)) force(file.getParent());
    }

    private static byte[] line(boolean first, Message message) {
        return ((first ? "\n" : ",\n") + Json.write(message.members())).getBytes(StandardCharsets.UTF_8);
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

    private byte[] readEnd(FileChannel channel, int length) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate((int) Math.min(size, length));
        channel.read(bytes, size - bytes.remaining()); // where it is shorter by now, zeros stay
        return bytes.array();
    }

    /** The file; null where there is none. */
    static FileChannel openIfThere(Path file, OpenOption... options) throws IOException {
        try {
            return FileChannel.open(file, options);
        } catch (NoSuchFileException e) {
            return null;
        }
    }

    /**
     * Forces a folder's own entries to disk, so that a new name outlives a loss of power. Windows opens no folder, and
     * needs none.
     */
    static void force(Path folder) throws IOException {
        if (System.getProperty("os.name").startsWith("Windows")) return;
        try (FileChannel entries = FileChannel.open(folder, READ)) {
            entries.force(true);
        }
    }
}
