package parley;

import static parley.Problem.Code.BLOCKED;
import static parley.Problem.Code.EMPTY_REPLY;
import static parley.Problem.Code.PROVIDER_ERROR;
import static parley.Problem.Code.PROVIDER_REFUSED_KEY;
import static parley.Problem.Code.PROVIDER_TIMEOUT;
import static parley.Problem.Code.RATE_LIMITED;
import static parley.Problem.Code.UNKNOWN_MODEL;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpConnectTimeoutException;
import java.net.http.HttpHeaders;
import java.net.http.HttpRequest;
import java.net.http.HttpTimeoutException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeParseException;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import parley.Provider.Image;
import parley.Provider.Reply;
import parley.Provider.ReplyBuilder;

/**
 * Asks a provider over HTTP: deadlines, retries, statuses, errors. Every failure becomes a Problem here, and no key is
 * in one.
 *
 * @param timeout how long the provider may be silent in a stream, and how long a whole answer may take
 */
record Upstream(HttpClient client, Settings.Account account, Duration timeout) {
    private static final int TRIES = 3;
    private static final Duration FIRST_PAUSE = Duration.ofMillis(500);
    private static final long LONGEST_PAUSE = 5; // seconds that a Retry-After is waited for
    private static final Duration AFTER_REASON =
            Duration.ofMillis(1500); // for the rest of a stream that has told its finish reason
    private static final Duration AFTER_DONE =
            Duration.ofMillis(100); // for its end, which lets the connection be used again
    private static final String DONE = "[DONE]";
    private static final int MAX_WORDS = 300; // characters of a provider's own words in a problem's detail
    private static final int MAX_ERROR = 64 << 10; // bytes
    private static final HttpHeaders NO_HEADERS = HttpHeaders.of(Map.of(), (name, value) -> true);
    private static final Set<Integer> TRANSIENT = Set.of(408, 429, 500, 502, 503, 504);
    private static final Pattern REFUSAL =
            Pattern.compile("content_filter|content_policy_violation|moderation_blocked");
    private static final Pattern RATE_LIMIT =
            Pattern.compile("(?i)rate_limit.*|resource_exhausted|insufficient_quota|too_many_requests");
    private static final Pattern NO_MODEL =
            Pattern.compile("(?is).*\\bmodel\\b.{0,200}(not found|not exist|unknown|not a valid|"
                    + "not supported|no longer).*|.*(unknown|no such|invalid) model\\b.*");

    /** Where services put what their errors say for people, the best place first, and for programs. */
    private static final Object[][] ERROR_WORDS = {
        {"error", "message"}, {"detail"}, {"detail", 0, "msg"}, {"message"}, {"error"}, {}
    };

    private static final Object[][] ERROR_CODES = {
        {"error", "code"}, {"error", "type"}, {"error", "status"}, {"code"}, {"type"}, {"status"}, {"status_code"}
    };

    /** One try, which ends by the deadline of {@link System#nanoTime}. */
    private interface Attempt<T> {
        T run(long deadline) throws IOException, InterruptedException;
    }

    String name() {
        return account.provider();
    }

    HttpRequest.Builder request(URI uri) {
        HttpRequest.Builder request = HttpRequest.newBuilder(uri);
        if (account.key() == null) return request;
        return name().equals("gemini")
                ? request.header("x-goog-api-key", account.key().value())
                : request.header("Authorization", "Bearer " + account.key().value());
    }

    /** The request with the body, and the account's extra members merged into it. */
    HttpRequest.Builder post(URI uri, Map<String, Object> body) {
        String json = Json.write(Json.merge(body, account.extra()));
        return request(uri).header("Content-Type", "application/json").POST(HttpRequest.BodyPublishers.ofString(json));
    }

    /**
     * Asks for a reply, and reads it from the events of a stream or from one whole answer, whichever comes.
     *
     * @param reader takes what one event, or the whole answer, says of the reply
     */
    Reply chat(HttpRequest.Builder request, Consumer<String> onText, BiConsumer<Object, ReplyBuilder> reader)
            throws InterruptedException {
        return attempts(deadline -> {
            var reply = new ReplyBuilder(onText);
            try (EventStream body = send(request, deadline)) {
                readReply(body, deadline, reply, reader);
            } catch (IOException | Problem e) {
                if (e instanceof Problem || !reply.isFinished())
                    throw problem(e).unlessBegun(reply.length() > 0); // else all was said
            }
            return reply.reply(name());
        });
    }

    private void readReply(EventStream body, long end, ReplyBuilder reply, BiConsumer<Object, ReplyBuilder> reader)
            throws IOException, InterruptedException {
        var memory = new Memory.Growing();
        long deadline = reply.streams() ? in(timeout) : end;
        EventStream.Event event = EventStream.SILENCE;
        while (event != null) {
            if (System.nanoTime() >= deadline && reply.isFinished()) return;
            if (System.nanoTime() >= deadline) throw timedOut();
            reply.keepAlive();
            event = body.next(Math.min(deadline - System.nanoTime(), ReplyBuilder.PING / 2));
            if (event == null || event == EventStream.SILENCE) continue;
            boolean finished = reply.isFinished();
            take(event, reply, reader);
            memory.grownTo(reply.length());
            boolean done = event.data().strip().equals(DONE);
            if (reply.isFinished() && (done || !finished)) deadline = in(done ? AFTER_DONE : AFTER_REASON);
            if (!reply.isFinished()) deadline = reply.streams() ? in(timeout) : end;
        }
        if (!reply.isFinished()) throw cutOff(body, reply.unreadable());
    }

    private Problem cutOff(EventStream body, String unreadable) {
        if (unreadable.isBlank()) return failed("cut its reply off: send it again");
        return failed("answered 200 (" + body.contentType() + ") with what is not its own format, or not JSON: "
                + brief(unreadable) + " (see " + account.variable("BASE_URL") + " in .env)");
    }

    private void take(EventStream.Event event, ReplyBuilder reply, BiConsumer<Object, ReplyBuilder> reader) {
        String data = event.data().strip();
        if (event.kind().equals("comment") || data.isEmpty()) return; // a heartbeat
        Object json = jsonOrText(data);
        if (event.kind().equals("error")) throw refusal(0, json, NO_HEADERS);
        boolean broken = json == data && (data.startsWith("{") || data.startsWith("["));
        if (data.equals(DONE)) reply.end();
        else if (broken) throw failed("sent what is not JSON, or cut it off: " + brief(data));
        else
            for (Object each : json instanceof List<?> list ? list : Collections.singletonList(json))
                takeJson(each, reply, reader);
        boolean whole = Json.at(json, "choices") != null || Json.at(json, "candidates") != null;
        if (event.kind().equals("json") && whole) reply.end();
        else if (event.kind().equals("json") && json instanceof Map) reply.unreadable(data);
    }

    private void takeJson(Object json, ReplyBuilder reply, BiConsumer<Object, ReplyBuilder> reader) {
        if (isError(json)) throw refusal(0, json, NO_HEADERS);
        if (json instanceof Map) reader.accept(json, reply);
        else reply.unreadable(json instanceof String text ? text : Json.write(json));
    }

    /** The whole answer, as JSON. */
    Object ask(HttpRequest.Builder request) throws InterruptedException {
        String text = new String(download(request), StandardCharsets.UTF_8);
        Object json = onlyItem(jsonOrText(text));
        if (isError(json)) throw refusal(0, json, NO_HEADERS);
        if (json instanceof Map) return json;
        throw failed("sent what is not its own format: " + brief(text));
    }

    /** The whole answer. */
    byte[] download(HttpRequest.Builder request) throws InterruptedException {
        return attempts(deadline -> {
            try (EventStream body = send(request, deadline)) {
                byte[] whole = body.all(Integer.MAX_VALUE, deadline);
                if (whole == null) throw timedOut();
                return whole;
            }
        });
    }

    /** @param image null for what is none */
    Image checked(Image image) {
        if (image == null) throw failed("sent what is no image of a known type, or is not base64");
        return image;
    }

    Problem noImage(String words) {
        String why = words.isBlank() ? ": try other words" : ", but said: " + brief(words);
        return new Problem(EMPTY_REPLY, name() + " made no image" + why);
    }

    /** Tries until it works, fails for good, or there is no time left. */
    private <T> T attempts(Attempt<T> attempt) throws InterruptedException {
        long deadline = in(timeout);
        for (int tried = 1; ; tried++) {
            try {
                return attempt.run(deadline);
            } catch (IOException | Problem e) {
                pauseBeforeRetry(problem(e), tried, deadline);
            }
        }
    }

    /**
     * Waits as the provider said, or else with exponential backoff and full jitter; throws the problem where there is
     * to be no retry.
     */
    private void pauseBeforeRetry(Problem problem, int tried, long deadline) throws InterruptedException {
        long backoff = ThreadLocalRandom.current().nextLong(FIRST_PAUSE.toNanos() << tried - 1);
        long pause = problem.retryAfter == null ? backoff : TimeUnit.SECONDS.toNanos(problem.retryAfter);
        boolean tooLong = pause > TimeUnit.SECONDS.toNanos(LONGEST_PAUSE) || System.nanoTime() + pause >= deadline;
        if (!problem.isTransient || tried == TRIES || tooLong) throw problem;
        Log.log(problem.getMessage() + "; retry " + tried + " of " + (TRIES - 1) + " in " + pause / 1_000_000 + " ms");
        TimeUnit.NANOSECONDS.sleep(pause);
    }

    /** Sends the request. The body has yet to arrive, and its status is a good one. */
    private EventStream send(HttpRequest.Builder request, long deadline) throws IOException, InterruptedException {
        Duration left = Duration.ofNanos(Math.max(1, deadline - System.nanoTime()));
        var response = client.send(request.timeout(left).build(), head -> new EventStream(head.headers()));
        if (response.statusCode() / 100 == 2) return response.body();
        try (EventStream body = response.body()) {
            byte[] error = body.all(MAX_ERROR, deadline);
            String text = error == null ? "" : new String(error, StandardCharsets.UTF_8);
            throw refusal(response.statusCode(), jsonOrText(text), response.headers());
        }
    }

    private static Object jsonOrText(String text) {
        try {
            return Json.parse(text);
        } catch (Json.Malformed e) {
            return text;
        }
    }

    /** The item of a list of one: some services wrap their errors so. Anything else stays as it is. */
    private static Object onlyItem(Object json) {
        return json instanceof List<?> list && list.size() == 1 ? list.getFirst() : json;
    }

    /** Whether JSON tells of an error; an empty one beside good choices is none. */
    private static boolean isError(Object json) {
        Object error = Json.at(json, "error");
        boolean none = error == null
                || error.equals("")
                || error.equals(Map.of())
                || error.equals(List.of())
                || error.equals(false);
        return !none || "error".equals(Json.string(json, "object")) || "error".equals(Json.string(json, "type"));
    }

    /** The problem that an error's status and body make. A status of 0 is told by the body, or nowhere. */
    private Problem refusal(int status, Object body, HttpHeaders headers) {
        Object json = onlyItem(body);
        List<String> codes = Stream.of(ERROR_CODES)
                .map(path -> String.valueOf(Json.at(json, path)))
                .toList();
        int told = status == 0 ? status(codes) : status;
        String words = Stream.of(ERROR_WORDS)
                .map(path -> Json.string(json, path))
                .filter(found -> found != null && !found.isEmpty())
                .findFirst()
                .orElseGet(() -> Json.write(json));
        String said = name() + " answered" + (told == 0 ? "" : " " + told) + ": " + brief(words);
        List<?> details = Json.items(json, "error", "details");
        boolean badKey = details.stream().anyMatch(each -> "API_KEY_INVALID".equals(Json.string(each, "reason")));
        badKey |= told == 401 || told == 403 || codes.contains("invalid_api_key");
        if (badKey)
            return new Problem(PROVIDER_REFUSED_KEY, said + " (set " + account.variable("API_KEY") + " in .env)");
        String target = headers.firstValue("Location").orElse("nowhere");
        if (told / 100 == 3)
            return failed("answered " + told + ": it redirects to " + brief(target) + ". Put the new address into "
                    + account.variable("BASE_URL") + " in .env");
        Optional<String> refusal =
                codes.stream().filter(REFUSAL.asMatchPredicate()).findFirst();
        if (refusal.isPresent()) return blocked(refusal.get());
        boolean unknown = codes.contains("model_not_found")
                || told / 100 == 4 && told != 429 && NO_MODEL.matcher(words).matches();
        if (told == 404 || unknown) return unknownModel(said);
        boolean forLong = codes.contains("insufficient_quota")
                || details.stream()
                        .flatMap(each -> Json.items(each, "violations").stream())
                        .anyMatch(each ->
                                String.valueOf(Json.string(each, "quotaId")).contains("PerDay"));
        boolean isTransient = TRANSIENT.contains(told) && !forLong;
        return new Problem(
                told == 429 ? RATE_LIMITED : PROVIDER_ERROR, said, retryAfter(headers, details), isTransient);
    }

    /** The status among an error's codes; 0 where there is none. */
    private static int status(List<String> codes) {
        int ofAWord = codes.stream().anyMatch(RATE_LIMIT.asMatchPredicate()) ? 429 : 0;
        return codes.stream()
                .filter(code -> code.matches("[345]\\d\\d"))
                .findFirst()
                .map(Integer::valueOf)
                .orElse(ofAWord);
    }

    /** The seconds of a Retry-After (RFC 9110, section 10.2.3) or of Google's RetryInfo, rounded up; null for none. */
    private static Long retryAfter(HttpHeaders headers, List<?> details) {
        String told = details.stream()
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

    private Problem problem(Exception e) {
        if (e instanceof Problem problem) return problem;
        if (e instanceof HttpTimeoutException && !(e instanceof HttpConnectTimeoutException)) return timedOut();
        if (e instanceof EventStream.TooLong) return failed("sent more than " + EventStream.MAX_LENGTH + " bytes");
        String reason = brief(e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage());
        String ask = Settings.isLoopback(account.base().getHost())
                ? "Is it running?"
                : "Is this machine online, or behind HTTPS_PROXY?";
        String detail = " cannot be reached, or broke the connection off (" + reason + "). " + ask + " If so, see ";
        return new Problem(PROVIDER_ERROR, name() + detail + account.variable("BASE_URL") + " in .env", null, true);
    }

    Problem blocked(String reason) {
        return new Problem(BLOCKED, name() + " refused it: " + brief(reason) + ". Say it in other words");
    }

    Problem failed(String what) {
        return new Problem(PROVIDER_ERROR, name() + " " + what);
    }

    Problem unknownModel(String said) {
        String advice = account.use().equals("IMAGE") && !name().equals("gemini") ? ", or IMAGE_PROVIDER=gemini" : "";
        return new Problem(
                UNKNOWN_MODEL,
                said + " (set " + account.modelVariable() + advice + " in .env: it is " + account.model() + "; or "
                        + account.variable("BASE_URL") + ", where a /v1 may be missing)");
    }

    private Problem timedOut() {
        return new Problem(
                PROVIDER_TIMEOUT,
                name() + " was silent for " + timeout.toMillis() / 1000.0
                        + " s: send it again, or raise PROVIDER_TIMEOUT in .env");
    }

    /** A provider's words, on one line, cut, and without the key, which some services repeat. */
    private String brief(String words) {
        String safe =
                account.key() == null ? words : words.replace(account.key().value(), "***");
        String line = Log.sanitized(safe).strip().replaceAll("\\s+", " ");
        return line.length() <= MAX_WORDS ? line : line.substring(0, MAX_WORDS) + "…";
    }

    private static long in(Duration duration) {
        return System.nanoTime() + duration.toNanos();
    }
}
