package parley;

import static java.lang.Math.min;
import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.util.Base64.getDecoder;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** A service that chats and makes images. Each dialect writes its requests in the shape of its documentation. */
interface Provider {
    /**
     * Asks for the reply to a conversation.
     *
     * @param messages oldest first, the question last
     * @param stream   gets each delta of the reply as it comes, or asks for a whole one
     * @throws Problem for each way in which there can be no whole reply
     */
    Reply chat(List<Message> messages, ReplyStream stream);

    /** Asks for images: at least one. */
    List<Image> generateImages(String prompt);

    /** Asks whether the service takes the key and knows the model; throws a Problem where not. */
    void check();

    /**
     * A whole reply.
     *
     * @param finishReason {@code stop}, or {@code length} where it was cut by MAX_OUTPUT_TOKENS
     * @param usage        the tokens as OpenAI names them, or null where the provider did not tell
     */
    record Reply(String text, String finishReason, Map<String, Object> usage) {}

    /** An image's own bytes, and what they are. */
    record Image(String mimeType, byte[] bytes) {
        /** How each type begins (https://mimesniff.spec.whatwg.org/#image-type-pattern-matching-algorithm). */
        private static final Map<String, String> TYPES = Table.of(
                """
                image/png=\\x89PNG\\r\\n\\x1a\\n.*
                image/jpeg=\\xff\\xd8\\xff.*
                image/gif=GIF8[79]a.*
                image/webp=RIFF.{4}WEBP.*
                image/avif=.{4}ftypavi[fs].*""");

        /** {@return the image, known by its first bytes; null for none} */
        static Image of(byte[] bytes) {
            String start = new String(bytes, 0, min(bytes.length, 16), ISO_8859_1);
            for (String type : TYPES.keySet()) {
                if (start.matches("(?s)" + TYPES.get(type))) return new Image(type, bytes);
            }
            return null;
        }

        /** The image of a text in base64, also with {@code data:…,} before it; null for none. */
        static Image of(String base64) {
            try {
                return of(getDecoder().decode(base64.replaceAll("(?i)^data:[^,]*,|\\s", "")));
            } catch (IllegalArgumentException e) {
                return null; // which the caller refuses
            }
        }
    }

    /** The messages as providers take them: beginning with a user's, the roles alternating, none empty. */
    static List<Message> alternating(List<Message> messages) {
        var turns = new ArrayList<Message>();
        for (Message message : messages) {
            if (message.content().isBlank() || turns.isEmpty() && !message.byUser()) continue;
            if (turns.isEmpty() || turns.getLast().byUser() != message.byUser()) turns.add(message);
            else turns.add(message.joinedTo(turns.removeLast()));
        }
        return turns;
    }
}
