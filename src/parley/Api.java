package parley;

import static parley.Json.object;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpHandler;
import java.io.IOException;
import java.net.http.HttpClient;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/** Which request does what. */
final class Api implements HttpHandler {
    private final Settings.Source settings;
    private final Histories histories;
    private final Supplier<HttpClient> client;
    private final Watch watch;
    private final int most;
    private final boolean demo;
    private final CompletableFuture<Page> page = CompletableFuture.supplyAsync(Page::load); // while the server starts: its hashes take time
    private final Semaphore memory = new Semaphore((int) Math.min(Integer.MAX_VALUE, Runtime.getRuntime().maxMemory() / 3 * 2));
    private final Semaphore free;
    private volatile boolean stopping;

    /**
     * @param most how many requests are served at once: a bound on memory
     * @param demo whether a stand-in answers, which /health tells
     */
    Api(Settings.Source settings, Histories histories, Supplier<HttpClient> client, Watch watch, int most, boolean demo) {
        this.settings = settings;
        this.histories = histories;
        this.client = client;
        this.watch = watch;
        this.most = most;
        this.demo = demo;
        free = new Semaphore(most);
    }

    /** Answers every request, whatever happens: a handler that throws would leave its client without an answer. */
    @Override
    public void handle(HttpExchange exchange) {
        boolean served = free.tryAcquire();
        try (var call = new Call(exchange, settings.current(), watch, memory)) {
            try {
                if (!served || stopping) throw Problem.overloaded(stopping ? "stopping" : "full");
                call.checkHost();
                route(call);
            } catch (Problem e) {
                call.problem(e);
            } catch (IOException e) {
                call.problem(Problem.clientGone());
            } catch (Throwable e) { // an Error too: the JDK's server would let the client hang
                Log.say("a defect: " + e);
                for (StackTraceElement frame : e.getStackTrace()) Log.say("    at " + frame);
                call.problem(new Problem(Problem.Code.INTERNAL_ERROR, "A defect of the server: its console says more"));
            }
        } catch (IOException | Problem e) {
            // The client has gone: nobody is left to be told, and the call's own line says how it ended.
        } finally {
            if (served) free.release();
        }
    }

    /** Refuses new requests from now on, and waits for those that run, at most so long. */
    void stop(Duration patience) throws InterruptedException {
        stopping = true;
        if (!free.tryAcquire(most, patience.toMillis(), TimeUnit.MILLISECONDS)) Log.say("stopped before every turn had ended: those are not stored");
    }

    private void route(Call call) throws IOException {
        if (call.is("OPTIONS")) {
            call.preflight();
            return;
        }
        switch (String.valueOf(call.path())) {
            case "/" -> page.join().show(call.allowing("GET"));
            case "/health" -> health(call.allowing("GET"));
            case "/chat" -> chat(call.allowing("POST"));
            case "/history" -> {
                if (call.allowing("GET", "DELETE").is("DELETE")) takeBack(call);
                else history(call);
            }
            case "/image" -> image(call.allowing("POST"));
            default -> throw new Problem(Problem.Code.NOT_FOUND, "There is no such path: try /, /health, /chat, /history or /image");
        }
    }

    private void health(Call call) throws IOException {
        call.json(object("status", "ok", "demo", demo ? true : null, "chat", health(call.settings().chat()), "image", health(call.settings().image())));
    }

    private static Map<String, Object> health(Settings.Account account) {
        return object("provider", account.provider(), "model", account.model(), "ready", account.missing() == null);
    }

    private void chat(Call call) throws IOException {
        Map<String, Object> body = call.body();
        User user = call.user(body);
        Message asked = Message.fromUser(text(body, "message"));
        if (!(body.getOrDefault("stream", false) instanceof Boolean stream)) throw Problem.invalid("stream must be true or false");
        Settings settings = call.settings();
        Settings.Account account = settings.chat();
        Provider provider = Provider.of(client.get(), settings, account, call::reserve);
        Map<String, Object> answer = histories.inTurn(settings.histories(), user, call.client(), call::reserve, history -> {
            List<Message> conversation = new ArrayList<>(history.last(settings.window() - 1));
            conversation.add(asked);
            Provider.Reply reply = call.client().whileThere(() -> provider.chat(conversation, stream ? call::piece : piece -> { }));
            if (stream) call.piece(""); // finds out whether the client is still there
            history.append(asked, Message.fromAssistant(reply.text(), account.provider(), account.model()));
            return object("user_id", user.id(), "reply", reply.text(), "finish_reason", reply.finishReason(),
                    "provider", account.provider(), "model", account.model(), "usage", reply.usage());
        });
        if (stream) call.done(answer);
        else call.json(answer);
    }

    private void history(Call call) throws IOException {
        User user = call.user();
        int limit = call.count("limit", Integer.MAX_VALUE);
        List<Message> all = histories.inTurn(call.settings().histories(), user, call.client(), call::reserve, History::all);
        List<Map<String, Object>> last = all.subList(Math.max(0, all.size() - limit), all.size()).stream().map(Message::members).toList();
        call.json(object("user_id", user.id(), "total", all.size(), "messages", last));
    }

    private void takeBack(Call call) throws IOException {
        User user = call.user();
        int turns = call.count("turns", 0);
        histories.inTurn(call.settings().histories(), user, call.client(), call::reserve, history -> {
            if (turns == 0) history.delete();
            else history.takeBack(turns);
            return null;
        });
        call.nothing();
    }

    private void image(Call call) throws IOException {
        Map<String, Object> body = call.body();
        User user = call.user(body);
        String prompt = text(body, "prompt");
        Settings.Account account = call.settings().image();
        Provider provider = Provider.of(client.get(), call.settings(), account, call::reserve);
        List<Image> images = call.client().whileThere(() -> provider.draw(prompt));
        if (call.wantsImage()) {
            call.answer(200, images.get(0).mimeType(), images.get(0).bytes());
            return;
        }
        call.json(object("user_id", user.id(), "provider", account.provider(), "model", account.model(), "images", images.stream()
                .map(image -> object("mime_type", image.mimeType(), "data", Base64.getEncoder().encodeToString(image.bytes()))).toList()));
    }

    private static String text(Map<String, Object> body, String name) {
        if (!body.containsKey(name)) throw Problem.invalid(name + " is missing");
        if (!(body.get(name) instanceof String text) || text.isBlank()) throw Problem.invalid(name + " must be a string that is not blank");
        return text;
    }
}
