package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.openqa.selenium.By;
import org.openqa.selenium.Keys;
import org.openqa.selenium.WebElement;

/** The page in a real browser, against a real server in demo mode. Skipped where Debian's Chromium is missing. */
class UserJourneyTest {
    private static Browser browser;
    private static Path folder;
    private static Demo demo;
    private static Parley parley;
    private static int users;

    private String user;

    @BeforeAll
    static void start() throws Exception {
        browser = new Browser();
        folder = Files.createTempDirectory("parley");
        demo = new Demo(6);
        startParley(0);
    }

    private static void startParley(int port) throws Exception {
        Path env = Files.writeString(folder.resolve(".env"), "PORT=" + port + "\n");
        parley = new Parley(new LiveSettings(env, demo::redirect), true);
    }

    @AfterAll
    static void stop() throws Exception {
        if (browser != null) browser.close();
        if (parley != null) parley.close();
        if (demo != null) demo.close();
    }

    @BeforeEach
    void open() {
        user = "user-" + ++users;
        browser.open(parley.port(), user);
    }

    @AfterEach
    void nothingElseHappened() {
        browser.assertNothingElseHappened();
    }

    @Test
    void streamsAChatToItsEndAndShowsItAgainAfterAReload() {
        browser.say("my name is Ada");
        assertTrue(browser.say("what is my name?").contains("Ada"));
        browser.reload();
        browser.awaitCount(".said", 4);
        assertEquals("my name is Ada", browser.all(".said.user .text").get(0).getText());
        assertTrue(browser.say("what is my name?").contains("Ada"));
        assertTrue(browser.texts(".model .label").getLast().matches(".* · \\d+ tokens \\(\\d+ in, \\d+ out\\)"));
        assertEquals("Demo", browser.driver.findElement(By.id("demo")).getText());
    }

    @Test
    void remembersAcrossARestartOfTheServer() throws Exception {
        browser.say("my name is Grace");
        int port = parley.port();
        parley.close();
        startParley(port);
        assertTrue(browser.say("what is my name?").contains("Grace"));
    }

    @Test
    void keepsTwoUsersApart() {
        browser.say("my dog is brown");
        var id = browser.driver.findElement(By.id("user"));
        id.sendKeys(Keys.chord(Keys.CONTROL, "a"), user + "-other", Keys.TAB);
        browser.await("#empty");
        assertEquals(0, browser.all(".said").size());
        browser.say("hello");
        id.sendKeys(Keys.chord(Keys.CONTROL, "a"), user, Keys.TAB);
        browser.waiting().until(any -> browser.all(".said.user .text").stream()
                .anyMatch(each -> each.getText().equals("my dog is brown")));
        assertEquals(2, browser.all(".said").size());
    }

    @Test
    void countsDownAfter429AndLosesNoMessage() {
        browser.send("error 429");
        String said = browser.await(".bad").getText();
        assertTrue(said.contains("rate limited") && said.contains("Try again in "), said);
        browser.click("Edit");
        assertEquals("error 429", browser.box().getDomProperty("value"));
        assertEquals(0, browser.all(".said").size());
        browser.box().sendKeys(Keys.chord(Keys.CONTROL, "a"));
        browser.say("hello");
    }

    @Test
    void triesAgainAfterAFailure() {
        browser.send("blocked");
        assertTrue(browser.await(".bad").getText().contains("SAFETY"));
        browser.click("Try again");
        browser.waiting()
                .until(any -> browser.all(".bad").size() == 1
                        && browser.all(".said.user").size() == 1);
        browser.send("cut off");
        browser.waiting().until(any -> browser.all(".bad").size() == 2);
    }

    @Test
    void keepsTheMessageWhenTheConnectionIsLost() throws Exception {
        browser.say("hello");
        int port = parley.port();
        parley.close();
        browser.send("are you there?");
        assertTrue(browser.await(".bad").getText().contains("connection lost"));
        startParley(port);
        browser.click("Try again");
        browser.awaitCount(".said.model.kept", 2);
        assertEquals(List.of(), browser.all(".bad"));
    }

    @Test
    void regeneratesTakesBackAndClears() {
        browser.say("hello");
        browser.say("my cat is old");
        browser.click("Regenerate");
        browser.waiting()
                .until(any -> browser.all(".kept").size() == 4
                        && browser.all(".writing").isEmpty()
                        && browser.all(".model [data-act=retry]:enabled").size() == 1);
        assertEquals("my cat is old", browser.all(".said.user .text").get(1).getText());
        browser.click("Take back");
        browser.awaitCount(".said", 2);
        assertEquals("my cat is old", browser.box().getDomProperty("value"));
        browser.box().clear();
        browser.click("Clear");
        browser.await("dialog[open]");
        browser.click("Keep");
        assertEquals(2, browser.all(".said").size());
        browser.click("Clear");
        browser.click("Delete");
        browser.await("#empty");
    }

    @Test
    void drawsAnImageAndShowsItFullSize() {
        browser.send("/image a red boat");
        browser.await(".drawing");
        WebElement image = browser.await("figure img");
        browser.waiting().until(any -> "512".equals(image.getDomProperty("naturalWidth")));
        image.click();
        browser.await("#full[open]");
        browser.click("Close");
        browser.click("Image");
        browser.send("a green hill");
        browser.awaitCount("figure img", 2);
        browser.click("Image");
    }

    @Test
    void bringsTheLastMessageBackWithUp() {
        browser.say("hello");
        browser.box().sendKeys(Keys.ARROW_UP);
        assertEquals("hello", browser.box().getDomProperty("value"));
        browser.box().sendKeys(Keys.chord(Keys.SHIFT, Keys.ENTER), "more");
        assertEquals("hello\nmore", browser.box().getDomProperty("value"));
    }

    /** Replies of a provider that means harm: the page shows their text, and runs and loads nothing. */
    @Test
    void showsHostileMarkdownAsText() throws Exception {
        String hostile = String.join(
                "\n\n",
                "<img src=x onerror=\"window.broken=1\">",
                "<script>window.broken=1</script>",
                "</script><svg onload=window.broken=1>",
                "[a](javascript:window.broken=1) [b](data:text/html,x) [c](JaVaScRiPt:alert(1)) [d](vbscript:x) "
                        + "[e](//elsewhere.example/)",
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
                Json.toJson(List.of(
                        Json.object("role", "user", "content", hostile),
                        Json.object("role", "assistant", "content", hostile))),
                StandardCharsets.UTF_8);
        browser.reload();
        browser.awaitCount(".said", 2);
        assertNull(browser.script("return window.broken"));
        assertEquals(0, browser.all(".said img, .said script, .said svg").size());
        for (WebElement link : browser.all(".said a")) {
            assertTrue(link.getDomProperty("href").matches("(https?|mailto):.*"), link.getDomProperty("href"));
            assertTrue(link.getDomAttribute("rel").contains("noopener"));
        }
        assertEquals(4, browser.all(".said a").size());
        assertEquals(
                browser.script("return document.documentElement.clientWidth"),
                browser.script("return document.documentElement.scrollWidth"));
        assertEquals(true, browser.script(FITS));
        browser.say("hello");
    }

    @ParameterizedTest
    @ValueSource(strings = {"light", "dark"})
    void hasNoAccessibilityViolation(String scheme) throws Exception {
        browser.emulate("prefers-color-scheme", scheme);
        browser.say("write a long story");
        browser.send("error 429");
        browser.await(".bad");
        browser.send("/image a red boat");
        browser.await("figure img");
        String axe;
        try (InputStream file = getClass().getResourceAsStream("/axe.min.js")) {
            axe = new String(file.readAllBytes(), StandardCharsets.UTF_8);
        }
        browser.script(axe);
        Object violations = browser.eventually(
                """
                axe.run().then(result => result.violations.map(each =>
                    each.id + ': ' + each.nodes.map(node => node.html + ' ' + node.failureSummary).join(' | ')))""");
        assertEquals(List.of(), violations);
        browser.emulateNothing();
    }

    @Test
    void fitsANarrowScreen() {
        browser.onScreen(320, 568, () -> {
            browser.say("write a long story");
            assertEquals(320L, browser.script("return document.documentElement.scrollWidth"));
            assertEquals(true, browser.script(FITS));
            assertTrue(browser.driver.findElement(By.id("send")).isDisplayed());
            assertTrue(
                    browser.box().getSize().getWidth() > 100, "" + browser.box().getSize());
            assertTrue(
                    browser.driver.findElement(By.tagName("header")).getSize().getHeight() < 90, "two lines");
            browser.driver
                    .findElement(By.id("user"))
                    .sendKeys(Keys.chord(Keys.CONTROL, "a"), "x".repeat(128), Keys.TAB);
            browser.await("#empty");
            assertEquals(true, browser.script(FITS));
        });
    }

    private static final String FITS =
            "const m = document.getElementById('scroll'); return m.scrollWidth <= m.clientWidth";

    @Test
    void losesNothingWhenRegeneratingFails() {
        browser.say("hello");
        browser.say("my cat is old");
        String reply = browser.all(".said.model.kept .text").get(1).getText();
        browser.box().sendKeys("a draft");
        browser.click("Edit");
        browser.await(".edit textarea").sendKeys(Keys.chord(Keys.CONTROL, "a"), "cut off", Keys.ENTER);
        browser.await(".bad");
        browser.awaitTexts(".said.user.kept .text", "hello", "my cat is old");
        assertEquals(reply, browser.texts(".said.model.kept .text").get(1));
        assertTrue(browser.texts(".said.model.unkept .label").contains("not kept"));
        browser.click("Remove");
        browser.click("Regenerate");
        browser.waiting()
                .until(any -> browser.all(".writing").isEmpty()
                        && browser.all(".said.model.kept").size() == 2);
        assertEquals("a draft", browser.box().getDomProperty("value"));
        browser.box().clear();
        browser.reload();
        browser.awaitCount(".said", 4);
    }

    @Test
    void editsTheLastQuestionWhereItStands() {
        browser.say("hello");
        browser.say("my cat is old");
        browser.box().sendKeys("a draft");
        browser.click("Edit");
        WebElement edit = browser.await(".edit textarea");
        edit.sendKeys(Keys.chord(Keys.CONTROL, "a"), "my dog is young", Keys.ENTER);
        browser.waiting()
                .until(any -> browser.all(".writing").isEmpty()
                        && browser.all(".said.user.kept").size() == 2
                        && browser.all(".said.user.kept .text").get(1).getText().equals("my dog is young"));
        assertEquals("a draft", browser.box().getDomProperty("value"));
        browser.box().clear();
        browser.reload();
        browser.awaitCount(".said", 4);
        assertEquals("my dog is young", browser.all(".said.user .text").get(1).getText());
    }

    @Test
    void drawsNothingWhenRegeneratingWithImageOn() {
        browser.say("hello");
        browser.click("Image");
        browser.click("Regenerate");
        browser.waiting()
                .until(any -> browser.all(".writing").isEmpty()
                        && browser.all(".model [data-act=retry]:enabled").size() == 1);
        assertEquals(0, browser.all("figure").size());
        browser.send("a blue hill");
        browser.await("figure img");
        assertEquals(
                "false",
                browser.driver.findElement(By.id("draw")).getDomAttribute("aria-pressed"),
                "it switches itself off");
    }

    @Test
    void remembersNoIdThatTheServerRefuses() {
        browser.open(parley.port(), "a%0Ab");
        browser.await(".bad");
        assertEquals(false, browser.script("return localStorage['parley.users'].split('\\n').includes('b')"));
    }

    /** The second Enter was meant for the button, whose focus has gone to the box. */
    @Test
    void sendsNothingWhenEnterIsPressedTwiceOnTakeBack() {
        browser.say("hello");
        browser.script(
                """
                const box = document.getElementById('text'), now = Date.now;
                const enter = () => {
                  if (document.getElementById('send').disabled) return setTimeout(enter); // the words have yet to come
                  box.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true, cancelable: true}));
                  box.dataset.left = box.value;
                  Date.now = now;
                };
                box.addEventListener('focus', () => {
                  const moved = now();
                  Date.now = () => moved; // so that no busy machine is too slow
                  enter();
                }, {once: true});
                document.getElementById('back').focus();""");
        browser.driver.switchTo().activeElement().sendKeys(Keys.ENTER);
        browser.waiting().until(any -> browser.box().getDomAttribute("data-left") != null);
        assertEquals("hello", browser.box().getDomAttribute("data-left"));
        browser.box().clear();
    }

    /** Chrome refuses locks too where site data is blocked. */
    @Test
    void worksWhereLocksAreRefused() {
        String refuses = "navigator.locks.request = () => Promise.reject(new DOMException('denied', 'SecurityError'))";
        browser.beforeEachPage(refuses, () -> {
            browser.open(parley.port(), user + "-blocked");
            browser.say("hello");
        });
    }

    @Test
    void worksWithoutStorage() {
        String blocked = "for (const name of ['localStorage', 'sessionStorage']) Object.defineProperty(window, name, "
                + "{get() { throw new DOMException('blocked', 'SecurityError'); }});";
        browser.beforeEachPage(blocked, () -> {
            browser.reload();
            browser.say("hello");
        });
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"{keyCode: 229}", "{isComposing: true}", "{shiftKey: true}", "{ctrlKey: true, isComposing: true}"
            })
    void sendsNothingAtTheEndOfAComposition(String event) {
        browser.box().sendKeys("words");
        browser.script(
                "const event = new KeyboardEvent('keydown', {key: 'Enter', bubbles: true, ..." + event + "});"
                        + "arguments[0].dispatchEvent(event);",
                browser.box());
        assertEquals("words", browser.draft());
        assertEquals(0, browser.all(".said").size());
    }

    /** The hint says what Enter does. */
    @Test
    void breaksTheLineOnATouchScreen() {
        browser.command("Emulation.setTouchEmulationEnabled", Map.of("enabled", true));
        try {
            browser.box().sendKeys("one", Keys.ENTER, "two");
            assertEquals("one\ntwo", browser.draft());
            browser.awaitTexts(".hint", "", "Enter breaks the line, Ctrl+Enter sends");
        } finally {
            browser.command("Emulation.setTouchEmulationEnabled", Map.of("enabled", false));
        }
    }

    @Test
    void keepsHalfOfTheHeightOnASmallScreen() {
        browser.onScreen(320, 256, () -> {
            browser.say("hello");
            Object height = browser.script("return document.getElementById('scroll').clientHeight");
            assertTrue((Long) height >= 128, "" + height);
            browser.click("Clear");
            browser.await("dialog[open]");
            assertEquals("no", browser.script("return document.activeElement.id"), "the dialog's focus is on Keep");
            browser.click("Keep");
        });
    }
}
