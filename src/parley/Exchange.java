package parley;

import static java.lang.Double.parseDouble;
import static java.lang.Long.parseLong;
import static java.lang.Math.min;
import static java.lang.String.join;
import static java.lang.System.nanoTime;
import static java.lang.Thread.currentThread;
import static java.lang.Thread.interrupted;
import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;
import static java.util.regex.Pattern.compile;
import static parley.Exchange.State.ANSWERING;
import static parley.Exchange.State.STREAMING;
import static parley.Exchange.State.UNANSWERED;
import static parley.Histories.fileName;
import static parley.Json.decode;
import static parley.Json.members;
import static parley.Json.object;
import static parley.Json.parseRequest;
import static parley.Json.toJson;
import static parley.Lines.BUFFER_SIZE;
import static parley.Log.log;
import static parley.Memory.PER_BYTE;
import static parley.Memory.SMALL;
import static parley.Memory.reserve;
import static parley.Problem.Code.METHOD_NOT_ALLOWED;
import static parley.Problem.Code.MISDIRECTED_REQUEST;
import static parley.Problem.Code.TOO_LARGE;
import static parley.Problem.Code.UNSUPPORTED_MEDIA_TYPE;
import static parley.Problem.invalid;

import com.sun.net.httpserver.HttpExchange;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.URI;
import java.net.URLDecoder;
import java.nio.charset.CharacterCodingException;
import java.text.ParseException;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * One HTTP exchange: reads its body, query and user; answers bytes, JSON, a problem or events, with CORS on each.
 * Whatever writes throws an UncheckedIOException where the client has gone.
 */
final class Exchange implements AutoCloseable {
    static final String JSON = "application/json; charset=utf-8";
    private static final int MAX_BODY = 1 << 20; // bytes

    /** White space, as Unicode or Java has it, and nothing else. */
    static final Pattern BLANK = compile("[\\s\\p{Z}\\x1c-\\x1f\\x85\\x{feff}]*+");

    private static final Pattern ID = compile("(?!" + BLANK + "$)\\P{Cc}{1,128}");
    private static final Pattern IS_JSON = compile("(?i)\\s*application/json\\s*([;,].*)?");

    /** What the client has got so far. */
    enum State {
        UNANSWERED,
        ANSWERING,
        STREAMING
    }

    private final HttpExchange exchange;
    final Settings settings;
    private final WriteTimeouts timeouts;
    private final long begun = nanoTime();
    private State state = UNANSWERED;
    private String outcome = ""; // for the log: the status, and what went wrong
    private String user = "";

    /** The target's path as it was sent: {@code //x/y} is one of itself, where URI takes x for a host. */
    final String path;

    Exchange(HttpExchange exchange, Settings settings, WriteTimeouts timeouts) {
        this.exchange = exchange;
        this.settings = settings;
        this.timeouts = timeouts;
        URI target = exchange.getRequestURI();
        path = target.isAbsolute()
                ? "" + target.getRawPath()
                : target.getRawSchemeSpecificPart().split("\\?", 2)[0];
    }

    boolean is(String method) {
        return exchange.getRequestMethod().equals(method);
    }

    /** This exchange, where it has one of these methods, which are a list with commas. */
    Exchange allowing(String methods) {
        if ((" " + methods + ",").contains(" " + exchange.getRequestMethod() + ",")) return this;
        header("Allow", methods);
        throw new Problem(METHOD_NOT_ALLOWED, "Use " + methods);
    }

    void header(String name, String value) {
        exchange.getResponseHeaders().set(name, value);
    }

    /** Refuses a length that others may read otherwise than the JDK does, and what is meant for another server. */
    void checkHead() {
        if (requestHeader("Content-Length").startsWith("+")) throw invalid("Content-Length must be a number");
        List<String> unnamed = exchange.getProtocol().equals("HTTP/1.0") ? List.of("localhost") : List.of();
        var hosts = exchange.getRequestHeaders().getOrDefault("Host", unnamed);
        if (hosts.size() != 1) throw invalid("A request must name one Host");
        URI target = exchange.getRequestURI();
        String host = target.isAbsolute() // then it wins (RFC 9112, section 3.2.2)
                ? "" + target.getRawAuthority()
                : hosts.getFirst().strip();
        if (settings.server().answersTo(host.replaceFirst(":\\d*$", ""))) return;
        throw new Problem(
                MISDIRECTED_REQUEST, "This server does not go by that name: put it into ALLOWED_HOSTS in .env");
    }

    /** The values that a header has, on however many lines (RFC 9110, section 5.3); empty where it is not there. */
    private String requestHeader(String name) {
        return join(",", exchange.getRequestHeaders().getOrDefault(name, List.of()));
    }

    /** Which web page may read the answer; null for none (https://fetch.spec.whatwg.org/#http-cors-protocol). */
    private String allowedOrigin() {
        return settings.cors().allowed(requestHeader("Origin"));
    }

    void preflight() {
        if (allowedOrigin() != null) {
            header("Access-Control-Allow-Methods", settings.cors().methods());
            header("Access-Control-Allow-Headers", settings.cors().headers());
        }
        nothing();
    }

    /** The JSON object that a POST brings. */
    Map<String, Object> body() {
        checkType();
        try {
            if (parseRequest(decode(bytes())) instanceof Map<?, ?> map) return members(map);
            throw invalid("The body must be a JSON object");
        } catch (CharacterCodingException e) {
            throw invalid("The body must be UTF-8");
        } catch (IOException | IndexOutOfBoundsException e) { // JDK 25 takes the chunk's size 80000000 for -2^31
            throw invalid("The body breaks off, or its chunks are malformed: send it again");
        } catch (ParseException e) {
            throw invalid("The body cannot be read as JSON: " + e.getMessage());
        }
    }

    private void checkType() {
        if (!IS_JSON.matcher(requestHeader("Content-Type")).matches()) {
            throw new Problem(UNSUPPORTED_MEDIA_TYPE, "Send the body as Content-Type: application/json");
        }
        if (requestHeader("Content-Encoding").matches("(?i)(identity)?")) return;
        header("Accept-Encoding", "identity"); // RFC 9110, section 15.5.16
        throw new Problem(UNSUPPORTED_MEDIA_TYPE, "Send the body as it is, without Content-Encoding");
    }

    private byte[] bytes() throws IOException {
        String length = requestHeader("Content-Length"); // a number: the JDK sees to it
        long announced = length.isEmpty() ? MAX_BODY : parseLong(length);
        if (announced > MAX_BODY) throw tooLarge();
        var body = new ByteArrayOutputStream();
        InputStream in = exchange.getRequestBody();
        body.writeBytes(in.readNBytes((int) min(SMALL, announced)));
        if (body.size() == SMALL) { // a body in chunks does not tell how long it is
            reserve(PER_BYTE * announced);
            body.writeBytes(in.readNBytes(MAX_BODY));
        }
        if (body.size() > MAX_BODY) throw tooLarge();
        if (!length.isEmpty() && body.size() < announced) throw new IOException("the client closed its half");
        return body.toByteArray();
    }

    private static Problem tooLarge() {
        return new Problem(TOO_LARGE, "The body has over " + MAX_BODY + " bytes: send a shorter one");
    }

    /** The id of whoever sends this: of the body or of the query, or of both when they are the same. */
    String user(Map<String, Object> body) {
        String inQuery = query("user_id");
        if (inQuery == null && !body.containsKey("user_id")) throw invalid("user_id is missing");
        Object sent = body.getOrDefault("user_id", inQuery);
        if (!(sent instanceof String id)) throw invalid("user_id must be a string");
        if (inQuery != null && !inQuery.equals(id)) {
            throw invalid("user_id is one in the query and another in the body");
        }
        if (!ID.matcher(id).matches() || fileName(id).length() > 255) { // bytes, on every common file system
            throw invalid("user_id must have 1 to 128 characters, not be blank, hold no control characters, "
                    + "and fit into the name of a file");
        }
        user = id;
        return id;
    }

    /** The query's parameter as a whole number from 1, or the fallback where it is not there. */
    int count(String name, int fallback) {
        String text = query(name);
        if (text == null) return fallback;
        if (!text.matches("0*[1-9]\\d*")) throw invalid(name + " must be a whole number from 1");
        return (int) parseDouble(text); // of what is larger than an int, the largest one
    }

    /**
     * The query's parameter, read as HTML forms write it (https://url.spec.whatwg.org/#urlencoded-parsing), but
     * strictly; or null.
     */
    String query(String name) {
        String value = null;
        for (String pair : ("" + exchange.getRequestURI().getRawQuery()).split("&")) {
            String[] halves = pair.split("=", 2);
            String decoded = halves.length == 1 ? "" : decoded(halves[1]);
            if (!decoded(halves[0]).equals(name)) continue;
            if (value != null) throw invalid("The query has " + name + " twice");
            value = decoded;
        }
        return value;
    }

    private static String decoded(String raw) {
        try {
            return decode(URLDecoder.decode(raw, ISO_8859_1).getBytes(ISO_8859_1));
        } catch (CharacterCodingException | IllegalArgumentException e) {
            throw invalid("The query is not UTF-8 in percent-encoding");
        }
    }

    /** Whether the client asks for an image's own bytes: it accepts images, and neither JSON nor everything. */
    boolean wantsImage() {
        return requestHeader("Accept").matches("(?i)(?!.*(\\*/\\*|json)).*image/.*");
    }

    /** Names the version of what is asked for; tells whether the client has that one, and is told so. */
    boolean isUnchanged(String version) {
        String tag = '"' + version + '"';
        header("ETag", tag);
        String known = requestHeader("If-None-Match"); // a list of tags (RFC 9110, section 13.1.2)
        boolean same = known.strip().equals("*") || known.contains(tag);
        if (same) begin(304, null, -1);
        return same;
    }

    void nothing() {
        begin(204, null, -1);
    }

    /** The answer: the whole one, or the last event of a stream that has begun. */
    void json(Object value) {
        String json = toJson(value);
        if (state == STREAMING) event("event: done\ndata: " + json);
        else answer(200, JSON, json.getBytes(UTF_8));
    }

    /** The whole answer. */
    void answer(int status, String type, byte[] body) {
        begin(status, type, body.length);
        write(body);
        flush(); // before the JDK drains what is still being sent
    }

    /** The beginning of an answer whose length is not known; {@link #write(String)} goes on with it. */
    void begin(String type) {
        begin(200, type, 0);
    }

    /** @param length bytes of the body; as the JDK has it, 0 for an unknown number, and -1 for no body at all */
    private void begin(int status, String type, int length) {
        if (outcome.isEmpty()) outcome = "" + status;
        state = ANSWERING;
        answerHeaders(status, type);
        if (is("HEAD") && length > 0) header("Content-Length", "" + length);
        timeouts.run(() -> exchange.sendResponseHeaders(status, is("HEAD") ? -1 : length));
    }

    private void answerHeaders(int status, String type) {
        String origin = allowedOrigin();
        if (origin != null) header("Access-Control-Allow-Origin", origin);
        if (!"*".equals(origin)) header("Vary", "Origin");
        header("Access-Control-Expose-Headers", "Retry-After");
        if (type != null) header("Content-Type", type);
        exchange.getResponseHeaders().putIfAbsent("Cache-Control", List.of("no-store"));
        // What the JDK reads as the next request may be a part of this one: no more than this is answered. Nor is a
        // body that is too large read to its end.
        if (status == 400
                || status == 413
                || !requestHeader("Transfer-Encoding").isEmpty()) {
            header("Connection", "close");
        }
    }

    /** More of an answer that has begun. */
    void write(String text) {
        write(text.getBytes(UTF_8));
    }

    void write(byte[] bytes) {
        if (is("HEAD")) return;
        OutputStream out = exchange.getResponseBody();
        for (int i = 0; i < bytes.length; i += BUFFER_SIZE) {
            int from = i;
            timeouts.run(() -> out.write(bytes, from, min(BUFFER_SIZE, bytes.length - from)));
        }
    }

    private void flush() {
        timeouts.run(exchange.getResponseBody()::flush);
    }

    /** A delta of the reply, as an event; no text is a heartbeat. Whichever comes first sends the 200. */
    void delta(String text) {
        timeouts.checkOpen();
        if (!text.isEmpty()) {
            event("data: " + toJson(object("text", text)));
        } else { // in two halves: a client that left lets the first one pass, and resets the connection
            send(":");
            send(" ping\n\n");
        }
    }

    private void event(String lines) {
        send(lines + "\n\n");
    }

    private void send(String text) {
        if (state == UNANSWERED) {
            header("Cache-Control", "no-cache");
            header("X-Accel-Buffering", "no");
            begin("text/event-stream");
            state = STREAMING;
        }
        write(text);
        flush();
    }

    /** The refusal: as the answer, as the last event of a stream that has begun, or by breaking off another answer. */
    void problem(Problem problem) {
        interrupted(); // at a stop: it would close the connection before the client hears of it
        String json = toJson(problem.document());
        outcome += (outcome.isEmpty() ? "" : ", then ") + problem.status() + " " + problem.name();
        switch (state) {
            case UNANSWERED -> {
                if (problem.retryAfter != null) header("Retry-After", problem.retryAfter.toString());
                answer(problem.status(), "application/problem+json; charset=utf-8", json.getBytes(UTF_8));
            }
            case STREAMING -> event("event: error\ndata: " + json);
            // Breaks the connection: else the answer would seem whole.
            case ANSWERING -> currentThread().interrupt();
        }
    }

    /** What the console is to say where the client has gone. */
    void clientLeft() {
        outcome += ", the client left";
    }

    /** Ends the exchange, and logs it on one line. */
    @Override
    public void close() {
        try {
            timeouts.run(exchange::close);
        } finally {
            interrupted(); // the thread serves another request next
            long millis = (nanoTime() - begun) / 1_000_000;
            log("%s %.100s %s %s ms %.40s".formatted(exchange.getRequestMethod(), path, outcome, millis, user));
        }
    }
}
