import java.io.File;
import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.spi.ToolProvider;
import java.util.zip.CRC32;

/**
 * The front door: {@code java Main.java} builds {@code build/parley.jar}, unless it was made of these very sources, and
 * starts Parley from it. JDK 21 launches one source file only (JEP 330), and this is it. It keeps to Java 11, so that
 * an older JDK can be told what is wrong. It is compiled at each start, by a javac that is not warm: each class,
 * generic type and {@code "a" + b} takes time, so it has few.
 */
public class Main extends Thread {
    private File work; // what a build makes, and who does it
    private Process javac;

    public static void main(String[] args) throws Exception {
        if (Runtime.version().feature() < 21) {
            System.err.println("Parley needs a JDK of 21 or later: try ./run.sh, or set JAVA_HOME. This is "
                    .concat(System.getProperty("java.version")));
            System.exit(1);
        }
        File home = new File(System.getProperty("jdk.launcher.sourcefile", "Main.java"))
                .getCanonicalFile()
                .getParentFile();
        URLClassLoader classes = built(home);
        if (System.getProperty("parley.build") != null) return; // run.sh starts the jar itself
        System.setProperty("parley.home", home.getPath());
        classes.loadClass("parley.Parley").getMethod("main", String[].class).invoke(null, (Object) args);
    }

    private static URLClassLoader built(File home) throws Exception {
        CRC32 sum = new CRC32();
        add(sum, new File(home, "src/parley"));
        String stamp = "sources-".concat(Long.toString(sum.getValue()));
        URLClassLoader classes = open(new File(home, "build/parley.jar"));
        if (classes.findResource(stamp) != null) return classes;
        classes.close();
        return build(home, stamp);
    }

    /** Adds the names of files and what is in them: their times tell nothing where archives and clocks differ. */
    private static void add(CRC32 sum, File file) throws Exception {
        if (file.getName().startsWith(".")) return; // such as the ._Api.java of macOS
        sum.update(file.getName().getBytes("UTF-8"));
        File[] inside = file.listFiles();
        if (inside == null) {
            sum.update(Files.readAllBytes(file.toPath()));
            return;
        }
        Arrays.sort(inside);
        for (File each : inside) add(sum, each);
    }

    /** The platform's loader is its parent, not the class path's: what lies in the working folder is not Parley's. */
    private static URLClassLoader open(File jar) throws Exception {
        return new URLClassLoader(new URL[] {jar.toURI().toURL()}, ClassLoader.getPlatformClassLoader());
    }

    /** Makes the jar in a folder of its own and moves it into place, so that two starts at once do not meet. */
    private static URLClassLoader build(File home, String stamp) throws Exception {
        Main build = new Main();
        Runtime.getRuntime().addShutdownHook(build);
        build.begin(home);
        System.err.println("Parley compiles itself: this takes a few seconds, once.");
        File made = new File(build.work, "parley.jar");
        if (!build.pack(home.getPath().concat("/src"), stamp, made.getPath()))
            System.exit(1); // the tools have said why
        URLClassLoader classes = install(made, new File(home, "build/parley.jar"), stamp);
        delete(build.work);
        return classes;
    }

    private synchronized void begin(File home) throws Exception {
        work = new File(
                home, "build/new".concat(Long.toString(ProcessHandle.current().pid())));
        delete(work);
        if (!work.mkdirs()) work = Files.createTempDirectory("parley").toFile();
        javac = compile(new File(home, "src/parley"), work.getPath());
    }

    /** At a stop, which may come while it builds: nothing stays. */
    @Override
    public synchronized void run() {
        if (javac == null) return;
        javac.destroyForcibly();
        while (javac.isAlive()) Thread.onSpinWait();
        delete(work);
    }

    /** What lies beside the sources, such as the page, goes in with them while javac runs: then the tool is warm. */
    private boolean pack(String sources, String stamp, String made) throws Exception {
        new File(work, stamp).createNewFile();
        return jar("-c0fe", made, "parley.Parley", "-C", work.getPath(), stamp, "-C", sources, "parley")
                && javac.waitFor() == 0
                && jar("-u0f", made, "-C", work.getPath(), "parley");
    }

    private static boolean jar(String... words) {
        return ToolProvider.findFirst("jar").get().run(System.out, System.err, words) == 0;
    }

    /**
     * Runs javac in a process of its own, with the quick compiler and no pause for garbage: in this one it takes longer
     * by half. What the environment holds for Java is not meant for it, such as a debugger's port.
     */
    private static Process compile(File sources, String classes) throws Exception {
        ProcessBuilder javac = new ProcessBuilder(
                System.getProperty("java.home").concat("/bin/javac"),
                "-J-XX:TieredStopAtLevel=1",
                "-J-XX:+UseSerialGC",
                "-J-Xms128m",
                "-J-Xmn100m",
                "--release",
                "21",
                "-g",
                "-proc:none",
                "-XDstringConcat=inline", // to link each "a" + b at run time would make every start slower (JEP 280)
                "-encoding",
                "UTF-8",
                "-d",
                classes);
        for (File source : sources.listFiles()) {
            String name = source.getName();
            if (name.endsWith(".java") && !name.startsWith(".")) javac.command().add(source.getPath());
        }
        String[] unset = {"JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "JDK_JAVAC_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH"};
        for (String name : unset) javac.environment().remove(name);
        return javac.inheritIO().start();
    }

    /** Where the jar cannot be written, or Windows keeps the old one since it is in use, this one serves once. */
    private static URLClassLoader install(File made, File jar, String stamp) throws Exception {
        try {
            Files.move(made.toPath(), jar.toPath(), StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException e) {
            URLClassLoader classes = open(made);
            classes.getResource(stamp).openStream().close(); // now it is open, and stays so when it is deleted
            return classes;
        }
        for (File left : jar.getParentFile().listFiles()) {
            String name = left.getName(); // new and a process that was killed
            if (name.matches("new\\d{1,18}")
                    && ProcessHandle.of(Long.parseLong(name.substring(3))).isEmpty()) delete(left);
        }
        return open(jar);
    }

    private static void delete(File file) {
        File[] inside = file.listFiles();
        if (inside != null) for (File each : inside) delete(each);
        file.delete();
    }
}
