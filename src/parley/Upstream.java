package parley;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpRequest;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.function.BiPredicate;
import java.util.function.Function;
import parley.Provider.Reply;

/** Asks a provider over HTTP: sends, waits, tries again. Every failure becomes a Problem. */
record Upstream(ProviderHttp http, ProviderProblems problems) {
    private static final int TRIES = 3;
    private static final Duration FIRST_PAUSE = Duration.ofMillis(500);
    private static final long LONGEST_PAUSE = 5; // seconds that a Retry-After is waited for
    private static final int MAX_ERROR = 64 << 10; // bytes

    /** One try, which ends by the deadline. */
    private interface Attempt<T> {
        T run(Deadline end) throws IOException;
    }

    Settings.Account account() {
        return problems.account();
    }

    /** The address of what stands behind the service's own path. The query of a BASE_URL stays at the end. */
    URI uri(String path) {
        String[] base = account().base().toString().split("\\?", 2);
        String query = base.length == 1 ? "" : (path.contains("?") ? "&" : "?") + base[1];
        return URI.create(base[0] + path + query);
    }

    HttpRequest.Builder request(URI uri) {
        HttpRequest.Builder request = HttpRequest.newBuilder(uri);
        Settings.Key key = account().key();
        if (key == null) return request;
        return account().provider().equals("gemini")
                ? request.header("x-goog-api-key", key.value())
                : request.header("Authorization", "Bearer " + key.value());
    }

    /** The request with the body, and the account's extra members merged into it. */
    HttpRequest.Builder post(URI uri, Map<String, Object> body) {
        String json = Json.write(Json.merge(body, account().extra()));
        return request(uri).header("Content-Type", "application/json").POST(HttpRequest.BodyPublishers.ofString(json));
    }

    /** Asks for a reply; the dialect reads it, as {@link ReplyReader} has it. */
    Reply chat(HttpRequest.Builder request, ReplyStream stream, BiPredicate<Object, ReplyBuilder> dialect) {
        return attempts(stream, problems::of, end -> {
            var reply = new ReplyBuilder(stream);
            var reader = new ReplyReader(reply, dialect, problems);
            try (ResponseBody body = send(request, stream, end)) {
                reader.read(body, end, stream.isWhole() ? null : problems.timeout());
            } catch (ProviderError | Problem e) {
                throw problems.of(e).unlessBegun(reply.length() > 0);
            } catch (IOException e) { // nothing is lost where all was said before
                if (!reply.isFinished()) throw problems.of(e).unlessBegun(reply.length() > 0);
            }
            return reply.reply(problems);
        });
    }

    /** The whole answer, a JSON object. */
    Object ask(HttpRequest.Builder request) {
        return attempts(ReplyStream.none(), problems::of, end -> {
            String text = new String(whole(request, end), StandardCharsets.UTF_8);
            Object json = ProviderError.onlyItem(ProviderError.jsonOrText(text));
            if (ProviderError.isIn(json)) throw new ProviderError(json);
            if (json instanceof Map) return json;
            throw problems.failed("sent what is not its own format: %s", text);
        });
    }

    /** What is at the address of an image, which may be on another server. */
    byte[] fetch(ImageAddress address) {
        HttpRequest.Builder request = HttpRequest.newBuilder(address.uri());
        return attempts(ReplyStream.none(), problems::ofImageAddress, end -> whole(request, end));
    }

    private byte[] whole(HttpRequest.Builder request, Deadline end) throws IOException {
        try (ResponseBody body = send(request, ReplyStream.none(), end)) {
            return body.read(Integer.MAX_VALUE);
        }
    }

    /**
     * The item of a list in an answer that was asked for: the one of index 0, or the first where none has an index;
     * null for none.
     */
    Object first(Object answer, String list) {
        for (Object item : objects(answer, list)) {
            if (ProviderError.isEmpty(Json.at(item, "index"))) return item;
        }
        return null;
    }

    /**
     * The items of a list in an answer.
     *
     * @throws Problem where one is no object
     */
    List<?> objects(Object answer, String list) {
        List<?> items = Json.items(answer, list);
        for (Object item : items) {
            if (!(item instanceof Map))
                throw problems.failed("sent what is not its own format: %s", Json.write(answer));
        }
        return items;
    }

    /** Tries until it works, fails for good, or there is no time left. */
    private <T> T attempts(ReplyStream stream, Function<Exception, Problem> problem, Attempt<T> attempt) {
        Deadline end = Deadline.in(problems.timeout());
        for (int tried = 1; ; tried++) {
            try {
                return attempt.run(end);
            } catch (IOException | Problem e) {
                pauseBeforeRetry(problem.apply(e), tried, end, stream);
            }
        }
    }

    /**
     * Waits as the provider said, or else with exponential backoff and full jitter; throws the problem where there is
     * to be no retry.
     */
    private static void pauseBeforeRetry(Problem problem, int tried, Deadline end, ReplyStream stream) {
        long backoff = ThreadLocalRandom.current().nextLong(FIRST_PAUSE.toNanos() << tried - 1);
        long pause = problem.retryAfter == null ? backoff : TimeUnit.SECONDS.toNanos(problem.retryAfter);
        boolean tooLong = pause > TimeUnit.SECONDS.toNanos(LONGEST_PAUSE) || pause >= end.nanosLeft();
        if (!problem.isTransient || tried == TRIES || tooLong || stream.hasBegun()) throw problem;
        Log.log(problem.getMessage() + "; retry " + tried + " of " + (TRIES - 1) + " in " + pause / 1_000_000 + " ms");
        stream.await(Deadline.in(Duration.ofNanos(pause)), nanos -> {
            TimeUnit.NANOSECONDS.sleep(nanos);
            return null;
        });
    }

    /** Sends the request. The body has yet to arrive, and its status is a good one. */
    private ResponseBody send(HttpRequest.Builder request, ReplyStream stream, Deadline end) throws IOException {
        request.setHeader("Accept-Encoding", "identity");
        ResponseBody body = ResponseBody.of(http.client(), request, stream, end);
        if (body.status() / 100 == 2) return body;
        try (body) {
            throw new ProviderError(body.status(), errorText(body), body.headers());
        }
    }

    /** What an error says, as far as it can be read: its status counts in any case. */
    private static Object errorText(ResponseBody body) {
        try {
            return ProviderError.jsonOrText(new String(body.read(MAX_ERROR), StandardCharsets.UTF_8));
        } catch (IOException e) {
            return "its words cannot be read (" + e.getMessage() + ")";
        }
    }
}
