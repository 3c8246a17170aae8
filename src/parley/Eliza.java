package parley;

import static java.util.Locale.ROOT;
import static java.util.regex.Pattern.compile;
import static parley.PageFiles.resource;

import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * The demo's partner in conversation, after Joseph Weizenbaum's ELIZA (Communications of the ACM 9, 1966): the first
 * rule whose pattern fits takes the sentence apart and puts it together again, with the pronouns turned round. The
 * rules, our own, are in {@code eliza.txt}: {@code ? pattern}, then what may be answered, with {@code --} between.
 * There, %s is what the pattern has in parentheses.
 */
final class Eliza {
    private record Rule(Pattern pattern, String[] answers) {}

    private static final Pattern NAME = compile("(?i)\\b(?:my name is|call me) (\\p{L}+)");
    private static final Map<String, String> OTHER_SIDE = Table.of(
            """
            i=you
            me=you
            my=your
            mine=yours
            myself=yourself
            am=are
            i'm=you are
            was=were
            we=you
            our=your
            you=I
            your=my
            yours=mine
            yourself=myself
            you are=I am
            you were=I was
            """);

    private static final List<Rule> RULES = Stream.of(
                    resource("eliza.txt").substring(2).split("\n\\? "))
            .map(Eliza::rule)
            .toList();

    private static Rule rule(String text) {
        String[] halves = text.split("\n", 2);
        return new Rule(
                compile("(?is).*?\\b" + halves[0].replace("REST", "(.+?)[.!?\\s]*$")),
                halves[1].strip().split("\n--\n"));
    }

    /** The answer to a person's last message, in the light of all that came before it. */
    static String answer(List<String> messages) {
        String last = messages.getLast();
        var before = messages.subList(0, messages.size() - 1);
        if (compile("(?i)\\bmy name\\b.*\\?|\\bwho am i\\b").matcher(last).find()) return name(before);
        for (Rule rule : RULES) {
            Matcher match = rule.pattern.matcher(last);
            if (!match.matches()) continue;
            // Each turn another, until the window is full.
            String answer = rule.answers[before.size() / 2 % rule.answers.length];
            return match.groupCount() == 0 ? answer : answer.replace("%s", turned(match.group(1)));
        }
        return "Please go on."; // a message without a word
    }

    private static String name(List<String> before) {
        for (String message : before.reversed()) {
            Matcher name = NAME.matcher(message);
            if (name.find()) return "Your name is **" + name.group(1) + "**: you told me.";
        }
        return "You have not told me yet. What is it?";
    }

    /** Takes the other side: "my dog likes me" becomes "your dog likes you". */
    private static String turned(String words) {
        return compile("(?i)you (are|were)|[\\p{L}']+")
                .matcher(words)
                .replaceAll(word -> OTHER_SIDE.getOrDefault(word.group().toLowerCase(ROOT), word.group()));
    }
}
