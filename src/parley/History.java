package parley;

import java.io.BufferedOutputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.function.IntConsumer;

/**
 * One user's file, in that user's turn. It is a JSON array, a message a line:
 * <pre>
 * [
 * {"role":"user", …},
 * {"role":"assistant", …}
 * ]
 * </pre>
 * While the file's end looks like this, a turn reads and writes the end only. Any other layout is read whole, and rewritten in this
 * one by the next turn. What is written has been forced to disk when a method returns.
 */
final class History {
    private static final String END = "\n]\n";
    private static final int FIRST_READ = 16 << 10;
    /** Bytes of a file that is read whole: with what is made of it, a bound on memory. */
    private static final int MAX_WHOLE = (int) Math.min(64 << 20, Runtime.getRuntime().maxMemory() / 20);
    /** Bytes of a file's end that are read for a turn: more text than any model takes, and a bound on memory. */
    private static final int MAX_TAIL = (int) Math.min(8 << 20, Runtime.getRuntime().maxMemory() / 32);
    private static final DateTimeFormatter TIME = DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss.SSS'Z'").withZone(ZoneOffset.UTC);

    private final Path file;
    private final Path temporary;
    private final IntConsumer reserve;
    private long replied = -1; // the file's size when a reply was last seen at its end, so that a turn looks for it once; -1 for none

    /**
     * @param temporary a file beside it, of this user's alone, that a rewrite goes through
     * @param reserve   is told how many bytes of memory the messages take, before they are read
     */
    History(Path file, Path temporary, IntConsumer reserve) {
        this.file = file;
        this.temporary = temporary;
        this.reserve = reserve;
    }

    /** The last messages, oldest first: at most so many, and of a long file no more than {@link #MAX_TAIL} bytes hold. */
    List<Message> last(int count) throws IOException {
        List<Message> tail = tail(count);
        if (tail != null) return tail;
        List<Message> all = all();
        return all.subList(Math.max(0, all.size() - count), all.size());
    }

    /** Every message, oldest first. What a crash left half-written is mended; what a person broke is set aside, and there is none. */
    List<Message> all() throws IOException {
        if (Files.notExists(file, LinkOption.NOFOLLOW_LINKS)) return List.of();
        byte[] bytes;
        try (FileChannel channel = open(file, StandardOpenOption.READ)) {
            if (channel.size() > MAX_WHOLE) throw new IOException(file + " has over " + MAX_WHOLE + " bytes: shorten it, or move it away");
            reserve(channel.size(), Integer.MAX_VALUE);
            bytes = read(channel, 0);
        }
        try {
            return messages(bytes);
        } catch (Json.Malformed | IllegalArgumentException e) {
            return mended(bytes, e);
        }
    }

    /** Stores a turn: both messages or, where it throws, neither. */
    void append(Message asked, Message said) throws IOException {
        if (replied != file.toFile().length()) tail(1);
        if (replied >= 0 && appendInPlace(asked, said)) return;
        List<Message> all = new ArrayList<>(all());
        Collections.addAll(all, asked, said);
        rewrite(all);
    }

    /** Takes back the last turns: for each, the last message of the user that is left, and all behind it. */
    void takeBack(int turns) throws IOException {
        List<Message> all = all();
        int keep = all.size();
        for (int i = all.size() - 1; i >= 0 && turns > 0; i--) {
            if (!all.get(i).byUser()) continue;
            keep = i;
            turns--;
        }
        if (turns > 0) keep = 0;
        if (keep < all.size()) rewrite(all.subList(0, keep));
    }

    void delete() throws IOException {
        if (Files.deleteIfExists(file)) force(file.getParent());
    }

    /** The last messages, at most so many, read from the file's end; null where there is no file or its end has another layout. */
    private List<Message> tail(int count) throws IOException {
        replied = -1;
        if (Files.notExists(file, LinkOption.NOFOLLOW_LINKS)) return null;
        try (FileChannel channel = open(file, StandardOpenOption.READ)) {
            for (int length = FIRST_READ; ; length = Math.min(4 * length, MAX_TAIL)) {
                long size = channel.size();
                long from = Math.max(0, size - length);
                reserve(size - from, count);
                byte[] bytes = read(channel, from);
                String latin = new String(bytes, StandardCharsets.ISO_8859_1);
                if (!latin.endsWith(END)) return null;
                List<Message> messages = new ArrayList<>();
                int end = latin.length() - END.length();
                for (int start; messages.size() < count && (start = latin.lastIndexOf('\n', end - 1) + 1) > 0; end = start - 1) {
                    boolean last = messages.isEmpty();
                    if (!last && latin.charAt(end - 1) != ',') return null;
                    messages.add(message(bytes, start, last ? end : end - 1));
                }
                // In place only behind a reply: so a question at a torn end belongs to the torn turn.
                if (!messages.isEmpty() && !messages.get(0).byUser()) replied = channel.size();
                if (messages.size() == count) return messages.reversed();
                if (from == 0) return latin.substring(0, end).equals("[") ? messages.reversed() : null;
                if (length == MAX_TAIL) return messages.isEmpty() ? null : messages.reversed();
            }
        } catch (Json.Malformed | IllegalArgumentException e) {
            replied = -1;
            return null;
        }
    }

    /** Sees to the memory for at most so many messages in so many bytes. Each takes half a KiB beside its text, and Parley writes none in less than 64 bytes. */
    private void reserve(long bytes, int count) {
        reserve.accept((int) (Json.COST * bytes + 500 * Math.min(count, bytes / 64)));
    }

    private static Message message(byte[] bytes, int from, int to) throws Json.Malformed {
        return message(Json.parse(bytes, from, to));
    }

    private static Message message(Object json) {
        if (!(json instanceof Map)) throw new IllegalArgumentException("a message must be an object");
        return new Message(Json.members(json));
    }

    private static List<Message> messages(byte[] bytes) throws Json.Malformed {
        if (new String(bytes, StandardCharsets.ISO_8859_1).isBlank()) return List.of();
        if (Json.parse(bytes) instanceof List<?> list) return list.stream().map(History::message).toList();
        throw new IllegalArgumentException("a history must be an array");
    }

    /**
     * What a crash left is Parley's layout up to a point and nothing whole behind it: the messages before that point stay, but for a
     * question whose answer was lost. Anything else is a person's doing, and is set aside as it is; so is an end that a crash may not have left.
     */
    private List<Message> mended(byte[] bytes, Exception why) throws IOException {
        String latin = new String(bytes, StandardCharsets.ISO_8859_1);
        boolean ours = latin.startsWith("[\n");
        List<Message> whole = new ArrayList<>();
        boolean torn = false;
        for (int start = 2, end; ours && start < bytes.length; start = end + 1) {
            end = latin.indexOf('\n', start) < 0 ? bytes.length : latin.indexOf('\n', start);
            Message message = leading(bytes, start, end);
            if (message != null && torn) ours = false; // a message behind the break: no crash leaves that
            else if (message != null) whole.add(message);
            else torn = true;
        }
        if (!ours) whole.clear();
        if (!whole.isEmpty() && whole.getLast().byUser()) whole.removeLast();
        boolean crash = ours && (!latin.stripTrailing().endsWith("]") || latin.indexOf('\0') >= 0);
        if (!crash) setAside(why);
        if (crash || !whole.isEmpty()) rewrite(whole);
        if (crash) Log.say("history: mended " + file.getFileName() + ", whose end a crash had left half-written: " + whole.size() + " messages are kept");
        return whole;
    }

    /** The message that a line begins with, whatever follows it; or null. */
    private static Message leading(byte[] bytes, int from, int to) {
        try {
            return message(bytes, from, to);
        } catch (Json.Malformed e) {
            return e.offset == 0 || from + e.offset == to ? null : leading(bytes, from, from + e.offset);
        } catch (IllegalArgumentException e) {
            return null;
        }
    }

    private void setAside(Exception why) throws IOException {
        String name = file.getFileName().toString();
        String suffix = ".corrupt-" + TIME.format(Instant.now());
        Path aside = file.resolveSibling(name.substring(0, Math.min(name.length(), 255 - suffix.length())) + suffix);
        Files.move(file, aside);
        force(file.getParent());
        Log.say("history: set aside " + name + " as " + aside.getFileName() + ", since it is no history: " + why.getMessage());
    }

    /** Overwrites the closing bracket with the turn and a new one; false where somebody changed the end. Where it fails, the old end is put back. */
    private boolean appendInPlace(Message asked, Message said) throws IOException {
        var turn = new ByteArrayOutputStream();
        writeLines(turn, ",\n", List.of(asked, said));
        try (FileChannel channel = open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            long size = channel.size();
            if (!Arrays.equals(read(channel, size - END.length()), ascii(END))) return false;
            try {
                write(channel, turn.toByteArray(), size - END.length());
                channel.force(false);
            } catch (IOException e) {
                channel.truncate(size);
                write(channel, ascii(END), size - END.length());
                throw e;
            }
        }
        replied = -1;
        return true;
    }

    /** Writes each message on a line of its own, and the file's end. */
    private static void writeLines(OutputStream out, String before, List<Message> messages) throws IOException {
        String separator = before;
        for (Message message : messages) {
            out.write(ascii(separator));
            byte[] json = Json.bytes(message.members());
            for (int at = 0; at < json.length; at += FIRST_READ) out.write(json, at, Math.min(FIRST_READ, json.length - at)); // in portions, as portion() says
            separator = ",\n";
        }
        out.write(ascii(END));
    }

    private static byte[] ascii(String text) {
        return text.getBytes(StandardCharsets.US_ASCII);
    }

    private static void write(FileChannel channel, byte[] bytes, long position) throws IOException {
        ByteBuffer left = ByteBuffer.wrap(bytes);
        while (portion(left).hasRemaining()) position += channel.write(left, position);
    }

    /** Replaces the file as a whole: at every moment its name leads to the old messages or to the new ones. */
    private void rewrite(List<Message> messages) throws IOException {
        try {
            try (FileChannel channel = open(temporary, StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.WRITE);
                    OutputStream out = new BufferedOutputStream(Channels.newOutputStream(channel), FIRST_READ)) {
                out.write('[');
                writeLines(out, "\n", messages);
                out.flush();
                channel.force(true);
            }
            Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            Files.deleteIfExists(temporary);
            throw e;
        }
        force(file.getParent());
    }

    /** Forces a folder's own entries to disk, without which a new name may not outlive a loss of power. Windows opens no folder, and needs none of this. */
    static void force(Path folder) throws IOException {
        if (System.getProperty("os.name").startsWith("Windows")) return;
        try (FileChannel entries = FileChannel.open(folder, StandardOpenOption.READ)) {
            entries.force(true);
        }
    }

    private static FileChannel open(Path path, StandardOpenOption... options) throws IOException {
        OpenOption[] all = Arrays.copyOf(options, options.length + 1, OpenOption[].class);
        all[options.length] = LinkOption.NOFOLLOW_LINKS;
        return FileChannel.open(path, all);
    }

    private static byte[] read(FileChannel channel, long from) throws IOException {
        int length = (int) (channel.size() - from);
        ByteBuffer bytes = ByteBuffer.allocate(length);
        while (portion(bytes).hasRemaining() && channel.read(bytes, from + bytes.position()) >= 0) { /* on */ }
        return bytes.position() < length ? Arrays.copyOf(bytes.array(), bytes.position()) : bytes.array();
    }

    /** The buffer up to the end of its next portion: the JDK keeps, for each thread, memory as large as the longest read or write. */
    private static ByteBuffer portion(ByteBuffer buffer) {
        return buffer.limit(Math.min(buffer.capacity(), buffer.position() + FIRST_READ));
    }
}
