package parley;

import static java.lang.Math.max;
import static java.lang.Math.min;
import static parley.HistoryReader.ofLast;
import static parley.Lines.MAX_WINDOW;

import java.io.IOException;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.List;
import parley.HistoryReader.Item;
import parley.Memory.Growing;

/**
 * What a turn knows of its user's history file, without the last turns where these are to be replaced.
 *
 * @param messages   the last ones of those that stay, oldest first
 * @param lastTime   of the very last one that stays; {@link Instant#MIN} where that is not known
 * @param keptUntil  the offset behind it
 * @param appendable whether {@link Lines#END} and nothing else stands there
 * @param damaged    whether anything among what was read is no message of an array
 * @param stamp      the state of the file when it was read
 */
record Tail(
        List<Message> messages, Instant lastTime, long keptUntil, boolean appendable, boolean damaged, Stamp stamp) {
    /** Bytes before the first message: a bracket. */
    static final int BEGINNING = 1;

    /**
     * Reads the end of the file, as far back as is needed; all of it where its layout is not Parley's.
     *
     * @param count    how many messages at most; fewer where {@link Lines#MAX_WINDOW} does not hold them
     * @param replaced how many of the last turns are to be replaced; a turn is a user's message and all behind it
     */
    static Tail read(Lines file, int count, int replaced, Growing memory) throws IOException {
        long kept = replaced == 0 ? file.size : beginOf(replaced, file, memory);
        for (long lines = 1; ; lines *= 8) {
            long from = file.last(lines, lines + count, kept);
            long length = kept - from;
            memory.release(); // first: who holds memory and waits for more could wait for others who do the same
            memory.grownTo(min(length, MAX_WINDOW));
            var reader = new HistoryReader(file, from, memory);
            var last = lastOf(reader, kept);
            boolean full = last.size() >= count || length > MAX_WINDOW;
            if (from == 0 || reader.damaged() || full && !last.isEmpty()) {
                return of(last, count, reader.damaged(), file);
            }
        }
    }

    /** The offset where the last turns begin: so many, or all where there are fewer. */
    private static long beginOf(int turns, Lines file, Growing memory) throws IOException {
        HistoryReader reader = ofLast(turns, Message::byUser, file, memory);
        Item first = reader.next();
        while (first != null && !first.message().byUser()) first = reader.next();
        return first == null ? file.size : first.begin();
    }

    /** Reads to the end of the file; gives the last messages that end before an offset, and fit into the window. */
    private static ArrayDeque<Item> lastOf(HistoryReader reader, long until) throws IOException {
        var last = new ArrayDeque<Item>();
        long length = 0;
        for (Item item = reader.next(); item != null; item = reader.next()) {
            if (item.end() > until) continue;
            last.add(item);
            length += item.line().length;
            while (length > MAX_WINDOW && last.size() > 1) {
                length -= last.remove().line().length;
            }
        }
        return last;
    }

    private static Tail of(ArrayDeque<Item> last, int count, boolean damaged, Lines file) throws IOException {
        Item end = last.peekLast();
        var messages = last.stream()
                .skip(max(0, last.size() - count))
                .map(Item::message)
                .toList();
        Instant lastTime = end == null ? Instant.MIN : end.message().time();
        long kept = end == null ? BEGINNING : end.end();
        boolean appendable = file.endsAt(kept) && (end == null || kept - end.begin() == end.line().length);
        return new Tail(messages, lastTime, kept, appendable, damaged, Stamp.of(file));
    }
}
