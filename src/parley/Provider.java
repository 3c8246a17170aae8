package parley;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
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
        /**
         * Knows an image by its first bytes (https://mimesniff.spec.whatwg.org/#image-type-pattern-matching-algorithm);
         * null for none.
         */
        static Image of(byte[] bytes) {
            String start = new String(bytes, 0, Math.min(bytes.length, 16), StandardCharsets.ISO_8859_1);
            String type = null;
            if (start.startsWith("\u0089PNG\r\n\u001a\n")) type = "image/png";
            if (start.startsWith("\u00ff\u00d8\u00ff")) type = "image/jpeg";
            if (start.startsWith("GIF87a") || start.startsWith("GIF89a")) type = "image/gif";
            if (start.matches("(?s)RIFF.{4}WEBP.*")) type = "image/webp";
            if (start.matches("(?s).{4}ftypavi[fs].*")) type = "image/avif";
            return type == null ? null : new Image(type, bytes);
        }

        /** The image of a text in base64, also with {@code data:…,} before it; null for none. */
        static Image of(String base64) {
            try {
                return of(Base64.getDecoder().decode(base64.replaceAll("^data:[^,]*,|\\s", "")));
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
