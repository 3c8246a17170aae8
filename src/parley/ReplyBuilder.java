package parley;

import static java.lang.Character.isHighSurrogate;
import static java.time.Duration.ofMillis;
import static parley.Json.LONE_SURROGATE;
import static parley.Json.object;

import java.time.Duration;
import java.util.Map;
import parley.Provider.Reply;

/**
 * A reply while it comes. It is finished by what stands last: text that comes behind a finish reason takes the reason
 * back, and so does an event that cannot be read.
 */
final class ReplyBuilder {
    /** How long the rest of a stream is waited for that has told its finish reason. */
    private static final Duration AFTER_REASON = ofMillis(1500);

    /** How long its end is waited for behind its last event: it lets the connection be used again. */
    private static final Duration AFTER_END = ofMillis(100);

    private static final int ENOUGH = 1000; // characters of what is kept for a problem's detail

    private final ReplyStream stream;
    private final ThinkTag tag = new ThinkTag();
    private final StringBuilder text = new StringBuilder();
    private final StringBuilder refusal = new StringBuilder();
    private String otherWords = "";
    private String half = ""; // of a character whose other half is still to come
    private String finishReason = "stop"; // unless another one stands behind the text
    private Deadline rest; // until when more is waited for; null while the reply is not finished
    private boolean doubtful;
    private boolean thought;
    private boolean declined;
    private Map<String, Object> usage;

    ReplyBuilder(ReplyStream stream) {
        this.stream = stream;
    }

    /** Takes a delta of the reply. */
    void text(String delta) {
        if (delta.isEmpty()) return;
        takeBack();
        doubtful &= length() > 0; // what stood before the first word tells nothing of it
        String whole = half + delta;
        boolean isSplit = isHighSurrogate(whole.charAt(whole.length() - 1));
        int end = whole.length() - (isSplit ? 1 : 0);
        half = whole.substring(end);
        add(tag.reply(whole.substring(0, end)));
    }

    private void add(String delta) {
        if (delta.isEmpty()) return;
        String valid = LONE_SURROGATE.matcher(delta).replaceAll("\ufffd");
        text.append(valid);
        stream.delta(valid);
    }

    private void takeBack() {
        finishReason = "stop";
        rest = null;
    }

    /** Takes what the model only thought: it is no part of the reply. */
    void thought() {
        thought = true;
    }

    /** Takes the model's own words for why there is no reply. */
    void refusal(String words) {
        refusal.append(words);
    }

    /** Takes words that are no part of the reply, for a problem's detail. They change nothing. */
    void otherWords(String words) {
        if (otherWords.length() < ENOUGH) otherWords += words + " ";
    }

    /** Takes words of another format, such as an error's: only a finish reason finishes what came before them. */
    void doubtful(String words) {
        doubtful = true;
        otherWords(words);
    }

    /** Takes an event that cannot be read: only a finish reason behind it finishes the reply. */
    void unreadable(String event) {
        takeBack();
        doubtful(event);
    }

    /** @param reason {@code stop} or {@code length} */
    void finish(String reason) {
        if (rest == null) rest = Deadline.in(AFTER_REASON);
        finishReason = reason;
    }

    /** Takes the end of a stream that came as it should: the reply is finished, with or without a
     * reason, unless what came last could not be read. */
    void end() {
        if (isFinished() || !doubtful) rest = Deadline.in(AFTER_END);
    }

    /** Takes an answer that offers no reply: unless one comes yet, it is an empty one. */
    void declined() {
        declined = true;
    }

    /** Takes the end of the body: no more will come. */
    void bodyEnded() {
        if (declined && text.isEmpty()) end();
    }

    /** Takes numbers of tokens by their names as OpenAI has them; one that the provider did not tell is missing. */
    void usage(Map<String, Object> tokens) {
        var told = object(
                "prompt_tokens", tokens.get("prompt_tokens"),
                "completion_tokens", tokens.get("completion_tokens"),
                "total_tokens", tokens.get("total_tokens"));
        told.values().removeIf(count -> !(count instanceof Number));
        if (!told.isEmpty()) usage = told;
    }

    /** {@return the text so far} */
    @Override
    public String toString() {
        return text.toString();
    }

    int length() {
        return text.length();
    }

    boolean isFinished() {
        return rest != null;
    }

    /** {@return until when to wait for more: a finished reply's end comes soon, or is not waited for} */
    Deadline waitUntil(Deadline end, Duration silence) {
        if (rest != null) return rest;
        return stream.isWhole() ? end : Deadline.in(silence);
    }

    String otherWords() {
        return otherWords;
    }

    /**
     * {@return the whole reply, once it is finished}
     *
     * @throws Problem blocked where the model refused, empty_reply where it said nothing
     */
    Reply reply(ProviderProblems problems) {
        add((tag.reply(half) + tag.end()).stripTrailing()); // white space alone is nothing said
        if (!toString().isBlank()) return new Reply(toString(), finishReason, usage);
        if (!refusal.toString().isBlank()) throw problems.refused(refusal.toString());
        if (thought || tag.isThought() || finishReason.equals("length")) {
            throw problems.empty(
                    "only thought, and said nothing: raise MAX_OUTPUT_TOKENS in .env, or let it think less");
        }
        throw problems.empty("ended its reply without a word: send it again, or in other words. %s", otherWords);
    }
}
