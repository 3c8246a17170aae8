package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.logging.Level;
import org.junit.jupiter.api.Assumptions;
import org.openqa.selenium.By;
import org.openqa.selenium.Dimension;
import org.openqa.selenium.JavascriptException;
import org.openqa.selenium.Keys;
import org.openqa.selenium.StaleElementReferenceException;
import org.openqa.selenium.WebDriver;
import org.openqa.selenium.WebDriverException;
import org.openqa.selenium.WebElement;
import org.openqa.selenium.chrome.ChromeDriver;
import org.openqa.selenium.chrome.ChromeDriverService;
import org.openqa.selenium.chrome.ChromeOptions;
import org.openqa.selenium.interactions.Actions;
import org.openqa.selenium.logging.LogType;
import org.openqa.selenium.logging.LoggingPreferences;
import org.openqa.selenium.support.ui.FluentWait;
import org.openqa.selenium.support.ui.WebDriverWait;

/** Debian's Chromium, with Parley's page in it. A test class is skipped where it is missing. */
final class Browser implements AutoCloseable {
    private static final Path CHROMIUM = Path.of("/usr/bin/chromium");
    private static final Path DRIVER = Path.of("/usr/bin/chromedriver");

    final ChromeDriver driver;
    private boolean isChanged = true;

    Browser() {
        Assumptions.assumeTrue(
                Files.isExecutable(CHROMIUM) && Files.isExecutable(DRIVER),
                "no Chromium with ChromeDriver here: apt-get install chromium chromium-driver");
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
                "--disable-extensions",
                "--disable-features=BackForwardCache,SpareRendererForSitePerProcess", // a process for each page
                "--in-process-gpu",
                "--window-size=1280,800");
        var logs = new LoggingPreferences();
        logs.enable(LogType.BROWSER, Level.ALL);
        logs.enable(LogType.PERFORMANCE, Level.ALL);
        options.setCapability("goog:loggingPrefs", logs);
        var service = new ChromeDriverService.Builder().usingDriverExecutable(DRIVER.toFile());
        driver = new ChromeDriver(service.build(), options);
    }

    @Override
    public void close() {
        driver.quit();
    }

    /** Loads a user's conversation, and waits until it is there. */
    void load(int port, String user) {
        driver.get("http://127.0.0.1:" + port + "/?user_id=" + user);
        isChanged = false;
        until(SHOWN);
    }

    void reload() {
        driver.navigate().refresh();
        isChanged = false;
        until(SHOWN);
    }

    private static final String SHOWN = "all('#empty, .said, .bad').length";

    /** For a test that begins: in the page that is there, as to load one takes four times as long, or else a new one. */
    void open(int port, String user) {
        if (isChanged) {
            load(port, user);
            return;
        }
        script(
                """
                window.undo?.(); // what the test before has changed, and said how to undo
                const id = document.getElementById('user');
                id.value = arguments[0];
                id.dispatchEvent(new Event('change'));
                document.getElementById('text').focus();
                """,
                user);
        until(SHOWN);
    }

    /** The page is no longer as it was loaded, or counts a click as the second one: the next test has another. */
    void change() {
        isChanged = true;
    }

    Object change(String script, Object... arguments) {
        change();
        return script(script, arguments);
    }

    /**
     * Nothing ran that should not, nothing was loaded from elsewhere, and the console is clean but for statuses of the
     * server's own.
     */
    void assertNothingElseHappened() {
        List<String> errors = driver.manage().logs().get(LogType.BROWSER).getAll().stream()
                .filter(entry -> entry.getLevel().intValue() >= Level.WARNING.intValue())
                .map(entry -> entry.getMessage())
                .filter(text -> !text.contains("Failed to load resource"))
                .toList();
        assertEquals(List.of(), errors);
        for (var entry : driver.manage().logs().get(LogType.PERFORMANCE).getAll()) {
            String message = entry.getMessage();
            if (!message.contains("\"Network.requestWillBeSent\"")) continue;
            String url = message.replaceAll("(?s).*\"request\":\\{.*?\"url\":\"([^\"]*)\".*", "$1");
            assertTrue(url.matches("(http://127\\.0\\.0\\.1:\\d+/|data:|blob:).*"), url);
        }
    }

    List<WebElement> all(String css) {
        return driver.findElements(By.cssSelector(css));
    }

    /** What a person reads in each of them: nothing where it is hidden. */
    @SuppressWarnings("unchecked")
    List<String> texts(String css) {
        return (List<String>) script(READ + "return texts(arguments[0])", css);
    }

    /** In the page: to ask it for each element and each word takes a hundred times as long. */
    private static final String READ =
            """
            const all = css => [...document.querySelectorAll(css)];
            const seen = (each, laidOut) => each.checkVisibility(
                {opacityProperty: true, visibilityProperty: true, contentVisibilityAuto: laidOut});
            const words = each => seen(each, true) ? each.innerText : each.textContent; // innerText wants a layout
            const text = each => seen(each, false) ? words(each).trim().replace(/\\n+/g, '\\n') : '';
            const texts = css => all(css).map(text);
            """;

    /** Waits in the page, which looks whenever it changes. */
    private static final String WATCH = READ
            + """
            const watch = look => new Promise(done => {
                const end = result => { watcher.disconnect(); timers.forEach(clearInterval); done(result); };
                const again = () => { const found = look(); if (found) end(found); return found; };
                const watcher = new MutationObserver(again);
                const timers = [setInterval(again, 50), setTimeout(() => end(null), 5000)];
                watcher.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
                again();
            });
            """;

    /** Waits until this is so; returns what it is. */
    Object until(String condition, Object... arguments) {
        return found(WATCH + "return watch(() => (" + condition + "))", condition, arguments);
    }

    private Object found(String script, String condition, Object... arguments) {
        return waiting()
                .ignoring(WebDriverException.class) // the page was left meanwhile
                .withMessage(() -> condition + " of " + List.of(arguments) + ": " + texts("#scroll"))
                .until(any -> script(script, arguments));
    }

    /** A look at an element that the page has just replaced is taken again. */
    FluentWait<WebDriver> waiting() {
        return new WebDriverWait(driver, Duration.ofSeconds(20), Duration.ofMillis(20))
                .ignoring(StaleElementReferenceException.class);
    }

    void await(String css) {
        until("all(arguments[0]).length", css);
    }

    /** The first one, once it is there. */
    WebElement find(String css) {
        String script = WATCH + "watch(() => all(arguments[0])[0]).then(arguments[1])";
        return waiting().ignoring(WebDriverException.class).withMessage(css).until(any ->
                (WebElement) driver.executeAsyncScript(script, css));
    }

    /** The words of the first one, once it is there. */
    String awaitText(String css) {
        return (String) found(WATCH + "return watch(() => all(arguments[0])[0]).then(text)", css, css);
    }

    void awaitCount(String css, int count) {
        until("all(arguments[0]).length === arguments[1]", css, count);
    }

    void awaitTexts(String css, String... expected) {
        until("JSON.stringify(texts(arguments[0])) === JSON.stringify(arguments[1])", css, List.of(expected));
    }

    /** Waits until the words of all of them together have these. */
    void awaitWords(String css, String words) {
        until("texts(arguments[0]).join().includes(arguments[1])", css, words);
    }

    WebElement box() {
        return driver.findElement(By.id("text"));
    }

    String draft() {
        return (String) script("return document.getElementById('text').value");
    }

    String value(String css) {
        return (String) script("return document.querySelector(arguments[0]).value", css);
    }

    int count(String css) {
        return ((Number) script("return document.querySelectorAll(arguments[0]).length", css)).intValue();
    }

    void focus(String css) {
        script("document.querySelector(arguments[0]).focus({focusVisible: true})", css);
    }

    /** Writes at the end all at once, as the keyboard of a screen does, which takes a tenth of single keys. */
    void type(String css, String text) {
        insert(css, "at.setSelectionRange(at.value.length, at.value.length)", text);
    }

    void type(String text) {
        type("#text", text);
    }

    /** In the place of what is there. */
    void writeOver(String css, String text) {
        insert(css, "at.select()", text);
    }

    private void insert(String css, String selecting, String text) {
        String focused = "at => { at.focus(); " + selecting + "; return true }";
        found(WATCH + "return watch(() => all(arguments[0])[0]).then(" + focused + ")", css, css);
        command("Input.insertText", Map.of("text", text));
    }

    /** Presses keys one by one where the focus is. */
    void press(CharSequence... keys) {
        new Actions(driver).sendKeys(keys).perform();
    }

    void press(String css, Keys key) {
        focus(css);
        press(key);
    }

    void send(String text) {
        type(text);
        press(Keys.ENTER);
    }

    void switchTo(String user) {
        writeOver("#user", user);
        press(Keys.TAB);
    }

    /** Says it, and waits for the whole reply. */
    String say(String text) {
        Object before = script("return document.querySelectorAll('.said.model.kept').length");
        send(text);
        String words = "all('.said.model.kept').length === arguments[0] + 1 && texts('.said.model.kept .text')";
        return (String) ((List<?>) until(words, before)).get(((Number) before).intValue());
    }

    /** Clicks the last button that can be clicked and has these words. */
    void click(String words) {
        if (words.equals("Take back")) change();
        clickOn("all('button').filter(each => text(each) === arguments[0] && !each.matches(':disabled')).pop()", words);
    }

    void clickAt(String css) {
        clickOn("all(arguments[0])[0]", css);
    }

    /** Clicks in its middle, once nothing is above it and it has kept its place for a frame. */
    private void clickOn(String element, String sought) {
        String script =
                """
                const frame = () => new Promise(requestAnimationFrame);
                const place = () => {
                    const each = ELEMENT;
                    each?.scrollIntoView({block: 'nearest', inline: 'nearest', behavior: 'instant'});
                    const {left, top, width, height} = each?.getBoundingClientRect() ?? {};
                    const x = Math.floor(left + width / 2), y = Math.floor(top + height / 2);
                    return each?.contains(document.elementFromPoint(x, y)) && [x, y];
                };
                return watch(place).then(async at => {
                    await frame();
                    await frame(); // what watches sizes has scrolled
                    return String(place()) === String(at) && at;
                })"""
                        .replace("ELEMENT", element);
        List<?> at = (List<?>) found(WATCH + script, element, sought);
        for (String type : List.of("mouseMoved", "mousePressed", "mouseReleased")) {
            String button = type.equals("mouseMoved") ? "none" : "left";
            command( // a click of its own, however soon after another one in the same place
                    "Input.dispatchMouseEvent",
                    Map.of("type", type, "x", at.get(0), "y", at.get(1), "button", button, "clickCount", 1));
        }
    }

    /** Asks Chromium itself, as the driver takes twice as long. No element goes in or comes out; a promise is awaited. */
    Object script(String script, Object... arguments) {
        String called = "(function () {" + script + "\n}).apply(null, " + Json.toJson(List.of(arguments)) + ")";
        Map<String, Object> answer =
                command("Runtime.evaluate", Map.of("expression", called, "awaitPromise", true, "returnByValue", true));
        if (answer.containsKey("exceptionDetails")) throw new JavascriptException(answer.toString());
        return ((Map<?, ?>) answer.get("result")).get("value");
    }

    /** What a promise comes to. */
    Object eventually(String promise, Object... arguments) {
        return script("return (" + promise + ").catch(e => 'failed: ' + e)", arguments);
    }

    void focusWindow() {
        script("window.dispatchEvent(new Event('focus'))");
    }

    Map<String, Object> command(String name, Map<String, Object> parameters) {
        return driver.executeCdpCommand(name, parameters);
    }

    /** Runs a script before each page's own, until the work is done. */
    void beforeEachPage(String script, Runnable work) {
        Map<String, Object> id = command("Page.addScriptToEvaluateOnNewDocument", Map.of("source", script));
        try {
            work.run();
        } finally {
            change();
            command("Page.removeScriptToEvaluateOnNewDocument", id);
        }
    }

    /** As the person's settings have it: such as prefers-color-scheme and dark. */
    void emulate(String feature, String value) {
        command("Emulation.setEmulatedMedia", Map.of("features", List.of(Map.of("name", feature, "value", value))));
    }

    void emulateNothing() {
        command("Emulation.setEmulatedMedia", Map.of("media", "", "features", List.of()));
    }

    /** Does it on a screen of this size. */
    void onScreen(int width, int height, Runnable work) {
        command(
                "Emulation.setDeviceMetricsOverride",
                Map.of("width", width, "height", height, "deviceScaleFactor", 1, "mobile", false));
        try {
            work.run();
        } finally {
            command("Emulation.clearDeviceMetricsOverride", Map.of());
            driver.manage().window().setSize(new Dimension(1280, 800));
        }
    }
}
