package parley;

import static java.lang.Integer.MAX_VALUE;
import static java.net.http.HttpRequest.BodyPublishers.ofString;
import static java.net.http.HttpRequest.newBuilder;
import static java.nio.charset.StandardCharsets.UTF_8;
import static java.time.Duration.ofMillis;
import static java.time.Duration.ofNanos;
import static java.time.Duration.ofSeconds;
import static parley.Json.at;
import static parley.Json.items;
import static parley.Json.merge;
import static parley.Json.object;
import static parley.Json.toJson;
import static parley.Log.log;
import static parley.ProviderError.isEmpty;
import static parley.ProviderError.isIn;
import static parley.ProviderError.jsonOrText;
import static parley.ReplyStream.noStream;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpRequest.Builder;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.BiPredicate;
import java.util.function.Function;
import parley.Provider.Reply;

/** Asks a provider over HTTP: sends, waits, tries again. Every failure becomes a Problem. */
record Upstream(ProviderHttp http, ProviderProblems problems) {
    private static final int TRIES = 3;
    private static final Duration FIRST_PAUSE = ofMillis(500);
    private static final Duration LONGEST_PAUSE = ofSeconds(5); // that a Retry-After is waited for
    private static final int MAX_ERROR = 64 << 10; // bytes

    /** The address of what stands behind the service's own path. The query of a BASE_URL stays at the end. */
    URI uri(String path) {
        String[] base = problems.account().base().toString().split("\\?", 2);
        String query = base.length == 1 ? "" : (path.contains("?") ? "&" : "?") + base[1];
        return URI.create(base[0] + path + query);
    }

    /**
     * A GET of what stands behind the service's own path.
     *
     * @param scheme what stands before the key in the header that holds it
     */
    Builder request(String path, String keyHeader, String scheme) {
        Builder request = newBuilder(uri(path));
        String key = problems.account().key();
        return key == null ? request : request.header(keyHeader, scheme + key);
    }

    /** The request as a POST of the body, with the account's extra members merged into it. */
    Builder post(Builder request, Map<String, Object> body) {
        String json = toJson(merge(body, problems.account().extra()));
        return request.header("Content-Type", "application/json").POST(ofString(json));
    }

    /** Asks for a reply; the dialect reads it, as {@link ReplyReader} has it. */
    Reply chat(Builder request, ReplyStream stream, BiPredicate<Object, ReplyBuilder> dialect) {
        return attempts(stream, end -> {
            var reply = new ReplyBuilder(stream);
            try (ResponseBody body = sent(request, stream, end)) {
                new ReplyReader(reply, dialect, problems).read(body, end);
            } catch (IOException | Problem e) {
                if (e instanceof Problem || !reply.isFinished()) { // else nothing is lost: all was said
                    Problem problem = problems.of(e);
                    throw problem.withRetry(problem.retryAfter, problem.isTransient && reply.length() == 0);
                }
            }
            return reply.reply(problems);
        });
    }

    /** The whole answer, a JSON object. */
    Object ask(Builder request) {
        return attempts(noStream(), end -> {
            try (ResponseBody body = sent(request, noStream(), end)) {
                String text = new String(body.read(MAX_VALUE), UTF_8);
                Object json = jsonOrText(text);
                if (isIn(json)) throw problems.of(new ProviderError(json));
                if (json instanceof List) return object("data", json); // as Together AI lists its models
                if (json instanceof Map) return json;
                throw problems.failed("answered 200 with what is not its own format: %s", text);
            } catch (IOException e) {
                throw problems.of(e);
            }
        });
    }

    /** What is at the address of an image, which may be on another server. */
    byte[] fetch(String address) {
        Builder request = newBuilder(ImageAddress.of(address, problems));
        return attempts(noStream(), end -> {
            try (ResponseBody body = ResponseBody.of(http.client(), request, noStream(), end)) {
                if (body.status() / 100 == 2) return body.read(MAX_VALUE);
                throw problems.ofImageAddress("answered %s", body.status())
                        .withRetry(null, new ProviderError(body.status(), null, body.headers()).isTransient());
            } catch (IOException e) {
                throw problems.ofImageAddress(e);
            }
        });
    }

    /**
     * The item of a list in an answer that was asked for: the one of index 0, or the first where none has an index;
     * null for none.
     */
    Object first(Object answer, String list) {
        for (Object item : objects(answer, list)) {
            if (isEmpty(at(item, "index"))) return item;
        }
        return null;
    }

    /**
     * The items of a list in an answer.
     *
     * @throws Problem where one is no object
     */
    List<?> objects(Object answer, String list) {
        var items = items(answer, list);
        if (items.stream().allMatch(Map.class::isInstance)) return items;
        throw problems.failed("answered 200 with what is not its own format: %s", toJson(answer));
    }

    /** Tries until it works, fails for good, or there is no time left, which each try is told. */
    private <T> T attempts(ReplyStream stream, Function<Deadline, T> attempt) {
        Deadline end = Deadline.in(problems.timeout());
        for (int tried = 1; ; tried++) {
            try {
                return attempt.apply(end);
            } catch (Problem e) {
                pauseBeforeRetry(e, tried, end, stream);
            }
        }
    }

    /**
     * Waits as the provider said, or else with exponential backoff and full jitter; throws the problem where there is
     * to be no retry.
     */
    private static void pauseBeforeRetry(Problem problem, int tried, Deadline end, ReplyStream stream) {
        long backoff = ThreadLocalRandom.current().nextLong(FIRST_PAUSE.toNanos() << tried - 1);
        Duration pause = problem.retryAfter == null ? ofNanos(backoff) : ofSeconds(problem.retryAfter);
        boolean isTooLong = pause.compareTo(LONGEST_PAUSE) > 0 || pause.toNanos() >= end.nanosLeft();
        if (!problem.isTransient || tried == TRIES || isTooLong) throw problem;
        log(problem.getMessage() + "; retry " + tried + " of " + (TRIES - 1) + " in " + pause.toMillis() + " ms");
        stream.await(Deadline.in(pause), new SynchronousQueue<>()); // into which nobody puts anything
    }

    /** Sends the request. The body has yet to arrive, and its status is a good one. */
    private ResponseBody sent(Builder request, ReplyStream stream, Deadline end) throws IOException {
        ResponseBody body = ResponseBody.of(http.client(), request, stream, end);
        if (body.status() / 100 == 2) return body;
        try (body) {
            throw problems.of(error(body));
        }
    }

    /** What an error says, as far as it can be read: its status counts in any case. */
    private static ProviderError error(ResponseBody body) {
        Object json;
        try {
            json = jsonOrText(new String(body.read(MAX_ERROR), UTF_8));
        } catch (IOException e) {
            json = "its words cannot be read (" + e.getMessage() + ")";
        }
        return new ProviderError(body.status(), json, body.headers());
    }
}
