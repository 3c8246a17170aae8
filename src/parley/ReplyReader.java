package parley;

import static java.lang.Integer.MAX_VALUE;
import static parley.Json.parse;
import static parley.Json.toJson;
import static parley.Lines.BUFFER_SIZE;
import static parley.ProviderError.isEmpty;
import static parley.ProviderError.isIn;
import static parley.ProviderError.jsonOrText;
import static parley.ProviderError.wordsIn;
import static parley.ServerSentEvents.Kind.JSON;

import java.io.IOException;
import java.text.ParseException;
import java.util.List;
import java.util.Map;
import java.util.function.BiPredicate;
import parley.Memory.Growing;
import parley.ServerSentEvents.Event;

/**
 * Reads a reply from the events of a stream or from one whole answer, whichever comes.
 *
 * @param dialect takes what one event, or the whole answer, says of the reply; false where it is of another format
 */
record ReplyReader(ReplyBuilder reply, BiPredicate<Object, ReplyBuilder> dialect, ProviderProblems problems) {
    /** @param end by when a whole reply must be there; a stream may go on, but not be silent for the timeout */
    void read(ResponseBody body, Deadline end) throws IOException {
        var events = new ServerSentEvents();
        Growing memory = body.memory(MAX_VALUE);
        var buffer = new byte[BUFFER_SIZE / 4]; // an event is short
        body.waitUntil(reply.waitUntil(end, problems.timeout()));
        for (int count = body.read(buffer); count >= 0; count = body.read(buffer)) {
            var ended = events.read(buffer, count);
            ended.forEach(this::take);
            memory.grownTo(events.held() + reply.length());
            if (!ended.isEmpty()) body.waitUntil(reply.waitUntil(end, problems.timeout()));
        }
        events.end().forEach(this::take);
        reply.bodyEnded();
        if (!reply.isFinished()) throw cutOff(body);
    }

    private Problem cutOff(ResponseBody body) {
        String words = reply.otherWords();
        if (reply.length() > 0 || words.isBlank()) {
            return problems.failed("cut its reply off: send it again. %s", words);
        }
        return problems.failed(
                "answered 200 (%s) with what is not its own format, or not JSON: %s (see %s in .env)",
                body.headers().firstValue("Content-Type").orElse("no type"),
                words,
                problems.account().variable("BASE_URL"));
    }

    private void take(Event event) {
        String data = event.data().strip();
        switch (event.kind()) {
            case IGNORED -> reply.otherWords(data);
            case ERROR -> {
                Object error = jsonOrText(data);
                if (!isEmpty(error)) throw problems.of(new ProviderError(error));
            }
            case DATA, JSON -> {
                if (data.equals("[DONE]")) reply.end();
                else if (!data.isEmpty()) takeData(data, event.kind() == JSON);
            }
        }
    }

    private void takeData(String data, boolean whole) {
        try {
            Object json = parse(data);
            if (!(json instanceof List<?> answers)) takeAnswer(json, whole);
            else for (Object answer : answers) takeAnswer(answer, false);
        } catch (ParseException e) {
            if (!data.startsWith("{") && !data.startsWith("[")) reply.unreadable(data);
            else
                throw problems.failed(
                        "answered 200 with what is not JSON, or cut it off (%s): %s", e.getMessage(), data);
        }
    }

    private void takeAnswer(Object answer, boolean whole) {
        if (isIn(answer)) throw problems.of(new ProviderError(answer));
        if (!(answer instanceof Map)) {
            reply.unreadable(toJson(answer));
        } else if (!dialect.test(answer, reply)) {
            String words = wordsIn(answer);
            if (!words.isEmpty()) reply.doubtful(words);
            else if (whole) reply.otherWords(toJson(answer));
        } else if (whole) {
            reply.end();
        }
    }
}
