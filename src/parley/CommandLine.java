package parley;

import static java.lang.String.join;
import static java.lang.System.getProperty;
import static java.nio.charset.StandardCharsets.UTF_8;
import static java.nio.file.Files.createTempFile;
import static java.nio.file.Files.deleteIfExists;
import static java.nio.file.Files.exists;
import static java.nio.file.Files.move;
import static java.nio.file.Files.notExists;
import static java.nio.file.Files.readAllLines;
import static java.nio.file.Files.write;
import static parley.Log.log;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/**
 * What the program's arguments ask for, and the {@code .env} that they mean.
 *
 * @param options all of them but {@code --env FILE}, with spaces between them
 * @param env     the file that {@code --env} names, or null
 */
record CommandLine(String options, Path env) {
    static final String USAGE =
            """
            Usage: java Main.java [--demo | --check] [--env FILE]
              --demo      answer from a stand-in on this machine: no key and no network are needed
              --check     print the settings, ask the providers whether key and model are good, and exit
              --env FILE  read the settings from FILE instead of .env
              --help      print this, and exit
              --version   print the version, and exit""";

    static CommandLine of(String[] args) {
        var options = new ArrayList<>(List.of(args));
        int at = options.indexOf("--env");
        Path env = null;
        if (at >= 0 && at + 1 < args.length) {
            options.remove(at);
            env = Path.of(options.remove(at));
        }
        return new CommandLine(join(" ", options), env);
    }

    boolean isDemo() {
        return options.equals("--demo");
    }

    /**
     * Reads the settings.
     *
     * @param overlay puts other variables, such as the environment's, in the place of the file's
     * @throws IOException where they cannot be read or make no sense; the message names the file
     */
    LiveSettings settings(UnaryOperator<Map<String, String>> overlay) throws IOException {
        Path file = file();
        try {
            return new LiveSettings(file, overlay);
        } catch (DotEnv.InvalidSetting e) {
            throw new IOException(file + " makes no sense: " + e.getMessage(), e);
        } catch (IOException e) {
            throw new IOException(file + " cannot be read: " + e, e);
        }
    }

    /** The file that was asked for, or the {@code .env} of the working folder, or else of Parley's own. */
    private Path file() throws IOException {
        if (env != null) {
            if (notExists(env)) throw new IOException("there is no file " + env);
            return env;
        }
        Path home = Path.of(getProperty("parley.home", ""));
        Path file = exists(Path.of(".env")) ? Path.of(".env") : home.resolve(".env");
        Path renamed = file.resolveSibling(".env.txt");
        if (exists(file)) return file;
        if (exists(renamed)) log(renamed + " is not read: Windows has added .txt to its name, call it .env");
        else writeFirst(file, home.resolve(".env.example"));
        return file;
    }

    /** Copies the example, for the owner's eyes only: keys will stand in it. */
    private void writeFirst(Path file, Path example) {
        try {
            var lines = readAllLines(example, UTF_8);
            Path folder = file.toAbsolutePath().getParent();
            Path made = createTempFile(folder, ".env", null); // which gives it to its owner only
            try {
                move(write(made, lines, UTF_8), file);
            } finally {
                deleteIfExists(made);
            }
            String where =
                    ": write your key on its line " + (1 + lines.indexOf("GEMINI_API_KEY=")) + ", GEMINI_API_KEY";
            log("made " + file + " from " + example.getFileName() + (isDemo() ? "" : where));
        } catch (IOException e) {
            log("no .env is there, and none can be made (" + e
                    + "): the environment counts, and --env FILE reads another one");
        }
    }
}
