package parley;

import static java.time.temporal.ChronoUnit.SECONDS;
import static java.util.Collections.unmodifiableMap;
import static parley.Json.object;

import java.time.Instant;
import java.time.format.DateTimeParseException;
import java.time.temporal.ChronoUnit;
import java.util.Map;

/**
 * One thing said, as a line of a history file holds it: {@code role} is {@code user} or {@code assistant}, {@code
 * content} is text. Every other member is kept as it is, also those that Parley knows nothing of.
 *
 * @param members the JSON object, in the order of its members
 */
record Message(Map<String, Object> members) {
    /** @throws IllegalArgumentException where the members make no message */
    Message {
        members = unmodifiableMap(members);
        boolean known = "user".equals(members.get("role")) || "assistant".equals(members.get("role"));
        if (!known || !(members.get("content") instanceof String)) {
            throw new IllegalArgumentException("a message needs a role, user or assistant, and a content of text");
        }
    }

    /** @param last the time of the message before it, which this one's is not before: the clock may go back */
    static Message fromUser(String content, Instant last) {
        return new Message(object("role", "user", "content", content, "time", now(SECONDS, last)));
    }

    /**
     * The reply to this message.
     *
     * @param unit how exact its time is
     */
    Message answered(String content, String provider, String model, ChronoUnit unit) {
        String time = now(unit, time());
        return new Message(
                object("role", "assistant", "content", content, "time", time, "provider", provider, "model", model));
    }

    private static String now(ChronoUnit unit, Instant last) {
        Instant now = Instant.now().truncatedTo(unit);
        return (now.isBefore(last) ? last : now).toString();
    }

    boolean byUser() {
        return "user".equals(members.get("role"));
    }

    String content() {
        return (String) members.get("content");
    }

    /** When it was said; {@link Instant#MIN} where that is not known. */
    Instant time() {
        try {
            return Instant.parse("" + members.get("time"));
        } catch (DateTimeParseException e) { // edited by hand
            return Instant.MIN;
        }
    }

    /** This message with an earlier one of the same role before it, as one. */
    Message joinedTo(Message earlier) {
        return new Message(object("role", members.get("role"), "content", earlier.content() + "\n\n" + content()));
    }
}
