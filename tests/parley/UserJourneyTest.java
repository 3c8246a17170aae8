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
import org.junit.jupiter.api.extension.AfterTestExecutionCallback;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.openqa.selenium.By;
import org.openqa.selenium.Keys;

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
        demo = new Demo(1);
        startParley(0);
    }

    private static void startParley(int port) throws Exception {
        Path env = Files.writeString(folder.resolve(".env"), "PORT=" + port + "\n");
        parley = new Parley(new LiveSettings(env, demo::redirect), true);
    }

    private static final String ANSWERED =
            "!all('.writing').length && all('.model [data-act=retry]:enabled').length === 1";

    @AfterAll
    static void stop() throws Exception {
        if (browser != null) browser.close();
        if (parley != null) parley.close();
        if (demo != null) demo.close();
    }

    /** A page in which a test has failed is used for no other. */
    @RegisterExtension
    static final AfterTestExecutionCallback FAILED =
            test -> test.getExecutionException().ifPresent(e -> browser.change());

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
        assertEquals("my name is Ada", browser.texts(".said.user .text").get(0));
        assertTrue(browser.say("what is my name?").contains("Ada"));
        assertTrue(browser.texts(".model .label").getLast().matches(".* · \\d+ tokens \\(\\d+ in, \\d+ out\\)"));
        assertEquals("Demo", browser.awaitText("#demo"));
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
        browser.switchTo(user + "-other");
        browser.await("#empty");
        assertEquals(0, browser.count(".said"));
        browser.say("hello");
        browser.switchTo(user);
        browser.awaitTexts(".said.user .text", "my dog is brown");
        assertEquals(2, browser.count(".said"));
    }

    @Test
    void countsDownAfter429AndLosesNoMessage() {
        browser.send("error 429");
        String said = browser.awaitText(".bad");
        assertTrue(said.contains("Rate limited") && said.contains("Try again in "), said);
        browser.click("Edit");
        assertEquals("error 429", browser.draft());
        assertEquals(0, browser.count(".said"));
        browser.writeOver("#text", "hello");
        browser.press(Keys.ENTER);
        browser.awaitCount(".said.model.kept", 1);
    }

    @Test
    void triesAgainAfterAFailure() {
        browser.send("blocked");
        assertTrue(browser.awaitText(".bad").contains("SAFETY"));
        browser.click("Try again");
        browser.until("all('.bad').length === 1 && all('.said.user').length === 1");
        browser.send("cut off");
        browser.awaitCount(".bad", 2);
    }

    @Test
    void keepsTheMessageWhenTheConnectionIsLost() throws Exception {
        browser.say("hello");
        int port = parley.port();
        parley.close();
        browser.send("are you there?");
        assertTrue(browser.awaitText(".bad").contains("Connection lost"));
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
        browser.until("all('.kept').length === 4 && " + ANSWERED);
        assertEquals("my cat is old", browser.texts(".said.user .text").get(1));
        browser.click("Take back");
        browser.awaitCount(".said", 2);
        assertEquals("my cat is old", browser.draft());
        browser.box().clear();
        browser.click("Clear");
        browser.await("dialog[open]");
        browser.click("Keep");
        assertEquals(2, browser.count(".said"));
        browser.click("Clear");
        browser.click("Delete");
        browser.await("#empty");
    }

    @Test
    void drawsAnImageAndShowsItFullSize() {
        browser.send("/image a red boat");
        browser.await(".drawing");
        browser.until("all('figure img')[0]?.naturalWidth === 512");
        browser.clickAt("figure img");
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
        assertEquals("hello", browser.draft());
        browser.box().sendKeys(Keys.chord(Keys.SHIFT, Keys.ENTER), "more");
        assertEquals("hello\nmore", browser.draft());
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
        assertEquals(0, browser.count(".said img, .said script, .said svg"));
        assertEquals(
                List.of(),
                browser.script(
                        "return [...document.querySelectorAll('.said a')].filter(({href, rel}) =>"
                                + " !/^(https?|mailto):/.test(href) || !rel.includes('noopener')).map(link => link.outerHTML)"));
        assertEquals(4, browser.count(".said a"));
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
            browser.switchTo("x".repeat(128));
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
        String reply = browser.texts(".said.model.kept .text").get(1);
        browser.type("a draft");
        browser.click("Edit");
        browser.writeOver(".edit textarea", "cut off");
        browser.press(Keys.ENTER);
        browser.await(".bad");
        browser.awaitTexts(".said.user.kept .text", "hello", "my cat is old");
        assertEquals(reply, browser.texts(".said.model.kept .text").get(1));
        assertTrue(browser.texts(".said.model.unkept .label").contains("not kept"));
        browser.click("Remove");
        browser.click("Regenerate");
        browser.until("!all('.writing').length && all('.said.model.kept').length === 2");
        assertEquals("a draft", browser.draft());
        browser.box().clear();
        browser.reload();
        browser.awaitCount(".said", 4);
    }

    @Test
    void editsTheLastQuestionWhereItStands() {
        browser.say("hello");
        browser.say("my cat is old");
        browser.type("a draft");
        browser.click("Edit");
        browser.writeOver(".edit textarea", "my dog is young");
        browser.press(Keys.ENTER);
        browser.until("!all('.writing').length && texts('.said.user.kept .text')[1] === 'my dog is young'");
        assertEquals("a draft", browser.draft());
        browser.box().clear();
        browser.reload();
        browser.awaitCount(".said", 4);
        assertEquals("my dog is young", browser.texts(".said.user .text").get(1));
    }

    @Test
    void drawsNothingWhenRegeneratingWithImageOn() {
        browser.say("hello");
        browser.click("Image");
        browser.click("Regenerate");
        browser.until(ANSWERED);
        assertEquals(0, browser.count("figure"));
        browser.send("a blue hill");
        browser.await("figure img");
        assertEquals(
                "false",
                browser.driver.findElement(By.id("draw")).getDomAttribute("aria-pressed"),
                "it switches itself off");
    }

    @Test
    void remembersNoIdThatTheServerRefuses() {
        browser.load(parley.port(), "a%0Ab");
        browser.await(".bad");
        assertEquals(false, browser.script("return localStorage['parley.users'].split('\\n').includes('b')"));
    }

    /** The second Enter was meant for the button, whose focus has gone to the box. */
    @Test
    void sendsNothingWhenEnterIsPressedTwiceOnTakeBack() {
        browser.say("hello");
        browser.change(
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
        browser.press(Keys.ENTER);
        assertEquals("hello", browser.until("document.getElementById('text').dataset.left"));
    }

    /** Chrome refuses locks too where site data is blocked. */
    @Test
    void worksWhereLocksAreRefused() {
        String refuses = "navigator.locks.request = () => Promise.reject(new DOMException('denied', 'SecurityError'))";
        browser.beforeEachPage(refuses, () -> {
            browser.load(parley.port(), user + "-blocked");
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
        browser.type("words");
        browser.script("const event = new KeyboardEvent('keydown', {key: 'Enter', bubbles: true, ..." + event + "});"
                + "document.getElementById('text').dispatchEvent(event);");
        assertEquals("words", browser.draft());
        assertEquals(0, browser.count(".said"));
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
