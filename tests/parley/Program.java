package parley;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** A started program, and what it has said. */
final class Program implements AutoCloseable {
    final Process process;
    private final BufferedReader said;
    final List<String> lines = new ArrayList<>();

    Program(ProcessBuilder builder) throws IOException {
        process = builder.redirectErrorStream(true).start();
        said = process.inputReader(StandardCharsets.UTF_8);
    }

    String awaitLine(String words) throws IOException {
        for (String line; (line = said.readLine()) != null; ) {
            lines.add(line);
            if (line.contains(words)) return line;
        }
        throw new AssertionError("it ended and never said \"" + words + "\": " + lines);
    }

    int port() throws IOException {
        return Integer.parseInt(awaitLine(" is at http://").replaceFirst(".* is at http://[^ ]*:(\\d+),.*", "$1"));
    }

    int exit() throws Exception {
        for (String line; (line = said.readLine()) != null; ) lines.add(line);
        if (!process.waitFor(30, TimeUnit.SECONDS)) throw new AssertionError("it does not end");
        return process.exitValue();
    }

    @Override
    public void close() {
        process.destroyForcibly();
    }
}
