package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.logging.Level;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.openqa.selenium.By;
import org.openqa.selenium.Dimension;
import org.openqa.selenium.Keys;
import org.openqa.selenium.StaleElementReferenceException;
import org.openqa.selenium.WebDriver;
import org.openqa.selenium.WebElement;
import org.openqa.selenium.chrome.ChromeDriver;
import org.openqa.selenium.chrome.ChromeDriverService;
import org.openqa.selenium.chrome.ChromeOptions;
import org.openqa.selenium.logging.LogType;
import org.openqa.selenium.logging.LoggingPreferences;
import org.openqa.selenium.support.ui.FluentWait;
import org.openqa.selenium.support.ui.WebDriverWait;

/** The page in a real browser, against a real server in demo mode. Skipped where Debian's Chromium is missing. */
class BrowserTest {
    private static final Path CHROMIUM = Path.of("/usr/bin/chromium");
    private static final Path DRIVER = Path.of("/usr/bin/chromedriver");
    private static ChromeDriver browser;
    private static Path folder;
    private static Demo demo;
    private static Parley parley;
    private static int users;

    private String user;

    @BeforeAll
    static void start() throws Exception {
        Assumptions.assumeTrue(
                Files.isExecutable(CHROMIUM) && Files.isExecutable(DRIVER),
                "no Chromium with ChromeDriver here: apt-get install chromium chromium-driver");
        folder = Files.createTempDirectory("parley");
        demo = new Demo(12);
        startParley(0);
        startBrowser();
    }

    private static void startBrowser() {
        var options = new ChromeOptions();
        options.setBinary(CHROMIUM.toFile());
        options.addArguments(
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--window-size=1280,800");
        var logs = new LoggingPreferences();
        logs.enable(LogType.BROWSER, Level.ALL);
        logs.enable(LogType.PERFORMANCE, Level.ALL);
        options.setCapability("goog:loggingPrefs", logs);
        browser = new ChromeDriver(
                new ChromeDriverService.Builder()
                        .usingDriverExecutable(DRIVER.toFile())
                        .build(),
                options);
    }

    private static void startParley(int port) throws Exception {
        Path env = Files.writeString(folder.resolve(".env"), "PORT=" + port + "\n");
        parley = new Parley(new LiveSettings(env, demo::redirect), true);
    }

    @AfterAll
    static void stop() throws Exception {
        if (browser != null) browser.quit();
        if (parley != null) parley.close();
        if (demo != null) demo.close();
    }

    @BeforeEach
    void open() {
        user = "user " + ++users;
        openAs(user);
    }

    /**
     * Nothing ran that should not, nothing was loaded from elsewhere, and the console is clean but for statuses of the
     * server's own.
     */
    @AfterEach
    void nothingElseHappened() {
        List<String> errors = browser.manage().logs().get(LogType.BROWSER).getAll().stream()
                .filter(entry -> entry.getLevel().intValue() >= Level.WARNING.intValue())
                .map(entry -> entry.getMessage())
                .filter(text -> !text.contains("Failed to load resource"))
                .toList();
        assertEquals(List.of(), errors);
        for (var entry : browser.manage().logs().get(LogType.PERFORMANCE).getAll()) {
            String message = entry.getMessage();
            if (!message.contains("\"Network.requestWillBeSent\"")) continue;
            String url = message.replaceAll("(?s).*\"request\":\\{.*?\"url\":\"([^\"]*)\".*", "$1");
            assertTrue(url.startsWith(address()) || url.startsWith("data:") || url.startsWith("blob:"), url);
        }
    }

    private static String address() {
        return "http://127.0.0.1:" + parley.port() + "/";
    }

    private static void openAs(String user) {
        if (!browser.getCurrentUrl().startsWith(address())) browser.get(address());
        browser.executeScript(
                "localStorage.setItem('parley.user', arguments[0]); localStorage.removeItem('parley.draft')", user);
        browser.get(address());
        await("#empty, .said, .bad");
    }

    private static List<WebElement> all(String css) {
        return browser.findElements(By.cssSelector(css));
    }

    /** A look at an element that the page has just replaced is taken again. */
    private static FluentWait<WebDriver> waiting() {
        return new WebDriverWait(browser, Duration.ofSeconds(20), Duration.ofMillis(30))
                .ignoring(StaleElementReferenceException.class);
    }

    private static WebElement await(String css) {
        return waiting().until(any -> all(css).stream().findFirst().orElse(null));
    }

    private static void awaitCount(String css, int count) {
        waiting().until(any -> all(css).size() == count);
    }

    private static WebElement box() {
        return browser.findElement(By.id("text"));
    }

    private static void send(String text) {
        box().sendKeys(text, Keys.ENTER);
    }

    /** Says it, and waits for the whole reply. */
    private static String say(String text) {
        int before = all(".said.model.kept").size();
        send(text);
        awaitCount(".said.model.kept", before + 1);
        return all(".said.model.kept .text").get(before).getText();
    }

    private static void click(String words) {
        browser.findElements(By.tagName("button")).stream()
                .filter(button -> button.getText().equals(words))
                .reduce((first, second) -> second)
                .orElseThrow()
                .click();
    }

    @Test
    void streamsAChatToItsEndAndShowsItAgainAfterAReload() {
        say("my name is Ada");
        assertTrue(say("what is my name?").contains("Ada"));
        browser.get(address());
        awaitCount(".said", 4);
        assertEquals("my name is Ada", all(".said.user .text").get(0).getText());
        assertTrue(say("what did I say?").contains("my name is Ada"));
        assertTrue(browser.findElement(By.id("usage")).getText().matches(". \\d+ tokens \\(\\d+ in, \\d+ out\\)"));
        assertEquals("Demo", browser.findElement(By.id("demo")).getText());
    }

    @Test
    void remembersAcrossARestartOfTheServer() throws Exception {
        say("my name is Grace");
        int port = parley.port();
        parley.close();
        startParley(port);
        assertTrue(say("what is my name?").contains("Grace"));
    }

    @Test
    void keepsTwoUsersApart() {
        say("my dog is brown");
        var id = browser.findElement(By.id("user"));
        id.sendKeys(Keys.chord(Keys.CONTROL, "a"), user + " other", Keys.TAB);
        await("#empty");
        assertEquals(0, all(".said").size());
        say("hello");
        id.sendKeys(Keys.chord(Keys.CONTROL, "a"), user, Keys.TAB);
        waiting().until(any -> all(".said.user .text").stream()
                .anyMatch(each -> each.getText().equals("my dog is brown")));
        assertEquals(2, all(".said").size());
    }

    @ParameterizedTest
    @ValueSource(strings = {"button", "escape"})
    void stopsAStreamAndStoresNothing(String by) {
        send("write a long story");
        await(".writing .text h2");
        if (by.equals("button")) click("Stop");
        else box().sendKeys(Keys.ESCAPE);
        assertTrue(await(".bad.calm").getText().contains("Nothing was stored"));
        browser.get(address());
        await("#empty");
        assertEquals("write a long story", box().getDomProperty("value"), "the draft is kept");
        box().clear();
    }

    @Test
    void countsDownAfter429AndLosesNoMessage() {
        send("error 429");
        String said = await(".bad").getText();
        assertTrue(said.contains("asks for a pause") && said.contains("Try again in "), said);
        click("Edit");
        assertEquals("error 429", box().getDomProperty("value"));
        assertEquals(0, all(".said").size());
        box().sendKeys(Keys.chord(Keys.CONTROL, "a"));
        say("hello");
    }

    @Test
    void triesAgainAfterAFailure() {
        send("blocked");
        assertTrue(await(".bad").getText().contains("SAFETY"));
        click("Try again");
        waiting().until(any -> all(".bad").size() == 1 && all(".said.user").size() == 1);
        send("cut off");
        waiting().until(any -> all(".bad").size() == 2);
    }

    @Test
    void keepsTheMessageWhenTheConnectionIsLost() throws Exception {
        say("hello");
        int port = parley.port();
        parley.close();
        send("are you there?");
        assertTrue(await(".bad").getText().contains("connection was lost"));
        startParley(port);
        click("Try again");
        awaitCount(".said.model.kept", 2);
        assertEquals(List.of(), all(".bad"));
    }

    @Test
    void regeneratesTakesBackAndClears() {
        say("hello");
        say("my cat is old");
        browser.executeScript("document.querySelector('.kept .again').closest('article').id = 'old'");
        click("Regenerate");
        waiting()
                .until(any -> all("#old").isEmpty()
                        && all(".kept .again").size() == 1
                        && all(".said").size() == 4
                        && all(".writing").isEmpty());
        assertEquals("my cat is old", all(".said.user .text").get(1).getText());
        click("Take back");
        awaitCount(".said", 2);
        assertEquals("my cat is old", box().getDomProperty("value"));
        box().clear();
        click("Clear");
        await("dialog[open]");
        click("Keep");
        assertEquals(2, all(".said").size());
        click("Clear");
        click("Delete");
        await("#empty");
    }

    @Test
    void drawsAnImageAndShowsItFullSize() {
        send("/image a red boat");
        await(".drawing");
        WebElement image = await("figure img");
        waiting().until(any -> "512".equals(image.getDomProperty("naturalWidth")));
        image.click();
        await("dialog.full[open]");
        click("Close");
        click("Image");
        send("a green hill");
        awaitCount("figure img", 2);
        click("Image");
    }

    @Test
    void bringsTheLastMessageBackWithUp() {
        say("hello");
        box().sendKeys(Keys.ARROW_UP);
        assertEquals("hello", box().getDomProperty("value"));
        box().sendKeys(Keys.chord(Keys.SHIFT, Keys.ENTER), "more");
        assertEquals("hello\nmore", box().getDomProperty("value"));
    }

    /** Replies of a provider that means harm: the page shows their text, and runs and loads nothing. */
    @Test
    void showsHostileMarkdownAsText() throws Exception {
        String hostile = String.join(
                "\n\n",
                "<img src=x onerror=\"window.broken=1\">",
                "<script>window.broken=1</script>",
                "</script><svg onload=window.broken=1>",
                "[a](javascript:window.broken=1) [b](data:text/html,x) [c](JaVaScRiPt:alert(1)) [d](vbscript:x) [e](//elsewhere.example/)",
                "![i](https://elsewhere.example/x.png)",
                "[ok](https://elsewhere.example/) <https://elsewhere.example/y> mailto: [m](mailto:a@b.example)",
                "```\"><img src=x onerror=window.broken=1>\ncode\n```",
                "x".repeat(20_000),
                "`".repeat(3000),
                "[".repeat(3000),
                "*".repeat(3000),
                "> ".repeat(500) + "deep",
                "- ".repeat(200) + "deep",
                "| a | b |\n| - | - |\n| " + "y".repeat(500) + " | 2 |",
                "שלום עולם");
        Path file = folder.resolve("histories/demo").resolve(Histories.fileName(user));
        Files.createDirectories(file.getParent());
        Files.writeString(
                file,
                Json.write(List.of(
                        Json.object("role", "user", "content", hostile),
                        Json.object("role", "assistant", "content", hostile))),
                StandardCharsets.UTF_8);
        browser.get(address());
        awaitCount(".said", 2);
        assertNull(browser.executeScript("return window.broken"));
        assertEquals(0, all(".said img, .said script, .said svg").size());
        for (WebElement link : all(".said a")) {
            assertTrue(link.getDomProperty("href").matches("(https?|mailto):.*"), link.getDomProperty("href"));
            assertTrue(link.getDomAttribute("rel").contains("noopener"));
        }
        assertEquals(4, all(".said a").size());
        assertEquals(
                browser.executeScript("return document.documentElement.clientWidth"),
                browser.executeScript("return document.documentElement.scrollWidth"));
        assertEquals(
                true,
                browser.executeScript(
                        "const m = document.getElementById('scroll'); return m.scrollWidth <= m.clientWidth"));
        say("hello");
    }

    @Test
    void opensTenThousandMessagesAtOnceAndMoreOnScrollingUp() throws Exception {
        Path file = folder.resolve("histories/demo").resolve(Histories.fileName(user));
        Files.createDirectories(file.getParent());
        var text = new StringBuilder("[\n");
        for (int i = 0; i < 5000; i++) {
            text.append("{\"role\":\"user\",\"content\":\"q")
                    .append(i)
                    .append("\"},\n{\"role\":\"assistant\",\"content\":\"a")
                    .append(i)
                    .append(i < 4999 ? "\"},\n" : "\"}\n]\n");
        }
        Files.writeString(file, text);
        browser.get(address());
        awaitCount(".said", 100);
        assertEquals("a4999", all(".said.model .text").get(49).getText());
        browser.executeScript("document.getElementById('scroll').scrollTop = 0");
        awaitCount(".said", 200);
        assertTrue(
                (Long) browser.executeScript("return Math.round(document.getElementById('scroll').scrollTop)") > 500,
                "the place is kept");
    }

    @ParameterizedTest
    @ValueSource(strings = {"light", "dark"})
    void hasNoSeriousAccessibilityViolation(String scheme) throws Exception {
        browser.executeCdpCommand(
                "Emulation.setEmulatedMedia",
                Map.of("features", List.of(Map.of("name", "prefers-color-scheme", "value", scheme))));
        say("write a long story");
        send("error 429");
        await(".bad");
        send("/image a red boat");
        await("figure img");
        String axe;
        try (InputStream file = getClass().getResourceAsStream("/axe.min.js")) {
            axe = new String(file.readAllBytes(), StandardCharsets.UTF_8);
        }
        browser.executeScript(axe);
        Object violations = browser.executeAsyncScript(
                "const done = arguments[0]; axe.run().then(r => done(r.violations.filter(v => v.impact === 'serious' || v.impact === 'critical')"
                        + ".map(v => v.id + ': ' + v.nodes.map(n => n.html + ' ' + n.failureSummary).join(' | '))))");
        assertEquals(List.of(), violations);
        browser.executeCdpCommand("Emulation.setEmulatedMedia", Map.of("features", List.of()));
    }

    @Test
    void fitsANarrowScreen() {
        browser.executeCdpCommand(
                "Emulation.setDeviceMetricsOverride",
                Map.of("width", 320, "height", 568, "deviceScaleFactor", 1, "mobile", false));
        try {
            say("write a long story");
            assertEquals(320L, browser.executeScript("return document.documentElement.scrollWidth"));
            assertEquals(
                    true,
                    browser.executeScript(
                            "const m = document.getElementById('scroll'); return m.scrollWidth <= m.clientWidth"));
            assertTrue(browser.findElement(By.id("send")).isDisplayed());
            assertTrue(box().getSize().getWidth() > 100, "" + box().getSize());
        } finally {
            browser.executeCdpCommand("Emulation.clearDeviceMetricsOverride", Map.of());
            browser.manage().window().setSize(new Dimension(1280, 800));
        }
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
              if (node.matches('.code, pre')) return 'pre{' + (node.querySelector('code') ?? node).textContent.replace(/\\n+$/, '') + '}';
              if (node.matches('.wide')) return shape(node.firstChild);
              const tag = node.tagName.toLowerCase().replace(/^h[1-6]$/, 'h'), inside = [...node.childNodes].map(shape).join('');
              const name = tag === 'a' ? 'a ' + node.href : tag === 'ol' ? 'ol ' + node.start : tag;
              return name + '{' + inside.trim().replace(/\\s*([{}])\\s*/g, '$1') + '}';
            };
            const all = nodes => nodes.map(shape).join('').replace(/\\s*([{}])\\s*/g, '$1').trim();
            """;

    private static String marked;

    /** npm's own package, for the test only. */
    private static String marked() throws Exception {
        if (marked != null) return marked;
        Path npm = Files.createDirectories(Path.of("target/npm"));
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
        Assumptions.assumeTrue(install.waitFor() == 0, "npm has no marked here");
        marked = Files.readString(npm.resolve("node_modules/marked/lib/marked.umd.js"));
        return marked;
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
        Object theirs = browser.executeScript(
                "const module = undefined, exports = undefined, define = undefined;" + marked()
                        + ";\nconst parse = globalThis.marked.marked.parse;" + SHAPE
                        + "return all([...new DOMParser().parseFromString(parse(arguments[0], {gfm: true, breaks: true}), 'text/html').body.childNodes]);",
                text);
        Object ours =
                browser.executeScript(SHAPE + "return all(blocks(arguments[0].split('\\n').map(untabbed)));", text);
        assertEquals(theirs, ours, text);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "$a_1 \\cdot b_2$|$a_1 \\cdot b_2$",
                "\\(x^{2}_*y*\\)|\\(x^{2}_*y*\\)",
                "\\[\\frac{a}{b}\\]|\\[\\frac{a}{b}\\]",
                "$$\\sum_i x_i$$|$$\\sum_i x_i$$"
            })
    void showsAFormulaAsItIs(String text, String shown) {
        assertEquals(
                List.of(shown),
                browser.executeScript(
                        "return blocks([arguments[0]]).flatMap(node => [...node.querySelectorAll('code.math')]).map(node => node.textContent)",
                        text));
        assertEquals("costs $5 and $6", browser.executeScript("return blocks(['costs $5 and $6'])[0].textContent"));
    }

    /**
     * A finished paragraph keeps its selection while more comes, and a word more at 32 KB builds no more than one at 4
     * KB.
     */
    @Test
    void buildsFinishedBlocksOnce() {
        Object built = browser.executeScript(
                """
                const body = document.createElement('div'), write = growing(body), paragraph = 'A paragraph with **some** words and `code` in it, as a reply has.\\n\\n';
                const until = (text, length) => { while (text.length < length) { text += paragraph; write(text); } return text; };
                const changes = new MutationObserver(() => {}), real = blocks;
                let lines = 0;
                changes.observe(body, {childList: true, subtree: true});
                window.blocks = (read, depth) => { lines += read.length; return real(read, depth); };
                const aWord = text => {
                    changes.takeRecords();
                    lines = 0;
                    write(text + 'word');
                    return `${lines} lines, ${changes.takeRecords().reduce((sum, each) => sum + each.addedNodes.length, 0)} nodes`;
                };
                let text = until('', 4096);
                const first = body.firstChild, small = aWord(text);
                text = until(text, 32768);
                return [body.firstChild === first, small, aWord(text), body.textContent.length > 25000];
                """);
        assertEquals(
                List.of(true, "3 lines, 2 nodes", "3 lines, 2 nodes", true),
                built); // the paragraph that was the last one, and the word
    }

    @Test
    void losesNothingWhenRegeneratingFails() {
        say("hello");
        say("my cat is old");
        String reply = all(".said.model.kept .text").get(1).getText();
        box().sendKeys("a draft");
        for (int i = 0; i < 2; i++) {
            browser.executeScript("chat('cut off', true)"); // as Edit sends it
            await(".bad");
            assertEquals(
                    List.of("hello", "my cat is old"),
                    all(".said.user.kept .text").stream()
                            .map(WebElement::getText)
                            .toList());
            assertEquals(reply, all(".said.model.kept .text").get(1).getText());
            assertTrue(await(".said.model.unkept .label").getText().contains("not kept"));
            browser.executeScript("document.querySelectorAll('.bad, .unkept').forEach(each => each.remove())");
        }
        click("Regenerate");
        waiting()
                .until(any ->
                        all(".writing").isEmpty() && all(".said.model.kept").size() == 2);
        assertEquals("a draft", box().getDomProperty("value"));
        box().clear();
        browser.get(address());
        awaitCount(".said", 4);
    }

    @Test
    void editsTheLastQuestionWhereItStands() {
        say("hello");
        say("my cat is old");
        box().sendKeys("a draft");
        click("Edit");
        WebElement edit = await(".edit textarea");
        edit.sendKeys(Keys.chord(Keys.CONTROL, "a"), "my dog is young", Keys.ENTER);
        waiting()
                .until(any -> all(".writing").isEmpty()
                        && all(".said.user.kept").size() == 2
                        && all(".said.user.kept .text").get(1).getText().equals("my dog is young"));
        assertEquals("a draft", box().getDomProperty("value"));
        box().clear();
        browser.get(address());
        awaitCount(".said", 4);
        assertEquals("my dog is young", all(".said.user .text").get(1).getText());
    }

    @Test
    void drawsNothingWhenRegeneratingWithImageOn() {
        say("hello");
        click("Image");
        click("Regenerate");
        waiting()
                .until(any -> all(".writing").isEmpty()
                        && all(".said.model.kept .again").size() == 1);
        assertEquals(0, all("figure").size());
        send("a blue hill");
        await("figure img");
        assertEquals(
                "false", browser.findElement(By.id("draw")).getDomAttribute("aria-pressed"), "it switches itself off");
    }

    @Test
    void keepsWhatWasShownWhenAStreamIsStopped() {
        send("write a long story");
        await(".writing .text h2");
        click("Stop");
        await(".bad.calm");
        assertTrue(await(".said.model.unkept .text").getText().contains("lighthouse"));
        assertEquals("not kept", all(".said.model.unkept .label").getFirst().getText());
        browser.executeScript("sessionStorage.clear()");
    }

    @Test
    void looksAgainWhenItGetsTheFocus() throws Exception {
        say("hello");
        try (var client = java.net.http.HttpClient.newHttpClient()) { // another device
            client.send(
                    java.net.http.HttpRequest.newBuilder(java.net.URI.create(address() + "chat"))
                            .header("Content-Type", "application/json")
                            .POST(java.net.http.HttpRequest.BodyPublishers.ofString(
                                    Json.write(Json.object("user_id", user, "message", "from elsewhere"))))
                            .build(),
                    java.net.http.HttpResponse.BodyHandlers.discarding());
        }
        assertEquals(2, all(".said").size());
        browser.executeScript("window.dispatchEvent(new Event('focus'))");
        awaitCount(".said", 4);
        assertEquals("from elsewhere", all(".said.user .text").get(1).getText());
    }

    @Test
    void readsALineSeparatorInAReply() {
        Object read = browser.executeAsyncScript(
                "const done = arguments[0]; const body = new Response('data: {\"text\":\"a\\u2028b\"}\\n\\nevent: done\\ndata: {\"reply\":\"a\\u2028b\"}\\n\\n');"
                        + "let pieces = ''; events(body, text => pieces += text).then(value => done(pieces + '|' + value.reply), problem => done(JSON.stringify(problem)));");
        assertEquals("a\u2028b|a\u2028b", read);
    }

    @Test
    void worksWithoutStorage() {
        browser.executeCdpCommand(
                "Page.addScriptToEvaluateOnNewDocument",
                Map.of(
                        "source",
                        "for (const name of ['localStorage', 'sessionStorage']) Object.defineProperty(window, name, {get() { throw new DOMException('blocked', 'SecurityError'); }});"));
        try {
            browser.get(address());
            await("#empty, .said");
            say("hello");
        } finally {
            browser.quit();
            startBrowser();
            openAs(user);
        }
    }

    @Test
    void sendsNothingAtTheEndOfACompositionOrOnAPhone() {
        Object sent = browser.executeScript(
                "return [[{key: 'Enter'}, true], [{key: 'Enter', keyCode: 229}, false], [{key: 'Enter', isComposing: true}, false], [{key: 'Enter', shiftKey: true}, false]]"
                        + ".every(([e, expected]) => sends(e) === expected)");
        assertEquals(true, sent);
        browser.executeCdpCommand("Emulation.setTouchEmulationEnabled", Map.of("enabled", true));
        browser.executeCdpCommand(
                "Emulation.setEmulatedMedia",
                Map.of("features", List.of(Map.of("name", "pointer", "value", "coarse"))));
        Object coarse = browser.executeScript(
                "return matchMedia('(pointer: coarse)').matches ? sends({key: 'Enter'}) : 'not emulated'");
        browser.executeCdpCommand("Emulation.setEmulatedMedia", Map.of("features", List.of()));
        browser.executeCdpCommand("Emulation.setTouchEmulationEnabled", Map.of("enabled", false));
        assertTrue(coarse.equals(false) || coarse.equals("not emulated"), "" + coarse);
    }

    @Test
    void keepsHalfOfTheHeightOnASmallScreen() {
        browser.executeCdpCommand(
                "Emulation.setDeviceMetricsOverride",
                Map.of("width", 320, "height", 256, "deviceScaleFactor", 1, "mobile", false));
        try {
            say("hello");
            assertTrue(
                    (Long) browser.executeScript("return document.getElementById('scroll').clientHeight") >= 128,
                    "" + browser.executeScript("return document.getElementById('scroll').clientHeight"));
            click("Clear");
            await("dialog[open]");
            assertEquals(
                    "no", browser.executeScript("return document.activeElement.id"), "the dialog's focus is on Keep");
            click("Keep");
        } finally {
            browser.executeCdpCommand("Emulation.clearDeviceMetricsOverride", Map.of());
            browser.manage().window().setSize(new Dimension(1280, 800));
        }
    }
}
