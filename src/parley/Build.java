package parley;

import static java.lang.Long.parseLong;
import static java.lang.System.err;
import static java.lang.System.exit;
import static java.nio.file.Files.move;
import static java.nio.file.Files.walk;
import static java.nio.file.StandardCopyOption.REPLACE_EXISTING;
import static java.util.spi.ToolProvider.findFirst;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
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
     * @throws IOException where a folder of the sources cannot be read
     */
    public static void main(String[] args) throws IOException {
        String sources = args[0] + "/src";
        String work = args[1];
        String made = work + "/parley.jar";
        var javac = new ArrayList<>(List.of("-d", work));
        var jar = new ArrayList<>(List.of("--file", made, "-C", work, "parley", "-C", work, args[2]));
        for (String name : names(Path.of(sources))) {
            if (name.endsWith(".java")) javac.add(sources + "/" + name);
            else jar.addAll(List.of("-C", sources, name));
        }
        // To link each "a" + b at run time would make every start slower (JEP 280).
        run("javac", "--release 21 -g -proc:none -XDstringConcat=inline -encoding UTF-8", javac);
        // What is not compressed is quick to write, and to read at each start.
        run("jar", "--create --no-compress --main-class parley.Parley", jar);
        install(Path.of(made), Path.of(args[0], "build"));
    }

    /** The sources and what lies beside them, such as the page, but no hidden files: those are an editor's. */
    private static List<String> names(Path sources) throws IOException {
        try (var files = walk(sources.resolve("parley"))) {
            return files.filter(Files::isRegularFile)
                    .map(file -> sources.relativize(file).toString())
                    .filter(name -> !name.matches("(.*[/\\\\])?[.].*|.*[.]class"))
                    .toList();
        }
    }

    /** Runs a tool of the JDK. Where it fails, it has said why. */
    private static void run(String tool, String options, List<String> more) {
        var arguments = new ArrayList<>(List.of(options.split(" ")));
        arguments.addAll(more);
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
