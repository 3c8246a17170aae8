package parley;

import java.util.Locale;
import java.util.Map;

/**
 * A refusal, as RFC 9457 has it: thrown anywhere, written to the client in one place.
 * The message is the {@code detail}: it is for people, says what to do next, and holds no key and no path of this disk.
 */
final class Problem extends RuntimeException {
    private static final long serialVersionUID = 1;

    /** What programs tell refusals by. Each is its constant's name in lower case, and never changes. */
    enum Code {
        INVALID_REQUEST(400), NOT_FOUND(404), METHOD_NOT_ALLOWED(405), TOO_LARGE(413), UNSUPPORTED_MEDIA_TYPE(415),
        MISDIRECTED_REQUEST(421), BLOCKED(422),
        RATE_LIMITED(429), BUSY(429), CLIENT_GONE(499), INTERNAL_ERROR(500), PROVIDER_ERROR(502), PROVIDER_REFUSED_KEY(502), UNKNOWN_MODEL(502),
        EMPTY_REPLY(502), NOT_CONFIGURED(503), OVERLOADED(503), STORAGE_UNAVAILABLE(503), STORAGE_FULL(507), PROVIDER_TIMEOUT(504);

        final int status;

        Code(int status) {
            this.status = status;
        }
    }

    final Code code;

    /** Seconds after which to try again, for the Retry-After header; null where nobody knows. */
    final Long retryAfter;

    Problem(Code code, String detail) {
        this(code, detail, null);
    }

    Problem(Code code, String detail, Long retryAfter) {
        super(detail, null, false, false); // a refusal is an answer, not a fault: nobody reads its stack
        this.code = code;
        this.retryAfter = retryAfter;
    }

    /** A refusal of the request as it was sent: 400. */
    static Problem invalid(String detail) {
        return new Problem(Code.INVALID_REQUEST, detail);
    }

    /** The end of a request that nobody waits for any more: 499, as nginx logs it. */
    static Problem clientGone() {
        return new Problem(Code.CLIENT_GONE, "The client left");
    }

    int status() {
        return code.status;
    }

    /** The code as clients read it. */
    String name() {
        return (code == Code.STORAGE_FULL ? Code.STORAGE_UNAVAILABLE : code).name().toLowerCase(Locale.ROOT);
    }

    /** The members of the problem document. */
    Map<String, Object> document() {
        return Json.object("type", "about:blank", "title", title(), "status", status(), "code", name(), "detail", getMessage());
    }

    /** The status's phrase in RFC 9110 and RFC 4918. */
    private String title() {
        return switch (status()) {
            case 400 -> "Bad Request";
            case 404 -> "Not Found";
            case 405 -> "Method Not Allowed";
            case 413 -> "Content Too Large";
            case 415 -> "Unsupported Media Type";
            case 421 -> "Misdirected Request";
            case 422 -> "Unprocessable Content";
            case 429 -> "Too Many Requests";
            case 499 -> "Client Closed Request";
            case 502 -> "Bad Gateway";
            case 503 -> "Service Unavailable";
            case 504 -> "Gateway Timeout";
            case 507 -> "Insufficient Storage";
            default -> "Internal Server Error";
        };
    }
}
