package parley;

import static java.lang.Double.parseDouble;
import static java.lang.Integer.parseInt;
import static java.lang.Math.ceil;
import static java.lang.Math.max;
import static java.lang.Math.min;
import static java.time.Duration.between;
import static java.time.Instant.now;
import static java.time.format.DateTimeFormatter.RFC_1123_DATE_TIME;
import static java.util.regex.Pattern.compile;
import static parley.Json.at;
import static parley.Json.parse;
import static parley.Json.toJson;

import java.net.http.HttpHeaders;
import java.text.ParseException;
import java.time.ZonedDateTime;
import java.time.format.DateTimeParseException;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * What a provider says in the place of an answer: a status, a body in whatever form, headers. Services differ in where
 * they put what; this is the one place that knows.
 *
 * @param status the HTTP status; 0 where nobody told one
 * @param json   the body as JSON that was parsed, or its text
 */
record ProviderError(int status, Object json, HttpHeaders headers) {
    private static final int ENOUGH = 2000; // characters in which something is looked for

    /** Members with words for people, or with what holds them, the best ones first. */
    private static final List<String> WORDS =
            List.of("message", "status_msg", "error_msg", "msg", "detail", "error", "errors", "base_resp", "choices");

    /** Members with words for programs. */
    private static final List<String> CODES = List.of("code", "type", "status", "status_code");

    /** Looked for in codes and, of a 403, in all its words. */
    private static final Pattern MODERATION = compile("(?i)moderat|flagged|content.?(filter|polic)|safety"
            + "|responsible.?ai|data_inspection_failed|(?<!case.)sensitive");

    private static final Pattern RATE_LIMIT =
            compile("(?i)rate_limit|resource_exhausted|insufficient_quota|too_many_requests");
    private static final Pattern NO_MODEL = compile("(?is)\\bmodel\\b.{0,200}"
            + "(not found|n.t exist|unknown(?! error)|not a valid|not supported|no longer|identifier is invalid)"
            + "|(unknown|no such|invalid|unsupported|unrecogni.ed|not a valid|not a supported|n.t find( the)?) model\\b"
            + "(?! (parameters?|options?|response|output)\\b(?!-))|no model named");
    private static final Pattern TOO_LONG = compile("(?i)context.?(length|window|size)"
            + "|(prompt|input|message|request).{0,20} too (long|large)|token count.{0,60} exceeds"
            + "|maximum.{0,40} tokens allowed");

    ProviderError {
        if (status == 0) status = toldStatus(codes(json));
    }

    /** An error in an answer whose status is a good one: the body tells the status, or nobody. */
    ProviderError(Object json) {
        this(0, json, HttpHeaders.of(Map.of(), (name, value) -> true));
    }

    private static List<String> codes(Object json) {
        Object error = at(json, "error");
        Object ofChoice = at(json, "choices", 0, "error");
        return Stream.of(error, json, ofChoice, at(json, "base_resp"), at(error, "innererror"))
                .flatMap(place -> CODES.stream().map(name -> at(place, name)))
                .filter(Objects::nonNull)
                .map(String::valueOf)
                .toList();
    }

    /** The status among an error's codes; 0 where there is none. */
    private static int toldStatus(List<String> codes) {
        for (String code : codes) {
            if (code.matches("[345]\\d\\d")) return parseInt(code);
        }
        return codes.stream().anyMatch(RATE_LIMIT.asPredicate()) ? 429 : 0;
    }

    /** {@return whether an answer's JSON tells of an error} One whose members are all empty is none. */
    static boolean isIn(Object json) {
        return !isEmpty(at(json, "error"))
                || !isEmpty(at(json, "choices", 0, "error"))
                || !isEmpty(at(json, "base_resp", "status_code"))
                || "error".equals(at(json, "object"))
                || "error".equals(at(json, "type"));
    }

    /** {@return whether a value says nothing: null, false, 0, blank, or made of nothing else} */
    static boolean isEmpty(Object value) { // asked of every event: a switch over patterns would cost a microsecond
        if (value == null || value.equals(false)) return true;
        if (value instanceof String text) return text.isBlank();
        if (value instanceof Number number) return number.doubleValue() == 0;
        Object items = value instanceof Map<?, ?> map ? map.values() : value;
        return items instanceof Collection<?> all && all.stream().allMatch(ProviderError::isEmpty);
    }

    /** {@return the words for people that JSON holds in one of the usual places; empty where there are none} */
    static String wordsIn(Object json) {
        if (json instanceof String text) return text;
        Stream<?> places =
                json instanceof List<?> list ? list.stream() : WORDS.stream().map(name -> at(json, name));
        return places.filter(Objects::nonNull)
                .map(ProviderError::wordsIn)
                .filter(words -> !words.isBlank())
                .findFirst()
                .orElse("");
    }

    /** {@return a text's JSON, or else the text} Google's OpenAI-compatible address wraps errors in a list of one. */
    static Object jsonOrText(String text) {
        try {
            Object json = parse(text);
            return json instanceof List<?> list && list.size() == 1 ? list.getFirst() : json;
        } catch (ParseException e) {
            return text;
        }
    }

    /** {@return its own words for people, or else all that it said} */
    String words() {
        // OpenRouter's raw words are those of the service behind it
        String words = wordsIn(json) + " " + wordsIn(at(json, "error", "metadata", "raw"));
        return words.isBlank() ? toJson(json) : words;
    }

    /** Whether prompt or reply were refused; to be asked before {@link #isBadKey}, since both may be a 403. */
    boolean isRefusal() {
        return !refusalCode().isEmpty() || status == 403 && holds(MODERATION, toJson(json));
    }

    /** {@return the code that tells of a refusal; empty where none does} */
    String refusalCode() {
        return codes(json).stream().filter(MODERATION.asPredicate()).findFirst().orElse("");
    }

    boolean isBadKey() {
        return status == 401
                || status == 403
                || hasCode("invalid_api_key")
                || details().contains("API_KEY_INVALID");
    }

    boolean isUnknownModel() {
        return status == 404 || hasCode("model_not_found") || status < 500 && status != 429 && holds(NO_MODEL, words());
    }

    /** Whether the conversation has more tokens than the model takes. */
    boolean isTooLong() {
        return hasCode("context_length_exceeded") || status != 429 && holds(TOO_LONG, words());
    }

    /**
     * Whether the same request may succeed a moment later. 52x are Cloudflare's, and 529 means overloaded. A day's
     * quota is none of that.
     */
    boolean isTransient() {
        boolean isUsedUp = hasCode("insufficient_quota") || details().contains("PerDay");
        return !isUsedUp && ("" + status).matches("408|429|50[0234]|52[0-4]|529");
    }

    /** The seconds of a Retry-After (RFC 9110, section 10.2.3) or of Google's RetryInfo, rounded up; null for none. */
    Long retryAfter() {
        Matcher delay = compile("\"retryDelay\":\"([^\"s]*)s?\"").matcher(details());
        String told = delay.find()
                ? delay.group(1)
                : headers.firstValue("Retry-After").orElse("");
        if (told.matches("\\d{1,18}(\\.\\d{1,9})?")) return (long) ceil(parseDouble(told));
        try {
            ZonedDateTime then = ZonedDateTime.parse(told, RFC_1123_DATE_TIME);
            return max(0, 1 + between(now(), then).toSeconds());
        } catch (DateTimeParseException e) {
            return null; // neither form: as if it were not there
        }
    }

    private boolean hasCode(String code) {
        return codes(json).contains(code);
    }

    /** Google's details (https://google.aip.dev/193), whose kinds have members of different names. */
    private String details() {
        return toJson(at(json, "error", "details"));
    }

    private static boolean holds(Pattern pattern, String text) {
        return pattern.matcher(text.substring(0, min(text.length(), ENOUGH))).find();
    }
}
