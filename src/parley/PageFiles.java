package parley;

import static java.nio.charset.StandardCharsets.UTF_8;
import static java.util.stream.Collectors.toMap;
import static parley.Problem.Code.NOT_FOUND;

import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;
import java.util.Map;
import java.util.stream.Stream;

/** The chat page and the files that it names, and nothing else of the program. They are read once. */
final class PageFiles {
    /** The page runs its own files only, and loads nothing from elsewhere (https://www.w3.org/TR/CSP3/). */
    private static final String POLICY = "default-src 'none'; connect-src 'self'; img-src 'self' blob: data:; "
            + "script-src 'self'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    private record PageFile(String type, byte[] content) {
        static PageFile read(String name) {
            return new PageFile(
                    "text/" + name.replaceFirst(".*[.]", "").replace("js", "javascript") + "; charset=utf-8",
                    resource("page/" + name).getBytes(UTF_8));
        }
    }

    private final Map<String, PageFile> files = Stream.of(
                    "index.html style.css page.js turn.js dom.js tab.js conversation.js markdown.js server.js"
                            .split(" "))
            .collect(toMap(name -> "/" + name.replace("index.html", ""), PageFile::read));

    /** Answers with the file at the exchange's path, or with 304 where the browser has it. */
    void answer(Exchange http) {
        PageFile file = files.get(http.path);
        if (file == null) {
            throw new Problem(NOT_FOUND, "There is no such path: try /, /health, /chat, /history or /image");
        }
        http.allowing("GET, HEAD, OPTIONS");
        http.header("Content-Security-Policy", POLICY);
        http.header("X-Content-Type-Options", "nosniff");
        http.header("Referrer-Policy", "no-referrer");
        http.header("Cache-Control", "no-cache");
        if (!http.isUnchanged("" + Arrays.hashCode(file.content))) http.answer(200, file.type, file.content);
    }

    /** The text of a file that comes with Parley. */
    static String resource(String name) {
        try (InputStream file = PageFiles.class.getResourceAsStream(name)) {
            return new String(file.readAllBytes(), UTF_8);
        } catch (IOException e) {
            throw new IllegalStateException(name + " comes with Parley", e);
        }
    }
}
