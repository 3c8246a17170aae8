package parley;

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

/** The services of a list, of which the next is asked where one cannot answer. */
final class Services {
    /** What another service may do better. A refusal is none of it: that is an answer. */
    private static final Set<Problem.Code> CANNOT_ANSWER =
            Set.of(RATE_LIMITED, PROVIDER_ERROR, PROVIDER_TIMEOUT, PROVIDER_REFUSED_KEY, UNKNOWN_MODEL, EMPTY_REPLY);

    /** An answer, and the account of the service that gave it. */
    record Answer<T>(Account account, T value) {}

    private Services() {}

    /**
     * Asks one service after the other until one answers.
     *
     * @param accounts at least one; those that are not set up are asked by nobody
     * @param stream   once it has begun, no other service is asked
     * @throws Problem the first service's, where none answers; the console tells all of them
     */
    static <T> Answer<T> ask(List<Account> accounts, ReplyStream stream, Function<Account, T> asking) {
        Problem first = null;
        for (Account account : accounts) {
            try {
                return new Answer<>(account, asking.apply(account));
            } catch (Problem e) {
                boolean isLast = accounts.size() == 1 || stream.hasBegun() || !CANNOT_ANSWER.contains(e.code);
                if (isLast) throw e;
                Log.log("no answer: " + e.getMessage());
                if (first == null) first = e;
            }
        }
        throw first;
    }
}
