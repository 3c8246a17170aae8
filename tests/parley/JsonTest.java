package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.text.ParseException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What RFC 8259 allows is read, and all else is refused with the place where it shows. */
class JsonTest {
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '~',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    text                             | written again
                    null                             | null
                    true                             | true
                    false                            | false
                    ""                               | ""
                    []                               | []
                    {}                               | {}
                    0                                | 0
                    -0                               | 0
                    -1                               | -1
                    1.50                             | 1.50
                    12345678901234567890             | 12345678901234567890
                    -0.0000000001                    | -1E-10
                    1e2                              | 1E+2
                    1E-2                             | 0.01
                    0.1e+1                           | 1
                    9223372036854775807              | 9223372036854775807
                    3.141592653589793238462643383279 | 3.141592653589793238462643383279
                    [1,2 , 3]                        | [1,2,3]
                    [[],{}]                          | [[],{}]
                    {"a":1,"b":[true,null]}          | {"a":1,"b":[true,null]}
                    { "a" : 1 }                      | {"a":1}
                    {"a":1,"a":2}                    | {"a":2}
                    {"":0}                           | {"":0}
                    "\\"\\\\\\/\\b\\f\\n\\r\\t"      | "\\"\\\\/\\b\\f\\n\\r\\t"
                    "\\u0041\\u00e9\\uD83E\\uDD8A"   | "Aé🦊"
                    "é🦊\u2028\u007f"                  | "é🦊\u2028\u007f"
                    "\\u0000\\u001F"                 | "\\u0000\\u001f"
                    """)
    void readsWhatRfc8259Allows(String text, String written) throws Exception {
        assertEquals(written, Json.toJson(Json.parse(text)));
        assertEquals(Json.parse(text), Json.parse(written));
    }

    @ParameterizedTest
    @ValueSource(strings = {" \t\r\n1 \t\r\n", "\ufeff1"})
    void passesOverWhiteSpaceAndAByteOrderMark(String text) throws Exception {
        assertEquals(1L, Json.parse(text));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '~',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    text       | offset
                    ~~         | 0
                    ~ ~        | 1
                    nul        | 0
                    nulll      | 4
                    True       | 0
                    tru        | 0
                    01         | 1
                    -          | 0
                    +1         | 0
                    .5         | 0
                    1.         | 1
                    1.e1       | 1
                    1e         | 1
                    1e+        | 1
                    0x1        | 1
                    1 2        | 2
                    NaN        | 0
                    -Infinity  | 0
                    1_0        | 1
                    "          | 1
                    "a         | 2
                    'a'        | 0
                    "\\x"      | 2
                    "\\u12G4"  | 3
                    "\\u12     | 3
                    "\\        | 2
                    "\t"       | 1
                    "\\u٠٠٠٠"  | 3
                    [          | 1
                    [1         | 2
                    [1,        | 3
                    [1,]       | 3
                    [,1]       | 1
                    [1 2]      | 3
                    ]          | 0
                    [1}        | 2
                    [1]]       | 3
                    {          | 1
                    {a:1}      | 1
                    {"a"       | 4
                    {"a" 1}    | 5
                    {"a":}     | 5
                    {"a":1     | 6
                    {"a":1,}   | 7
                    {"a":1,,}  | 7
                    {,}        | 1
                    {1:2}      | 1
                    {"a":1]    | 6
                    // c       | 0
                    [1]/**/    | 3
                    ~\u00a01~  | 0
                    ~\u000b1~  | 0
                    a          | 0
                    {"a":1}{   | 7
                    """)
    void refusesWhatItDoesNotWithTheOffset(String text, int offset) {
        var refusal = assertThrows(ParseException.class, () -> Json.parse(text));
        assertTrue(refusal.getMessage().endsWith(" at offset " + offset), refusal.getMessage());
    }

    @ParameterizedTest
    @CsvSource({"[, ]", "'{\"a\":', }"})
    void refusesNestingThatWouldOverflowTheStack(String open, String close) throws Exception {
        assertThrows(ParseException.class, () -> Json.parse(open.repeat(1_000_000)));
        String deepest = open.repeat(Json.MAX_DEPTH - 1) + "1" + close.repeat(Json.MAX_DEPTH - 1);
        assertEquals(deepest, Json.toJson(Json.parse(deepest)));
        assertThrows(ParseException.class, () -> Json.parse(open + deepest + close));
    }

    @ParameterizedTest
    @ValueSource(strings = {"\"\\ud83e\"", "\"\\udd8a\\ud83e\"", "{\"x\\ud83ex\":1}", "[\"a\\udd8a\"]"})
    void refusesALoneSurrogateInARequest(String text) {
        var refusal = assertThrows(ParseException.class, () -> Json.parseRequest(text));
        assertTrue(refusal.getMessage().contains("lone surrogate"), refusal.getMessage());
    }

    /** The other half may follow in the next delta. */
    @Test
    void keepsALoneSurrogateOfAProvider() throws Exception {
        assertEquals("a\ud83e", Json.parse("\"a\\ud83e\""));
    }

    @Test
    void takesPairsOfSurrogatesInARequest() throws Exception {
        assertEquals("\ud83e\udd8a", Json.parseRequest("\"\\ud83e\\udd8a\""));
        assertEquals("\ud83e\udd8a", Json.parseRequest("\"\ud83e\udd8a\""));
    }

    @Test
    void refusesNumbersThatTakeForEver() {
        assertThrows(ParseException.class, () -> Json.parse("1".repeat(100_000)));
        assertThrows(ParseException.class, () -> Json.parse("1e99999999999"));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '~',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    target                | patch                         | merged
                    {"a":"b"}             | {"a":"c"}                     | {"a":"c"}
                    {"a":"b"}             | {"b":"c"}                     | {"a":"b","b":"c"}
                    {"a":"b"}             | {"a":null}                    | {}
                    {"a":[1]}             | {"a":"c"}                     | {"a":"c"}
                    {"a":{"b":1,"c":2}}   | {"a":{"b":3,"c":null}}        | {"a":{"b":3}}
                    {"a":1}               | {"a":{"bb":{"ccc":null}}}     | {"a":{"bb":{}}}
                    """)
    void mergesAsRfc7396Has(String target, String patch, String merged) throws Exception {
        assertEquals(
                merged, Json.toJson(Json.merge(Json.members(Json.parse(target)), Json.members(Json.parse(patch)))));
    }

    @Test
    void readsWhatItWrites() throws Exception {
        var random = new Random(42);
        for (int i = 0; i < 20_000; i++) {
            Object value = value(random, 4);
            assertEquals(value, Json.parse(Json.toJson(value)));
        }
    }

    /** Any value that JSON can write. */
    private static Object value(Random random, int depth) {
        return switch (random.nextInt(depth == 0 ? 5 : 7)) {
            case 0 -> null;
            case 1 -> random.nextBoolean();
            case 2 -> (long) random.nextInt();
            case 3 -> new BigDecimal(new BigInteger(90, random).add(BigInteger.ONE.shiftLeft(70)), random.nextInt(20));
            case 4 -> string(random);
            case 5 ->
                Stream.generate(() -> value(random, depth - 1))
                        .limit(random.nextInt(4))
                        .toList();
            default -> {
                var map = new LinkedHashMap<String, Object>();
                for (int i = random.nextInt(4); i > 0; i--) map.put(string(random), value(random, depth - 1));
                yield map;
            }
        };
    }

    private static String string(Random random) {
        var string = new StringBuilder();
        for (int i = random.nextInt(12); i > 0; i--) {
            string.append((char) (random.nextInt(3) == 0 ? random.nextInt(0x10000) : random.nextInt(128)));
        }
        return string.toString();
    }

    @Test
    void mutationsGiveNothingButTheDeclaredException() {
        var random = new Random(7);
        String seed = "{\"a\":[1,-2.5e3,\"x\\u00e9\\n\",true,null,{\"b\":{}}],\"c\":\"\\ud83e\\udd8a\"}";
        for (int i = 0; i < 50_000; i++) {
            var text = new StringBuilder(seed);
            for (int k = random.nextInt(4); k >= 0; k--) {
                text.setCharAt(random.nextInt(text.length()), seed.charAt(random.nextInt(seed.length())));
            }
            try {
                Object value = Json.parse(text.toString());
                assertEquals(value, Json.parse(Json.toJson(value)));
            } catch (ParseException e) {
                int offset = Integer.parseInt(e.getMessage().replaceAll(".* at offset ", ""));
                assertEquals(Math.clamp(offset, 0, text.length()), offset, e.getMessage());
            }
        }
    }

    @Test
    void countsTheValuesOfARequest() throws Exception {
        String most = "[" + "1,".repeat(Json.MAX_REQUEST_VALUES - 2) + "1]";
        assertEquals(Json.MAX_REQUEST_VALUES - 1, ((List<?>) Json.parseRequest(most)).size());
        assertThrows(ParseException.class, () -> Json.parseRequest(most.replace("1]", "1,1]")));
        assertEquals(Json.MAX_REQUEST_VALUES, ((List<?>) Json.parse(most.replace("1]", "1,1]"))).size());
    }
}
