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
import org.openqa.selenium.WebElement;
import org.openqa.selenium.chrome.ChromeDriver;
import org.openqa.selenium.chrome.ChromeDriverService;
import org.openqa.selenium.chrome.ChromeOptions;
import org.openqa.selenium.logging.LogType;
import org.openqa.selenium.logging.LoggingPreferences;
import org.openqa.selenium.support.ui.FluentWait;
import org.openqa.selenium.support.ui.WebDriverWait;

/** Debian's Chromium, with Parley's page in it. A test class is skipped where it is missing. */
final class Browser implements AutoCloseable {
    private static final Path CHROMIUM = Path.of("/usr/bin/chromium");
    private static final Path DRIVER = Path.of("/usr/bin/chromedriver");

    final ChromeDriver driver;

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

    /** Opens a user's conversation, and waits until it is there. */
    void open(int port, String user) {
        driver.get("http://127.0.0.1:" + port + "/?user_id=" + user);
        await("#empty, .said, .bad");
    }

    void reload() {
        driver.navigate().refresh();
        await("#empty, .said, .bad");
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
    private void await(String condition, String css, Object wanted) {
        String script = READ
                + """
                const [css, wanted, done] = arguments;
                const end = result => { watcher.disconnect(); timers.forEach(clearInterval); done(result); };
                const look = () => (CONDITION) && end(true);
                const watcher = new MutationObserver(look);
                const timers = [setInterval(look, 50), setTimeout(() => end(false), 5000)];
                watcher.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
                look();
                """
                        .replace("CONDITION", condition);
        waiting()
                .ignoring(JavascriptException.class) // the page was left meanwhile
                .withMessage(() -> css + " is " + texts(css))
                .until(any -> driver.executeAsyncScript(script, css, wanted));
    }

    /** A look at an element that the page has just replaced is taken again. */
    FluentWait<WebDriver> waiting() {
        return new WebDriverWait(driver, Duration.ofSeconds(20), Duration.ofMillis(20))
                .ignoring(StaleElementReferenceException.class);
    }

    WebElement await(String css) {
        await("all(css).length > 0", css, 0);
        return waiting().until(any -> all(css).stream().findFirst().orElse(null));
    }

    void awaitCount(String css, int count) {
        await("all(css).length === wanted", css, count);
    }

    void awaitTexts(String css, String... expected) {
        await("JSON.stringify(texts(css)) === JSON.stringify(wanted)", css, List.of(expected));
    }

    WebElement box() {
        return driver.findElement(By.id("text"));
    }

    String draft() {
        return box().getDomProperty("value");
    }

    void send(String text) {
        box().sendKeys(text, Keys.ENTER);
    }

    /** Says it, and waits for the whole reply. */
    String say(String text) {
        int before = all(".said.model.kept").size();
        send(text);
        awaitCount(".said.model.kept", before + 1);
        return texts(".said.model.kept .text").get(before);
    }

    /** Clicks the last button that can be clicked and has these words. */
    void click(String words) {
        String last = READ
                + "const fits = each => text(each) === arguments[0] && !each.matches(':disabled');"
                + "return all('button').filter(fits).pop()";
        waiting().until(any -> (WebElement) script(last, words)).click();
    }

    Object script(String script, Object... arguments) {
        return driver.executeScript(script, arguments);
    }

    /** What a promise comes to. */
    Object eventually(String promise, Object... arguments) {
        return driver.executeAsyncScript(
                "const done = arguments[arguments.length - 1]; (" + promise
                        + ").then(done, e => done('failed: ' + e));",
                arguments);
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
