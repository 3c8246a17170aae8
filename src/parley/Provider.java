package parley;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/** A service that chats and makes images. Each dialect writes its requests in the shape of its documentation. */
interface Provider {
    /**
     * Asks for the reply to a conversation.
     *
     * @param messages oldest first, the question last
     * @param onText   gets each piece of the reply as it comes, and an empty one as a sign of life in a silence;
     *                 null to ask for a whole reply and not for a stream
     * @throws Problem for each way in which there can be no whole reply
     */
    Reply chat(List<Message> messages, Consumer<String> onText) throws InterruptedException;

    /** Asks for images: at least one. */
    List<Image> generateImages(String prompt) throws InterruptedException;

    /** Asks whether the service takes the key and knows the model; throws a Problem where not. */
    void check() throws InterruptedException;

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

    /**
     * A reply while it comes. It is finished by what stands last: text that comes behind a finish reason takes the
     * reason back, and
     * so does what cannot be read.
     */
    final class ReplyBuilder {
        static final long PING = TimeUnit.SECONDS.toNanos(15); // between signs of life
        private static final int ENOUGH = 1000; // characters of what is unreadable

        private final Consumer<String> onText;
        private final StringBuilder text = new StringBuilder();
        private final StringBuilder refusal = new StringBuilder();
        private final StringBuilder unreadable = new StringBuilder();
        private String held = ""; // one half of a character whose other half is still to come
        private String finishReason; // null while none stands behind the text
        private boolean thought;
        private Map<String, Object> usage;
        private long lastPiece = System.nanoTime();

        ReplyBuilder(Consumer<String> onText) {
            this.onText = onText;
        }

        /** Takes a piece of the reply. */
        void text(String piece) {
            if (piece.isEmpty()) return;
            finishReason = null;
            String whole = held + piece;
            boolean split = Character.isHighSurrogate(whole.charAt(whole.length() - 1));
            held = split ? whole.substring(whole.length() - 1) : "";
            send(split ? whole.substring(0, whole.length() - 1) : whole);
        }

        private void send(String piece) {
            if (piece.isEmpty()) return;
            String valid = Json.LONE_SURROGATE.matcher(piece).replaceAll("\ufffd");
            text.append(valid);
            lastPiece = System.nanoTime();
            if (onText != null) onText.accept(valid);
        }

        /** Takes what the model only thought: it is no part of the reply. */
        void thought() {
            thought = true;
        }

        /** Takes the model's own words for why there is no reply. */
        void refusal(String words) {
            refusal.append(words);
        }

        /** Takes what is neither an event nor JSON. */
        void unreadable(String line) {
            finishReason = null;
            if (unreadable.length() < ENOUGH) unreadable.append(line).append(' ');
        }

        String unreadable() {
            return unreadable.toString();
        }

        /** @param reason {@code stop} or {@code length} */
        void finish(String reason) {
            finishReason = reason;
        }

        /** Takes the end of a stream that came as it should: the reply is finished, with or without a reason. */
        void end() {
            if (finishReason == null && unreadable.isEmpty()) finishReason = "stop";
        }

        /** Takes numbers of tokens where the provider told them; null for one that it did not tell. */
        void usage(Object prompt, Object completion, Object total) {
            if (!(prompt instanceof Number || completion instanceof Number || total instanceof Number)) return;
            usage = Json.object(
                    "prompt_tokens",
                    number(prompt),
                    "completion_tokens",
                    number(completion),
                    "total_tokens",
                    number(total));
        }

        private static Number number(Object value) {
            return value instanceof Number number ? number : null;
        }

        boolean streams() {
            return onText != null;
        }

        int length() {
            return text.length();
        }

        boolean isFinished() {
            return finishReason != null;
        }

        /** Gives a sign of life where no piece has come for long. */
        void keepAlive() {
            if (!streams() || System.nanoTime() - lastPiece < PING) return;
            lastPiece = System.nanoTime();
            onText.accept("");
        }

        /**
         * The whole reply, once it is finished.
         *
         * @throws Problem blocked where the model refused, empty_reply where it said nothing
         */
        Reply reply(String provider) {
            send(held);
            if (!text.toString().isBlank()) return new Reply(text.toString(), finishReason, usage);
            String refused = Log.sanitized(refusal.toString());
            if (!refused.isBlank()) throw new Problem(Problem.Code.BLOCKED, provider + " refused it: " + refused);
            String why = " ended its reply without a word: send the message again, or in other words";
            if (thought) why = " only thought, and said nothing: raise MAX_OUTPUT_TOKENS in .env, or let it think less";
            if (finishReason.equals("length"))
                why = " said nothing: MAX_OUTPUT_TOKENS was used up by thinking. Raise it in .env";
            throw new Problem(Problem.Code.EMPTY_REPLY, provider + why);
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

    /** The item of a list of candidates that is asked for: the one of index 0, or the first where none has an index. */
    static Object first(List<?> candidates) {
        return candidates.stream()
                .filter(each -> String.valueOf(Json.at(each, "index")).matches("0|null"))
                .findFirst()
                .orElse(null);
    }
}
