package parley;

import static java.lang.Math.abs;
import static java.lang.System.currentTimeMillis;
import static java.nio.file.Files.getLastModifiedTime;
import static java.nio.file.Files.readAllBytes;
import static java.nio.file.Files.readAttributes;
import static java.util.Arrays.asList;
import static java.util.Objects.requireNonNullElse;
import static java.util.concurrent.ConcurrentHashMap.newKeySet;
import static java.util.stream.Collectors.joining;
import static parley.DotEnv.text;
import static parley.Log.log;
import static parley.Settings.BEFORE_KEY;
import static parley.Settings.DEFAULTS;

import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import parley.DotEnv.InvalidSetting;

/** The settings of a file that is edited by hand while it is in use. */
final class LiveSettings {
    private record Read(List<?> stamp, DotEnv env, Settings settings) {}

    /** An edit counts once the file has been still for so long: before, it may be half-written. */
    private static final int SETTLED = 100; // ms

    final Path file; // that they are read from
    private final UnaryOperator<Map<String, String>> overlay;
    private final ReentrantLock refreshing = new ReentrantLock();
    private final Set<String> warned = newKeySet();
    private final Read started;
    private volatile Read last;
    private volatile String refusal; // why the present edit is not in force; null while it is

    /**
     * Reads the file for the first time. Where there is none, the overlay and the defaults hold.
     *
     * @param overlay puts other variables, such as the environment's, in the place of the file's
     * @throws IOException    where the file cannot be read
     * @throws InvalidSetting where it makes no sense
     */
    LiveSettings(Path file, UnaryOperator<Map<String, String>> overlay) throws IOException {
        this.file = file.toAbsolutePath();
        this.overlay = overlay;
        var stamp = stamp(); // before the text: what is written meanwhile is read at the next request
        last = read(stamp, stamp.isEmpty() ? "" : text(readAllBytes(this.file)));
        started = last;
        nameUnused(last);
    }

    /** Why the last edit was refused, and what it says is not in force; null where it is. */
    String refusal() {
        return refusal;
    }

    /** The settings that the last look at the file found. */
    Settings latest() {
        return last.settings;
    }

    /**
     * The settings in force: those of the file as it is now or, while that cannot be read or makes no sense, the last
     * good ones. Whatever the file holds, it throws nothing.
     */
    Settings current() {
        try {
            var stamp = stamp();
            if (!stamp.isEmpty() && !stamp.equals(last.stamp) && isSettled()) refresh(stamp);
        } catch (FileSystemException e) { // its message has the path
            unreadable(requireNonNullElse(e.getReason(), "there is no permission"));
        } catch (IOException e) {
            unreadable(e.getMessage());
        }
        return last.settings;
    }

    /** It is read anew as soon as it can be, whatever its time says then. */
    private void unreadable(String why) {
        refuse("cannot be read: " + why);
        last = new Read(List.of(), last.env, last.settings);
    }

    /** A time in the future, of another clock, tells nothing: it counts as long ago. */
    private boolean isSettled() throws IOException {
        return abs(currentTimeMillis() - getLastModifiedTime(file).toMillis()) >= SETTLED;
    }

    private void refresh(List<?> stamp) throws IOException {
        refreshing.lock();
        try {
            if (!stamp.equals(last.stamp)) last = edited(stamp); // else another request has read it
        } finally {
            refreshing.unlock();
        }
    }

    /** What is in force after an edit: the edit or, where it makes no sense, what was before. */
    private Read edited(List<?> stamp) throws IOException {
        try {
            byte[] bytes = readAllBytes(file);
            if (!stamp.equals(stamp())) return last; // it is being written
            String text = text(bytes);
            if (text.isBlank() && !last.env.lines().isEmpty()) throw new InvalidSetting("it is empty");
            Read edit = read(stamp, text);
            if (!edit.env.equals(last.env)) announce(edit.env);
            nameUnused(edit);
            refusal = null;
            return new Read(stamp, edit.env, edit.settings.listeningAs(started.settings.server()));
        } catch (InvalidSetting e) {
            refuse("makes no sense: " + e.getMessage());
        } catch (RuntimeException | Error e) {
            refuse("cannot be read: " + e); // a defect, or too long for the heap: requests are answered even so
        }
        return new Read(stamp, last.env, last.settings); // not read again until it changes
    }

    /** Says that an edit is in force, but for what is read at the start only. */
    private void announce(DotEnv edit) {
        String later = Stream.of("HOST", "PORT", "HISTORY_DIR")
                .filter(name ->
                        !edit.values().get(name).equals(started.env.values().get(name)))
                .collect(joining(" and "));
        log(file.getFileName() + " was edited and is in force"
                + (later.isEmpty() ? "" : ", but for " + later + ": at the next start"));
    }

    /** Names, once, each variable that nothing reads, such as a misspelt one, and a proxy that cannot be used. */
    private void nameUnused(Read read) {
        read.env.lines().keySet().stream()
                .filter(name -> !isRead(name, read.env))
                .forEach(name -> warnOnce(read.env, name, " is no setting: nothing reads it"));
        String proxy = read.settings.proxy().unusable();
        if (proxy == null) return;
        warnOnce(read.env, proxy, " is not used: an http proxy without a user name can be, such as http://host:3128");
    }

    private void warnOnce(DotEnv env, String variable, String what) {
        if (warned.add(variable)) log(file.getFileName() + ": " + env.placed(variable) + what);
    }

    /** Whether the variable is a setting: any NAME whose NAME_BASE_URL is there has the others of a service too. */
    private static boolean isRead(String name, DotEnv env) {
        if (DEFAULTS.containsKey(name) || name.matches("https_proxy|no_proxy")) return true;
        String address = name.replaceFirst("_(API_KEY|(CHAT|IMAGE)_(MODEL|EXTRA))$", "_BASE_URL");
        return address.endsWith("_BASE_URL") && env.values().containsKey(address);
    }

    private void refuse(String what) {
        if (!what.equals(refusal)) log(file.getFileName() + " " + what + "; the last good settings stay in force");
        refusal = what;
    }

    private Read read(List<?> stamp, String text) throws InvalidSetting {
        DotEnv env = DotEnv.parse(text, overlay).withDefaults(DEFAULTS);
        return new Read(stamp, env, Settings.of(env));
    }

    /** Every setting that is in force, by the name of its variable: keys are masked, and whatever an address hides. */
    Map<String, String> shown() {
        var shown = new TreeMap<>(last.env.values());
        shown.keySet().removeIf(name -> !isRead(name, last.env));
        shown.replaceAll((name, value) -> name.endsWith("_API_KEY")
                ? value.replaceFirst(".+", "***")
                : value.replaceAll("(?<=^|//)(?!\\w+://)\\S+(?=@)|" + BEFORE_KEY + "[^&]+", "***"));
        return shown;
    }

    /** What tells one state of the file from another; empty where there is no file. */
    private List<?> stamp() throws IOException {
        try {
            var attributes = readAttributes(file, BasicFileAttributes.class);
            return asList(attributes.lastModifiedTime(), attributes.size(), attributes.fileKey());
        } catch (NoSuchFileException e) {
            return List.of();
        }
    }
}
