package parley;

import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;

/** The JDK's HTTP server, with the limits that its defaults lack. */
final class Server {
    static {
        // Read once by the JDK, when the first server is made.
        set("sun.net.httpserver.nodelay", "true"); // else the kernel holds small answers back for 40 ms
        set("sun.net.httpserver.maxReqTime", "30"); // s for headers and body together, although its documentation says ms (JDK-8387598)
        set("sun.net.httpserver.maxReqHeaderSize", Integer.toString(32 << 10)); // bytes, and all of them for each connection that is open
        set("sun.net.httpserver.idleInterval", "60"); // s for a connection without a request
        set("sun.net.httpserver.maxIdleConnections", Integer.toString(most(10_000)));
        set("jdk.httpserver.maxConnections", Integer.toString(2 * most(10_000))); // also those that have yet to send a whole request
    }

    private static final int WAITING = 4096; // connections that the system holds until they are accepted

    private Server() {
    }

    private static void set(String property, String value) {
        if (System.getProperty(property) == null) System.setProperty(property, value);
    }

    /**
     * How many requests may be served at once, and as many connections be open besides: 82 and 22 KiB each, measured, in a heap
     * that has 120 for both beyond the first 8 MiB.
     */
    static int most(int limit) {
        return Math.clamp((Runtime.getRuntime().maxMemory() - (8 << 20)) / (120 << 10), 16, limit);
    }

    static HttpServer bound(InetSocketAddress address) throws IOException {
        return HttpServer.create(address, WAITING);
    }
}
