package parley;

import static java.lang.Boolean.TRUE;
import static java.lang.Integer.MAX_VALUE;
import static java.time.Instant.now;
import static java.time.temporal.ChronoUnit.MILLIS;
import static java.time.temporal.ChronoUnit.SECONDS;
import static java.util.Base64.getEncoder;
import static java.util.concurrent.TimeUnit.MILLISECONDS;
import static parley.Exchange.BLANK;
import static parley.Exchange.JSON;
import static parley.Histories.unavailable;
import static parley.HistoryReader.count;
import static parley.HistoryReader.ofLast;
import static parley.Json.object;
import static parley.Json.toJson;
import static parley.Log.log;
import static parley.Memory.MAX_REQUESTS;
import static parley.Message.fromUser;
import static parley.Problem.Code.INTERNAL_ERROR;
import static parley.Problem.Code.NOT_CONFIGURED;
import static parley.Problem.invalid;
import static parley.Problem.overloaded;
import static parley.ReplyStream.noStream;
import static parley.Settings.DEFAULTS;
import static parley.Settings.usable;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpHandler;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Semaphore;
import parley.Histories.Turn;
import parley.HistoryReader.Item;
import parley.Memory.Growing;
import parley.Provider.Image;
import parley.Provider.Reply;
import parley.Services.Answer;
import parley.Settings.Account;

/** Which request does what. */
final class Api implements HttpHandler {
    private final LiveSettings settings;
    private final Histories histories;
    private final ProviderHttp client;
    private final boolean demo;
    private final WriteTimeouts timeouts = new WriteTimeouts();
    private final PageFiles page = new PageFiles();
    private final Semaphore free = new Semaphore(MAX_REQUESTS);
    private volatile boolean stopping;
    private volatile Instant lastDelete = Instant.MIN; // of any user's turns

    /** @param demo whether a stand-in answers, which /health tells */
    Api(LiveSettings settings, Histories histories, ProviderHttp client, boolean demo) {
        this.settings = settings;
        this.histories = histories;
        this.client = client;
        this.demo = demo;
    }

    /** Answers every request, whatever happens: a handler that throws would leave its client without an answer. */
    @Override
    public void handle(HttpExchange exchange) {
        boolean served = !stopping && free.tryAcquire();
        try (var http = new Exchange(exchange, settings.current(), timeouts)) {
            try {
                answer(http, served);
            } catch (UncheckedIOException e) {
                http.clientLeft();
            }
        } finally {
            Memory.release();
            if (served) free.release();
        }
    }

    private void answer(Exchange http, boolean served) {
        try {
            if (!served) throw overloaded(stopping ? "stopping" : "full");
            http.checkHead();
            route(http);
        } catch (Problem e) {
            http.problem(e);
        } catch (IOException e) { // of the disk: where a client leaves, it is unchecked
            http.problem(unavailable(e));
        } catch (UncheckedIOException e) {
            throw e;
        } catch (Throwable e) { // an Error too: the JDK's server would let the client hang
            log("a defect: " + e);
            for (StackTraceElement frame : e.getStackTrace()) log("    at " + frame);
            http.problem(new Problem(INTERNAL_ERROR, "A defect of the server: its console says more"));
        }
    }

    /** Refuses new requests from now on, and waits for those that run, at most so long. */
    void stop(Duration timeout) throws InterruptedException {
        stopping = true;
        int running = MAX_REQUESTS - free.availablePermits();
        if (running > 0) log("stopping: waits for " + running + " requests, at most " + timeout.toSeconds() + " s");
        boolean ended = free.tryAcquire(MAX_REQUESTS, timeout.toMillis(), MILLISECONDS);
        timeouts.close();
        if (ended) return;
        log("stopped before every turn had ended: those are not stored");
        free.tryAcquire(MAX_REQUESTS, 1000, MILLISECONDS); // streams end at their next delta
    }

    private void route(Exchange http) throws IOException {
        if (http.is("OPTIONS")) {
            http.preflight();
            return;
        }
        switch (http.path) {
            case "/health" -> health(http.allowing("GET, HEAD, OPTIONS"));
            case "/chat" -> chat(http.allowing("POST, OPTIONS"));
            case "/history" -> {
                if (http.allowing("GET, HEAD, DELETE, OPTIONS").is("DELETE")) deleteTurns(http);
                else history(http);
            }
            case "/image" -> image(http.allowing("POST, OPTIONS"));
            default -> page.answer(http);
        }
    }

    private void health(Exchange http) {
        http.json(object(
                "status",
                "ok",
                "demo",
                demo ? true : null,
                "chat",
                health(http.settings.chats()),
                "image",
                health(http.settings.images())));
    }

    private static Map<String, Object> health(List<Account> accounts) {
        Account account = usable(accounts).getFirst();
        return object("provider", account.provider(), "model", account.model(), "ready", account.missing() == null);
    }

    /** What a client asks of a turn. */
    private record Question(String user, String message, boolean stream, boolean replace, String ifVersion) {}

    private void chat(Exchange http) throws IOException {
        var body = http.body();
        var question = new Question(
                http.user(body),
                text(body, "message"),
                flag(body, "stream"),
                flag(body, "replace"),
                optional(body, "if_version", String.class, "a string"));
        var services = setUp(http.settings.chats());
        Map<String, Object> answer;
        try (Turn turn = histories.begin(question.user, question.ifVersion)) {
            answer = reply(http, question, services, turn);
        }
        http.json(answer);
    }

    private Map<String, Object> reply(Exchange http, Question question, List<Account> services, Turn turn)
            throws IOException {
        Tail tail = turn.read(http.settings.history().window() - 1, question.replace ? 1 : 0);
        Message asked = fromUser(question.message, tail.lastTime());
        var given = ask(http, question.stream, services, tail.messages(), asked);
        Reply reply = given.value();
        Account service = given.account();
        Message answer = asked.answered(reply.text(), service.provider(), service.model(), exactness(question.replace));
        String version = turn.store(tail, asked, answer);
        return object(
                "user_id", question.user(),
                "reply", reply.text(),
                "finish_reason", reply.finishReason(),
                "provider", service.provider(),
                "model", service.model(),
                "usage", reply.usage(),
                "version", version);
    }

    /** How exact a time is: what takes the place of something must not look the same, nor have its version. */
    private ChronoUnit exactness(boolean replaces) {
        return replaces || now().minusSeconds(1).isBefore(lastDelete) ? MILLIS : SECONDS;
    }

    private Answer<Reply> ask(
            Exchange http, boolean stream, List<Account> services, List<Message> before, Message asked) {
        var conversation = new ArrayList<>(before);
        conversation.add(asked);
        var deltas = new ReplyStream(stream ? http::delta : null);
        var given = new Services(client, http.settings)
                .ask(services, deltas, provider -> provider.chat(conversation, deltas));
        if (stream) http.delta(""); // finds out whether the client is still there
        return given;
    }

    /** The accounts that are set up, one at least. */
    private List<Account> setUp(List<Account> accounts) {
        var ready = usable(accounts);
        String missing = ready.getFirst().missing();
        if (missing == null) return ready;
        boolean optional = missing.endsWith("_API_KEY") && !DEFAULTS.containsKey(missing);
        String advice = optional ? ". Where the service wants none, any word serves" : "";
        String refusal = settings.refusal() == null ? "" : ". Its last edit was refused: it " + settings.refusal();
        throw new Problem(
                NOT_CONFIGURED, missing + " is not set: put it into .env, it takes effect at once" + advice + refusal);
    }

    private void history(Exchange http) throws IOException {
        String user = http.user(Map.of());
        int limit = http.count("limit", MAX_VALUE);
        try (Lines file = histories.openStored(user)) {
            String version = Stamp.of(file).version();
            if (!http.isUnchanged(version)) sendHistory(http, user, version, file, limit);
        }
    }

    /** Hands messages on one by one, since a history may be longer than the memory. */
    private static void sendHistory(Exchange http, String user, String version, Lines file, int limit)
            throws IOException {
        var memory = new Growing();
        long total = count(file, memory);
        HistoryReader reader =
                limit < total ? ofLast(limit, any -> true, file, memory) : new HistoryReader(file, 0, memory);
        http.begin(JSON);
        http.write("{\"user_id\":%s,\"total\":%s,\"version\":\"%s\",\"messages\":["
                .formatted(toJson(user), total, version));
        String comma = "";
        for (Item item = reader.next(); item != null; item = reader.next()) {
            http.write(comma);
            http.write(item.line());
            comma = ",";
        }
        http.write("]}");
    }

    private void deleteTurns(Exchange http) throws IOException {
        String user = http.user(Map.of());
        int turns = http.count("turns", 0);
        try (Turn turn = histories.begin(user, http.query("if_version"))) {
            if (turns == 0) turn.delete();
            else turn.store(turn.read(0, turns));
            lastDelete = now();
        }
        http.nothing();
    }

    private void image(Exchange http) {
        var body = http.body();
        String user = http.user(body);
        String prompt = text(body, "prompt");
        var given = new Services(client, http.settings)
                .ask(setUp(http.settings.images()), noStream(), provider -> provider.generateImages(prompt));
        Image first = given.value().getFirst();
        if (http.wantsImage()) http.answer(200, first.mimeType(), first.bytes());
        else
            http.json(object(
                    "user_id", user,
                    "provider", given.account().provider(),
                    "model", given.account().model(),
                    "images", given.value().stream().map(Api::json).toList()));
    }

    private static Map<String, Object> json(Image image) {
        return object(
                "mime_type", image.mimeType(),
                "data", getEncoder().encodeToString(image.bytes()));
    }

    private static String text(Map<String, Object> body, String name) {
        if (!body.containsKey(name)) throw invalid(name + " is missing");
        if (body.get(name) instanceof String text && !BLANK.matcher(text).matches()) return text;
        throw invalid(name + " must be a string that is not blank");
    }

    private static boolean flag(Map<String, Object> body, String name) {
        return TRUE.equals(optional(body, name, Boolean.class, "true or false"));
    }

    private static <T> T optional(Map<String, Object> body, String name, Class<T> type, String what) {
        Object value = body.get(name);
        if (value == null || type.isInstance(value)) return type.cast(value);
        throw invalid(name + " must be " + what);
    }
}
