package parley;

/**
 * Takes the thought {@code <think>…</think>} off the beginning of a reply that comes in deltas. Local models write it
 * where their server does not part thought and reply.
 */
final class ThinkTag {
    private static final String OPEN = "<think>";
    private static final String CLOSE = "</think>";

    private enum State {
        BEFORE,
        WITHIN,
        BEHIND,
        NONE
    }

    private final StringBuilder held = new StringBuilder(); // what may yet turn out to be a tag
    private State state = State.BEFORE;

    /** {@return what the reply says in this delta, and in those that were held back until it} */
    String reply(String delta) {
        if (state == State.NONE) return delta;
        held.append(delta);
        if (state == State.BEFORE) open();
        if (state == State.WITHIN) close();
        if (state == State.BEHIND && !held.toString().isBlank()) {
            held.replace(0, held.length(), held.toString().stripLeading());
            state = State.NONE;
        }
        return state == State.NONE ? end() : "";
    }

    /** {@return what was held back, where no more will come} */
    String end() {
        String rest = state == State.WITHIN || state == State.BEHIND ? "" : held.toString();
        held.setLength(0);
        return rest;
    }

    /** {@return whether there was a thought} */
    boolean isFound() {
        return state == State.WITHIN || state == State.BEHIND;
    }

    private void open() {
        String start = held.toString().stripLeading();
        if (start.startsWith(OPEN)) state = State.WITHIN;
        else if (!OPEN.startsWith(start)) state = State.NONE;
    }

    private void close() {
        int end = held.indexOf(CLOSE);
        if (end >= 0) state = State.BEHIND;
        held.delete(0, end >= 0 ? end + CLOSE.length() : Math.max(0, held.length() - CLOSE.length()));
    }
}
