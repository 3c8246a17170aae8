package parley;

import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * The demo's partner in conversation, after Joseph Weizenbaum's ELIZA (Communications of the ACM 9, 1966): the first rule whose
 * pattern fits takes the sentence apart and puts it together again, with the pronouns turned round. The rules are our own.
 */
final class Eliza {
    /** How a sentence is taken apart, and what may be said to it; %s is the part in parentheses, turned round. */
    private record Rule(Pattern pattern, List<String> answers) {
        Rule(String pattern, String... answers) {
            this(Pattern.compile("(?is).*?\\b" + pattern), List.of(answers));
        }
    }

    private static final String REST = "(.+?)[.!?\\s]*$";

    private static final String HELP = """
            I am a stand-in for a language model: a page of rules, and no network. Try these:

            - **Talk to me**, tell me your name, and later ask *what is my name?* or *what did I say?*
            - `write a long story` shows headings, a list, a table and code.
            - `/image a red fox at night` draws a picture.

            And these words bring what can go wrong with a real service:

            | say | and this happens |
            | --- | --- |
            | `error 429` | the service has had enough, and says for how long |
            | `error 500` | the service fails; it is asked three times |
            | `timeout` | the service stays silent |
            | `blocked` | the service refuses the subject |
            | `cut off` | the connection breaks in the middle of the reply |
            """;

    private static final String STORY = """
            # The lighthouse that answered

            Long ago, on a rock with **no name**, a lighthouse stood whose keeper loved to talk. Ships passed at night, far out, and never said a word.

            ## What he had

            1. A lamp with *two* colours
            2. A book of signals, half of it eaten by mice
            3. Time, and a great deal of it

            So he wrote down what he would say if anyone ever asked, and he kept it in a table, for he was an orderly man:

            | light | meaning | sent |
            | :--- | :--- | ---: |
            | white, white | Who are you? | 1204 |
            | red, white | I am here | 988 |
            | red, red, red | The mice have eaten the rest | 1 |

            ## The answer

            One night a small boat stopped. It had no lamp, only a machine that read his lights and wrote them out, and its captain had taught it a few lines:

            ```java
            String reply(String light) {
                return light.equals("white, white") ? "A friend" : "Tell me more";
            }
            ```

            > "Tell me more," flickered the boat.

            The keeper sat down. Nobody had ever asked him that. He began with the mice, and when the sun came up he had only reached the letter *C*.

            They say the boat is still there, and that each evening it remembers what he said the evening before. Read on at [the story of ELIZA](https://en.wikipedia.org/wiki/ELIZA), which is true.
            """;

    private static final List<Rule> RULES = List.of(
            new Rule("(?:help|what can you do)\\b.*", HELP),
            new Rule("(?:long|story|markdown|table|code)\\b.*", STORY),
            new Rule("(?:hello|hi|hey|good (?:morning|day|evening))\\b[^a-z]*$", "Hello! What is on your mind? (Say `help` to see what I can do.)", "Hello again. Where were we?"),
            new Rule("(?:my name is|call me) (\\p{L}+).*", "Pleased to meet you, **%s**. What brings you here?", "I will remember that, **%s**."),
            new Rule("(?:bye|goodbye|good night)\\b.*", "Goodbye. I will be here, and so will everything you said."),
            new Rule("thank(?:s| you)\\b.*", "You are welcome. What else is there?"),
            new Rule("(?:sorry)\\b.*", "There is no need to be sorry. Go on."),
            new Rule("i need " + REST, "What would it change if you had %s?", "Why do you need %s?"),
            new Rule("i (?:want|would like|wish) " + REST, "Suppose that you got it: %s. What then?", "What keeps you from it: %s?"),
            new Rule("i (?:feel|am feeling) " + REST, "Since when do you feel %s?", "What else makes you feel %s?"),
            new Rule("(?:i am|i'm) " + REST, "How long have you been %s?", "How do you like being %s?", "Do you think it is usual to be %s?"),
            new Rule("i (?:can't|cannot) " + REST, "What would happen if you could %s?", "Have you tried to %s?"),
            new Rule("i (?:love|like|enjoy) " + REST, "What is it about %s that you like?", "Who else likes %s?"),
            new Rule("i (?:hate|dislike|fear|am afraid of) " + REST, "When did it begin, with %s?", "What is the worst about %s?"),
            new Rule("i (?:think|believe|guess) (?:that )?" + REST, "What makes you so sure that %s?", "And if it were otherwise than that %s?"),
            new Rule("because " + REST, "Is that the only reason: %s?", "And what lies behind that?"),
            new Rule("my (mother|father|sister|brother|wife|husband|child|son|daughter|friend|boss|dog|cat)\\b.*", "Tell me more about your %s.", "What does your %s say to that?"),
            new Rule("my " + REST, "Your %s? Tell me more.", "Why do you mention your %s?"),
            new Rule("are you " + REST, "Would it matter to you whether I am %s?", "I am a few rules in a Java file. Does that make me %s?"),
            new Rule("you are " + REST, "What makes you think that I am %s?"),
            new Rule("(?:why|how|what|who|when|where)\\b.*\\?", "What do you think yourself?", "What would the answer change?", "Why do you ask?"),
            new Rule("(?:yes|yeah|sure|indeed)\\b.*", "You seem sure. Can you say why?", "I see. Go on."),
            new Rule("(?:no|nope|never)\\b.*", "Why not?", "Not even a little?"));

    private static final List<String> OTHERWISE = List.of("Please go on.", "Tell me more about that.", "I see. And what does that mean to you?", "How does that make you feel?");
    private static final Pattern NAME = Pattern.compile("(?i)\\b(?:my name is|call me) (\\p{L}+)");
    private static final Pattern RECALL = Pattern.compile("(?is).*\\b(?:what did i (?:say|tell)|do you remember|did i (?:say|tell)|what have i said|earlier).*");
    private static final Map<String, String> TURNED = Map.ofEntries(Map.entry("i", "you"), Map.entry("me", "you"), Map.entry("my", "your"), Map.entry("mine", "yours"),
            Map.entry("myself", "yourself"), Map.entry("am", "are"), Map.entry("i'm", "you are"), Map.entry("you", "I"), Map.entry("your", "my"), Map.entry("yours", "mine"),
            Map.entry("yourself", "myself"), Map.entry("are", "am"), Map.entry("was", "were"), Map.entry("we", "you"), Map.entry("our", "your"));

    private Eliza() {
    }

    /** The answer to the last of what a person said, in the light of all that came before it. */
    static String answer(List<String> said) {
        String now = said.getLast();
        List<String> before = said.subList(0, said.size() - 1);
        if (Pattern.compile("(?i)\\bmy name\\b.*\\?|\\bwho am i\\b").matcher(now).find()) return name(before);
        if (RECALL.matcher(now).matches()) return recalled(before);
        for (Rule rule : RULES) {
            Matcher match = rule.pattern.matcher(now);
            if (!match.matches()) continue;
            String answer = rule.answers.get(before.size() % rule.answers.size());
            return match.groupCount() == 0 ? answer : answer.replace("%s", turned(match.group(1)));
        }
        List<String> mine = before.stream().filter(each -> each.matches("(?is).*\\bmy \\w+.*") && each.length() < 100).toList();
        if (!mine.isEmpty() && before.size() % 3 == 2) return "Earlier you said: \u201c" + mine.getLast() + "\u201d. Has that to do with it?";
        return OTHERWISE.get(before.size() % OTHERWISE.size());
    }

    private static String name(List<String> before) {
        return before.reversed().stream().map(NAME::matcher).filter(Matcher::find).findFirst()
                .map(match -> "Your name is **" + match.group(1) + "**: you told me.").orElse("You have not told me yet. What is it?");
    }

    private static String recalled(List<String> before) {
        if (before.isEmpty()) return "This is the first thing that you say to me.";
        int from = Math.max(0, before.size() - 5);
        return "I remember " + (before.size() == 1 ? "one thing" : before.size() + " things") + ". You said" + (from > 0 ? ", lately" : "") + ":\n\n"
                + IntStream.range(from, before.size()).mapToObj(i -> (i + 1) + ". \u201c" + before.get(i).strip().replaceAll("\\s+", " ") + "\u201d").collect(Collectors.joining("\n"));
    }

    /** Takes the other side: "my dog likes me" becomes "your dog likes you". */
    private static String turned(String words) {
        return Pattern.compile("[\\p{L}']+").matcher(words).replaceAll(word -> Matcher.quoteReplacement(TURNED.getOrDefault(word.group().toLowerCase(Locale.ROOT), word.group())));
    }
}
