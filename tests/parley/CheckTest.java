package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class CheckTest {
    @TempDir
    private Path folder;

    @ParameterizedTest
    @CsvSource(
            textBlock =
                    """
                    # model,                 on the list,                 good
                    gpt-oss,                 gpt-oss,                     true
                    gpt-oss,                 gpt-oss-120b,                false
                    llama3.2,                llama3.2:latest,             true
                    llama3.2,                llama3.2:1b,                 false
                    gemini-flash,            models/gemini-flash,         true
                    models/gemini-flash,     models/gemini-flash,         true
                    x/model:nitro,           x/model,                     true
                    x/model:free,            x/model:free,                true
                    x/model,                 y/model,                     false
                    """)
    void findsAModelUnderTheNamesThatServicesGiveIt(String model, String listed, boolean good) throws Exception {
        try (var provider =
                new Scripted(exchange -> exchange.json(200, "{\"data\":[{\"id\":\"" + listed + "\"},null,{}]}"))) {
            String env = "CHAT_PROVIDER=local\nLOCAL_CHAT_MODEL=%s\nLOCAL_BASE_URL=%s/v1\n";
            assertEquals(good, passes(env.formatted(model, provider.address())));
        }
    }

    /** Together AI answers GET /models so. */
    @Test
    void readsAListOfModelsThatIsNotInAnObject() throws Exception {
        String models = "[{\"id\":\"other\"},{\"id\":\"m\"}]";
        try (var provider = new Scripted(exchange -> exchange.json(200, models))) {
            assertTrue(passes("CHAT_PROVIDER=local\nLOCAL_CHAT_MODEL=m\nLOCAL_BASE_URL=" + provider.address()));
            assertFalse(passes("CHAT_PROVIDER=local\nLOCAL_CHAT_MODEL=n\nLOCAL_BASE_URL=" + provider.address()));
        }
    }

    /** One service of images may be left out; of a list, each was asked for. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            textBlock =
                    """
                    nebius        | true
                    local         | true
                    local, nebius | false
                    nebius, local | false
                    """)
    void wantsEachServiceOfAListGood(String services, boolean good) throws Exception {
        try (var provider = new Scripted(exchange -> exchange.json(200, "{\"data\":[{\"id\":\"m\"}]}"))) {
            assertEquals(
                    good,
                    passes("CHAT_PROVIDER=local\nLOCAL_CHAT_MODEL=m\nLOCAL_IMAGE_MODEL=m\nLOCAL_BASE_URL="
                            + provider.address() + "\nIMAGE_PROVIDER=" + services));
        }
    }

    private boolean passes(String env) throws IOException {
        Path file = Files.writeString(folder.resolve(".env"), env);
        var settings = new LiveSettings(file, UnaryOperator.identity());
        try (var http = new ProviderHttp(settings)) {
            return Check.passes(settings, http);
        }
    }
}
