package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Map;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A file of variables is read as npm's dotenv reads it. */
class DotEnvTest {
    private static Map<String, String> parse(String text) throws DotEnv.InvalidSetting {
        return DotEnv.parse(text, UnaryOperator.identity()).values();
    }

    /** What npm's dotenv 16.6 made of each: {@code JSON.stringify(require('dotenv').parse(text))}. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '~',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    text                      | values
                    A=1                       | {"A":"1"}
                    ~A = 1 ~                  | {"A":"1"}
                    A: 1                      | {"A":"1"}
                    A:1                       | {}
                    export A=1                | {"A":"1"}
                    ~  A=1~                   | {"A":"1"}
                    A=                        | {"A":""}
                    ~A= ~                     | {"A":""}
                    A=''                      | {"A":""}
                    A=""                      | {"A":""}
                    A=``                      | {"A":""}
                    A='a b'                   | {"A":"a b"}
                    A="a b"                   | {"A":"a b"}
                    A=`a b`                   | {"A":"a b"}
                    A='  a  '                 | {"A":"  a  "}
                    A="  a  "                 | {"A":"  a  "}
                    A=`  a  `                 | {"A":"  a  "}
                    A='x"y"'                  | {"A":"x\\"y\\""}
                    A="x'y'"                  | {"A":"x'y'"}
                    A=`x'y"z`                 | {"A":"x'y\\"z"}
                    A="a\\nb"                 | {"A":"a\\nb"}
                    A="a\\rb"                 | {"A":"a\\rb"}
                    A="a\\tb"                 | {"A":"a\\\\tb"}
                    A='a\\nb'                 | {"A":"a\\\\nb"}
                    A=`a\\nb`                 | {"A":"a\\\\nb"}
                    A=a\\nb                   | {"A":"a\\\\nb"}
                    ~# A=1~                   | {}
                    A=1 # c                   | {"A":"1"}
                    A=1#c                     | {"A":"1"}
                    A='a # b' # c             | {"A":"a # b"}
                    A="a # b" # c             | {"A":"a # b"}
                    A=`a # b`# c              | {"A":"a # b"}
                    A=b=c==                   | {"A":"b=c=="}
                    A={"x":"y"}               | {"A":"{\\"x\\":\\"y\\"}"}
                    A='{"x":"y"}'             | {"A":"{\\"x\\":\\"y\\"}"}
                    ~A=a b  c ~               | {"A":"a b  c"}
                    a.b-c_1=x                 | {"a.b-c_1":"x"}
                    A=1⏎A=2                   | {"A":"2"}
                    A=1␍⏎B=2                  | {"A":"1","B":"2"}
                    A=1␍B=2                   | {"A":"1","B":"2"}
                    \ufeffA=1                 | {"A":"1"}
                    A="1⏎2"⏎B=3               | {"A":"1\\n2","B":"3"}
                    A='1⏎2'⏎B=3               | {"A":"1\\n2","B":"3"}
                    A=`1⏎2`                   | {"A":"1\\n2"}
                    A="1␍⏎2"                  | {"A":"1\\n2"}
                    A="a\\"b"                 | {"A":"a\\\\\\"b"}
                    A='a\\'b'                 | {"A":"a\\\\'b"}
                    A="a\\\\nb"               | {"A":"a\\\\\\nb"}
                    A='a' b                   | {"A":"'a' b"}
                    A=a'b'                    | {"A":"a'b'"}
                    A='a' 'b'                 | {"A":"a' 'b"}
                    A                         | {}
                    A B=1                     | {}
                    =1                        | {}
                    A=é🦊                      | {"A":"é🦊"}
                    ~A=a\u00a0~               | {"A":"a"}
                    A=$B                      | {"A":"$B"}
                    A="${B}"                  | {"A":"${B}"}
                    A=⏎⏎B=2                   | {"A":"","B":"2"}
                    A='1' # x 'y'             | {"A":"1"}
                    A="a\\\\"                 | {"A":"a\\\\\\\\"}
                    export  A = 'x'           | {"A":"x"}
                    A=x⏎#B=2⏎C=3              | {"A":"x","C":"3"}
                    ~ # only~                 | {}
                    A="x"y                    | {"A":"\\"x\\"y"}
                    A=1 \t # c                | {"A":"1"}
                    A='⏎⏎'                    | {"A":"\\n\\n"}
                    A=https://u:p@h/x?y=1&z=2 | {"A":"https://u:p@h/x?y=1&z=2"}
                    A=@#$%                    | {"A":"@"}
                    A==x                      | {"A":"=x"}
                    A='it''s'                 | {"A":"it''s"}
                    1A=x                      | {"1A":"x"}
                    ~A=\t'x'\t~               | {"A":"x"}
                    A="multi # not⏎B=2"⏎C=3   | {"A":"multi # not\\nB=2","C":"3"}
                    """)
    void readsAsDotenvDoes(String text, String json) throws Exception {
        assertEquals(Json.parse(json), parse(text.replace('⏎', '\n').replace('␍', '\r')));
    }

    @ParameterizedTest
    @ValueSource(strings = {"A=\"open", "A='open\nB=2\n", "A=`open\n\n# end", "A=\""})
    void refusesAHalfWrittenValue(String text) {
        var refusal = assertThrows(DotEnv.InvalidSetting.class, () -> parse("B=1\n" + text));
        assertTrue(refusal.getMessage().startsWith("A (line 2) "), refusal.getMessage());
    }

    /** What dotenv finds by trying one end of a value after another. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '~',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    before   | many times | behind  | the length of A; none where there is no A
                    A="      | \\"      | "       | 800000
                    A="      | \\"      | " x     | 800004
                    A='      | \\' #    | ' x     | 1599997
                    A=       | {blank}    | x       | 1
                    A=x      | {blank}    | y       | 400002
                    A=       | {line}     | 'x'     | 1
                    A        | {line}     | !       |
                    {line}   | {line}     | !       |
                    export   | {blank}    | A=x     | 1
                    {line}   | export A=  | !       | 3599992
                    """)
    void readsLongTextsInOnePass(String before, String many, String behind, Integer length) throws Exception {
        String text = before + many.repeat(400_000) + behind;
        Map<String, String> variables = parse(text.replace("{blank}", " ").replace("{line}", "\n"));
        assertEquals(
                length,
                variables.containsKey("A") ? (Integer) variables.get("A").length() : null);
    }

    @ParameterizedTest
    @ValueSource(strings = {"'", "\"", "`"})
    void readsLongValuesWithoutAStackOverflow(String quote) throws Exception {
        String value = "x\\y ".repeat(50_000);
        assertEquals(value, parse("A=" + quote + value + quote).get("A"));
    }

    @Test
    void numbersTheLines() throws Exception {
        assertEquals(
                Map.of("A", 1, "B", 4, "C", 5),
                DotEnv.parse("A='1\n\n2'\nB=3\nexport C=4", UnaryOperator.identity())
                        .lines());
    }

    @Test
    void neverPrintsAValue() throws Exception {
        assertFalse(
                DotEnv.parse("KEY=secret", UnaryOperator.identity()).toString().contains("secret"));
    }
}
