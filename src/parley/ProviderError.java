package parley;

import java.net.http.HttpHeaders;
import java.time.Duration;
import java.time.Instant;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeParseException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * What a provider says of a failure: a status, a body in whatever form, and headers. Services differ in where they put
 * what; this is the one place that knows.
 */
@SuppressWarnings("serial")
final class ProviderError extends Exception {
    private static final Set<Integer> TRANSIENT =
            Set.of(408, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529); // 52x: Cloudflare's; 529: overloaded

    private static final int ENOUGH = 2000; // characters of its words in which something is looked for

    /** Where an error's words for people are, the best place first; the last one is the error itself. */
    private static final Object[][] WORDS = {
        {"message"},
        {"status_msg"},
        {"error_msg"},
        {"detail"},
        {"detail", 0, "msg"},
        {"errors", 0, "message"},
        {"msg"},
        {"error"},
        {}
    };

    /** Where its words for programs are. */
    private static final Object[][] CODES = {
        {"code"}, {"type"}, {"status"}, {"status_code"}, {"innererror", "code"}, {"metadata", "error_type"}
    };

    private static final Pattern REFUSAL = Pattern.compile(
            "(?i)content.?filter|content.?policy|moderation|responsible.?ai|data_inspection_failed|sensitive");
    private static final Pattern MODERATION =
            Pattern.compile("(?i)moderat|flagged|content.?filter|content.?polic|safety");
    private static final Pattern RATE_LIMIT =
            Pattern.compile("(?i)rate_limit|resource_exhausted|insufficient_quota|too_many_requests");
    private static final Pattern NO_MODEL = Pattern.compile("(?is)\\bmodel\\b.{0,200}"
            + "(not found|not exist|unknown|not a valid|not supported|no longer)|(unknown|no such|invalid) model\\b");
    private static final Pattern TOO_LONG = Pattern.compile("(?i)context.?(length|window|size)"
            + "|(prompt|input|message|request).{0,20} too (long|large)|token count.{0,60} exceeds"
            + "|maximum.{0,40} tokens allowed");

    private final int status;
    private final Object json;
    private final Object error; // the part of it that tells of the failure
    private final HttpHeaders headers;
    private final List<String> codes;
    private final String words;

    /**
     * @param status 0 where the body alone tells it, or nobody
     * @param body   JSON as it was parsed, or text
     */
    ProviderError(int status, Object body, HttpHeaders headers) {
        super(null, null, false, false); // it is an answer, not a fault: nobody reads its stack
        json = onlyItem(body);
        error = Stream.of(Json.at(json, "error"), Json.at(json, "choices", 0, "error"), Json.at(json, "base_resp"))
                .filter(each -> !isEmpty(each))
                .findFirst()
                .orElse(json);
        codes = Stream.of(error, json)
                .flatMap(each -> Stream.of(CODES).map(path -> Json.at(each, path)))
                .filter(Objects::nonNull)
                .map(String::valueOf)
                .toList();
        words = words(error, json);
        this.status = status == 0 ? toldStatus(codes) : status;
        this.headers = headers;
    }

    /** {@return whether an answer's JSON tells of an error} One whose members are all empty is none. */
    static boolean isIn(Object json) {
        return !isEmpty(Json.at(json, "error"))
                || !isEmpty(Json.at(json, "choices", 0, "error"))
                || !isEmpty(Json.at(json, "base_resp", "status_code"))
                || "error".equals(Json.string(json, "object"))
                || "error".equals(Json.string(json, "type"));
    }

    /** {@return whether a value says nothing: null, false, 0, blank, or made of nothing else} */
    static boolean isEmpty(Object value) {
        return switch (value) {
            case null -> true;
            case String text -> text.isBlank();
            case Boolean flag -> !flag;
            case Number number -> number.doubleValue() == 0;
            case List<?> list -> list.stream().allMatch(ProviderError::isEmpty);
            case Map<?, ?> map -> map.values().stream().allMatch(ProviderError::isEmpty);
            default -> false;
        };
    }

    /** {@return the words for people that any JSON holds in one of the usual places; empty where there are none} */
    static String wordsIn(Object json) {
        return json instanceof Map ? found(json, Json.at(json, "base_resp")) : "";
    }

    /** The item of a list of one: Google's OpenAI-compatible address wraps its errors so. */
    static Object onlyItem(Object json) {
        return json instanceof List<?> list && list.size() == 1 ? list.getFirst() : json;
    }

    private static String words(Object error, Object json) {
        String said = found(error, json);
        Object raw = Json.at(error, "metadata", "raw"); // OpenRouter's: what the service behind it said
        var all = new ArrayList<String>();
        if (!said.isEmpty()) all.add(said);
        if (!isEmpty(raw)) all.add(raw instanceof String text ? text : Json.write(raw));
        if (all.isEmpty()) all.add(Json.write(json));
        return String.join(": ", all);
    }

    private static String found(Object... places) {
        return Stream.of(places)
                .filter(Objects::nonNull)
                .flatMap(each -> Stream.of(WORDS).map(path -> Json.string(each, path)))
                .filter(text -> !isEmpty(text))
                .findFirst()
                .orElse("");
    }

    /** The status among an error's codes; 0 where there is none. */
    private static int toldStatus(List<String> codes) {
        boolean limited =
                codes.stream().anyMatch(code -> RATE_LIMIT.matcher(code).find());
        return codes.stream()
                .filter(code -> code.matches("[345]\\d\\d"))
                .findFirst()
                .map(Integer::valueOf)
                .orElse(limited ? 429 : 0);
    }

    /** {@return the HTTP status; 0 where nobody told one} */
    int status() {
        return status;
    }

    /** {@return its own words for people, or else all that it said} */
    String words() {
        return words;
    }

    /** {@return the address that it redirects to; null where it does not redirect} */
    String location() {
        return status / 100 == 3 ? headers.firstValue("Location").orElse("nowhere") : null;
    }

    /** Whether prompt or reply were refused; to be asked before {@link #isBadKey}, since both may be a 403. */
    boolean isRefusal() {
        return !refusalCode().isEmpty()
                || status == 403 && MODERATION.matcher(start(Json.write(json))).find();
    }

    /** {@return the code that tells of a refusal; empty where none does} */
    String refusalCode() {
        return codes.stream()
                .filter(code -> REFUSAL.matcher(code).find())
                .findFirst()
                .orElse("");
    }

    boolean isBadKey() {
        return status == 401
                || status == 403
                || codes.contains("invalid_api_key")
                || details().anyMatch(each -> "API_KEY_INVALID".equals(Json.string(each, "reason")));
    }

    boolean isUnknownModel() {
        boolean told = status / 100 == 4
                && status != 429
                && NO_MODEL.matcher(start(words)).find();
        return status == 404 || codes.contains("model_not_found") || told;
    }

    /** Whether the conversation has more tokens than the model takes. */
    boolean isTooLong() {
        return codes.contains("context_length_exceeded")
                || status != 429 && TOO_LONG.matcher(start(words)).find();
    }

    boolean isRateLimit() {
        return status == 429;
    }

    /** Whether the same request may succeed a moment later. A day's quota is none of that. */
    boolean isTransient() {
        boolean used = codes.contains("insufficient_quota")
                || details()
                        .flatMap(each -> Json.items(each, "violations").stream())
                        .anyMatch(each ->
                                String.valueOf(Json.string(each, "quotaId")).contains("PerDay"));
        return TRANSIENT.contains(status) && !used;
    }

    /** The seconds of a Retry-After (RFC 9110, section 10.2.3) or of Google's RetryInfo, rounded up; null for none. */
    Long retryAfter() {
        String told = details()
                .map(each -> Json.string(each, "retryDelay"))
                .filter(Objects::nonNull)
                .findFirst()
                .map(delay -> delay.replace("s", ""))
                .orElse(headers.firstValue("Retry-After").orElse("").strip());
        if (told.matches("\\d{1,9}(\\.\\d{1,9})?")) return (long) Math.ceil(Double.parseDouble(told));
        try {
            Instant then = ZonedDateTime.parse(told, DateTimeFormatter.RFC_1123_DATE_TIME)
                    .toInstant();
            return Math.max(
                    0, Duration.between(Instant.now(), then).plusMillis(999).toSeconds());
        } catch (DateTimeParseException e) {
            return null; // neither form: as if it were not there
        }
    }

    private Stream<?> details() {
        return Json.items(error, "details").stream();
    }

    private static String start(String text) {
        return text.substring(0, Math.min(text.length(), ENOUGH));
    }
}
