package parley;

import static com.sun.net.httpserver.HttpServer.create;
import static java.lang.Runtime.version;
import static java.lang.System.getProperties;
import static java.lang.Thread.ofPlatform;
import static java.net.NetworkInterface.networkInterfaces;
import static java.util.Comparator.comparing;
import static java.util.concurrent.Executors.newVirtualThreadPerTaskExecutor;
import static java.util.concurrent.TimeUnit.SECONDS;
import static parley.Memory.MAX_REQUESTS;

import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.Inet6Address;
import java.net.InetSocketAddress;
import java.net.NetworkInterface;
import java.net.SocketException;
import java.nio.channels.UnsupportedAddressTypeException;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.ThreadPoolExecutor;

/** The JDK's HTTP server, with the limits and the threads that it lacks by default. */
final class JdkServer {
    static {
        // The JDK reads these once, when the first server is made. What the command line sets wins.
        // nodelay: else the kernel holds small answers back for 40 ms.
        // maxReqTime: seconds for headers and body together, although its documentation says ms (JDK-8387598).
        // maxReqHeaderSize: bytes, and all of them for each connection that is open.
        // drainAmount: bytes of a refused body that are read, so that its client hears of it.
        // idleInterval: seconds for a connection without a request.
        // maxConnections: also those that have yet to send a whole request.
        String limits =
                """
                sun.net.httpserver.nodelay=true
                sun.net.httpserver.maxReqTime=30
                sun.net.httpserver.maxReqHeaderSize=32768
                sun.net.httpserver.drainAmount=16777216
                sun.net.httpserver.idleInterval=60
                sun.net.httpserver.maxIdleConnections=%s
                jdk.httpserver.maxConnections=%s"""
                        .formatted(MAX_REQUESTS, 2 * MAX_REQUESTS);
        Table.of(limits).forEach(getProperties()::putIfAbsent);
    }

    /** A server that holds the address, and has yet to be started. 4096 connections may wait to be accepted. */
    static HttpServer listen(InetSocketAddress address) throws IOException {
        return create(address, 4096);
    }

    /** The same, where settings say; the exception's message is for the person who made them. */
    static HttpServer listen(Settings.Server settings) throws IOException {
        try {
            return listen(new InetSocketAddress(settings.host(), settings.port()));
        } catch (IOException | UnsupportedAddressTypeException e) {
            throw new IOException(
                    "cannot listen on %s, port %d (%s): stop what listens there, or set HOST and PORT in .env"
                            .formatted(settings.host(), settings.port(), e),
                    e);
        }
    }

    /**
     * What a browser calls a server: for one that listens on every address, each that another device can open, or else
     * this machine's own.
     *
     * @param host as the settings have it
     */
    static List<String> addresses(String host, InetSocketAddress bound) throws SocketException {
        if (!bound.getAddress().isAnyLocalAddress()) return List.of(url(host, bound));
        var found = networkInterfaces()
                .filter(JdkServer::isUp)
                .flatMap(NetworkInterface::inetAddresses)
                .filter(address -> !address.isLoopbackAddress() && !address.isLinkLocalAddress())
                .sorted(comparing(address -> address instanceof Inet6Address))
                .map(address -> url(address.getHostAddress().replaceFirst("%.*", ""), bound))
                .toList();
        return found.isEmpty() ? List.of(url("127.0.0.1", bound)) : found;
    }

    private static boolean isUp(NetworkInterface network) {
        try {
            return network.isUp();
        } catch (SocketException e) { // it has gone meanwhile
            return false;
        }
    }

    private static String url(String host, InetSocketAddress bound) {
        // An IPv6 address has brackets there.
        return "http://" + host.replaceFirst("^[^\\[]*:.*", "[$0]") + ":" + bound.getPort();
    }

    /**
     * Virtual threads from JDK 24 on. Before it, the JDK's server would pin them: its streams are synchronized, so a
     * slow client would hold one of the few carriers, and a handful of them the whole server (JEP 491).
     */
    static ExecutorService threads() {
        if (version().feature() >= 24) return newVirtualThreadPerTaskExecutor();
        return new ThreadPoolExecutor(
                16,
                MAX_REQUESTS + 1000,
                3,
                SECONDS,
                new SynchronousQueue<>(),
                ofPlatform().daemon().factory());
    }
}
