package parley;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.text.ParseException;
import java.util.ArrayDeque;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import java.util.zip.GZIPOutputStream;

/**
 * A provider that does what a test tells it to, on a raw socket: the next script that is queued, or else the usual one.
 */
final class Scripted implements AutoCloseable {
    /** What is done to one request. */
    interface Script {
        void play(Exchange exchange) throws IOException, InterruptedException;
    }

    /** One request as it came, and the connection that waits for its answer. */
    record Exchange(
            String method, String path, Map<String, String> headers, String body, Socket socket, OutputStream out) {
        Object json() {
            try {
                return Json.parse(body);
            } catch (ParseException e) {
                throw new AssertionError(body, e);
            }
        }

        void send(String text) throws IOException {
            out.write(text.getBytes(StandardCharsets.UTF_8));
            out.flush();
        }

        /** A whole answer; more header lines end with CRLF each. */
        void answer(int status, String type, String moreHeaders, String text) throws IOException {
            byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
            send("HTTP/1.1 " + status + " X\r\nContent-Type: " + type + "\r\nContent-Length: " + bytes.length + "\r\n"
                    + moreHeaders + "Connection: close\r\n\r\n");
            out.write(bytes);
            out.flush();
        }

        void json(int status, String text) throws IOException {
            answer(status, "application/json", "", text);
        }

        /** In gzip, though none was asked for. */
        void gzip(int status, String text) throws IOException {
            var bytes = new ByteArrayOutputStream();
            try (var gzip = new GZIPOutputStream(bytes)) {
                gzip.write(text.getBytes(StandardCharsets.UTF_8));
            }
            send("HTTP/1.1 " + status + " X\r\nContent-Encoding: gzip\r\nContent-Length: " + bytes.size()
                    + "\r\nConnection: close\r\n\r\n");
            out.write(bytes.toByteArray());
        }

        /** The head of a stream, whose end is the connection's. */
        void stream() throws IOException {
            send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n");
        }

        void event(String data) throws IOException {
            send("data: " + data + "\r\n\r\n");
        }

        /** Waits until the other end has hung up. */
        void awaitHangUp() throws IOException {
            try {
                socket.getInputStream().readAllBytes(); // nothing more is expected
            } catch (IOException e) {
                // a reset is a hang-up too
            }
        }

        /** Closes so that the other end sees a reset. */
        void reset() throws IOException {
            socket.setSoLinger(true, 0);
            socket.close();
        }
    }

    /** What a test holds back and lets go. */
    static final class Gate {
        private final CountDownLatch open = new CountDownLatch(1);

        void open() {
            open.countDown();
        }

        void pass() throws InterruptedException {
            if (!open.await(20, TimeUnit.SECONDS)) throw new AssertionError("the gate was never opened");
        }

        /** What is played once the gate is open. */
        Script before(Script script) {
            return exchange -> {
                pass();
                script.play(exchange);
            };
        }
    }

    private final ServerSocket listening;
    private final Queue<Script> scripts = new ConcurrentLinkedQueue<>();
    private final CopyOnWriteArrayList<Socket> open = new CopyOnWriteArrayList<>();
    final List<Exchange> exchanges = new CopyOnWriteArrayList<>();
    final List<Throwable> broken = new CopyOnWriteArrayList<>();
    private volatile Script usual;
    private volatile boolean remembering = true;

    Scripted(Script usual) throws IOException {
        this.usual = usual;
        listening = new ServerSocket(0, 1000, InetAddress.getLoopbackAddress());
        Thread.ofPlatform().daemon().start(() -> {
            while (!listening.isClosed()) {
                try {
                    Socket socket = listening.accept();
                    open.add(socket);
                    Thread.ofPlatform().daemon().start(() -> serve(socket));
                } catch (IOException e) {
                    if (!listening.isClosed()) throw new UncheckedIOException(e);
                }
            }
        });
    }

    private void serve(Socket socket) {
        try (socket) {
            Exchange exchange = read(socket);
            if (exchange == null) return;
            if (remembering) exchanges.add(exchange);
            Script script = scripts.poll();
            (script == null ? usual : script).play(exchange);
        } catch (IOException e) {
            // the other end hung up: what a test does on purpose
        } catch (Throwable e) {
            broken.add(e);
        } finally {
            open.remove(socket);
        }
    }

    private static Exchange read(Socket socket) throws IOException {
        InputStream in = new BufferedInputStream(socket.getInputStream());
        Queue<String> lines = new ArrayDeque<>();
        for (String line; !(line = line(in)).isEmpty(); ) lines.add(line);
        if (lines.isEmpty()) return null;
        String[] request = lines.remove().split(" ");
        Map<String, String> headers = new TreeMap<>(String.CASE_INSENSITIVE_ORDER);
        for (String line : lines) {
            String[] header = line.split(":", 2);
            headers.put(header[0], header[1].strip());
        }
        byte[] body = in.readNBytes(Integer.parseInt(headers.getOrDefault("Content-Length", "0")));
        return new Exchange(
                request[0],
                request[1],
                headers,
                new String(body, StandardCharsets.UTF_8),
                socket,
                socket.getOutputStream());
    }

    private static String line(InputStream in) throws IOException {
        var line = new ByteArrayOutputStream();
        for (int b; (b = in.read()) >= 0 && b != '\n'; ) line.write(b);
        return line.toString(StandardCharsets.ISO_8859_1).strip();
    }

    /** For a load of many requests: none of them is kept. */
    Scripted forgetting() {
        remembering = false;
        return this;
    }

    /** The next requests that nobody has queued a script for before get these, one each. */
    Scripted then(Script... next) {
        scripts.addAll(List.of(next));
        return this;
    }

    void usually(Script script) {
        usual = script;
    }

    String address() {
        return "http://127.0.0.1:" + listening.getLocalPort();
    }

    /** How many connections are open now. */
    int connections() {
        return open.size();
    }

    Exchange last() {
        return exchanges.get(exchanges.size() - 1);
    }

    @Override
    public void close() throws IOException {
        listening.close();
        for (Socket socket : open) socket.close();
    }

    // What providers usually say.

    /** The last event of a stream of Gemini's, and the shape of its whole answers. */
    static final String GEMINI_END =
            """
            {"candidates":[{"content":{"role":"model"},"finishReason":"STOP","index":0}],\
            "usageMetadata":{"promptTokenCount":4,"candidatesTokenCount":6,\
            "thoughtsTokenCount":9,"totalTokenCount":19},"modelVersion":"m"}""";

    private static final String OPENAI_USAGE = "{\"prompt_tokens\":4,\"completion_tokens\":6,\"total_tokens\":10}";

    /** A whole reply where one is asked for, and else a stream of the deltas. */
    static Script gemini(String... deltas) {
        return exchange -> {
            if (!exchange.path().contains(":streamGenerateContent")) {
                String parts = Json.toJson(List.of(Json.object("text", String.join("", deltas))));
                exchange.json(200, GEMINI_END.replace("{\"role\":\"model\"}", "{\"parts\":" + parts + "}"));
                return;
            }
            exchange.stream();
            for (String delta : deltas) exchange.event(geminiDelta(delta));
            exchange.event(GEMINI_END);
        };
    }

    static String geminiDelta(String text) {
        return "{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":" + Json.toJson(text) + "}]}}]}";
    }

    /** A whole reply where one is asked for, and else a stream of the deltas. */
    static Script openAi(String... deltas) {
        return exchange -> {
            if (!Boolean.TRUE.equals(Json.at(exchange.json(), "stream"))) {
                exchange.json(
                        200,
                        """
                        {"choices":[{"index":0,"message":{"role":"assistant","content":%s},"finish_reason":"stop"}],\
                        "usage":%s}"""
                                .formatted(Json.toJson(String.join("", deltas)), OPENAI_USAGE));
                return;
            }
            exchange.stream();
            for (String delta : deltas) exchange.event(openAiDelta(delta));
            exchange.event("{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}");
            exchange.event("{\"choices\":[],\"usage\":" + OPENAI_USAGE + "}");
            exchange.event("[DONE]");
        };
    }

    static String openAiDelta(String text) {
        return "{\"choices\":[{\"index\":0,\"delta\":{\"content\":" + Json.toJson(text) + "}}]}";
    }

    /**
     * What a row of a table tells.
     *
     * @param how  {@code events}, {@code lines}, or events whose stream {@code stays open} or {@code breaks off};
     *             {@code bytes} of HTTP; or the status of a whole answer, with {@code gzip} or a header line behind it
     * @param what the events or lines, with {@code ⏎} between them, or the answer's body. In each,
     *             {@code say "words"} and {@code finish reason} stand for deltas of the dialect
     */
    static Script of(String dialect, String how, String what) {
        String text = spelled(dialect, what.replace("<key>", Running.KEY));
        List<String> parts = Stream.of(text.split("⏎")).map(String::strip).toList();
        return switch (how) {
            case "events" ->
                exchange -> {
                    exchange.stream();
                    for (String data : parts) exchange.event(data);
                };
            case "stays open" ->
                exchange -> {
                    of(dialect, "events", what).play(exchange);
                    exchange.awaitHangUp();
                };
            case "breaks off" ->
                exchange -> {
                    exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 99999\r\nConnection: close\r\n\r\n");
                    for (String data : parts) exchange.event(data);
                };
            case "lines" ->
                exchange -> {
                    exchange.stream();
                    for (String line : parts) exchange.send(unescaped(line) + "\n\n");
                };
            case "bytes" -> exchange -> exchange.send(unescaped(text));
            default -> whole(how.replace("<key>", Running.KEY), unescaped(text));
        };
    }

    private static String unescaped(String text) {
        return text.replace("\\n", "\n").replace("\\r", "\r");
    }

    private static String spelled(String dialect, String what) {
        boolean gemini = dialect.equals("gemini");
        String say = gemini
                ? "{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":%s}]}}]}"
                : "{\"choices\":[{\"index\":0,\"delta\":{\"content\":%s}}]}";
        String finish = gemini
                ? "{\"candidates\":[{\"finishReason\":\"%s\"}]}"
                : "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"%s\"}]}";
        return Pattern.compile("(say|finish) (\"[^\"]*\"|\\w+)")
                .matcher(what)
                .replaceAll(word -> Matcher.quoteReplacement(
                        (word.group(1).equals("say") ? say : finish).formatted(word.group(2))));
    }

    private static Script whole(String how, String text) {
        String[] head = how.split(" ", 2);
        int status = Integer.parseInt(head[0]);
        String header = head.length == 1 ? "" : head[1];
        if (header.equals("gzip")) return exchange -> exchange.gzip(status, text);
        String type = header.startsWith("Content-Type: ") ? header.substring(14) : "application/json";
        String more = header.isEmpty() || header.startsWith("Content-Type: ") ? "" : header + "\r\n";
        return exchange -> exchange.answer(status, type, more, text);
    }
}
