package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The page's Markdown in a real browser: as npm's marked reads it, but where a row says otherwise. */
class MarkdownTest {
    private static Browser browser;
    private static Running running;

    @BeforeAll
    static void start() throws Exception {
        browser = new Browser();
        running = new Running(Scripted.gemini("Hi!"));
        browser.load(running.parley.port(), "user");
    }

    @AfterAll
    static void stop() throws Exception {
        if (browser != null) browser.close();
        if (running != null) running.close();
    }

    /**
     * What a text is made of: tags and words, without what the page adds (a heading's level, a frame around code and
     * tables).
     */
    private static final String SHAPE =
            """
            const shape = node => {
              if (node.nodeType === 3) return node.data.replace(/\\s+/g, ' ');
              if (node.nodeType !== 1) return '';
              if (node.matches('.code, pre')) {
                const code = node.querySelector('code') ?? node;
                return 'pre{' + code.textContent.replace(/\\n+$/, '') + '}';
              }
              if (node.matches('.wide')) return shape(node.firstChild);
              const tag = node.tagName.toLowerCase().replace(/^h[1-6]$/, 'h');
              const inside = [...node.childNodes].map(shape).join('');
              const name = tag === 'a' ? 'a ' + node.href : tag === 'ol' ? 'ol ' + node.start : tag;
              return name + '{' + inside.trim().replace(/\\s*([{}])\\s*/g, '$1') + '}';
            };
            const all = nodes => nodes.map(shape).join('').replace(/\\s*([{}])\\s*/g, '$1').trim();
            """;

    /** A text, written by the page into an element. */
    private static final String WRITTEN =
            "Promise.all([import('./markdown.js'), import('./dom.js')]).then(([{parse}, {drawer}]) => {"
                    + " const body = document.createElement('div'); drawer(body)(parse(arguments[0])); return body; })";

    private static boolean marked;

    /** Gives the page npm's own package, for the test only. */
    private static void giveMarked() throws Exception {
        if (marked) return;
        Path npm = Files.createDirectories(Path.of("target/npm"));
        Path source = npm.resolve("node_modules/marked/lib/marked.umd.js");
        if (!Files.exists(source)) Assumptions.assumeTrue(installed(npm), "npm has no marked here");
        browser.script("const module = undefined, exports = undefined, define = undefined;" + Files.readString(source));
        marked = true;
    }

    private static boolean installed(Path npm) throws Exception {
        Process install = new ProcessBuilder(
                        "npm",
                        "install",
                        "--silent",
                        "--no-audit",
                        "--no-fund",
                        "--prefix",
                        npm.toString(),
                        "marked@15")
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .start();
        return install.waitFor() == 0;
    }

    static Stream<String> markdown() throws Exception {
        return Stream.of(
                Files.readString(Path.of("tests/parley/markdown.txt")).strip().split("\n=====\n"));
    }

    @ParameterizedTest
    @MethodSource
    void markdown(String text) throws Exception {
        Assumptions.assumeTrue(
                Files.isExecutable(Path.of("/usr/bin/npm")) || Files.isExecutable(Path.of("/usr/local/bin/npm")),
                "no npm here");
        giveMarked();
        Object theirs = browser.script(
                "const parse = marked.marked.parse;" + SHAPE
                        + "const html = parse(arguments[0], {gfm: true, breaks: true});"
                        + "return all([...new DOMParser().parseFromString(html, 'text/html').body.childNodes]);",
                text);
        Object ours =
                browser.eventually(WRITTEN + ".then(body => {" + SHAPE + "return all([...body.childNodes])})", text);
        assertEquals(theirs, ours, text);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "$a_1 \\cdot b_2$",
                "\\(x^{2}_*y*\\)",
                "\\[\\frac{a}{b}\\]",
                "$$\\sum_i x_i$$",
                "$$\na\n= b\n- c \\\\\n\n  \\text{d}\n$$",
                "\\[\n  # a\n\\]",
                "\\(a\n  + b\\)"
            })
    void showsAFormulaAsItIs(String text) {
        assertEquals(
                text,
                browser.eventually(WRITTEN + ".then(body => body.querySelector('code.math')?.textContent)", text));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "costs $5 and $6|costs $5 and $6",
                "**「太字」**の|<strong>「太字」</strong>の",
                "これは**「強調」**です|これは<strong>「強調」</strong>です",
                "**“强调”**的|<strong>“强调”</strong>的",
                "**제목(부제)**은|<strong>제목(부제)</strong>은",
                "**\"a\"**b|**\"a\"**b",
                "见https://a.example/x。好|见https://a.example/x。好",
                "见 https://a.example/x。好|见 <a>https://a.example/x</a>。好",
                "（https://a.example/x）|（<a>https://a.example/x</a>）"
            })
    void readsWhatMarkedDoesNot(String text, String expected) {
        Object ours = browser.eventually(WRITTEN + ".then(body => body.firstChild.innerHTML)", text);
        assertEquals(expected, ((String) ours).replaceAll("<a [^>]*>", "<a>"));
    }

    /** Each beginning of the text is written, as it is while it streams. */
    @ParameterizedTest
    @MethodSource("markdown")
    void comesToTheSameWhileItIsWritten(String text) throws Exception {
        Object built = browser.eventually(
                """
                Promise.all([import('./markdown.js'), import('./dom.js')]).then(([{parse, reader}, {drawer}]) => {
                    const grown = document.createElement('div'), whole = document.createElement('div');
                    const draw = drawer(grown), read = reader(), text = arguments[0];
                    for (let i = 1; i <= text.length; i++) draw(read(text.slice(0, i), true));
                    draw(read(text, false));
                    drawer(whole)(parse(text));
                    return [grown.innerHTML, whole.innerHTML];
                })""",
                text);
        List<?> both = (List<?>) built;
        assertEquals(both.get(1), both.get(0), text);
    }

    /** What stands far ahead in a long paragraph is not made again for each word. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "Some **bold** words, `code` and [a link](https://a.example/) in a *long* paragraph. ",
                "- an item with **bold** and `code`\n",
                "| a | **b** |\n",
                "- [x] a **task**\n"
            })
    void readsALongBlockInParts(String piece) {
        String head = piece.startsWith("|") ? "| a | b |\n| - | - |\n" : "";
        Object built = browser.eventually(
                """
                Promise.all([import('./markdown.js'), import('./dom.js')]).then(([{parse, reader}, {drawer}]) => {
                    const grown = document.createElement('div'), whole = document.createElement('div');
                    const draw = drawer(grown), read = reader();
                    let text = arguments[0];
                    const grow = () => {
                        for (let i = 0; i < 60; i++) draw(read(text += arguments[1], true));
                        return read(text, true);
                    };
                    const marked = trees => trees.flatMap(each => /strong|part/.test(each.tag + each.props?.className)
                        ? [each] : marked(each.children ?? [])).filter(Boolean)[0];
                    const early = marked(grow());
                    const isKept = marked(grow()) === early;
                    drawer(whole)(parse(text));
                    return [isKept, grown.innerHTML === whole.innerHTML];
                })""",
                head,
                piece);
        assertEquals(List.of(true, true), built);
    }

    @Test
    void readsALineOfOpenFormulasInTime() {
        Object took = browser.eventually(
                """
                import('./markdown.js').then(({parse}) => {
                    const begin = performance.now();
                    parse('\\\\('.repeat(150_000));
                    return Math.round(performance.now() - begin);
                })""");
        assertTrue((Long) took < 10_000, took + " ms");
    }

    /** A finished paragraph keeps its selection while more comes, and a word more at 32 KB changes one text. */
    @Test
    void buildsFinishedBlocksOnce() {
        Object built = browser.eventually(
                """
                Promise.all([import('./markdown.js'), import('./dom.js')]).then(([{reader}, {drawer}]) => {
                    const body = document.createElement('div');
                    const draw = drawer(body), read = reader(), write = text => draw(read(text, true));
                    const changes = new MutationObserver(() => {});
                    const paragraph = 'A paragraph with **some** words and `code` in it, as a reply has.\\n\\n';
                    const until = (text, length) => {
                      while (text.length < length) write(text += paragraph);
                      return text;
                    };
                    changes.observe(body, {childList: true, subtree: true, characterData: true});
                    const aWord = text => {
                        changes.takeRecords();
                        write(text + 'word');
                        write(text + 'word word');
                        return changes.takeRecords().length;
                    };
                    const text = until('', 4096), first = body.firstChild, small = aWord(text);
                    const large = aWord(until(text, 32768));
                    return [body.firstChild === first, small, large, body.textContent.length > 25000];
                })""");
        assertEquals(List.of(true, 2L, 2L, true), built); // the paragraph of a word, and its second word
    }
}
