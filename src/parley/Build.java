package parley;

import static java.lang.Long.parseLong;
import static java.lang.System.err;
import static java.lang.System.exit;
import static java.nio.file.Files.move;
import static java.nio.file.StandardCopyOption.REPLACE_EXISTING;
import static java.util.spi.ToolProvider.findFirst;

import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Makes {@code build/parley.jar} of the sources: {@code java Build.java HOME WORK STAMP}, as Main.java has it. It needs
 * no other class, so that it can be launched as one file.
 */
public final class Build {
    /**
     * Exits with 1 where the jar cannot be made. Where it cannot be put into its place, it stays in the work folder.
     *
     * @param args Parley's folder, a folder to work in, and the name of a file there that goes into the jar
     */
    public static void main(String[] args) {
        String sources = args[0] + "/src";
        String work = args[1];
        String jar = work + "/parley.jar";
        // To link each "a" + b at run time would make every start slower (JEP 280).
        var javac = new ArrayList<>(
                List.of("--release", "21", "-g", "-proc:none", "-XDstringConcat=inline", "-encoding", "UTF-8"));
        javac.addAll(List.of("-d", work));
        for (String name : new File(sources, "parley").list()) {
            if (name.matches("\\w+\\.java")) javac.add(sources + "/parley/" + name); // not the ._Api.java of macOS
        }
        run("javac", javac);
        // What is not compressed is quick to write, and to read at each start.
        run(
                "jar",
                List.of(
                        "--create",
                        "--no-compress",
                        "--main-class",
                        "parley.Parley",
                        "--file",
                        jar,
                        "-C",
                        sources,
                        "parley",
                        "-C",
                        work,
                        "parley",
                        "-C",
                        work,
                        args[2]));
        install(Path.of(jar), Path.of(args[0], "build"));
    }

    /** Runs a tool of the JDK. Where it fails, it has said why. */
    private static void run(String tool, List<String> arguments) {
        if (findFirst(tool).orElseThrow().run(err, err, arguments.toArray(String[]::new)) != 0) exit(1);
    }

    /** Moves the jar into its place, and removes what builds have left that were killed. */
    private static void install(Path jar, Path folder) {
        try {
            move(jar, folder.resolve("parley.jar"), REPLACE_EXISTING);
        } catch (IOException e) {
            return; // no permission, or Windows keeps the old one since it is in use
        }
        for (File left : folder.toFile().listFiles()) {
            String name = left.getName(); // new, and the id of a process
            if (name.matches("new\\d{1,18}")
                    && ProcessHandle.of(parseLong(name.substring(3))).isEmpty()) delete(left);
        }
    }

    private static void delete(File file) {
        File[] inside = file.listFiles();
        if (inside != null) for (File each : inside) delete(each);
        file.delete();
    }
}
