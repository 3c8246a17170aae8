import com.sun.management.HotSpotDiagnosticMXBean;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.lang.management.ManagementFactory;
import java.lang.reflect.InvocationTargetException;
import java.net.MalformedURLException;
import java.net.URI;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import javax.tools.FileObject;
import javax.tools.ForwardingJavaFileManager;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileManager;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;

/**
 * The front door: {@code java Main.java} compiles {@code src/parley} in memory and starts Parley. Nothing is written to disk.
 * JDK 21 launches one source file only (JEP 330), and this is it. It keeps to Java 11, so that an older JDK can be told what is wrong.
 */
public class Main {
    private static final int OLDEST_JDK = 21;

    public static void main(String[] args) throws Throwable {
        if (Runtime.version().feature() < OLDEST_JDK) {
            System.err.println("Parley needs a JDK of " + OLDEST_JDK + " or later, and this is " + Runtime.version() + ": try ./run.sh, or set JAVA_HOME.");
            System.exit(1);
        }
        Path home = Path.of(System.getProperty("jdk.launcher.sourcefile", "Main.java")).toRealPath().getParent();
        System.setProperty("parley.home", home.toString());
        Map<String, ByteArrayOutputStream> classes = compile(home.resolve("src"));
        Class<?> parley = new Loader(classes, home.resolve("src")).loadClass("parley.Parley");
        try {
            parley.getMethod("main", String[].class).invoke(null, (Object) args);
        } catch (InvocationTargetException e) {
            throw e.getCause();
        }
        giveMemoryBack();
    }

    /** Lets the heap shrink within seconds after a load, as run.sh does with flags: G1 by itself keeps what it once needed. */
    private static void giveMemoryBack() {
        HotSpotDiagnosticMXBean vm = ManagementFactory.getPlatformMXBean(HotSpotDiagnosticMXBean.class);
        if (vm == null) return; // another JVM
        vm.setVMOption("MinHeapFreeRatio", "5"); // %
        vm.setVMOption("MaxHeapFreeRatio", "15");
        vm.setVMOption("G1PeriodicGCInterval", "1000"); // ms (JEP 346)
        System.gc(); // once: else what the compiler left behind would lie among what lives long
    }

    /** Every class of the sources, by name. Where they do not compile, javac's own words are printed and the program ends with 1. */
    private static Map<String, ByteArrayOutputStream> compile(Path sources) throws IOException {
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        Map<String, ByteArrayOutputStream> classes = new HashMap<>();
        try (StandardJavaFileManager files = compiler.getStandardFileManager(null, null, StandardCharsets.UTF_8);
                DirectoryStream<Path> listed = Files.newDirectoryStream(sources.resolve("parley"), "*.java")) {
            List<Path> java = new ArrayList<>();
            for (Path file : listed) java.add(file); // a loop: a stream here would take javac, not yet warm, another 0.1 s
            JavaFileManager inMemory = new ForwardingJavaFileManager<JavaFileManager>(files) {
                @Override
                public JavaFileObject getJavaFileForOutput(Location location, String name, JavaFileObject.Kind kind, FileObject sibling) {
                    return new SimpleJavaFileObject(URI.create("memory:///" + name.replace('.', '/')), kind) {
                        @Override
                        public OutputStream openOutputStream() {
                            ByteArrayOutputStream file = new ByteArrayOutputStream();
                            classes.put(name, file);
                            return file;
                        }
                    };
                }
            };
            List<String> options = List.of("-g", "-proc:none", "-XDstringConcat=inline"); // JEP 280: linking each "a" + b anew would take time
            if (!compiler.getTask(null, inMemory, null, options, null, files.getJavaFileObjectsFromPaths(java)).call()) System.exit(1);
        }
        return classes;
    }

    /** Finds classes in memory, and resources such as the chat page beside the sources. */
    private static final class Loader extends ClassLoader {
        private final Map<String, ByteArrayOutputStream> classes;
        private final Path sources;

        Loader(Map<String, ByteArrayOutputStream> classes, Path sources) {
            super(ClassLoader.getPlatformClassLoader()); // not the class path: what lies in the working folder is not Parley's
            this.classes = classes;
            this.sources = sources;
        }

        @Override
        protected Class<?> findClass(String name) throws ClassNotFoundException {
            if (!classes.containsKey(name)) throw new ClassNotFoundException(name);
            byte[] bytes = classes.get(name).toByteArray();
            return defineClass(name, bytes, 0, bytes.length);
        }

        @Override
        protected URL findResource(String name) {
            Path file = sources.resolve(name);
            try {
                return Files.isRegularFile(file) ? file.toUri().toURL() : null;
            } catch (MalformedURLException e) {
                throw new IllegalStateException("no URL for " + name, e);
            }
        }
    }
}
