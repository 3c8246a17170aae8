package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

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
        Settings.DEFAULTS.forEach((name, value) ->
                assertTrue(name.equals("NEBIUS_IMAGE_EXTRA") || value.equals(written.get(name)), name));
    }

    @Test
    void neverPrintAKey() throws Exception {
        String text = "GEMINI_API_KEY=" + Running.KEY + "\nNEBIUS_API_KEY=" + Running.KEY;
        assertFalse((settings(text) + "" + shown(text)).contains(Running.KEY));
        assertEquals("***", shown(text).get("GEMINI_API_KEY"));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '~',
            value = {
                "GEMINI_API_KEY='  k  '|k",
                "GOOGLE_API_KEY=g|g",
                "GOOGLE_API_KEY=g;GEMINI_API_KEY=k|k",
                "GEMINI_API_KEY=\"k\\n\"|k",
                "GEMINI_API_KEY=|"
            })
    void trimKeys(String text, String key) throws Exception {
        Settings.Key found = settings(text.replace(";", "\n")).chat().key();
        assertEquals(key, found == null ? null : found.value());
    }

    @ParameterizedTest
    @CsvSource({
        "http://127.0.0.1:1/v1, ",
        "http://localhost/v1, ",
        "http://[::1]/v1, ",
        "http://10.0.0.1/v1, MY_OWN_API_KEY",
        "https://a.example, MY_OWN_API_KEY"
    })
    void wantNoKeyForALoopbackAddress(String address, String missing) throws Exception {
        assertEquals(
                missing,
                settings("CHAT_PROVIDER=my-own\nMY_OWN_CHAT_MODEL=m\nMY_OWN_BASE_URL=" + address)
                        .chat()
                        .missing());
    }

    @Test
    void nameTheModelThatIsMissing() throws Exception {
        assertEquals(
                "LOCAL_CHAT_MODEL",
                settings("CHAT_PROVIDER=Local\nLOCAL_BASE_URL=http://127.0.0.1/")
                        .chat()
                        .missing());
    }

    @Test
    void seeAnEditThatKeepsSizeAndTime() throws Exception {
        Path file = Files.writeString(folder.resolve(".env"), "GEMINI_CHAT_MODEL=aaa\n");
        var source = new LiveSettings(file, UnaryOperator.identity());
        FileTime time = Files.getLastModifiedTime(file);
        assertEquals("aaa", source.current().chat().model());
        Path other = Files.writeString(folder.resolve("other"), "GEMINI_CHAT_MODEL=bbb\n");
        time = FileTime.from(time.toInstant().minusSeconds(1)); // settled
        Files.setLastModifiedTime(file, time);
        assertEquals("aaa", source.current().chat().model());
        Files.setLastModifiedTime(other, time);
        Files.move(other, file, StandardCopyOption.REPLACE_EXISTING);
        assertEquals("bbb", source.current().chat().model());
    }

    @Test
    void letTheEnvironmentWin() throws Exception {
        Path file = Files.writeString(folder.resolve(".env"), "GEMINI_CHAT_MODEL=file\nTOP_K=3\n");
        var source = new LiveSettings(file, variables -> {
            var both = new TreeMap<>(variables);
            both.put("GEMINI_CHAT_MODEL", "environment");
            return both;
        });
        assertEquals("environment", source.current().chat().model());
        assertEquals("3", source.current().generation().topK().toString());
    }

    @Test
    void answerToTheirOwnNames() throws Exception {
        Settings settings = settings("HOST=127.0.0.1\nALLOWED_HOSTS=Chat.Example");
        for (String name :
                List.of("localhost", "127.0.0.1", "[::1]", "192.168.1.5", "[fe80::1]", "chat.example", "CHAT.EXAMPLE"))
            assertTrue(settings.server().answersTo(name), name);
        for (String name : List.of("", "example", "evil.example", "127.0.0.1.nip.io", "192.168.1", "::1"))
            assertFalse(settings.server().answersTo(name), name);
    }
}
