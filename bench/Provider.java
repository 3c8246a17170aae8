import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.Comparator;
import java.util.PriorityQueue;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A stand-in for Gemini that is not the bottleneck: one thread, which answers every POST with the same reply of 20
 * words: whole or, where the path asks for that, as a stream of 20 events. As with a real model, a stream goes on for a
 * while: for a second behind its first event. {@code java bench/Provider.java PORT MILLISECONDS}: how long it lets each
 * request wait.
 */
public class Provider {
    private static final int EVENTS = 20;
    private static final long PAUSE = 1_000_000_000; // ns behind a stream's first event
    private static final Pattern LENGTH = Pattern.compile("(?i)\r\ncontent-length: *(\\d+)");

    /** A connection, and what has arrived on it. */
    private static final class Client {
        private final SocketChannel channel;
        private final ByteBuffer in = ByteBuffer.allocate(256 << 10);
        private boolean streams;

        Client(SocketChannel channel) {
            this.channel = channel;
        }
    }

    /** An answer, or a part of it, that is due. */
    private record Due(SocketChannel channel, byte[] bytes, long nanos) {}

    public static void main(String[] args) throws IOException {
        long delay = Long.parseLong(args[1]) * 1_000_000;
        byte[] begun = stream(1, 1);
        byte[] rest = stream(2, EVENTS);
        byte[] whole = whole();
        var queue = new PriorityQueue<Due>(Comparator.comparingLong(Due::nanos));
        try (var selector = Selector.open();
                var server = ServerSocketChannel.open()) {
            server.bind(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])), 4096)
                    .configureBlocking(false);
            server.register(selector, SelectionKey.OP_ACCEPT);
            while (true) {
                if (queue.isEmpty()) selector.select();
                else selector.select(Math.max(1, (queue.peek().nanos - System.nanoTime()) / 1_000_000));
                for (SelectionKey key : selector.selectedKeys()) {
                    if (key.isAcceptable()) accept(server, selector);
                    else if (key.attachment() instanceof Client client && asked(client)) {
                        long due = System.nanoTime() + delay;
                        queue.add(new Due(client.channel, client.streams ? begun : whole, due));
                        if (client.streams) queue.add(new Due(client.channel, rest, due + PAUSE));
                    }
                }
                selector.selectedKeys().clear();
                while (!queue.isEmpty() && queue.peek().nanos <= System.nanoTime())
                    send(queue.peek().channel, queue.poll().bytes);
            }
        }
    }

    private static void accept(ServerSocketChannel server, Selector selector) throws IOException {
        SocketChannel channel = server.accept();
        channel.setOption(StandardSocketOptions.TCP_NODELAY, true).configureBlocking(false);
        channel.register(selector, SelectionKey.OP_READ, new Client(channel));
    }

    /** Whether a whole request has come. */
    private static boolean asked(Client client) throws IOException {
        try {
            if (client.channel.read(client.in) < 0) client.channel.close();
        } catch (IOException e) {
            client.channel.close(); // reset: the same as closed
        }
        String text = new String(client.in.array(), 0, client.in.position(), StandardCharsets.ISO_8859_1);
        int head = text.indexOf("\r\n\r\n");
        if (head < 0) return false;
        Matcher length = LENGTH.matcher(text.substring(0, head));
        if (text.length() < head + 4 + (length.find() ? Integer.parseInt(length.group(1)) : 0)) return false;
        client.streams = text.startsWith("POST ")
                && text.substring(0, text.indexOf("\r\n")).contains(":stream");
        client.in.clear();
        return true;
    }

    private static void send(SocketChannel channel, byte[] answer) throws IOException {
        try {
            for (ByteBuffer bytes = ByteBuffer.wrap(answer); bytes.hasRemaining(); ) channel.write(bytes);
        } catch (IOException e) {
            channel.close(); // the client has gone
        }
    }

    private static byte[] stream(int from, int to) {
        var answer = new StringBuilder(
                from > 1
                        ? ""
                        : "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (int i = from; i <= to; i++) {
            String event =
                    """
                    data: {"candidates": [{"content": {"parts": [{"text": "word %d "}],"role": "model"}%s,"index": 0}],\
                    "usageMetadata": {"promptTokenCount": 4,"totalTokenCount": %d},\
                    "modelVersion": "stand-in"}\r
                    \r
                    """
                            .formatted(i, i < EVENTS ? "" : ",\"finishReason\": \"STOP\"", 4 + i);
            answer.append(Integer.toHexString(event.length()))
                    .append("\r\n")
                    .append(event)
                    .append("\r\n");
        }
        return answer.append(to < EVENTS ? "" : "0\r\n\r\n").toString().getBytes(StandardCharsets.ISO_8859_1);
    }

    private static byte[] whole() {
        var words = new StringBuilder();
        for (int i = 1; i <= EVENTS; i++) words.append("word ").append(i).append(' ');
        String json =
                """
                {"candidates": [{"content": {"parts": [{"text": "%s"}],"role": "model"},\
                "finishReason": "STOP","index": 0}],\
                "usageMetadata": {"promptTokenCount": 4,"candidatesTokenCount": 20,"totalTokenCount": 24},\
                "modelVersion": "stand-in"}"""
                        .formatted(words);
        return ("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + json.length() + "\r\n\r\n"
                        + json)
                .getBytes(StandardCharsets.ISO_8859_1);
    }
}
