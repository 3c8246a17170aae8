import static java.lang.Long.parseLong;
import static java.lang.Runtime.getRuntime;
import static java.lang.Runtime.version;
import static java.lang.System.err;
import static java.lang.System.exit;
import static java.lang.System.getProperty;
import static java.lang.System.setProperty;
import static java.lang.Thread.onSpinWait;
import static java.nio.file.Files.copy;
import static java.nio.file.Files.createTempDirectory;
import static java.nio.file.Files.move;
import static java.nio.file.Files.readAllBytes;

import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

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
        List<File> sources = files(new File(home, "src/parley"));
        for (File source : sources) {
            sum.update(source.getName().getBytes("UTF-8"));
            sum.update(readAllBytes(source.toPath())); // times tell nothing where archives and clocks differ
        }
        String stamp = "sources-".concat(Long.toString(sum.getValue()));
        URLClassLoader classes = open(new File(home, "build/parley.jar"));
        if (classes.findResource(stamp) != null) return classes;
        classes.close();
        return build(home, sources, stamp);
    }

    /** All files in a folder, in one order everywhere, without hidden ones such as the ._Api.java of macOS. */
    private static List<File> files(File folder) {
        List<File> found = new ArrayList<>();
        add(found, folder);
        return found;
    }

    private static void add(List<File> found, File file) {
        if (file.getName().startsWith(".")) return;
        File[] inside = file.listFiles();
        if (inside == null) {
            found.add(file);
        } else {
            Arrays.sort(inside);
            for (File each : inside) add(found, each);
        }
    }

    /** The platform's loader is its parent, not the class path's: what lies in the working folder is not Parley's. */
    private static URLClassLoader open(File jar) throws Exception {
        return new URLClassLoader(new URL[] {jar.toURI().toURL()}, ClassLoader.getPlatformClassLoader());
    }

    /** Makes the jar in a folder of its own and moves it into place, so that two starts at once do not meet. */
    private static URLClassLoader build(File home, List<File> sources, String stamp) throws Exception {
        Main build = new Main();
        getRuntime().addShutdownHook(build);
        build.begin(home, sources);
        err.println("Parley compiles itself: this takes a few seconds, once.");
        File made = new File(build.work, "parley.jar");
        if (!build.pack(sources, stamp, made)) exit(1); // javac has said why
        URLClassLoader classes = install(made, new File(home, "build/parley.jar"), stamp);
        delete(build.work);
        return classes;
    }

    private synchronized void begin(File home, List<File> sources) throws Exception {
        work = new File(
                home, "build/new".concat(Long.toString(ProcessHandle.current().pid())));
        delete(work);
        if (!work.mkdirs()) work = createTempDirectory("parley").toFile();
        javac = compile(sources, work.getPath());
    }

    /** At a stop, which may come while it builds: nothing stays. */
    @Override
    public synchronized void run() {
        if (javac == null) return;
        javac.destroyForcibly();
        while (javac.isAlive()) onSpinWait();
        delete(work);
    }

    /** What lies beside the sources, such as the page, goes in with them while javac runs. */
    private boolean pack(List<File> sources, String stamp, File made) throws Exception {
        try (ZipOutputStream jar = new ZipOutputStream(new FileOutputStream(made))) {
            jar.setLevel(0); // quick to write, and to read at each start
            jar.putNextEntry(new ZipEntry(stamp));
            jar.putNextEntry(new ZipEntry("META-INF/MANIFEST.MF"));
            jar.write("Main-Class: parley.Parley\n".getBytes("UTF-8"));
            add(jar, sources);
            if (javac.waitFor() != 0) return false;
            add(jar, files(new File(work, "parley")));
        }
        return true;
    }

    private static void add(ZipOutputStream jar, List<File> files) throws IOException {
        for (File file : files) {
            String path = file.getPath().replace('\\', '/');
            jar.putNextEntry(new ZipEntry(path.substring(path.lastIndexOf("/parley/") + 1)));
            copy(file.toPath(), jar);
        }
    }

    /**
     * Runs javac in a process of its own, with the quick compiler and no pause for garbage: in this one it takes longer
     * by half. What the environment holds for Java is not meant for it, such as a debugger's port.
     */
    private static Process compile(List<File> sources, String classes) throws Exception {
        ProcessBuilder javac = new ProcessBuilder(
                getProperty("java.home").concat("/bin/javac"),
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
        for (File source : sources)
            if (source.getName().endsWith(".java")) javac.command().add(source.getPath());
        String[] unset = {"JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "JDK_JAVAC_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH"};
        for (String name : unset) javac.environment().remove(name);
        return javac.inheritIO().start();
    }

    /** Where the jar cannot be written, or Windows keeps the old one since it is in use, this one serves once. */
    private static URLClassLoader install(File made, File jar, String stamp) throws Exception {
        try {
            move(made.toPath(), jar.toPath(), StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException e) {
            URLClassLoader classes = open(made);
            classes.getResource(stamp).openStream().close(); // now it is open, and stays so when it is deleted
            return classes;
        }
        for (File left : jar.getParentFile().listFiles()) {
            String name = left.getName(); // new, and the id of a process that was killed
            if (name.matches("new\\d{1,18}")
                    && ProcessHandle.of(parseLong(name.substring(3))).isEmpty()) delete(left);
        }
        return open(jar);
    }

    private static void delete(File file) {
        File[] inside = file.listFiles();
        if (inside != null) for (File each : inside) delete(each);
        file.delete();
    }
}
