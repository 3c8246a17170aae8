import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.*;
import java.util.*;
import java.util.spi.ToolProvider;
import java.util.stream.Stream;

/**
 * The front door: {@code java Main.java} builds {@code build/parley.jar} where a source is newer, and starts Parley from it. JDK 21
 * launches one source file only (JEP 330), and this is it. It keeps to Java 11, so that an older JDK can be told what is wrong.
 */
public class Main {
    private static final int OLDEST_JDK = 21;

    public static void main(String[] args) throws Throwable {
        if (Runtime.version().feature() < OLDEST_JDK) {
            System.err.println("Parley needs a JDK of 21 or later, and this is " + Runtime.version() + ": try ./run.sh, or set JAVA_HOME.");
            System.exit(1);
        }
        Path home = Path.of(System.getProperty("jdk.launcher.sourcefile", "Main.java")).toRealPath().getParent();
        Path jar = home.resolve("build/parley.jar");
        List<Path> sources = list(home.resolve("src/parley"));
        if (isOlder(jar, sources)) jar = build(home, sources);
        if (System.getProperty("parley.build") != null) return; // run.sh starts the jar itself
        System.setProperty("parley.home", home.toString());
        // The platform's loader as its parent, not the class path's: what lies in the working folder is not Parley's.
        URLClassLoader classes = new URLClassLoader(new URL[] {jar.toUri().toURL()}, ClassLoader.getPlatformClassLoader());
        try {
            classes.loadClass("parley.Parley").getMethod("main", String[].class).invoke(null, (Object) args);
        } catch (InvocationTargetException e) {
            throw e.getCause();
        }
    }

    /** The files of a folder, and the folder itself, which is newer where a file has gone. */
    private static List<Path> list(Path folder) throws IOException {
        List<Path> files = new ArrayList<>(List.of(folder));
        try (DirectoryStream<Path> listed = Files.newDirectoryStream(folder)) {
            for (Path file : listed) files.add(file);
        }
        return files;
    }

    private static boolean isOlder(Path jar, List<Path> sources) throws IOException {
        if (Files.notExists(jar)) return true;
        for (Path source : sources) {
            if (Files.getLastModifiedTime(source).compareTo(Files.getLastModifiedTime(jar)) > 0) return true;
        }
        return false;
    }

    /** Makes the jar under another name and moves it into place, so that two starts at once do not meet. */
    private static Path build(Path home, List<Path> sources) throws IOException {
        System.err.println("Parley compiles itself: this takes a few seconds, once.");
        Path folder = writable(home.resolve("build"));
        Path work = Files.createTempDirectory(folder, "new");
        // inline: to link each "a" + b at run time would make every start slower (JEP 280)
        List<String> javac = new ArrayList<>(List.of("--release", "21", "-g", "-proc:none", "-XDstringConcat=inline", "-encoding", "UTF-8", "-d", work + "/classes"));
        List<String> jar = new ArrayList<>(List.of("--create", "--file", work + "/parley.jar", "--main-class", "parley.Parley", "-C", work + "/classes", "."));
        for (Path source : sources) {
            if (source.toString().endsWith(".java")) javac.add(source.toString());
            else if (Files.isRegularFile(source)) jar.addAll(List.of("-C", home + "/src", "parley/" + source.getFileName()));
        }
        run("javac", javac);
        run("jar", jar);
        Path made = Files.move(work.resolve("parley.jar"), folder.resolve("parley.jar"), StandardCopyOption.ATOMIC_MOVE);
        try (Stream<Path> left = Files.walk(work)) {
            left.sorted(Comparator.reverseOrder()).forEach(file -> file.toFile().delete());
        }
        return made;
    }

    private static Path writable(Path folder) throws IOException {
        try {
            if (Files.isWritable(Files.createDirectories(folder))) return folder;
        } catch (FileSystemException e) {
            // not to be made: a temporary one serves for this start
        }
        return Files.createTempDirectory("parley");
    }

    /** Runs a tool of the JDK, which says itself what is wrong. */
    private static void run(String tool, List<String> arguments) {
        int exit = ToolProvider.findFirst(tool).orElseThrow().run(System.out, System.err, arguments.toArray(new String[0]));
        if (exit != 0) System.exit(1);
    }
}
