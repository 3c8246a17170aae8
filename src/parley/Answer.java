package parley;

import java.util.Map;
import java.util.function.Consumer;

/** A reply while it is given: what has been said so far, how it ended, and what it cost. */
final class Answer {
    private final Consumer<String> onText;
    private final StringBuilder text = new StringBuilder();
    private String held = ""; // one half of a character whose other half is still to come
    private long given = System.nanoTime();
    private String finishReason;
    private Map<String, Object> usage;

    /** @param onText gets each piece as it comes, never split inside a character; an empty one is a sign of life in a silence */
    Answer(Consumer<String> onText) {
        this.onText = onText;
    }

    void say(String piece) {
        String whole = held + piece;
        boolean split = !whole.isEmpty() && Character.isHighSurrogate(whole.charAt(whole.length() - 1));
        held = split ? whole.substring(whole.length() - 1) : "";
        giveOn(split ? whole.substring(0, whole.length() - 1) : whole);
    }

    /** For how many nanoseconds nothing has been given on. */
    long quiet() {
        return System.nanoTime() - given;
    }

    void signOfLife() {
        given = System.nanoTime();
        onText.accept("");
    }

    /** @param reason {@code stop} or {@code length} */
    void finish(String reason) {
        if (finishReason == null) finishReason = reason;
    }

    /** Takes numbers of tokens where the provider told them; null for one that it did not tell. */
    void cost(Object prompt, Object completion, Object total) {
        if (prompt instanceof Number || completion instanceof Number || total instanceof Number) {
            usage = Json.object("prompt_tokens", prompt, "completion_tokens", completion, "total_tokens", total);
        }
    }

    /** Whether a piece has been given on, so that the question must not be asked again. */
    boolean begun() {
        return !text.isEmpty();
    }

    /** The characters that have been said so far. */
    int length() {
        return text.length();
    }

    boolean finished() {
        return finishReason != null;
    }

    /**
     * The whole reply, once it is finished.
     *
     * @throws Problem empty_reply where nothing was said
     */
    Provider.Reply reply(String provider) {
        giveOn(held);
        held = "";
        if (begun()) return new Provider.Reply(text.toString(), finishReason, usage);
        throw new Problem(Problem.Code.EMPTY_REPLY, provider + (finishReason.equals("length")
                ? " said nothing: MAX_OUTPUT_TOKENS was used up by thinking. Raise it in .env"
                : " ended its reply without a word: send the message again, or in other words"));
    }

    private void giveOn(String piece) {
        if (piece.isEmpty()) return;
        given = System.nanoTime();
        text.append(piece);
        onText.accept(piece);
    }
}
