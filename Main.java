import static java.lang.ClassLoader.getPlatformClassLoader;
import static java.lang.Runtime.getRuntime;
import static java.lang.Runtime.version;
import static java.lang.System.err;
import static java.lang.System.exit;
import static java.lang.System.getProperty;
import static java.lang.System.setProperty;
import static java.lang.Thread.onSpinWait;
import static java.nio.file.Files.createTempDirectory;
import static java.nio.file.Files.readAllBytes;
import static java.util.Arrays.sort;

import java.io.File;
import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.util.zip.CRC32;

/**
 * The front door: {@code java Main.java} starts Parley from {@code build/parley.jar}, and has it built first, unless it
 * was made of these very sources. JDK 21 launches one source file only (JEP 330), and this is it. It keeps to Java 11,
 * so that an older JDK can be told what is wrong. It is compiled at each start, by a javac that is not warm: each
 * class, generic type and {@code "a" + b} takes time, so it has few, and {@code Build.java} has what only a first start
 * needs.
 */
public class Main extends Thread {
    private File work; // where the jar is made, and who does it
    private Process build;

    public static void main(String[] args) throws Exception {
        if (version().feature() < 21) {
            err.println("Parley needs a JDK of 21 or later: try ./run.sh, or set JAVA_HOME. This is "
                    .concat(getProperty("java.version")));
            exit(1);
        }
        File home = new File(getProperty("jdk.launcher.sourcefile", "Main.java"))
                .getCanonicalFile()
                .getParentFile();
        URLClassLoader classes = null;
        try {
            classes = built(home);
        } catch (IOException e) { // such as a full disk
            err.println("Parley cannot be built: ".concat(e.toString()));
            exit(1);
        }
        if (getProperty("parley.build") != null) return; // run.sh starts the jar itself
        setProperty("parley.home", home.getPath());
        classes.loadClass("parley.Parley").getMethod("main", String[].class).invoke(null, (Object) args);
    }

    private static URLClassLoader built(File home) throws Exception {
        CRC32 sum = new CRC32();
        add(sum, new File(home, "src/parley"));
        String stamp = "sources-".concat(Long.toString(sum.getValue()));
        File jar = new File(home, "build/parley.jar");
        URLClassLoader classes = open(jar);
        if (classes.findResource(stamp) != null) return classes;
        classes.close();
        return build(home, stamp, jar);
    }

    /** The files of a folder in one order everywhere. Their times tell nothing where archives and clocks differ. */
    private static void add(CRC32 sum, File file) throws IOException {
        if (file.getName().startsWith(".")) return; // such as the ._Api.java of macOS
        File[] inside = file.listFiles();
        if (inside == null) {
            sum.update(file.getName().getBytes("UTF-8"));
            sum.update(readAllBytes(file.toPath()));
        } else {
            sort(inside);
            for (File each : inside) add(sum, each);
        }
    }

    /** The platform's loader is its parent, not the class path's: what lies in the working folder is not Parley's. */
    private static URLClassLoader open(File jar) throws Exception {
        return new URLClassLoader(new URL[] {jar.toURI().toURL()}, getPlatformClassLoader());
    }

    /** Has the jar made in a folder of its own and moved into its place, so that two starts at once do not meet. */
    private static URLClassLoader build(File home, String stamp, File jar) throws Exception {
        Main start = new Main();
        getRuntime().addShutdownHook(start);
        start.begin(home, stamp);
        err.println("Parley compiles itself: this takes a few seconds, once.");
        if (start.build.waitFor() != 0) exit(1); // it has said why
        File unmoved = new File(start.work, "parley.jar"); // it serves once
        URLClassLoader classes = open(unmoved.exists() ? unmoved : jar);
        classes.getResource(stamp).openStream().close(); // now it is open, and stays so when it is deleted
        delete(start.work);
        return classes;
    }

    /**
     * Runs Build.java in a process of its own, with the quick compiler and few pauses for garbage: in this one it takes
     * longer by half. Without more room for compiled code, JDK 21 makes a pause for it. What the environment holds for
     * Java is not meant for this process, such as a debugger's port.
     */
    private synchronized void begin(File home, String stamp) throws Exception {
        work = new File(
                home, "build/new".concat(Long.toString(ProcessHandle.current().pid())));
        delete(work);
        if (!work.mkdirs()) work = createTempDirectory("parley").toFile();
        new File(work, stamp).createNewFile();
        ProcessBuilder java = new ProcessBuilder(
                getProperty("java.home").concat("/bin/java"),
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "-XX:ReservedCodeCacheSize=96m",
                "-Xms128m",
                "-Xmn100m",
                home.getPath().concat("/src/parley/Build.java"),
                home.getPath(),
                work.getPath(),
                stamp);
        String[] unset = {"JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "JDK_JAVAC_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH"};
        for (String name : unset) java.environment().remove(name);
        build = java.inheritIO().start();
    }

    /** At a stop, which may come while it builds: nothing stays. */
    @Override
    public synchronized void run() {
        if (build == null) return;
        build.destroyForcibly();
        while (build.isAlive()) onSpinWait();
        delete(work);
    }

    private static void delete(File file) {
        File[] inside = file.listFiles();
        if (inside != null) for (File each : inside) delete(each);
        file.delete();
    }
}
