package parley;

import static java.lang.System.out;
import static java.time.Instant.now;
import static java.time.temporal.ChronoUnit.MILLIS;
import static java.util.regex.Pattern.compile;

import java.util.regex.Pattern;

/** The console: a line an event, with its time. */
final class Log {
    private static final Pattern UNSAFE = compile("[\\p{Cc}\\p{Cf}\\p{Cs}\\u2028\\u2029]");

    /** Prints one line, whatever the text holds: {@link #sanitized} sees to it. */
    static void log(String text) {
        out.println(now().truncatedTo(MILLIS) + " " + sanitized(text));
    }

    /** The text with a space for all that could begin a line, colour a terminal or turn the direction of writing. */
    static String sanitized(String text) {
        return UNSAFE.matcher(text).replaceAll(" ");
    }
}
