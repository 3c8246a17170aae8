import java.io.File;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;

/**
 * The front door: {@code java Main.java} builds {@code build/parley.jar} where a source is newer, and starts Parley from it. JDK 21
 * launches one source file only (JEP 330), and this is it. It keeps to Java 11, so that an older JDK can be told what is wrong.
 * It is compiled at each start, by a javac that is not warm: each class that it names takes time, so it names few.
 */
public class Main {
    public static void main(String[] args) throws Exception {
        if (Runtime.version().feature() < 21) {
            System.err.println("Parley needs a JDK of 21 or later, and this is " + Runtime.version() + ": try ./run.sh, or set JAVA_HOME.");
            System.exit(1);
        }
        File home = new File(System.getProperty("jdk.launcher.sourcefile", "Main.java")).getCanonicalFile().getParentFile();
        File jar = new File(home, "build/parley.jar");
        File[] sources = new File(home, "src/parley").listFiles();
        long newest = new File(home, "src/parley").lastModified(); // of the folder, too: a file may have gone
        for (File source : sources) newest = Math.max(newest, source.lastModified());
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
        String work = Files.createTempDirectory(folder.toPath(), "new").toString();
        // inline: to link each "a" + b at run time would make every start slower (JEP 280)
        List<String> javac = tool("javac", "--release", "21", "-g", "-proc:none", "-XDstringConcat=inline", "-encoding", "UTF-8");
        javac.addAll(List.of("-d", work));
        List<String> jar = tool("jar", "--create", "--file", work + "/parley.jar", "--main-class", "parley.Parley", "-C", work, "parley");
        for (File source : sources) {
            if (source.getName().endsWith(".java")) javac.add(source.getPath());
            else jar.addAll(List.of("-C", home + "/src", "parley/" + source.getName()));
        }
        run(javac);
        run(jar);
        File made = new File(folder, "parley.jar");
        Files.move(new File(work, "parley.jar").toPath(), made.toPath(), StandardCopyOption.REPLACE_EXISTING);
        for (File file : new File(work, "parley").listFiles()) file.delete();
        new File(work, "parley").delete();
        new File(work).delete();
        return made;
    }

    /** A tool of this JDK, in a process of its own: that lets it start with the quick compiler, which takes a third off its time. */
    private static List<String> tool(String name, String... arguments) {
        String program = System.getProperty("java.home") + "/bin/" + name;
        List<String> command = new ArrayList<>(List.of(program, "-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC"));
        command.addAll(List.of(arguments));
        return command;
    }

    /** Runs the tool, which says itself what is wrong. */
    private static void run(List<String> command) throws Exception {
        if (new ProcessBuilder(command).inheritIO().start().waitFor() != 0) System.exit(1);
    }
}
