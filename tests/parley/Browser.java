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

    List<String> texts(String css) {
        return all(css).stream().map(WebElement::getText).toList();
    }

    /** A look at an element that the page has just replaced is taken again. */
    FluentWait<WebDriver> waiting() {
        return new WebDriverWait(driver, Duration.ofSeconds(20), Duration.ofMillis(20))
                .ignoring(StaleElementReferenceException.class);
    }

    WebElement await(String css) {
        return waiting().until(any -> all(css).stream().findFirst().orElse(null));
    }

    void awaitCount(String css, int count) {
        waiting().until(any -> all(css).size() == count);
    }

    void awaitTexts(String css, String... expected) {
        waiting().withMessage(() -> css + " is " + texts(css)).until(any -> texts(css)
                .equals(List.of(expected)));
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
        return all(".said.model.kept .text").get(before).getText();
    }

    /** Clicks the last button that can be clicked and has these words. */
    void click(String words) {
        waiting()
                .until(any -> all("button").stream()
                        .filter(button -> button.getText().equals(words) && button.isEnabled())
                        .reduce((first, second) -> second)
                        .orElse(null))
                .click();
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

    void command(String name, Map<String, Object> parameters) {
        driver.executeCdpCommand(name, parameters);
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
