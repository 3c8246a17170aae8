package parley;

import static parley.Log.log;
import static parley.Problem.Code.EMPTY_REPLY;
import static parley.Problem.Code.PROVIDER_ERROR;
import static parley.Problem.Code.PROVIDER_REFUSED_KEY;
import static parley.Problem.Code.PROVIDER_TIMEOUT;
import static parley.Problem.Code.RATE_LIMITED;
import static parley.Problem.Code.UNKNOWN_MODEL;

import java.util.List;
import java.util.Set;
import java.util.function.Function;
import parley.Settings.Account;

/** Makes the services, and asks those of a list: the next one where one cannot answer. */
record Services(ProviderHttp http, Settings settings) {
    /** What another service may do better. A refusal is none of it: that is an answer. */
    private static final Set<Problem.Code> CANNOT_ANSWER =
            Set.of(RATE_LIMITED, PROVIDER_ERROR, PROVIDER_TIMEOUT, PROVIDER_REFUSED_KEY, UNKNOWN_MODEL, EMPTY_REPLY);

    /** An answer, and the account of the service that gave it. */
    record Answer<T>(Account account, T value) {}

    Provider provider(Account account) {
        var problems = new ProviderProblems(account, settings.timeout());
        var upstream = new Upstream(http, problems);
        return account.provider().equals("gemini")
                ? new Gemini(upstream, problems, settings.generation())
                : new OpenAi(upstream, problems, settings.generation());
    }

    /**
     * Asks one service after the other until one answers.
     *
     * @param accounts at least one, and each is set up
     * @param stream   once it has begun, no other service is asked
     * @throws Problem the first service's, where none answers: the console tells all of them; a refusal is final
     */
    <T> Answer<T> ask(List<Account> accounts, ReplyStream stream, Function<Provider, T> asking) {
        Problem first = null;
        for (Account account : accounts) {
            try {
                return new Answer<>(account, asking.apply(provider(account)));
            } catch (Problem e) {
                if (accounts.size() == 1 || stream.hasBegun() || !CANNOT_ANSWER.contains(e.code)) throw e;
                log("no answer: " + e.getMessage());
                if (first == null) first = e;
            }
        }
        throw first;
    }
}
