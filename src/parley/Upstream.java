package parley;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpConnectTimeoutException;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpTimeoutException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeParseException;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.IntConsumer;

/**
 * Asks a provider over HTTP: deadlines, retries, statuses, events. Every failure becomes a Problem here, and no key is in one.
 *
 * @param timeout how long the provider may be silent: until its first byte, and between any two events
 * @param reserve is told how many bytes of memory an answer takes, before it is read
 */
record Upstream(HttpClient client, Settings.Account account, Duration timeout, IntConsumer reserve) {
    private static final int TRIES = 3;
    private static final Duration FIRST_PAUSE = Duration.ofMillis(500);
    private static final long LONGEST_PAUSE = 5; // seconds that a Retry-After is waited for
    private static final Duration PING = Duration.ofSeconds(15);
    private static final Duration LINGER = Duration.ofMillis(100); // for the end of an answer, which lets its connection be used again
    private static final int MAX_TEXT = 300; // characters of a provider's own words in a problem's detail
    private static final int MAX_REFUSAL = 64 << 10; // bytes of an answer whose status is an error
    private static final int MAX_IMAGE = 20 << 20;
    private static final int MAX_ANSWER = (int) Math.min(32 << 20, Runtime.getRuntime().maxMemory() / 8);
    private static final int TYPICAL = 4 << 20; // bytes of an answer with an image, where no Content-Length tells
    private static final Set<Integer> PASSING = Set.of(408, 429, 500, 502, 503, 504);
    private static final Set<String> BLOCKED = Set.of("content_filter", "content_policy_violation", "moderation_blocked");

    /** A failure that may pass. */
    private static final class Passing extends Exception {
        private static final long serialVersionUID = 1;
        private final transient Problem problem;

        Passing(Problem problem) {
            super(null, problem, false, false);
            this.problem = problem;
        }
    }

    /** One try. */
    private interface Attempt<T> {
        T at(HttpRequest.Builder request) throws Passing, IOException, InterruptedException;
    }

    String name() {
        return account.provider();
    }

    HttpRequest.Builder request(URI uri) {
        HttpRequest.Builder request = HttpRequest.newBuilder(uri);
        if (account.key() == null) return request;
        return name().equals("gemini") ? request.header("x-goog-api-key", account.key().value())
                : request.header("Authorization", "Bearer " + account.key().value());
    }

    /** The request with the body, and the account's extra members laid over it. */
    HttpRequest.Builder post(URI uri, Map<String, Object> body) {
        byte[] json = Json.bytes(Json.merge(body, account.extra()));
        return request(uri).header("Content-Type", "application/json").POST(HttpRequest.BodyPublishers.ofByteArray(json));
    }

    /** Hands on each event of the answer, until it ends or, where a service leaves it open, a moment after its {@code [DONE]}. */
    void stream(HttpRequest.Builder request, Answer answer, Consumer<Object> onEvent) throws InterruptedException {
        attempts(request, answer, once -> {
            try (Arrivals body = send(once)) {
                return events(body, answer, onEvent);
            } catch (IOException e) {
                if (answer.finished()) return null; // all was said before the connection broke
                throw e;
            }
        });
    }

    private Void events(Arrivals body, Answer answer, Consumer<Object> onEvent) throws IOException, InterruptedException, Passing {
        var events = new Sse();
        long size = 0;
        for (long deadline = in(timeout); !events.ended(); ) {
            if (System.nanoTime() >= deadline) {
                if (answer.finished()) return null;
                throw timedOut();
            }
            if (answer.quiet() >= PING.toNanos()) answer.signOfLife();
            List<ByteBuffer> arrived = body.next(Math.min(deadline - System.nanoTime(), PING.toNanos() - answer.quiet()));
            if (arrived == null) events.end();
            else for (ByteBuffer bytes : arrived) {
                if ((size += bytes.remaining()) > MAX_ANSWER) throw tooLong(MAX_ANSWER);
                events.read(bytes);
            }
            for (byte[] data; (data = events.next()) != null; ) {
                // An object, which nearly every event is, is decoded by the parser only.
                boolean done = data.length > 0 && data[0] != '{' && text(data).strip().equals("[DONE]");
                if (done) answer.finish("stop");
                else onEvent.accept(sound(data));
                deadline = in(done ? LINGER : timeout);
            }
            reserve.accept(Json.COST * answer.length());
        }
        if (!answer.finished()) throw failed("cut its reply off");
        return null;
    }

    /** The whole answer, as JSON. */
    Object ask(HttpRequest.Builder request) throws InterruptedException {
        return attempts(request, null, once -> {
            try (Arrivals body = send(once)) {
                byte[] whole = whole(body, MAX_ANSWER);
                if (whole.length > MAX_ANSWER) throw tooLong(MAX_ANSWER);
                return sound(whole);
            }
        });
    }

    /** The body, but no more than one byte over the limit. */
    private byte[] whole(Arrivals body, int limit) throws IOException, InterruptedException {
        reserve.accept(Json.COST * (int) Math.min(limit, body.announced().orElse(TYPICAL)));
        var whole = new ByteArrayOutputStream();
        long deadline = in(timeout);
        for (List<ByteBuffer> arrived; whole.size() <= limit && (arrived = body.next(deadline - System.nanoTime())) != null; ) {
            if (arrived.isEmpty()) throw timedOut();
            for (ByteBuffer bytes : arrived) {
                byte[] portion = new byte[Math.min(bytes.remaining(), limit + 1 - whole.size())];
                reserve.accept(Json.COST * (whole.size() + portion.length));
                bytes.get(portion);
                whole.writeBytes(portion);
            }
        }
        return whole.toByteArray();
    }

    /** The JSON of an answer that tells of no error. */
    private Object sound(byte[] answer) throws Passing {
        try {
            Object json = Json.parse(answer);
            if (!(json instanceof Map)) throw failed("sent what is not its own format: " + brief(text(answer)));
            if (Json.at(json, "error") == null) return json;
            int status = Json.at(json, "error", "code") instanceof Long code && code >= 400 && code < 600 ? code.intValue() : 0;
            throw refusal(status, json, null);
        } catch (Json.Malformed e) {
            throw failed("sent what is not JSON (" + e.getMessage() + "): " + brief(text(answer)));
        }
    }

    private static String text(byte[] utf8) {
        return new String(utf8, StandardCharsets.UTF_8);
    }

    /** Tries until it works, fails for good, or there is no time left. Never again once a piece of the answer was given on. */
    private <T> T attempts(HttpRequest.Builder request, Answer answer, Attempt<T> attempt) throws InterruptedException {
        long end = in(timeout);
        for (int tried = 1; ; tried++) {
            Problem problem;
            try {
                return attempt.at(request.timeout(Duration.ofNanos(Math.max(1, end - System.nanoTime()))));
            } catch (Passing e) {
                problem = e.problem;
            } catch (IOException e) {
                boolean silent = e instanceof HttpTimeoutException && !(e instanceof HttpConnectTimeoutException);
                if (silent || System.nanoTime() >= end && e instanceof HttpTimeoutException) throw timedOut();
                problem = failed("cannot be reached, or broke the connection off (" + reason(e) + "): see " + account.addressVariable());
            }
            long pause = problem.retryAfter != null ? TimeUnit.SECONDS.toNanos(problem.retryAfter)
                    : ThreadLocalRandom.current().nextLong(FIRST_PAUSE.toNanos() << tried - 1);
            boolean given = answer != null && answer.begun();
            if (given || tried == TRIES || pause > TimeUnit.SECONDS.toNanos(LONGEST_PAUSE) || System.nanoTime() + pause >= end) throw problem;
            Log.say("retry " + tried + " of " + (TRIES - 1) + " in " + pause / 1_000_000 + " ms: " + problem.getMessage());
            TimeUnit.NANOSECONDS.sleep(pause);
        }
    }

    /** Sends the request. The body has yet to arrive, and its status is a good one. */
    private Arrivals send(HttpRequest.Builder request) throws IOException, InterruptedException, Passing {
        HttpResponse<Arrivals> response = client.send(request.build(), head -> new Arrivals(head.headers().firstValueAsLong("Content-Length")));
        if (response.statusCode() / 100 == 2) return response.body();
        try (Arrivals body = response.body()) {
            throw refusal(response.statusCode(), jsonOrText(whole(body, MAX_REFUSAL)), response.headers().firstValue("Retry-After").orElse(null));
        }
    }

    /** The JSON of an error's body, or its text: the page of some proxy. */
    private static Object jsonOrText(byte[] body) {
        try {
            return Json.parse(body);
        } catch (Json.Malformed e) {
            return text(body);
        }
    }

    /** What an error's status and body mean; throws those that may pass as such. Status 0: it told none. */
    private Problem refusal(int status, Object json, String retryAfter) throws Passing {
        List<?> details = Json.items(json, "error", "details");
        String said = name() + " answered" + (status == 0 ? "" : " " + status) + ": " + brief(words(json));
        String code = Json.string(json, "error", "code");
        boolean badKey = details.stream().anyMatch(each -> "API_KEY_INVALID".equals(Json.string(each, "reason")));
        if (status == 401 || status == 403 || badKey) {
            return new Problem(Problem.Code.PROVIDER_REFUSED_KEY, said + " (set " + account.keyVariable() + " in .env)");
        }
        if (status == 404 || "model_not_found".equals(code)) return unknownModel(said);
        if (code != null && BLOCKED.contains(code)) return blocked(code);
        Long pause = pause(retryAfter, details);
        var problem = new Problem(status == 429 ? Problem.Code.RATE_LIMITED : Problem.Code.PROVIDER_ERROR, said, pause);
        boolean lasting = "insufficient_quota".equals(code) || details.stream().flatMap(each -> Json.items(each, "violations").stream())
                .anyMatch(each -> String.valueOf(Json.string(each, "quotaId")).contains("PerDay"));
        if (!PASSING.contains(status) || lasting) return problem;
        throw new Passing(problem);
    }

    /** The words of an error, in each form that services are known to send. */
    private static String words(Object json) {
        Object[][] paths = {{"error", "message"}, {"detail"}, {"detail", 0, "msg"}, {"message"}, {"error"}, {}};
        for (Object[] path : paths) {
            String words = Json.string(json, path);
            if (words != null) return words;
        }
        return Json.write(json);
    }

    /** The seconds of a Retry-After (RFC 9110, section 10.2.3) or of Google's RetryInfo, rounded up; null for none. */
    private static Long pause(String retryAfter, List<?> details) {
        for (Object detail : details) {
            String delay = Json.string(detail, "retryDelay");
            if (delay != null && delay.matches("\\d{1,9}(\\.\\d{1,9})?s")) return (long) Math.ceil(Double.parseDouble(delay.replace("s", "")));
        }
        if (retryAfter == null) return null;
        if (retryAfter.matches("\\d{1,9}")) return Long.valueOf(retryAfter);
        try {
            Instant then = ZonedDateTime.parse(retryAfter, DateTimeFormatter.RFC_1123_DATE_TIME).toInstant();
            return Math.max(0, Duration.between(Instant.now(), then).plusMillis(999).toSeconds());
        } catch (DateTimeParseException e) {
            return null; // neither form: as if it were not there
        }
    }

    Image image(String base64) {
        try {
            return image(Base64.getDecoder().decode(base64.replaceAll("^data:[^,]*,|\\s", "")));
        } catch (IllegalArgumentException e) {
            throw failed("sent an image that is not base64");
        }
    }

    private Image image(byte[] bytes) {
        Image image = Image.of(bytes);
        if (image == null) throw failed("sent what is no image of a known type");
        return image;
    }

    /** The image at an address that a provider gave: https only, and in a private network only where the provider itself is. */
    Image fetch(String url) throws InterruptedException {
        URI uri;
        try {
            uri = URI.create(url);
            if (!"https".equalsIgnoreCase(uri.getScheme()) || uri.getHost() == null) throw failed("gave an image's address that is not https");
            boolean ours = uri.getHost().equalsIgnoreCase(account.base().getHost());
            for (InetAddress address : InetAddress.getAllByName(uri.getHost())) {
                if (!ours && isPrivate(address)) throw failed("gave an image's address in a private network");
            }
        } catch (IllegalArgumentException | IOException e) {
            throw failed("gave an image's address that leads nowhere");
        }
        return attempts(HttpRequest.newBuilder(uri), null, once -> {
            try (Arrivals body = send(once)) {
                int limit = Math.min(MAX_IMAGE, MAX_ANSWER);
                byte[] whole = whole(body, limit);
                if (whole.length > limit) throw tooLong(limit);
                return image(whole);
            }
        });
    }

    /** Whether an address is not of the public internet (RFC 6890): this machine's, a private network's, a link's or a group's. */
    private static boolean isPrivate(InetAddress address) {
        byte[] bytes = address.getAddress();
        boolean shared = bytes.length == 4 && bytes[0] == 100 && (bytes[1] & 0xC0) == 64; // 100.64.0.0/10
        boolean unique = bytes.length == 16 && (bytes[0] & 0xFE) == 0xFC; // fc00::/7
        return shared || unique || bytes[0] == 0 || address.isAnyLocalAddress() || address.isLoopbackAddress() || address.isLinkLocalAddress()
                || address.isSiteLocalAddress() || address.isMulticastAddress();
    }

    Problem blocked(String reason) {
        return new Problem(Problem.Code.BLOCKED, name() + " refused it: " + brief(reason) + ". Say it in other words");
    }

    Problem failed(String what) {
        return new Problem(Problem.Code.PROVIDER_ERROR, name() + " " + what);
    }

    Problem unknownModel(String said) {
        String advice = account.use().equals("IMAGE") && !name().equals("gemini") ? ", or IMAGE_PROVIDER=gemini" : "";
        return new Problem(Problem.Code.UNKNOWN_MODEL, said + " (set " + account.modelVariable() + advice + " in .env: it is " + account.model() + ")");
    }

    private Problem tooLong(int limit) {
        return failed("sent more than " + limit + " bytes");
    }

    private Problem timedOut() {
        return new Problem(Problem.Code.PROVIDER_TIMEOUT, name() + " was silent for " + timeout.toMillis() / 1000.0
                + " s: send it again, or raise PROVIDER_TIMEOUT in .env");
    }

    /** A provider's words, on one line, cut, and without the key, which some services repeat. */
    private String brief(String words) {
        String safe = account.key() == null ? words : words.replace(account.key().value(), "***");
        String line = Log.plain(safe).strip().replaceAll(" +", " ");
        return line.length() <= MAX_TEXT ? line : line.substring(0, MAX_TEXT) + "…";
    }

    private String reason(IOException e) {
        return brief(e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage());
    }

    private static long in(Duration duration) {
        return System.nanoTime() + duration.toNanos();
    }
}
