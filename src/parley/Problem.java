package parley;

import static java.lang.Thread.currentThread;
import static java.util.Locale.ROOT;
import static parley.Json.LONE_SURROGATE;
import static parley.Json.object;
import static parley.Problem.Code.INVALID_REQUEST;
import static parley.Problem.Code.OVERLOADED;
import static parley.Problem.Code.STORAGE_FULL;
import static parley.Problem.Code.STORAGE_UNAVAILABLE;

import java.util.Map;

/**
 * A refusal, as RFC 9457 has it: thrown anywhere, written to the client in one place.
 * The message is the {@code detail}: it is for people, says what to do next, and holds no key and no path of this disk.
 */
@SuppressWarnings("serial")
final class Problem extends RuntimeException {
    /**
     * What programs tell refusals by. Each is its constant's name in lower case, and never changes; but STORAGE_FULL is
     * told as storage_unavailable, with a status of its own.
     */
    enum Code {
        INVALID_REQUEST(400),
        NOT_FOUND(404),
        METHOD_NOT_ALLOWED(405),
        CONVERSATION_CHANGED(409),
        TOO_LARGE(413),
        UNSUPPORTED_MEDIA_TYPE(415),
        MISDIRECTED_REQUEST(421),
        BLOCKED(422),
        RATE_LIMITED(429),
        BUSY(429),
        INTERNAL_ERROR(500),
        PROVIDER_ERROR(502),
        PROVIDER_REFUSED_KEY(502),
        UNKNOWN_MODEL(502),
        EMPTY_REPLY(502),
        NOT_CONFIGURED(503),
        OVERLOADED(503),
        STORAGE_UNAVAILABLE(503),
        STORAGE_FULL(507),
        PROVIDER_TIMEOUT(504);

        private final int status;

        Code(int status) {
            this.status = status;
        }
    }

    /** The statuses' phrases in RFC 9110 and RFC 4918. */
    private static final Map<String, String> TITLES = Table.of(
            """
            400=Bad Request
            404=Not Found
            405=Method Not Allowed
            409=Conflict
            413=Content Too Large
            415=Unsupported Media Type
            421=Misdirected Request
            422=Unprocessable Content
            429=Too Many Requests
            500=Internal Server Error
            502=Bad Gateway
            503=Service Unavailable
            504=Gateway Timeout
            507=Insufficient Storage""");

    private static final int MAX_DETAIL = 1000; // characters, whoever's words they are

    final Code code;

    /** Seconds after which to try again, for the Retry-After header; null where nobody knows. */
    final Long retryAfter;

    /** Whether the same request may succeed a moment later, so that a provider is worth another try. */
    final boolean isTransient;

    Problem(Code code, String detail) {
        this(code, detail, null, false);
    }

    Problem(Code code, String detail, Long retryAfter, boolean isTransient) {
        super(truncated(detail), null, false, false); // a refusal is an answer, not a fault: nobody reads its stack
        this.code = code;
        this.retryAfter = retryAfter;
        this.isTransient = isTransient;
    }

    private static String truncated(String detail) {
        if (detail.length() <= MAX_DETAIL) return detail;
        // A pair of surrogates may be cut in the middle.
        return LONE_SURROGATE.matcher(detail.substring(0, MAX_DETAIL - 1)).replaceAll("") + "…";
    }

    /** A refusal of the request as it was sent: 400. */
    static Problem invalid(String detail) {
        return new Problem(INVALID_REQUEST, detail);
    }

    /** A refusal of a moment: 503. */
    static Problem overloaded(String how) {
        return new Problem(OVERLOADED, "The server is " + how + ": send it again soon", 1L, false);
    }

    /** The refusal of a request whose thread was interrupted, as at a stop. The thread stays so. */
    static Problem stopping() {
        currentThread().interrupt();
        return overloaded("stopping");
    }

    /** This problem, with what is known of another try. */
    Problem withRetry(Long after, boolean isTransient) {
        return new Problem(code, getMessage(), after, isTransient);
    }

    int status() {
        return code.status;
    }

    /** The code as clients read it. */
    String name() {
        return (code == STORAGE_FULL ? STORAGE_UNAVAILABLE : code).name().toLowerCase(ROOT);
    }

    /** The members of the problem document. */
    Map<String, Object> document() {
        return object(
                "type", "about:blank",
                "title", TITLES.get("" + status()),
                "status", status(),
                "code", name(),
                "detail", getMessage());
    }
}
