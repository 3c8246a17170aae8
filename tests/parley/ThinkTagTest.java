package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ThinkTagTest {
    /** What the model says, and what of it is the reply. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            ignoreLeadingAndTrailingWhitespace = false,
            textBlock =
                    """
                    <think>hm</think>Four|Four
                    <think>hm</think>  Four |Four\s
                    <think>a</thin</think>b|b
                    <think></think>x<think>y</think>|x<think>y</think>
                    \s <think>hm</think>Four|Four
                    <think>hm</think>|''
                    <think>hm|''
                    <thin|<thin
                    \s <thin|\s <thin
                    <think|<think
                    <thinking>x</thinking>|<thinking>x</thinking>
                    <<think>x</think>|<<think>x</think>
                    \s Four|\s Four
                    </think>Four|</think>Four
                    """)
    void takesAThoughtOffTheBeginningHoweverItIsSplit(String said, String reply) {
        for (int size = 1; size <= said.length(); size++) {
            var tag = new ThinkTag();
            var heard = new StringBuilder();
            for (int at = 0; at < said.length(); at += size) {
                heard.append(tag.reply(said.substring(at, Math.min(at + size, said.length()))));
            }
            assertEquals(reply, heard.append(tag.end()).toString(), "in deltas of " + size);
        }
    }
}
