package parley;

import java.io.IOException;
import java.net.http.HttpHeaders;
import java.time.Duration;
import java.time.Instant;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeParseException;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * What a provider says in the place of an answer: a status, a body in whatever form, headers. Services differ in where
 * they put what; this is the one place that knows.
 */
@SuppressWarnings("serial")
final class ProviderError extends IOException {
    /** Those of a moment: 52x are Cloudflare's, and 529 means overloaded. */
    private static final Pattern TRANSIENT = Pattern.compile("408|429|50[0234]|52[0-4]|529");

    private static final int ENOUGH = 2000; // characters in which something is looked for

    /** Members with words for people, or with what holds them, the best ones first. */
    private static final List<String> WORDS =
            List.of("message", "status_msg", "error_msg", "msg", "detail", "error", "errors", "base_resp", "choices");

    /** Members with words for programs, and what holds them. */
    private static final List<String> CODES = List.of("code", "type", "status", "status_code");

    private static final HttpHeaders NO_HEADERS = HttpHeaders.of(Map.of(), (name, value) -> true);
    private static final Pattern REFUSAL =
            Pattern.compile("(?i)content.?(filter|policy)|moderation|responsible.?ai|data_inspection_failed|sensitive");
    private static final Pattern MODERATION = Pattern.compile("(?i)moderat|flagged|content.?(filter|polic)|safety");
    private static final Pattern RATE_LIMIT =
            Pattern.compile("(?i)rate_limit|resource_exhausted|insufficient_quota|too_many_requests");
    private static final Pattern NO_MODEL = Pattern.compile("(?is)\\bmodel\\b.{0,200}"
            + "(not found|not exist|unknown|not a valid|not supported|no longer)|(unknown|no such|invalid) model\\b");
    private static final Pattern TOO_LONG = Pattern.compile("(?i)context.?(length|window|size)"
            + "|(prompt|input|message|request).{0,20} too (long|large)|token count.{0,60} exceeds"
            + "|maximum.{0,40} tokens allowed");

    private final int status;
    private final Object json;
    private final HttpHeaders headers;
    private final List<String> codes;

    /** @param body JSON as it was parsed, or text */
    ProviderError(int status, Object body, HttpHeaders headers) {
        json = onlyItem(body);
        codes = places(json)
                .flatMap(place -> CODES.stream().map(name -> Json.at(place, name)))
                .filter(Objects::nonNull)
                .map(String::valueOf)
                .toList();
        this.status = status == 0 ? toldStatus(codes) : status;
        this.headers = headers;
    }

    /** An error in an answer whose status is a good one: the body tells the status, or nobody. */
    ProviderError(Object body) {
        this(0, body, NO_HEADERS);
    }

    /** The objects that may tell of an error. */
    private static Stream<Object> places(Object json) {
        Object error = Json.at(json, "error");
        Object[] inner = {Json.at(json, "choices", 0, "error"), Json.at(json, "base_resp"), Json.at(error, "innererror")
        };
        return Stream.concat(Stream.of(error, json), Stream.of(inner));
    }

    /** {@return whether an answer's JSON tells of an error} One whose members are all empty is none. */
    static boolean isIn(Object json) {
        return !isEmpty(Json.at(json, "error"))
                || !isEmpty(Json.at(json, "choices", 0, "error"))
                || !isEmpty(Json.at(json, "base_resp", "status_code"))
                || "error".equals(Json.at(json, "object"))
                || "error".equals(Json.at(json, "type"));
    }

    /** {@return whether a value says nothing: null, false, 0, blank, or made of nothing else} */
    static boolean isEmpty(Object value) { // asked of every event: a switch over patterns would cost a microsecond
        if (value == null || value.equals(false)) return true;
        if (value instanceof String text) return text.isBlank();
        if (value instanceof Number number) return number.doubleValue() == 0;
        if (value instanceof List<?> list) return list.stream().allMatch(ProviderError::isEmpty);
        return value instanceof Map<?, ?> map && map.values().stream().allMatch(ProviderError::isEmpty);
    }

    /** {@return the words for people that JSON holds in one of the usual places; empty where there are none} */
    static String wordsIn(Object value) {
        return switch (value) {
            case String text -> text;
            case List<?> list -> wordsIn(list.stream());
            case Map<?, ?> map -> wordsIn(WORDS.stream().map(map::get));
            case null -> "";
            default -> "";
        };
    }

    private static String wordsIn(Stream<?> values) {
        return values.map(ProviderError::wordsIn)
                .filter(words -> !words.isBlank())
                .findFirst()
                .orElse("");
    }

    /** The item of a list of one: Google's OpenAI-compatible address wraps its errors so. */
    static Object onlyItem(Object json) {
        return json instanceof List<?> list && list.size() == 1 ? list.getFirst() : json;
    }

    static Object jsonOrText(String text) {
        try {
            return Json.parse(text);
        } catch (Json.Malformed e) {
            return text;
        }
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
        String words = wordsIn(json);
        Object raw = Json.at(json, "error", "metadata", "raw"); // OpenRouter's: what the service behind it said
        if (!isEmpty(raw)) words += " " + (raw instanceof String text ? text : Json.write(raw));
        return words.isEmpty() ? Json.write(json) : words;
    }

    /** {@return the address that it redirects to} */
    String location() {
        return headers.firstValue("Location").orElse("nowhere");
    }

    /** Whether prompt or reply were refused; to be asked before {@link #isBadKey}, since both may be a 403. */
    boolean isRefusal() {
        return !refusalCode().isEmpty() || status == 403 && holds(MODERATION, Json.write(json));
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
                || details().anyMatch(each -> "API_KEY_INVALID".equals(Json.at(each, "reason")));
    }

    boolean isUnknownModel() {
        boolean told = status / 100 == 4 && status != 429 && holds(NO_MODEL, words());
        return status == 404 || codes.contains("model_not_found") || told;
    }

    /** Whether the conversation has more tokens than the model takes. */
    boolean isTooLong() {
        return codes.contains("context_length_exceeded") || status != 429 && holds(TOO_LONG, words());
    }

    /** Whether the same request may succeed a moment later. A day's quota is none of that. */
    boolean isTransient() {
        boolean used = codes.contains("insufficient_quota")
                || details()
                        .flatMap(each -> Json.items(each, "violations").stream())
                        .anyMatch(
                                each -> String.valueOf(Json.at(each, "quotaId")).contains("PerDay"));
        return TRANSIENT.matcher("" + status).matches() && !used;
    }

    /** The seconds of a Retry-After (RFC 9110, section 10.2.3) or of Google's RetryInfo, rounded up; null for none. */
    Long retryAfter() {
        String told = details()
                .map(each -> Json.string(each, "retryDelay"))
                .filter(Objects::nonNull)
                .findFirst()
                .map(delay -> delay.replace("s", ""))
                .orElse(headers.firstValue("Retry-After").orElse(""));
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
        return Json.items(json, "error", "details").stream();
    }

    private static boolean holds(Pattern pattern, String text) {
        return pattern.matcher(text.substring(0, Math.min(text.length(), ENOUGH)))
                .find();
    }
}
