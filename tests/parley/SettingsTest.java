package parley;

import static org.junit.jupiter.api.Assertions.*;

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
        return new Settings.Source(Files.writeString(folder.resolve(".env"), text), UnaryOperator.identity()).current();
    }

    @Test
    void areTheSameWithTheExampleAndWithNothing() throws Exception {
        Map<String, Object> example = new TreeMap<>(settings(Files.readString(Path.of(".env.example"))).shown());
        Map<String, Object> nothing = new TreeMap<>(settings("").shown());
        assertEquals("{\"width\":1024,\"height\":1024,\"response_extension\":\"png\"}", example.remove("NEBIUS_IMAGE_EXTRA"), "what Nebius adds comes from the example");
        nothing.remove("NEBIUS_IMAGE_EXTRA");
        assertEquals(nothing, example);
        Map<String, String> written = Env.parse(Files.readString(Path.of(".env.example")), UnaryOperator.identity()).values();
        Settings.DEFAULTS.forEach((name, value) -> assertEquals(value, written.get(name), name));
    }

    @Test
    void neverPrintAKey() throws Exception {
        Settings settings = settings("GEMINI_API_KEY=" + Running.KEY + "\nNEBIUS_API_KEY=" + Running.KEY);
        assertFalse((settings + "" + settings.shown()).contains(Running.KEY));
        assertEquals("***", settings.shown().get("GEMINI_API_KEY").toString());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '~', value = {
        "GEMINI_API_KEY='  k  '|k", "GOOGLE_API_KEY=g|g", "GOOGLE_API_KEY=g;GEMINI_API_KEY=k|k", "GEMINI_API_KEY=\"k\\n\"|k", "GEMINI_API_KEY=|"
    })
    void trimKeys(String text, String key) throws Exception {
        Settings.Key found = settings(text.replace(";", "\n")).chat().key();
        assertEquals(key, found == null ? null : found.value());
    }

    @ParameterizedTest
    @CsvSource({"http://127.0.0.1:1/v1, ", "http://localhost/v1, ", "http://[::1]/v1, ", "http://10.0.0.1/v1, MY_OWN_API_KEY", "https://a.example, MY_OWN_API_KEY"})
    void wantNoKeyForALoopbackAddress(String address, String missing) throws Exception {
        assertEquals(missing, settings("CHAT_PROVIDER=my-own\nMY_OWN_CHAT_MODEL=m\nMY_OWN_BASE_URL=" + address).chat().missing());
    }

    @Test
    void nameTheModelAndTheAddressThatAreMissing() throws Exception {
        assertEquals("LOCAL_BASE_URL", settings("CHAT_PROVIDER=local").chat().missing());
        assertEquals("LOCAL_CHAT_MODEL", settings("CHAT_PROVIDER=Local\nLOCAL_BASE_URL=http://127.0.0.1/").chat().missing());
    }

    @Test
    void seeAnEditThatKeepsSizeAndTime() throws Exception {
        Path file = Files.writeString(folder.resolve(".env"), "GEMINI_CHAT_MODEL=aaa\n");
        var source = new Settings.Source(file, UnaryOperator.identity());
        FileTime time = Files.getLastModifiedTime(file);
        assertEquals("aaa", source.current().chat().model());
        Path other = Files.writeString(folder.resolve("other"), "GEMINI_CHAT_MODEL=bbb\n");
        Files.setLastModifiedTime(other, time);
        Files.move(other, file, StandardCopyOption.REPLACE_EXISTING);
        assertEquals("bbb", source.current().chat().model());
    }

    @Test
    void letTheEnvironmentWin() throws Exception {
        Path file = Files.writeString(folder.resolve(".env"), "GEMINI_CHAT_MODEL=file\nTOP_K=3\n");
        var source = new Settings.Source(file, variables -> {
            var both = new TreeMap<>(variables);
            both.put("GEMINI_CHAT_MODEL", "environment");
            return both;
        });
        assertEquals("environment", source.current().chat().model());
        assertEquals("3", source.current().generation().topK().toString());
    }

    @Test
    void answerToTheirOwnNames() throws Exception {
        Settings settings = settings("HOST=192.168.1.5\nALLOWED_HOSTS=Chat.Example");
        for (String name : List.of("localhost", "127.0.0.1", "[::1]", "192.168.1.5", "chat.example", "CHAT.EXAMPLE")) assertTrue(settings.answersTo(name), name);
        for (String name : List.of("", "example", "evil.example", "127.0.0.1.nip.io", "192.168.1.50", "::1")) assertFalse(settings.answersTo(name), name);
    }
}
