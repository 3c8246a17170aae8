package parley;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;

/** Tests that share a server, whose provider says "ok" unless it is told otherwise. */
abstract class OneServer {
    static Running running;

    @BeforeAll
    static void start() throws Exception {
        running = new Running(Scripted.gemini("ok"));
    }

    @AfterAll
    static void stop() throws Exception {
        running.close();
    }
}
