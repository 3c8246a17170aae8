package parley;

import java.io.IOException;
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
     * @param count    how many messages at most; fewer where {@link Lines#MAX_WINDOW} does not hold them
     * @param replaced how many of the last turns are to be replaced; a turn is a user's message and all behind it
     */
    static Tail read(Lines file, int count, int replaced, Memory.Growing memory) throws IOException {
        for (long lines = 2L * replaced + 1; ; lines *= 8) {
            long from = file.last(lines, lines + count);
            long length = file.size - from;
            memory.release(); // first: who holds memory and waits for more could wait for others who do the same
            memory.grownTo(Math.min(length, Lines.MAX_WINDOW));
            var window = new Window(Math.max(from, BEGINNING), replaced);
            var reader = new HistoryReader(file, from, memory);
            for (HistoryReader.Item item = reader.next(); item != null; item = reader.next()) window.add(item);
            Tail tail = window.tail(count, reader.damaged(), Stamp.of(file));
            boolean full = tail.messages.size() == count || length > Lines.MAX_WINDOW;
            if (from == 0 || tail.damaged || full && tail.keptUntil > from) return tail;
        }
    }

    /** The last messages, while a file is read. */
    private static final class Window {
        private final ArrayDeque<HistoryReader.Item> last = new ArrayDeque<>();
        private final ArrayDeque<Long> ends = new ArrayDeque<>(); // of what is before each of the last turns
        private final int replaced;
        private long end;
        private long length; // of the last messages

        Window(long begin, int replaced) {
            this.replaced = replaced;
            end = begin;
            if (begin != BEGINNING) turnBegins(); // else what is before all turns is in none
        }

        private void turnBegins() {
            ends.add(end);
            if (ends.size() > replaced + 1) ends.remove();
        }

        void add(HistoryReader.Item item) {
            if (item.message().byUser()) turnBegins();
            end = item.end();
            last.add(item);
            length += item.json().length;
            while (length > Lines.MAX_WINDOW && last.size() > 1) {
                length -= last.remove().json().length;
            }
        }

        Tail tail(int count, boolean damaged, Stamp stamp) {
            turnBegins(); // the next one
            long kept = ends.getFirst();
            boolean atEnd = kept == stamp.size() - END.length() && stamp.end().endsWith(END);
            boolean appendable = atEnd && (last.isEmpty() || last.getLast().aLine());
            last.removeIf(each -> each.end() > kept);
            Instant lastTime =
                    last.isEmpty() ? Instant.MIN : last.getLast().message().time();
            List<Message> messages = last.stream()
                    .skip(Math.max(0, last.size() - count))
                    .map(HistoryReader.Item::message)
                    .toList();
            return new Tail(messages, lastTime, kept, appendable, damaged, stamp);
        }
    }
}
