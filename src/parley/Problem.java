package parley;

import static java.util.Locale.ROOT;
import static parley.Json.LONE_SURROGATE;
import static parley.Json.object;

import java.util.Map;

/**
 * A refusal, as RFC 9457 has it: thrown anywhere, written to the client in one place.
 * The message is the {@code detail}: it is for people, says what to do next, and holds no key and no path of this disk.
 */
@SuppressWarnings("serial")
final class Problem extends RuntimeException {
    /** What programs tell refusals by. Each is its constant's name in lower case, and never changes. */
    enum Code {
        INVALID_REQUEST(400, "Bad Request"),
        NOT_FOUND(404, "Not Found"),
        METHOD_NOT_ALLOWED(405, "Method Not Allowed"),
        CONVERSATION_CHANGED(409, "Conflict"),
        TOO_LARGE(413, "Content Too Large"),
        UNSUPPORTED_MEDIA_TYPE(415, "Unsupported Media Type"),
        MISDIRECTED_REQUEST(421, "Misdirected Request"),
        BLOCKED(422, "Unprocessable Content"),
        RATE_LIMITED(429, "Too Many Requests"),
        BUSY(429, "Too Many Requests"),
        INTERNAL_ERROR(500, "Internal Server Error"),
        PROVIDER_ERROR(502, "Bad Gateway"),
        PROVIDER_REFUSED_KEY(502, "Bad Gateway"),
        UNKNOWN_MODEL(502, "Bad Gateway"),
        EMPTY_REPLY(502, "Bad Gateway"),
        NOT_CONFIGURED(503, "Service Unavailable"),
        OVERLOADED(503, "Service Unavailable"),
        STORAGE_UNAVAILABLE(503, "Service Unavailable"),
        STORAGE_FULL(507, "Insufficient Storage"),
        PROVIDER_TIMEOUT(504, "Gateway Timeout");

        private final int status;
        private final String title; // the status's phrase in RFC 9110 or RFC 4918

        Code(int status, String title) {
            this.status = status;
            this.title = title;
        }
    }

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
        return new Problem(Code.INVALID_REQUEST, detail);
    }

    /** A refusal of a moment: 503. */
    static Problem overloaded(String how) {
        return new Problem(Code.OVERLOADED, "The server is " + how + ": send it again soon", 1L, false);
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
        return (code == Code.STORAGE_FULL ? Code.STORAGE_UNAVAILABLE : code)
                .name()
                .toLowerCase(ROOT);
    }

    /** The members of the problem document. */
    Map<String, Object> document() {
        return object(
                "type", "about:blank", "title", code.title, "status", status(), "code", name(), "detail", getMessage());
    }
}
