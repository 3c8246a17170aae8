package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.UnaryOperator;
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
            Path env = Files.writeString(
                    folder.resolve(".env"),
                    "CHAT_PROVIDER=local\nLOCAL_CHAT_MODEL=" + model + "\nLOCAL_BASE_URL=" + provider.address()
                            + "/v1\n");
            var settings = new LiveSettings(env, UnaryOperator.identity());
            try (var http = new ProviderHttp(settings)) {
                assertEquals(good, Check.passes(settings, http));
            }
        }
    }
}
