package parley;

import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpExchange;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;

/** One HTTP exchange: reads its body, query and user; answers bytes, JSON, a problem or events, with CORS on each. */
final class Call implements AutoCloseable {
    private static final int MAX_BODY = 1 << 20; // bytes
    private static final int MAX_UNREAD = 16 << 20; // bytes of a refused body that are passed over, so that its client hears the refusal
    private static final Pattern LENGTH = Pattern.compile("\\d{1,9}");
    private static final Pattern HOST_PORT = Pattern.compile(":\\d*$");
    private static final byte[] EVENT_END = {'\n', '\n'};
    private static final int PATIENCE = 30; // seconds for a client to take what is written
    private static final int PORTION = 16 << 10; // bytes that are written at once: the JDK keeps twice as many for each connection
    private static final int MAX_VALUES = 1000; // in a body
    private static final int SMALL = 100 << 10; // bytes of memory that every call may fill without asking
    private static final int SHORTAGE = 10; // seconds for other calls to give memory back

    private final HttpExchange exchange;
    private final Settings settings;
    private final Watch.Client client;
    private final Semaphore memory;
    private final long begun = System.nanoTime();
    private String outcome = "";
    private boolean streaming;
    private User user;
    private int kept; // bytes of memory that are set aside for the body
    private int reserved; // and for what is read now

    /** @param memory bytes that all calls together may still fill with what they read */
    Call(HttpExchange exchange, Settings settings, Watch watch, Semaphore memory) {
        this.memory = memory;
        this.exchange = exchange;
        this.settings = settings;
        client = watch.new Client(exchange.getLocalAddress(), exchange.getRemoteAddress());
        allowOrigin();
    }

    Settings settings() {
        return settings;
    }

    Watch.Client client() {
        return client;
    }

    String path() {
        return exchange.getRequestURI().getRawPath();
    }

    boolean is(String method) {
        return exchange.getRequestMethod().equals(method);
    }

    /** This call, where it has one of these methods. HEAD goes with GET. */
    Call allowing(String... methods) {
        if (Arrays.stream(methods).anyMatch(method -> is(method) || method.equals("GET") && is("HEAD"))) return this;
        String allowed = String.join(", ", methods).replace("GET", "GET, HEAD") + ", OPTIONS";
        header("Allow", allowed);
        throw new Problem(Problem.Code.METHOD_NOT_ALLOWED, "Use " + allowed);
    }

    void header(String name, String value) {
        exchange.getResponseHeaders().set(name, value);
    }

    /** Refuses what is meant for another server. */
    void checkHost() {
        List<String> named = exchange.getRequestHeaders().getOrDefault("Host", List.of());
        boolean old = exchange.getProtocol().equals("HTTP/1.0") && named.isEmpty();
        if (named.size() != 1 && !old) throw Problem.invalid("A request must name one Host");
        String host = old ? "localhost" : HOST_PORT.matcher(named.get(0).strip()).replaceFirst("");
        String target = exchange.getRequestURI().getHost(); // in a target of the absolute form, which wins (RFC 9112, section 3.2.2)
        if (settings.answersTo(target == null ? host : target)) return;
        throw new Problem(Problem.Code.MISDIRECTED_REQUEST, "This server does not go by that name: put it into ALLOWED_HOSTS in .env");
    }

    /** Says which web pages may read the answer (https://fetch.spec.whatwg.org/#http-cors-protocol). */
    private void allowOrigin() {
        List<String> allowed = settings.cors().origins();
        if (allowed.contains("*")) {
            header("Access-Control-Allow-Origin", "*");
            return;
        }
        header("Vary", "Origin");
        String origin = exchange.getRequestHeaders().getFirst("Origin");
        if (origin != null && allowed.contains(origin.toLowerCase(Locale.ROOT))) header("Access-Control-Allow-Origin", origin);
    }

    void preflight() throws IOException {
        if (exchange.getResponseHeaders().containsKey("Access-Control-Allow-Origin")) {
            header("Access-Control-Allow-Methods", settings.cors().methods());
            header("Access-Control-Allow-Headers", settings.cors().headers());
        }
        nothing();
    }

    /** The JSON object that a POST brings. */
    Map<String, Object> body() throws IOException {
        Headers headers = exchange.getRequestHeaders();
        String type = String.valueOf(headers.getFirst("Content-Type")).split(";", 2)[0].strip();
        if (!type.equalsIgnoreCase("application/json")) {
            throw new Problem(Problem.Code.UNSUPPORTED_MEDIA_TYPE, "Send the body as Content-Type: application/json");
        }
        String length = headers.getFirst("Content-Length");
        int announced = length == null ? MAX_BODY : LENGTH.matcher(length).matches() ? Integer.parseInt(length) : Integer.MAX_VALUE;
        if (announced > MAX_BODY) throw tooLarge();
        reserve(Json.COST * announced);
        kept = reserved;
        reserved = 0;
        byte[] body = exchange.getRequestBody().readNBytes(announced + 1);
        if (body.length > MAX_BODY) throw tooLarge();
        try {
            if (Json.parseAtMost(MAX_VALUES, body) instanceof Map<?, ?> map) return Json.members(map);
            throw Problem.invalid("The body must be a JSON object");
        } catch (Json.Malformed e) {
            throw Problem.invalid("The body cannot be read as JSON: " + e.getMessage());
        }
    }

    /**
     * Sets so many bytes of memory aside for what is about to be read, in place of fewer for what was read before. Waits a little
     * where other calls have too much, and holds none meanwhile: so they never wait for each other.
     *
     * @throws Problem overloaded where they do not give it back
     */
    void reserve(int bytes) {
        if (bytes - SMALL <= reserved) return;
        memory.release(reserved);
        reserved = 0;
        try {
            if (!memory.tryAcquire(bytes - SMALL, SHORTAGE, TimeUnit.SECONDS)) throw Problem.overloaded("full");
            reserved = bytes - SMALL;
        } catch (InterruptedException e) {
            throw Problem.clientGone();
        }
    }

    private static Problem tooLarge() {
        return new Problem(Problem.Code.TOO_LARGE, "The body has over " + MAX_BODY + " bytes: send a shorter one");
    }

    /** Whoever sends this: the user of the query. */
    User user() {
        return user(Map.of());
    }

    /** Whoever sends this: the user of the body or of the query, or of both when they are the same. */
    User user(Map<String, Object> body) {
        String asked = query("user_id");
        Object said = body.getOrDefault("user_id", asked);
        if (said == null && !body.containsKey("user_id")) throw Problem.invalid("user_id is missing");
        if (!(said instanceof String id)) throw Problem.invalid("user_id must be a string");
        if (asked != null && !asked.equals(id)) throw Problem.invalid("user_id is one in the query and another in the body");
        return user = new User(id);
    }

    /** The query's parameter as a whole number from 1, or the other number where it is not there. */
    int count(String name, int otherwise) {
        String text = query(name);
        if (text == null) return otherwise;
        if (!text.matches("0*[1-9]\\d{0,17}")) throw Problem.invalid(name + " must be a whole number from 1");
        return (int) Math.min(Long.parseLong(text), Integer.MAX_VALUE);
    }

    /** The query's parameter, read as HTML forms write it (https://url.spec.whatwg.org/#urlencoded-parsing), but strictly; or null. */
    private String query(String name) {
        String query = exchange.getRequestURI().getRawQuery();
        if (query == null) return null;
        var parameters = new HashMap<String, String>();
        for (String pair : query.split("&")) {
            String[] halves = pair.split("=", 2);
            if (parameters.put(decoded(halves[0]), halves.length == 1 ? "" : decoded(halves[1])) == null) continue;
            throw Problem.invalid("The query says one thing twice");
        }
        return parameters.get(name);
    }

    private static String decoded(String raw) {
        var bytes = new ByteArrayOutputStream();
        try {
            for (int i = 0; i < raw.length(); i++) {
                char c = raw.charAt(i);
                if (c == '%') bytes.write(HexFormat.fromHexDigits(raw, i + 1, (i += 2) + 1));
                else bytes.write(c == '+' ? ' ' : c);
            }
            return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes.toByteArray())).toString();
        } catch (CharacterCodingException | IllegalArgumentException | IndexOutOfBoundsException e) {
            throw Problem.invalid("The query is not UTF-8 in percent-encoding");
        }
    }

    /** Whether the client asks for an image's own bytes: it accepts images, and neither JSON nor everything. */
    boolean wantsImage() {
        String accept = String.join(",", exchange.getRequestHeaders().getOrDefault("Accept", List.of())).toLowerCase(Locale.ROOT);
        return accept.contains("image/") && !accept.contains("*/*") && !accept.contains("json");
    }

    void nothing() throws IOException {
        answer(204, null, new byte[0]);
    }

    void json(Object value) throws IOException {
        answer(200, "application/json", Json.bytes(value));
    }

    /** The whole answer. */
    void answer(int status, String type, byte[] body) throws IOException {
        outcome = status + outcome;
        if (type != null) header("Content-Type", type);
        boolean none = body.length == 0 || is("HEAD");
        if (none && body.length > 0) header("Content-Length", Integer.toString(body.length));
        client.within(PATIENCE, () -> {
            exchange.sendResponseHeaders(status, none ? -1 : body.length);
            if (none) return null; // the JDK has ended the exchange
            write(body);
            exchange.getResponseBody().flush();
            passOver(exchange.getRequestBody());
            return null;
        });
    }

    private void write(byte[] bytes) throws IOException {
        OutputStream out = exchange.getResponseBody();
        for (int from = 0; from < bytes.length; from += PORTION) out.write(bytes, from, Math.min(PORTION, bytes.length - from));
    }

    /** A client that is still sending hears of a refusal only if nobody closes the connection under what it sends. */
    private static void passOver(InputStream unread) throws IOException {
        byte[] portion = new byte[8 << 10];
        for (int n, all = 0; all < MAX_UNREAD && (n = unread.read(portion)) >= 0; ) all += n;
    }

    /** A piece of the reply, as an event; the first one sends the 200. No text is a sign of life in a silence. */
    void piece(String text) {
        if (!text.isEmpty()) event("data: ", Json.bytes(Json.object("text", text)));
        else if (streaming) event(": ping", new byte[0]);
    }

    /** The end of a stream. */
    void done(Object answer) {
        event("event: done\ndata: ", Json.bytes(answer));
    }

    private void event(String start, byte[] data) {
        try {
            client.within(PATIENCE, () -> {
                if (!streaming) {
                    header("Content-Type", "text/event-stream");
                    header("Cache-Control", "no-cache");
                    header("X-Accel-Buffering", "no");
                    streaming = true;
                    outcome = "200";
                    exchange.sendResponseHeaders(200, 0);
                }
                write(start.getBytes(StandardCharsets.UTF_8));
                write(data);
                write(EVENT_END);
                exchange.getResponseBody().flush();
                return null;
            });
        } catch (IOException e) {
            throw Problem.clientGone();
        }
    }

    /** The refusal: as the answer or, once a stream has begun, as its last event. */
    void problem(Problem problem) throws IOException {
        if (streaming) {
            outcome = "200, then " + problem.status() + " " + problem.name();
            if (problem.code != Problem.Code.CLIENT_GONE) event("event: error\ndata: ", Json.bytes(problem.document()));
            return;
        }
        if (problem.retryAfter != null) header("Retry-After", problem.retryAfter.toString());
        outcome = " " + problem.name();
        answer(problem.status(), "application/problem+json", Json.bytes(problem.document()));
    }

    /** Ends the exchange, and says a line of it on the console. */
    @Override
    public void close() {
        exchange.close();
        memory.release(kept + reserved);
        long millis = (System.nanoTime() - begun) / 1_000_000;
        String path = String.valueOf(path());
        Log.say(exchange.getRequestMethod() + " " + path.substring(0, Math.min(path.length(), 100)) + " " + outcome + " " + millis + " ms"
                + (user == null ? "" : " " + user));
    }
}
