package parley;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.URI;
import java.net.http.HttpHeaders;
import java.net.http.HttpRequest;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.function.BiPredicate;
import java.util.function.Function;
import parley.Provider.Reply;

/**
 * Asks a provider over HTTP: sends, waits, tries again. Every failure becomes a Problem, which {@link
 * ProviderProblems} makes.
 *
 * @param timeout how long the provider may be silent in a stream, and how long a whole answer may take
 */
record Upstream(ProviderHttp http, Settings.Account account, Duration timeout) {
    private static final int TRIES = 3;
    private static final Duration FIRST_PAUSE = Duration.ofMillis(500);
    private static final long LONGEST_PAUSE = 5; // seconds that a Retry-After is waited for
    private static final String DONE = "[DONE]";
    private static final int BUFFER_SIZE = 16 << 10;
    private static final int MAX_ERROR = 64 << 10; // bytes
    private static final HttpHeaders NO_HEADERS = HttpHeaders.of(Map.of(), (name, value) -> true);

    /** One try, which ends by the deadline. */
    private interface Attempt<T> {
        T run(Deadline end) throws IOException, InterruptedException, ProviderError;
    }

    ProviderProblems problems() {
        return new ProviderProblems(account, timeout);
    }

    /** The address of what stands behind the service's own path. The query of a BASE_URL stays at the end. */
    URI uri(String path) {
        String[] base = account.base().toString().split("\\?", 2);
        String uri = base[0] + path;
        if (base.length == 1) return URI.create(uri);
        return URI.create(uri + (path.contains("?") ? "&" : "?") + base[1]);
    }

    HttpRequest.Builder request(URI uri) {
        HttpRequest.Builder request = HttpRequest.newBuilder(uri);
        if (account.key() == null) return request;
        return account.provider().equals("gemini")
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
     * @param reader takes what one event, or the whole answer, says of the reply; false where it is of another format
     */
    Reply chat(HttpRequest.Builder request, ReplyStream stream, BiPredicate<Object, ReplyBuilder> reader) {
        ProviderProblems problems = problems();
        return attempts(stream, problems::of, end -> {
            var reply = new ReplyBuilder(stream);
            try (ResponseBody body = send(request, stream, end)) {
                readReply(body, reply, reader, stream.isWhole() ? end : null);
            } catch (InterruptedIOException e) {
                throw e;
            } catch (IOException e) { // nothing is lost where all was said before
                if (!reply.isFinished()) throw problems.of(e).unlessBegun(reply.length() > 0);
            } catch (ProviderError | Problem e) {
                throw problems.of(e).unlessBegun(reply.length() > 0);
            }
            return reply.reply(problems);
        });
    }

    /** @param end until when the reply must be there; null for a stream, which may last while it is not silent */
    private void readReply(
            ResponseBody body, ReplyBuilder reply, BiPredicate<Object, ReplyBuilder> reader, Deadline end)
            throws IOException, ProviderError {
        var events = new ServerSentEvents();
        Memory.Growing memory = body.memory(Integer.MAX_VALUE);
        var buffer = new byte[BUFFER_SIZE];
        if (end == null) body.waitUntil(Deadline.in(timeout));
        for (int count = body.read(buffer); count >= 0; count = body.read(buffer)) {
            List<ServerSentEvents.Event> came = events.read(buffer, count);
            for (ServerSentEvents.Event event : came) take(event, reply, reader);
            memory.grownTo(events.held() + reply.length());
            if (!came.isEmpty()) body.waitUntil(reply.waitUntil(end == null ? Deadline.in(timeout) : end));
        }
        for (ServerSentEvents.Event event : events.end()) take(event, reply, reader);
        reply.bodyEnded();
        if (!reply.isFinished()) throw cutOff(body, reply);
    }

    private Problem cutOff(ResponseBody body, ReplyBuilder reply) {
        String words = reply.otherWords();
        if (words.isBlank()) return problems().failed("cut its reply off: send it again");
        if (reply.length() > 0) return problems().failed("cut its reply off, and said: %s", words);
        return problems()
                .failed(
                        "answered 200 (%s) with what is not its own format, or not JSON: %s (see %s in .env)",
                        body.headers().firstValue("Content-Type").orElse("no type"),
                        words,
                        account.variable("BASE_URL"));
    }

    private void take(ServerSentEvents.Event event, ReplyBuilder reply, BiPredicate<Object, ReplyBuilder> reader)
            throws ProviderError {
        String data = event.data().strip();
        switch (event.kind()) {
            case COMMENT -> {}
            case IGNORED -> reply.otherWords(data);
            case ERROR -> {
                Object error = jsonOrText(data);
                if (!ProviderError.isEmpty(error)) throw new ProviderError(0, error, NO_HEADERS);
            }
            case DATA, JSON -> {
                if (data.equals(DONE)) reply.end();
                else if (!data.isEmpty()) takeData(data, event.kind() == ServerSentEvents.Kind.JSON, reply, reader);
            }
        }
    }

    private void takeData(String data, boolean whole, ReplyBuilder reply, BiPredicate<Object, ReplyBuilder> reader)
            throws ProviderError {
        try {
            Object json = Json.parse(data);
            boolean list = json instanceof List;
            List<?> answers = list ? (List<?>) json : Collections.singletonList(json);
            for (Object answer : answers) takeAnswer(answer, whole && !list, reply, reader);
        } catch (Json.Malformed e) {
            if (data.startsWith("{") || data.startsWith("[")) {
                throw problems().failed("sent what is not JSON, or cut it off (%s): %s", e.getMessage(), data);
            }
            reply.unreadable(data);
        }
    }

    private void takeAnswer(Object answer, boolean whole, ReplyBuilder reply, BiPredicate<Object, ReplyBuilder> reader)
            throws ProviderError {
        if (ProviderError.isIn(answer)) throw new ProviderError(0, answer, NO_HEADERS);
        if (!(answer instanceof Map)) {
            reply.unreadable(answer instanceof String text ? text : Json.write(answer));
        } else if (!reader.test(answer, reply)) {
            String words = ProviderError.wordsIn(answer);
            reply.otherWords(words.isEmpty() && whole ? Json.write(answer) : words);
        } else if (whole) {
            reply.end();
        }
    }

    /** The whole answer, a JSON object. */
    Object ask(HttpRequest.Builder request) {
        ProviderProblems problems = problems();
        var whole = new ReplyStream(null);
        return attempts(whole, problems::of, end -> {
            try (ResponseBody body = send(request, whole, end)) {
                String text = new String(body.read(Integer.MAX_VALUE), StandardCharsets.UTF_8);
                Object json = ProviderError.onlyItem(jsonOrText(text));
                if (ProviderError.isIn(json)) throw new ProviderError(0, json, NO_HEADERS);
                if (json instanceof Map) return json;
                throw problems.failed("sent what is not its own format: %s", text);
            }
        });
    }

    /** What is at the address of an image, which may be on another server. */
    byte[] fetch(ImageAddress address) {
        var whole = new ReplyStream(null);
        return attempts(whole, problems()::ofImageAddress, end -> {
            try (ResponseBody body = send(HttpRequest.newBuilder(address.uri()), whole, end)) {
                return body.read(Integer.MAX_VALUE);
            }
        });
    }

    /**
     * The item of a list in an answer that was asked for: the one of index 0, or the first where none has an index;
     * null for none.
     */
    Object first(Object answer, String list) {
        return objects(answer, list).stream()
                .filter(each -> ProviderError.isEmpty(Json.at(each, "index")))
                .findFirst()
                .orElse(null);
    }

    /**
     * The items of a list in an answer.
     *
     * @throws Problem where one is no object
     */
    List<?> objects(Object answer, String list) {
        List<?> items = Json.items(answer, list);
        if (items.stream().allMatch(Map.class::isInstance)) return items;
        throw problems().failed("sent what is not its own format: %s", Json.write(answer));
    }

    /** Tries until it works, fails for good, or there is no time left. */
    private <T> T attempts(ReplyStream stream, Function<Exception, Problem> problems, Attempt<T> attempt) {
        Deadline end = Deadline.in(timeout);
        try {
            for (int tried = 1; ; tried++) {
                try {
                    return attempt.run(end);
                } catch (InterruptedIOException e) {
                    throw new InterruptedException(e.getMessage());
                } catch (IOException | ProviderError | Problem e) {
                    pauseBeforeRetry(problems.apply(e), tried, end, stream);
                }
            }
        } catch (InterruptedException e) {
            throw Problem.overloaded("stopping");
        }
    }

    /**
     * Waits as the provider said, or else with exponential backoff and full jitter; throws the problem where there is
     * to be no retry.
     */
    private static void pauseBeforeRetry(Problem problem, int tried, Deadline end, ReplyStream stream)
            throws InterruptedException {
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
    private ResponseBody send(HttpRequest.Builder request, ReplyStream stream, Deadline end)
            throws IOException, InterruptedException, ProviderError {
        request.setHeader("Accept-Encoding", "identity");
        ResponseBody body = ResponseBody.of(http.client(), request, stream, end);
        if (body.status() / 100 == 2) return body;
        try (body) {
            throw new ProviderError(body.status(), jsonOrText(errorText(body)), body.headers());
        }
    }

    /** What an error says, as far as it can be read: its status counts in any case. */
    private static String errorText(ResponseBody body) throws InterruptedIOException {
        try {
            return new String(body.read(MAX_ERROR), StandardCharsets.UTF_8);
        } catch (InterruptedIOException e) {
            throw e;
        } catch (IOException e) {
            return "its words cannot be read (" + e.getMessage() + ")";
        }
    }

    private static Object jsonOrText(String text) {
        try {
            return Json.parse(text);
        } catch (Json.Malformed e) {
            return text;
        }
    }
}
