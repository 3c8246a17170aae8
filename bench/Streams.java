import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.concurrent.CountDownLatch;

/**
 * {@code java bench/Streams.java PORT COUNT}: opens so many streams at once, and prints the median milliseconds until
 * their first delta.
 */
public class Streams {
    public static void main(String[] args) throws Exception {
        int port = Integer.parseInt(args[0]);
        int count = Integer.parseInt(args[1]);
        long[] firsts = new long[count];
        var ready = new CountDownLatch(count);
        Thread[] threads = new Thread[count];
        for (int i = 0; i < count; i++) {
            int number = i;
            threads[i] = Thread.ofVirtual().start(() -> firsts[number] = first(port, ready));
        }
        for (Thread thread : threads) thread.join();
        Arrays.sort(firsts);
        System.out.printf("%.2f%n", firsts[count / 2] / 1e6);
    }

    private static long first(int port, CountDownLatch ready) {
        try (var socket = new Socket("127.0.0.1", port);
                var in = new BufferedReader(new InputStreamReader(socket.getInputStream(), StandardCharsets.UTF_8))) {
            String body = "{\"user_id\":\"s" + System.nanoTime() + "\",\"message\":\"hi\",\"stream\":true}";
            String head =
                    """
                    POST /chat HTTP/1.1
                    Host: localhost
                    Content-Type: application/json
                    Connection: close
                    Content-Length: %d

                    """
                            .formatted(body.length());
            byte[] request = (head.replace("\n", "\r\n") + body).getBytes(StandardCharsets.US_ASCII);
            ready.countDown();
            ready.await();
            long begun = System.nanoTime();
            socket.getOutputStream().write(request);
            String line = in.readLine();
            while (line != null && !line.startsWith("data:")) line = in.readLine();
            long first = System.nanoTime() - begun;
            while (in.readLine() != null) {
                /* to its end */
            }
            return line == null ? Long.MAX_VALUE : first;
        } catch (IOException | InterruptedException e) {
            return Long.MAX_VALUE;
        }
    }
}
