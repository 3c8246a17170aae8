package parley;

import static parley.Problem.Code.BLOCKED;
import static parley.Problem.Code.EMPTY_REPLY;
import static parley.Problem.Code.PROVIDER_ERROR;
import static parley.Problem.Code.PROVIDER_REFUSED_KEY;
import static parley.Problem.Code.PROVIDER_TIMEOUT;
import static parley.Problem.Code.RATE_LIMITED;
import static parley.Problem.Code.UNKNOWN_MODEL;

import java.net.http.HttpConnectTimeoutException;
import java.net.http.HttpTimeoutException;
import java.security.cert.CertificateException;
import java.time.Duration;
import java.util.stream.Stream;

/**
 * Makes every problem of a provider. Whatever a detail quotes goes through {@link #quoted}, so that no key is in one,
 * whoever said it.
 */
record ProviderProblems(Settings.Account account, Duration timeout) {
    private static final int MAX_WORDS = 300; // characters of a provider's own words

    /** {@return the problem that a failure to ask the provider makes} */
    Problem of(Exception failure) {
        return switch (failure) {
            case Problem problem -> problem;
            case ProviderError error -> of(error);
            case ResponseBody.Unreadable e -> failed("sent what cannot be read: %s", e.getMessage());
            default -> isTimeout(failure) ? timedOut() : unreachable(failure);
        };
    }

    private Problem timedOut() {
        String seconds = "" + timeout.toMillis() / 1000.0;
        return made(PROVIDER_TIMEOUT, "was silent for %s s: send it again, or raise PROVIDER_TIMEOUT in .env", seconds);
    }

    private Problem unreachable(Exception failure) {
        String advice = account.variable("BASE_URL") + " in .env";
        if (hasCause(failure, CertificateException.class)) {
            return failed(
                    "shows a certificate that this Java does not trust (%s): where a proxy reads along, import its "
                            + "certificate with Java's keytool, or else see " + advice,
                    reason(failure));
        }
        String ask = Settings.isLoopback(account.base().getHost())
                ? "Is it running?"
                : "Is this machine online, or behind HTTPS_PROXY?";
        String what = "cannot be reached, or broke the connection off (%s). " + ask + " If so, see " + advice;
        return again(failed(what, reason(failure)));
    }

    private Problem of(ProviderError error) {
        String said = "answered" + (error.status() == 0 ? "" : " " + error.status()) + ": %s";
        String words = error.words();
        if (error.status() / 100 == 3) return redirected(error);
        if (error.isRefusal()) return refused(error.refusalCode(), words);
        if (error.isBadKey()) {
            return made(PROVIDER_REFUSED_KEY, said + " (set " + account.variable("API_KEY") + " in .env)", words);
        }
        if (error.isTooLong()) said += " (a smaller HISTORY_WINDOW in .env sends less of the conversation)";
        else if (error.isUnknownModel()) return unknownModel(said, words);
        Problem problem = made(error.status() == 429 ? RATE_LIMITED : PROVIDER_ERROR, said, words);
        return new Problem(problem.code, problem.getMessage(), error.retryAfter(), error.isTransient());
    }

    private Problem redirected(ProviderError error) {
        String advice = ". Put the new address into " + account.variable("BASE_URL") + " in .env";
        return failed("answered " + error.status() + ": it redirects to %s" + advice, error.location());
    }

    /** {@return the problem that a failure to fetch an image's own address makes: it is not the service's} */
    Problem ofImageAddress(Exception failure) {
        if (failure instanceof ProviderError error) {
            Problem problem = failed("gave an image's address that answered %s", "" + error.status());
            return error.isTransient() ? again(problem) : problem;
        }
        if (failure instanceof Problem || isTimeout(failure)) return of(failure);
        return failed("gave an image's address that cannot be read (%s)", reason(failure));
    }

    /**
     * {@return a failure of the provider}
     *
     * @param what   what it did, with {@code %s} for what is quoted
     * @param quoted whatever is not our own text
     */
    Problem failed(String what, String... quoted) {
        return made(PROVIDER_ERROR, what, quoted);
    }

    /** {@return a problem that the same request may not meet a moment later} */
    static Problem again(Problem problem) {
        return new Problem(problem.code, problem.getMessage(), problem.retryAfter, true);
    }

    /** @param reason the service's code for it, or an empty text; likewise its words for people */
    Problem refused(String reason, String words) {
        String both = reason + (reason.isBlank() || words.isBlank() ? "" : ": ") + words;
        return made(BLOCKED, "refused it: %s. Say it in other words", both);
    }

    Problem empty(String what, String... quoted) {
        return made(EMPTY_REPLY, what, quoted);
    }

    Problem noImage(String words) {
        return words.isBlank() ? empty("made no image: try other words") : empty("made no image, but said: %s", words);
    }

    /** @param image null for what is none */
    Provider.Image checked(Provider.Image image) {
        if (image == null) throw failed("sent what is no image of a known type, or is not base64");
        return image;
    }

    Problem unknownModel(String what, String words) {
        boolean other = account.use().equals("IMAGE") && !account.provider().equals("gemini");
        String advice = " (set " + account.modelVariable() + (other ? ", or IMAGE_PROVIDER=gemini" : "")
                + " in .env: it is %s; or " + account.variable("BASE_URL") + ", where a /v1 may be missing)";
        return made(UNKNOWN_MODEL, what + advice, words, account.model());
    }

    private Problem made(Problem.Code code, String what, String... quoted) {
        Object[] words = Stream.of(quoted).map(this::quoted).toArray();
        return new Problem(
                code, account.provider() + " " + what.formatted(words).strip());
    }

    /** Words on one line, without the key, which some services repeat, and only then cut, between characters. */
    private String quoted(String words) {
        String key = account.key() == null ? null : account.key().value();
        String safe = key == null ? words : words.replace(key, "***");
        String line = Log.sanitized(safe).strip().replaceAll("\\s+", " ");
        if (line.codePointCount(0, line.length()) <= MAX_WORDS) return line;
        return line.substring(0, line.offsetByCodePoints(0, MAX_WORDS)) + "…";
    }

    private static String reason(Exception failure) {
        return failure.getMessage() == null ? failure.getClass().getSimpleName() : failure.getMessage();
    }

    private static boolean isTimeout(Exception failure) {
        return hasCause(failure, HttpTimeoutException.class) && !hasCause(failure, HttpConnectTimeoutException.class);
    }

    private static boolean hasCause(Throwable failure, Class<?> kind) {
        return Stream.iterate(failure, each -> each != null, Throwable::getCause)
                .anyMatch(kind::isInstance);
    }
}
