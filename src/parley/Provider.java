package parley;

import java.net.http.HttpClient;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.IntConsumer;

/** A service that talks and draws. Each dialect writes its requests in the shape of its documentation. */
sealed interface Provider permits Gemini, OpenAi {
    /**
     * Asks for the reply to a conversation.
     *
     * @param messages oldest first, the question last
     * @param onText   gets each piece of the reply as it comes; an empty piece is a sign of life in a silence
     * @throws Problem for each way in which there can be no whole reply
     */
    Reply chat(List<Message> messages, Consumer<String> onText) throws InterruptedException;

    /** Asks for images: at least one. */
    List<Image> draw(String prompt) throws InterruptedException;

    /** Asks whether the service takes the key and knows the model; throws a Problem where not. */
    void check() throws InterruptedException;

    /**
     * A whole reply.
     *
     * @param finishReason {@code stop}, or {@code length} where it was cut by MAX_OUTPUT_TOKENS
     * @param usage        the tokens as OpenAI names them, or null where the provider did not tell
     */
    record Reply(String text, String finishReason, Map<String, Object> usage) {
    }

    /**
     * The service of an account, ready to be asked.
     *
     * @param reserve is told how many bytes of memory an answer takes, before it is read
     * @throws Problem not_configured where the account lacks something
     */
    static Provider of(HttpClient client, Settings settings, Settings.Account account, IntConsumer reserve) {
        String missing = account.missing();
        if (missing != null) throw new Problem(Problem.Code.NOT_CONFIGURED, missing + " is not set: put it into .env, it takes effect at once");
        var upstream = new Upstream(client, account, settings.timeout(), reserve);
        return account.provider().equals("gemini") ? new Gemini(upstream, settings) : new OpenAi(upstream, settings);
    }

    /** The messages as providers take them: beginning with a user's, the roles alternating, none empty. */
    static List<Message> alternating(List<Message> messages) {
        var turns = new ArrayList<Message>();
        for (Message message : messages) {
            if (message.content().isEmpty() || turns.isEmpty() && !message.byUser()) continue;
            if (turns.isEmpty() || turns.getLast().byUser() != message.byUser()) turns.add(message);
            else turns.add(message.joinedTo(turns.removeLast()));
        }
        return turns;
    }
}
