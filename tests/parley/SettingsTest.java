package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What .env says, typed and checked. */
class SettingsTest {
    @TempDir
    private Path folder;

    private Settings settings(String text) throws Exception {
        return new LiveSettings(Files.writeString(folder.resolve(".env"), text), UnaryOperator.identity()).current();
    }

    private Map<String, String> shown(String text) throws Exception {
        return new LiveSettings(Files.writeString(folder.resolve(".env"), text), UnaryOperator.identity()).shown();
    }

    @Test
    void areTheSameWithTheExampleAndWithNothing() throws Exception {
        Map<String, String> example = shown(Files.readString(Path.of(".env.example")));
        Map<String, String> nothing = shown("");
        assertEquals(
                "{\"width\":1024,\"height\":1024,\"response_extension\":\"png\"}",
                example.remove("NEBIUS_IMAGE_EXTRA"),
                "what Nebius adds comes from the example");
        nothing.remove("NEBIUS_IMAGE_EXTRA");
        assertEquals(nothing, example);
        Map<String, String> written = DotEnv.parse(Files.readString(Path.of(".env.example")), UnaryOperator.identity())
                .values();
        written.put("NEBIUS_IMAGE_EXTRA", "");
        assertEquals(new TreeMap<>(Settings.DEFAULTS), new TreeMap<>(written));
    }

    @Test
    void neverPrintAKey() throws Exception {
        String text = "GEMINI_API_KEY=" + Running.KEY + "\nNEBIUS_API_KEY=" + Running.KEY;
        assertFalse((settings(text) + "" + shown(text)).contains(Running.KEY));
        assertEquals("***", shown(text).get("GEMINI_API_KEY"));
    }

    @ParameterizedTest
    @CsvSource(
            textBlock =
                    """
                    # in .env,                                           shown
                    HTTPS_PROXY=http://ada:pass@proxy:3128,              http://***@proxy:3128
                    HTTPS_PROXY=ada:pass@proxy:3128,                     ***@proxy:3128
                    HTTPS_PROXY=http://ada:p@ss/w@proxy:3128,            http://***@proxy:3128
                    https_proxy=socks5://ada:pa/ss@proxy,                socks5://***@proxy
                    SYSTEM_INSTRUCTIONS=Write to ada@example.org,        Write to ada@example.org
                    GEMINI_BASE_URL=https://h/v1?api-version=1&key=abc,  https://h/v1?api-version=1&key=***
                    GEMINI_BASE_URL=https://h/v1?code=abc&sig=def,  https://h/v1?code=***&sig=***
                    SYSTEM_INSTRUCTIONS=say code=42 & go on,  say code=42 & go on
                    GEMINI_BASE_URL=https://h/v1,                        https://h/v1
                    """)
    void areShownWithoutWhatAnAddressHides(String line, String value) throws Exception {
        assertEquals(value, shown(line).get(line.substring(0, line.indexOf('='))));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '~',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    .env                               | the key
                    GEMINI_API_KEY='  k  '             | k
                    GEMINI_API_KEY="k\\n"              | k
                    GOOGLE_API_KEY=g                   | g
                    GOOGLE_API_KEY=g⏎GEMINI_API_KEY=k  | k
                    """)
    void trimKeys(String text, String key) throws Exception {
        assertEquals(key, settings(text.replace('⏎', '\n')).chats().getFirst().key());
    }

    @Test
    void haveNoKeyWhereItIsEmpty() throws Exception {
        assertNull(settings("GEMINI_API_KEY=").chats().getFirst().key());
    }

    @ParameterizedTest
    @CsvSource(
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    address,               what is missing
                    http://127.0.0.1:1/v1,
                    http://localhost/v1,
                    http://[::1]/v1,
                    http://10.0.0.1/v1,    MY_OWN_API_KEY
                    https://a.example,     MY_OWN_API_KEY
                    """)
    void wantNoKeyForALoopbackAddress(String address, String missing) throws Exception {
        assertEquals(
                missing,
                settings("CHAT_PROVIDER=my-own\nMY_OWN_CHAT_MODEL=m\nMY_OWN_BASE_URL=" + address)
                        .chats()
                        .getFirst()
                        .missing());
    }

    @ParameterizedTest
    @CsvSource({".5, 0.5", "1., 1", "1.50, 1.50", "2, 2", "0.0, 0.0"})
    void takeNumbersAsPeopleWriteThem(String text, BigDecimal number) throws Exception {
        assertEquals(number, settings("TEMPERATURE=" + text).generation().temperature());
    }

    @ParameterizedTest
    @ValueSource(strings = {"302ai", "my-own", "_x"})
    void takeAServiceOfAnyName(String name) throws Exception {
        String address = name.toUpperCase(Locale.ROOT).replace('-', '_') + "_BASE_URL=http://127.0.0.1/";
        Settings settings = settings("CHAT_PROVIDER=" + name + "\n" + address);
        assertEquals(name, settings.chats().getFirst().provider());
    }

    @Test
    void nameTheModelThatIsMissing() throws Exception {
        assertEquals(
                "LOCAL_CHAT_MODEL",
                settings("CHAT_PROVIDER=Local\nLOCAL_BASE_URL=http://127.0.0.1/")
                        .chats()
                        .getFirst()
                        .missing());
    }

    @Test
    void seeAnEditThatKeepsSizeAndTime() throws Exception {
        Path file = Files.writeString(folder.resolve(".env"), "GEMINI_CHAT_MODEL=aaa\n");
        var source = new LiveSettings(file, UnaryOperator.identity());
        FileTime time = Files.getLastModifiedTime(file);
        assertEquals("aaa", source.current().chats().getFirst().model());
        Path other = Files.writeString(folder.resolve("other"), "GEMINI_CHAT_MODEL=bbb\n");
        time = FileTime.from(time.toInstant().minusSeconds(1)); // settled
        Files.setLastModifiedTime(file, time);
        assertEquals("aaa", source.current().chats().getFirst().model());
        Files.setLastModifiedTime(other, time);
        Files.move(other, file, StandardCopyOption.REPLACE_EXISTING);
        assertEquals("bbb", source.current().chats().getFirst().model());
    }

    @Test
    void letTheEnvironmentWin() throws Exception {
        Path file = Files.writeString(folder.resolve(".env"), "GEMINI_CHAT_MODEL=file\nTOP_K=3\n");
        var source = new LiveSettings(file, variables -> {
            var both = new TreeMap<>(variables);
            both.put("GEMINI_CHAT_MODEL", "environment");
            return both;
        });
        assertEquals("environment", source.current().chats().getFirst().model());
        assertEquals("3", source.current().generation().topK().toString());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "localhost",
                "LOCALHOST",
                "localhost.",
                "chat.localhost",
                "a.Chat.LocalHost.",
                "127.0.0.1",
                "127.9.9.9",
                "127.0.0.1.",
                "192.168.1.5",
                "[::1]",
                "[0:0:0:0:0:0:0:1]",
                "[fe80::1]",
                "[fe80::1%25eth0]",
                "chat.example",
                "CHAT.EXAMPLE",
                "chat.example.",
                "other.example",
                "other.example."
            })
    void answerToTheirOwnNames(String name) throws Exception {
        assertTrue(
                settings("ALLOWED_HOSTS=Chat.Example, other.example.").server().answersTo(name));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                ".",
                "example",
                "evil.example",
                "notlocalhost",
                "localhost..",
                "localhost.evil.example",
                "127.0.0.1.nip.io",
                "192.168.1",
                "::1",
                "sub.chat.example",
                "user@localhost",
                "localhost:80"
            })
    void answerToNoOtherName(String name) throws Exception {
        assertFalse(
                settings("ALLOWED_HOSTS=Chat.Example, other.example.").server().answersTo(name));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    NAME_BASE_URL                                          | the address that is asked
                    http://127.0.0.1:11434/v1                              | http://127.0.0.1:11434/v1
                    http://h/v1/                                           | http://h/v1
                    http://h/v1//                                          | http://h/v1
                    https://h/v1?api-version=2024-10-21                    | https://h/v1?api-version=2024-10-21
                    https://h/v1/?a=1&b=%20                                | https://h/v1?a=1&b=%20
                    https://h?a=1                                          | https://h?a=1
                    https://h/v1/chat/completions                          | https://h/v1
                    https://h/v1/chat/completions/                         | https://h/v1
                    https://h/v1/images/generations                        | https://h/v1
                    https://h/d/gpt/chat/completions?api-version=1         | https://h/d/gpt?api-version=1
                    https://h/chat/completions                             | https://h
                    https://h/v1beta/models/gemini-x:generateContent       | https://h/v1beta
                    https://h/v1/models/m:streamGenerateContent?alt=sse    | https://h/v1?alt=sse
                    https://h/models/chat/completions                      | https://h/models
                    https://h.example./v1                                  | https://h.example/v1
                    https://h.example.:8443                                | https://h.example:8443
                    https://h/completions-of-mine                          | https://h/completions-of-mine
                    """)
    void takeAServicesAddressAsItIsPasted(String pasted, String asked) throws Exception {
        Settings settings = settings("CHAT_PROVIDER=local\nLOCAL_BASE_URL=" + pasted);
        assertEquals(asked, settings.chats().getFirst().base().toString());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    address                  | reason
                    http://my_host:8080/v1   | a host that Java cannot take
                    https://bücher.example   | a host that Java cannot take
                    http://host-/v1          | a host that Java cannot take
                    https://u:secret@h/v1    | must be an address such as https://host/path
                    `https://h/v1#f`         | must be an address such as https://host/path
                    https://h:99999/v1       | must be an address such as https://host/path
                    https:///v1              | must be an address such as https://host/path
                    h/v1                     | must be an address such as https://host/path
                    ftp://h/v1               | must be an address such as https://host/path
                    """)
    void refuseAnAddressWithItsReason(String address, String reason) {
        String refusal = refusal("CHAT_PROVIDER=local\nLOCAL_BASE_URL=" + address);
        assertTrue(refusal.startsWith("LOCAL_BASE_URL (line 2) "), refusal);
        assertTrue(refusal.contains(reason), refusal);
        assertFalse(refusal.contains("secret"), refusal);
    }

    private String refusal(String text) {
        return assertThrows(DotEnv.InvalidSetting.class, () -> settings(text)).getMessage();
    }

    @ParameterizedTest
    @CsvSource({"~/p, {home}/p", "~/, {home}/", "~, {home}", "~\\p, {home}\\p", "~other/x, ~other/x", "a/~/b, a/~/b"})
    void putHistoriesIntoTheHomeFolderWhereATildeSaysSo(String folder, String expected) throws Exception {
        assertEquals(
                expected.replace("{home}", System.getProperty("user.home")),
                settings("HISTORY_DIR=" + folder).history().folder());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            useHeadersInDisplayName = true,
            textBlock =
                    """
                    the list                      | the page's origin             | may read
                    https://x.example             | https://x.example             | true
                    https://x.example:443         | https://x.example             | true
                    https://x.example             | https://x.example:443         | true
                    http://x.example:80           | http://x.example              | true
                    http://x.example              | http://x.example:80           | true
                    HTTPS://X.Example:443/        | https://x.example             | true
                    https://[2001:DB8::1]:443     | https://[2001:db8::1]         | true
                    http://[::1]:80               | http://[::1]                  | true
                    http://[fe80::80]             | http://[fe80::80]             | true
                    capacitor://localhost         | capacitor://localhost         | true
                    null                          | null                          | true
                    https://x.example:80          | https://x.example             | false
                    http://x.example:443          | http://x.example              | false
                    http://x.example              | https://x.example             | false
                    https://x.example             | https://x.example.evil        | false
                    https://x.example:8443        | https://x.example             | false
                    https://x.example:65535       | https://x.example:65535       | true
                    """)
    void allowTheOriginsOfTheListWhateverTheirDefaultPort(String list, String origin, boolean may) throws Exception {
        String allowed = settings("CORS_ALLOWED_ORIGINS=" + list).cors().allowed(origin);
        assertEquals(may ? origin : null, allowed);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "https://*.example.org",
                "https://*",
                "*.example.org",
                "https://x.example:*",
                "https://x.example:99999",
                "https://x.example:65536",
                "**",
                "x.example",
                "https://x.example/page",
                "https://u@x.example",
                "https://x.example?q",
                "https://bücher.example",
                "https://ok.example, https://*.example.org"
            })
    void refuseAnOriginThatNoPageHas(String origins) {
        String refusal = refusal("# first\nCORS_ALLOWED_ORIGINS=" + origins);
        assertTrue(refusal.startsWith("CORS_ALLOWED_ORIGINS (line 2) must be a list of origins"), refusal);
    }
}
