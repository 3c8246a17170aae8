package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The page's model and its talk with the server, in Node's own test runner. */
class PageModelTest {
    @ParameterizedTest
    @ValueSource(strings = {"conversation", "server"})
    void holdsInNode(String name) throws Exception {
        Assumptions.assumeTrue(
                run("node", "-e", "process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)") == 0,
                "no Node of 20 or later here: the page's model is not tested");
        var node = new ProcessBuilder("node", "--test", "tests/parley/" + name + ".test.mjs")
                .redirectErrorStream(true)
                .start();
        String said = new String(node.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, node.waitFor(), said);
    }

    private static int run(String... command) throws InterruptedException {
        try {
            return new ProcessBuilder(command).start().waitFor();
        } catch (IOException e) {
            return -1; // it is not installed
        }
    }
}
