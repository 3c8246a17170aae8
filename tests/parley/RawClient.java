package parley;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.regex.Pattern;

/** A client on a bare socket: it sends what HTTP's libraries do not, and leaves when it likes. */
final class RawClient extends Socket {
    private static final Pattern STATUS = Pattern.compile("HTTP/1\\.1 (\\d{3}) ");

    RawClient(int port) throws IOException {
        super("127.0.0.1", port);
        setSoTimeout(20_000);
    }

    private RawClient() {}

    /** One that takes next to nothing of what it is sent, so that the server cannot go on sending. */
    static RawClient ofASmallWindow(int port) throws IOException {
        var client = new RawClient();
        client.setReceiveBufferSize(1024);
        client.connect(new InetSocketAddress("127.0.0.1", port));
        return client;
    }

    void send(String text) throws IOException {
        getOutputStream().write(text.getBytes(StandardCharsets.ISO_8859_1));
    }

    /** Posts the JSON, and does not wait for the answer. */
    void post(String path, String json) throws IOException {
        send("POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
                + json.length() + "\r\n\r\n" + json);
    }

    /** All that comes until the other end closes; a reset closes too. */
    String answer() throws IOException {
        var answer = new ByteArrayOutputStream();
        try {
            getInputStream().transferTo(answer);
        } catch (SocketException e) {
            // what came before the reset is the answer
        }
        return answer.toString(StandardCharsets.ISO_8859_1);
    }

    /** The last bytes of an answer that may be too long to be kept. */
    String end(int length) throws IOException {
        String end = "";
        var bytes = new byte[8192];
        try {
            for (int count; (count = getInputStream().read(bytes)) >= 0; ) {
                end += new String(bytes, 0, count, StandardCharsets.ISO_8859_1);
                end = end.substring(Math.max(0, end.length() - length));
            }
        } catch (SocketException e) {
            // what came before the reset is the answer
        }
        return end;
    }

    /** The next bytes of the answer: twelve are "HTTP/1.1 200". */
    String answer(int bytes) throws IOException {
        return new String(getInputStream().readNBytes(bytes), StandardCharsets.ISO_8859_1);
    }

    /** The statuses of the answers that came one behind the other. */
    static List<String> statuses(String answers) {
        return STATUS.matcher(answers).results().map(match -> match.group(1)).toList();
    }
}
