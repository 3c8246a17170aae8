package parley;

import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Collections;
import java.util.Map;

/**
 * One thing said, as a line of a history file holds it: {@code role} is {@code user} or {@code assistant}, {@code
 * content} is text.
 * Every other member is kept as it is, also those that Parley knows nothing of.
 *
 * @param members the JSON object, in the order of its members
 */
record Message(Map<String, Object> members) {
    /** @throws IllegalArgumentException where the members make no message */
    Message {
        members = Collections.unmodifiableMap(members);
        boolean known = "user".equals(members.get("role")) || "assistant".equals(members.get("role"));
        if (!known || !(members.get("content") instanceof String)) {
            throw new IllegalArgumentException("a message needs a role, user or assistant, and a content of text");
        }
    }

    static Message fromUser(String content) {
        return new Message(Json.object("role", "user", "content", content, "time", now()));
    }

    static Message fromAssistant(String content, String provider, String model) {
        return new Message(Json.object(
                "role", "assistant", "content", content, "time", now(), "provider", provider, "model", model));
    }

    boolean byUser() {
        return "user".equals(members.get("role"));
    }

    String content() {
        return (String) members.get("content");
    }

    /** This message with an earlier one of the same role before it, as one. */
    Message joinedTo(Message earlier) {
        return new Message(Json.object("role", members.get("role"), "content", earlier.content() + "\n\n" + content()));
    }

    private static String now() {
        return Instant.now().truncatedTo(ChronoUnit.SECONDS).toString();
    }
}
