package parley;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.List;

/**
 * What a turn knows of its user's history file, without the last turns where these are to be replaced.
 *
 * @param messages   the last ones of those that stay, oldest first
 * @param lastTime   of the very last one that stays; {@link Instant#MIN} where that is not known
 * @param keptUntil  the offset behind it
 * @param appendable whether {@link #END} and nothing else stands there
 * @param damaged    whether anything among what was read is no message of an array
 * @param stamp      the state of the file when it was read
 */
record Tail(
        List<Message> messages, Instant lastTime, long keptUntil, boolean appendable, boolean damaged, Stamp stamp) {
    /** How a file ends that Parley has written. */
    static final String END = "\n]\n";

    /** Bytes before the first message: a bracket. */
    static final int BEGINNING = 1;

    /**
     * Reads the end of the file, as far back as is needed; all of it where its layout is not Parley's.
     *
     * @param channel  null where there is no file
     * @param count    how many messages at most; fewer where {@link HistoryReader#MAX_WINDOW} does not hold them
     * @param replaced how many of the last turns are to be replaced; a turn is a user's message and all behind it
     */
    static Tail read(FileChannel channel, int count, int replaced, Memory.Growing memory) throws IOException {
        Stamp stamp = Stamp.of(channel);
        long size = stamp.size();
        for (long lines = 2L * replaced + 1; ; lines *= 8) {
            long from = HistoryReader.lastLines(channel, size, lines, lines + count);
            memory.release(); // first: who holds memory and waits for more could wait for others who do the same
            memory.grownTo(Math.min(size - from, HistoryReader.MAX_WINDOW));
            var window = new Window(from == 0 ? BEGINNING : from, count, replaced);
            Tail tail = window.read(new HistoryReader(channel, from, size, memory), stamp);
            boolean full = tail.messages.size() == count || size - from > HistoryReader.MAX_WINDOW;
            if (from == 0 || tail.damaged || full && tail.keptUntil > from) return tail;
        }
    }

    /** The last messages while a file is read. */
    private static final class Window {
        private static final long SPARE = 100; // messages of the turns that are to be replaced

        private final ArrayDeque<HistoryReader.Item> last = new ArrayDeque<>();
        private final ArrayDeque<Long> turns = new ArrayDeque<>(); // for each of the last ones, the bytes before it
        private final long begin; // the bytes before the first message
        private final int count;
        private final int replaced;
        private long end;
        private long length; // of the last messages, in bytes

        Window(long begin, int count, int replaced) {
            this.begin = begin;
            this.count = count;
            this.replaced = replaced;
            end = begin;
        }

        Tail read(HistoryReader reader, Stamp stamp) throws IOException {
            for (HistoryReader.Item item = reader.next(); item != null; item = reader.next()) add(item);
            long kept = replaced == 0 ? end : replacedFrom();
            List<Message> messages = last.stream()
                    .filter(each -> each.end() <= kept)
                    .map(HistoryReader.Item::message)
                    .toList();
            Instant lastTime =
                    messages.isEmpty() ? Instant.MIN : messages.getLast().time();
            boolean appendable = kept == stamp.size() - END.length()
                    && stamp.end().endsWith(END)
                    && (last.isEmpty() || last.getLast().aLine());
            return new Tail(
                    messages.subList(Math.max(0, messages.size() - count), messages.size()),
                    lastTime,
                    kept,
                    appendable,
                    reader.damaged(),
                    stamp);
        }

        private void add(HistoryReader.Item item) {
            if (item.message().byUser()) turns.add(end);
            if (turns.size() > replaced) turns.remove();
            end = item.end();
            last.add(item);
            length += item.json().length;
            while (last.size() > 1 && (length > HistoryReader.MAX_WINDOW || last.size() > count + SPARE)) {
                length -= last.remove().json().length;
            }
        }

        private long replacedFrom() {
            return turns.size() < replaced ? begin : turns.getFirst();
        }
    }
}
