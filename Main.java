import java.io.File;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.StandardCopyOption;
import java.util.spi.ToolProvider;

/**
 * The front door: {@code java Main.java} builds {@code build/parley.jar} where a source is newer, and starts Parley
 * from it. JDK 21
 * launches one source file only (JEP 330), and this is it. It keeps to Java 11, so that an older JDK can be told what
 * is wrong.
 * It is compiled at each start, by a javac that is not warm: each class, generic type and {@code "a" + b} takes time,
 * so it has few.
 */
public class Main {
    public static void main(String[] args) throws Exception {
        if (Runtime.version().feature() < 21) {
            System.err.println("Parley needs a JDK of 21 or later: try ./run.sh, or set JAVA_HOME. This is "
                    .concat(System.getProperty("java.version")));
            System.exit(1);
        }
        File home = new File(System.getProperty("jdk.launcher.sourcefile", "Main.java"))
                .getCanonicalFile()
                .getParentFile();
        File jar = new File(home, "build/parley.jar");
        File[] sources = new File(home, "src/parley").listFiles();
        long newest = new File(home, "src/parley").lastModified(); // of the folder, too: a file may have gone
        for (File source : sources) if (source.lastModified() > newest) newest = source.lastModified();
        if (newest > jar.lastModified()) jar = build(home, sources);
        if (System.getProperty("parley.build") != null) return; // run.sh starts the jar itself
        System.setProperty("parley.home", home.getPath());
        // The platform's loader as its parent, not the class path's: what lies in the working folder is not Parley's.
        ClassLoader classes = new URLClassLoader(new URL[] {jar.toURI().toURL()}, ClassLoader.getPlatformClassLoader());
        classes.loadClass("parley.Parley").getMethod("main", String[].class).invoke(null, (Object) args);
    }

    /** Makes the jar under another name and moves it into place, so that two starts at once do not meet. */
    private static File build(File home, File[] sources) throws Exception {
        System.err.println("Parley compiles itself: this takes a few seconds, once.");
        File folder = new File(home, "build");
        folder.mkdir();
        if (!folder.canWrite()) folder = Files.createTempDirectory("parley").toFile(); // it serves for this start
        File work = new File(folder, "new".concat(Long.toString(System.nanoTime()))); // a random name would take 50 ms
        File made = new File(work, "parley.jar");
        work.mkdir();
        String names = "";
        for (File source : sources) {
            if (source.getName().endsWith(".java"))
                names = names.concat(" src/parley/").concat(source.getName());
        }
        File list = new File(work, "sources");
        Files.writeString(list.toPath(), names);
        Process javac = compile(home, work, "@".concat(list.getPath()));
        ToolProvider jar = ToolProvider.findFirst("jar").get();
        // What lies beside the sources, such as the page, goes in with them while javac runs: then the tool is warm.
        boolean begun = jar.run(
                        System.out,
                        System.err,
                        "--create",
                        "--no-compress",
                        "--main-class",
                        "parley.Parley",
                        "--file",
                        made.getPath(),
                        "-C",
                        new File(home, "src").getPath(),
                        "parley")
                == 0;
        boolean done = javac.waitFor() == 0
                && begun
                && jar.run(
                                System.out,
                                System.err,
                                "--update",
                                "--no-compress",
                                "--file",
                                made.getPath(),
                                "-C",
                                work.getPath(),
                                "parley")
                        == 0;
        File built = new File(folder, "parley.jar");
        if (done) Files.move(made.toPath(), built.toPath(), StandardCopyOption.REPLACE_EXISTING);
        delete(work);
        if (!done) System.exit(1); // the tools have said what is wrong
        return built;
    }

    /**
     * Runs javac in a process of its own, with the quick compiler and no pause for garbage: in this one it takes longer
     * by half.
     */
    private static Process compile(File home, File classes, String sources) throws Exception {
        // inline: to link each "a" + b at run time would make every start slower (JEP 280)
        return new ProcessBuilder(
                        System.getProperty("java.home").concat("/bin/javac"),
                        "-J-XX:TieredStopAtLevel=1",
                        "-J-XX:+UseSerialGC",
                        "-J-Xms128m",
                        "-J-Xmn100m",
                        "--release",
                        "21",
                        "-g",
                        "-proc:none",
                        "-XDstringConcat=inline",
                        "-encoding",
                        "UTF-8",
                        "-d",
                        classes.getPath(),
                        sources)
                .directory(home)
                .inheritIO()
                .start();
    }

    private static void delete(File file) {
        if (file.isDirectory()) for (File inside : file.listFiles()) delete(inside);
        file.delete();
    }
}
