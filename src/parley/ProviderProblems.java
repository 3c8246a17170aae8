package parley;

import static java.util.stream.Collectors.joining;
import static java.util.stream.Stream.iterate;
import static parley.Log.sanitized;
import static parley.Problem.Code.BLOCKED;
import static parley.Problem.Code.EMPTY_REPLY;
import static parley.Problem.Code.PROVIDER_ERROR;
import static parley.Problem.Code.PROVIDER_REFUSED_KEY;
import static parley.Problem.Code.PROVIDER_TIMEOUT;
import static parley.Problem.Code.RATE_LIMITED;
import static parley.Problem.Code.UNKNOWN_MODEL;
import static parley.ProviderError.isEmpty;
import static parley.Settings.BEFORE_KEY;
import static parley.Settings.isLoopback;

import java.io.IOException;
import java.net.http.HttpConnectTimeoutException;
import java.net.http.HttpTimeoutException;
import java.security.cert.CertificateException;
import java.time.Duration;
import java.util.Objects;
import java.util.stream.Stream;
import parley.Provider.Image;
import parley.Settings.Account;

/**
 * Makes every problem of a provider. Whatever a detail quotes goes through {@link #quoted}, so that no key is in one,
 * whoever said it.
 */
record ProviderProblems(Account account, Duration timeout) {
    /** {@return the problem that a failure to ask the provider makes} */
    Problem of(Exception failure) {
        return switch (failure) {
            case Problem problem -> problem;
            case ResponseBody.Unreadable e -> failed("sent what cannot be read: %s", e.getMessage());
            default -> isTimeout(failure) ? timedOut() : unreachable(failure);
        };
    }

    private Problem timedOut() {
        return made(
                PROVIDER_TIMEOUT,
                "was silent for %s s: send it again, or raise PROVIDER_TIMEOUT in .env",
                timeout.toMillis() / 1000.0);
    }

    private Problem unreachable(Exception failure) {
        String address = account.variable("BASE_URL");
        if (hasCause(failure, CertificateException.class)) {
            return failed(
                    "shows a certificate that this Java does not trust (%s): where a proxy reads along, import its "
                            + "certificate with Java's keytool, or else see %s in .env",
                    reason(failure), address);
        }
        String ask = isLoopback(account.base().getHost())
                ? "Is it running?"
                : "Is this machine online, or behind HTTPS_PROXY?";
        return failed(
                        "cannot be reached, or broke the connection off (%s). %s If so, see %s in .env",
                        reason(failure), ask, address)
                .withRetry(null, true);
    }

    /** {@return the problem that the provider's own error makes} */
    Problem of(ProviderError error) {
        String said = "answered" + (error.status() == 0 ? "" : " " + error.status()) + ": %s";
        String words = error.words();
        if (error.status() / 100 == 3) return redirected(error);
        if (error.isRefusal()) return refused(error.refusalCode(), words);
        if (error.isBadKey()) {
            return made(PROVIDER_REFUSED_KEY, said + " (set %s in .env)", words, account.variable("API_KEY"));
        }
        if (error.isTooLong()) said += " (a smaller HISTORY_WINDOW in .env sends less of the conversation)";
        else if (error.isUnknownModel()) return unknownModel(said, words);
        return made(error.status() == 429 ? RATE_LIMITED : PROVIDER_ERROR, said, words)
                .withRetry(error.retryAfter(), error.isTransient());
    }

    private Problem redirected(ProviderError error) {
        return failed(
                "answered %s: it redirects to %s. Put the new address into %s in .env",
                error.status(), error.headers().firstValue("Location").orElse("nowhere"), account.variable("BASE_URL"));
    }

    /** {@return the problem that a failure to fetch an image's own address makes: it is not the service's} */
    Problem ofImageAddress(IOException failure) {
        return isTimeout(failure) ? timedOut() : ofImageAddress("cannot be read (%s)", reason(failure));
    }

    /** @param what what is wrong with it, with {@code %s} for what is quoted */
    Problem ofImageAddress(String what, Object... quoted) {
        return failed("gave an image's address that " + what, quoted);
    }

    /**
     * {@return a failure of the provider}
     *
     * @param what   what it did, with {@code %s} for what is quoted
     * @param quoted whatever is not our own text
     */
    Problem failed(String what, Object... quoted) {
        return made(PROVIDER_ERROR, what, quoted);
    }

    /** @param reason the service's word for why the reply is none */
    Problem ended(String reason) {
        String why = reason.matches("(?is).*(tool|function).*")
                ? ", but no tools are offered: send it in other words"
                : ": send it again";
        return failed("ended its reply with %s" + why, reason);
    }

    /** @param reasons the service's code for it, and its words for people; each may be absent */
    Problem refused(String... reasons) {
        String told = Stream.of(reasons).filter(reason -> !isEmpty(reason)).collect(joining(": "));
        return made(BLOCKED, "refused it: %s. Say it in other words", told);
    }

    Problem empty(String what, Object... quoted) {
        return made(EMPTY_REPLY, what, quoted);
    }

    /** @param words what was said in the place of an image */
    Problem noImage(String words) {
        return empty("made no image: try other words. %s", words);
    }

    /** {@return the image} @param image null for what is none: a failure */
    Image checked(Image image) {
        if (image == null) throw failed("sent what is no image of a known type, or is not base64");
        return image;
    }

    /** @param what what it did, with {@code %s} for the words */
    Problem unknownModel(String what, String words) {
        boolean geminiMayHelp =
                account.use().equals("IMAGE") && !account.provider().equals("gemini");
        String model = account.variable(account.use() + "_MODEL") + (geminiMayHelp ? ", or IMAGE_PROVIDER=gemini" : "");
        String advice = " (set %s in .env: it is %s; or %s, where a /v1 may be missing)";
        return made(UNKNOWN_MODEL, what + advice, words, model, account.model(), account.variable("BASE_URL"));
    }

    private Problem made(Problem.Code code, String what, Object... quoted) {
        Object[] safe = Stream.of(quoted).map(this::quoted).toArray();
        return new Problem(code, account.provider() + " " + what.formatted(safe).strip());
    }

    /** Words on one line, without the key, which some services repeat, and only then cut, between characters. */
    private String quoted(Object words) {
        String text = words.toString();
        if (account.key() != null) text = text.replace(account.key(), "***");
        text = text.replaceAll(BEFORE_KEY + "[^&\\s\"'<>)},;]+", "***");
        return sanitized(text).strip().replaceAll("\\s+", " ").replaceFirst("(?s)^(.{300}).+", "$1…");
    }

    /** What is wrong, as the innermost cause has it: those around it repeat it behind the name of its class. */
    private static String reason(Exception failure) {
        return causes(failure)
                .map(Throwable::getMessage)
                .filter(Objects::nonNull)
                .reduce("no connection", (outer, inner) -> inner);
    }

    private static boolean isTimeout(Exception failure) {
        return hasCause(failure, HttpTimeoutException.class) && !hasCause(failure, HttpConnectTimeoutException.class);
    }

    private static boolean hasCause(Throwable failure, Class<?> kind) {
        return causes(failure).anyMatch(kind::isInstance);
    }

    private static Stream<Throwable> causes(Throwable failure) {
        return iterate(failure, Objects::nonNull, Throwable::getCause);
    }
}
