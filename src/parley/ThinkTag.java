package parley;

import static java.lang.Math.max;
import static java.util.regex.Pattern.compile;
import static parley.ThinkTag.State.BEFORE;
import static parley.ThinkTag.State.BEHIND;
import static parley.ThinkTag.State.NONE;
import static parley.ThinkTag.State.WITHIN;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Takes the thought {@code <think>…</think>} off the beginning of a reply that comes in deltas. Local models write it
 * where their server does not part thought and reply.
 */
final class ThinkTag {
    private static final Pattern OPEN = compile("\\s{0,100}<think>");
    private static final String CLOSE = "</think>";

    enum State {
        BEFORE,
        WITHIN,
        BEHIND,
        NONE
    }

    private String held = ""; // what may yet turn out to be a tag
    private State state = BEFORE;

    /** {@return what the reply says in this delta, and in those that were held back until it} */
    String reply(String delta) {
        held += delta;
        if (state == BEFORE) open();
        if (state == WITHIN) close();
        if (state == BEFORE || state == WITHIN) return "";
        String reply = state == BEHIND ? held.stripLeading() : held;
        held = "";
        if (!reply.isEmpty()) state = NONE;
        return reply;
    }

    /** {@return what was held back, where no more will come} */
    String end() {
        return state == BEFORE ? held : "";
    }

    /** {@return whether all so far was a thought} */
    boolean isThought() {
        return state == WITHIN || state == BEHIND;
    }

    private void open() {
        Matcher tag = OPEN.matcher(held);
        if (tag.lookingAt()) state = WITHIN;
        else if (!tag.hitEnd()) state = NONE; // whatever comes
    }

    private void close() {
        int end = held.indexOf(CLOSE);
        if (end >= 0) state = BEHIND;
        held = held.substring(end >= 0 ? end + CLOSE.length() : max(0, held.length() - CLOSE.length()));
    }
}
