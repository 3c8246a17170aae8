package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
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
import org.openqa.selenium.WindowType;
import org.openqa.selenium.interactions.Actions;
import org.openqa.selenium.interactions.WheelInput.ScrollOrigin;

/** What the page keeps, and what it tells, in a real browser against a provider that is told what to do. */
class PageTest {
    private static Browser browser;
    private static Running running;
    private static int users;

    private String user;

    @BeforeAll
    static void start() throws Exception {
        browser = new Browser();
        String painted = Base64.getEncoder().encodeToString(Landscape.paint("a red boat"));
        Scripted.Script image = exchange -> exchange.json(200, "{\"data\":[{\"b64_json\":\"" + painted + "\"}]}");
        Scripted.Script chat = Scripted.gemini("Hi ", "**there**!");
        running = new Running(exchange -> (exchange.path().contains("/images/") ? image : chat).play(exchange));
    }

    @AfterAll
    static void stop() throws Exception {
        if (browser != null) browser.close();
        if (running != null) running.close();
    }

    /** A page in which a test has failed is used for no other. */
    @RegisterExtension
    static final AfterTestExecutionCallback FAILED =
            test -> test.getExecutionException().ifPresent(e -> browser.change());

    @BeforeEach
    void open() {
        user = "user-" + ++users;
        browser.open(running.parley.port(), user);
    }

    @AfterEach
    void nothingElseHappened() {
        browser.assertNothingElseHappened();
    }

    private static final Scripted.Script FAILS =
            exchange -> exchange.json(400, "{\"error\":{\"code\":400,\"message\":\"bad\"}}");

    /** Says the first words, and the rest once the gate is open. */
    private static Scripted.Script inTwoParts(String first, Scripted.Gate gate, String rest) {
        return exchange -> {
            exchange.stream();
            exchange.event(Scripted.geminiDelta(first));
            gate.pass();
            exchange.event(Scripted.geminiDelta(rest));
            exchange.event(Scripted.GEMINI_END);
        };
    }

    private List<String> stored() throws Exception {
        return running.said(user);
    }

    /** Another device goes on with the conversation. */
    private void elsewhere(String message) throws Exception {
        assertEquals(200, running.chat(user, message).status());
    }

    /** Each answer whose path has this word is cut off behind the server, until that is undone. */
    private static void cutAnswers(String path) {
        browser.script(
                """
                const real = window.fetch;
                window.fetch = async (...args) => {
                    const response = await real(...args);
                    if (!String(args[0]).includes(arguments0)) return response;
                    await response.text();
                    throw new TypeError('cut');
                };
                window.undo = () => { window.fetch = real; };
                """
                        .replace("arguments0", "'" + path + "'"));
    }

    // --- 1 to 10: nobody's words are lost ---

    @ParameterizedTest
    @ValueSource(strings = {"Regenerate", "Take back"})
    void doesNothingToWhatItHasNotShown(String button) throws Exception {
        browser.say("one");
        elsewhere("two");
        browser.click(button);
        assertTrue(browser.awaitText(".bad.calm").contains("gone on elsewhere"));
        browser.awaitTexts(".said.user .text", "one", "two");
        assertEquals("", browser.draft());
        assertEquals(4, stored().size());
    }

    @Test
    void keepsTheWordsOfAnEditThatCameTooLate() throws Exception {
        browser.say("one");
        browser.click("Edit");
        browser.type(".edit textarea", " and a half");
        elsewhere("two");
        browser.click("Send");
        assertTrue(browser.awaitText(".bad.calm").contains("gone on elsewhere"));
        browser.awaitTexts(".said.user .text", "one", "one and a half", "two");
        browser.click("Send as a new message");
        browser.awaitTexts(".said.user.kept .text", "one", "two", "one and a half");
    }

    @Test
    void replacesNoOtherTurnThanTheOneThatIsEdited() throws Exception {
        browser.say("one");
        browser.click("Edit");
        browser.type(".edit textarea", " edited");
        browser.say("two");
        browser.click("Send as a new message");
        browser.awaitTexts(".said.user.kept .text", "one", "two", "one edited");
        assertEquals(6, stored().size());
    }

    @Test
    void takesBackOneTurnForADoubleClickAndKeepsTheDraft() throws Exception {
        browser.say("one");
        browser.say("two");
        browser.type("a draft");
        var back = browser.driver.findElement(By.id("back"));
        new Actions(browser.driver).doubleClick(back).perform();
        browser.change();
        browser.awaitCount(".said.kept", 2);
        browser.until("all('#text')[0].value === 'two\\n\\na draft'");
        assertEquals(2, stored().size());
    }

    @Test
    void takesBackOneTurnWhereTheAnswerIsCut() throws Exception {
        browser.say("one");
        browser.say("two");
        cutAnswers("/"); // so that it cannot look either
        browser.click("Take back");
        assertTrue(browser.awaitText(".bad").contains("Connection lost"));
        browser.script("window.undo(); const now = Date.now; Date.now = () => now() + 1000"); // not tapped twice
        browser.click("Try again");
        browser.awaitTexts(".said.user.kept .text", "one");
        assertEquals("two", browser.draft());
        assertEquals(2, stored().size());
    }

    @Test
    void keepsWhatOnlyThePageHasWhenItLooksAgain() throws Exception {
        browser.say("one");
        running.provider.then(FAILS);
        browser.send("this fails");
        browser.await(".bad");
        browser.send("/image a boat");
        browser.await("figure img");
        browser.clickAt(".kept [data-act=edit]");
        elsewhere("two");
        browser.focusWindow();
        browser.awaitWords(".said.user", "two");
        assertEquals(List.of("this fails", "/image a boat", "two"), browser.texts(".said.user .text"));
        assertEquals("one", browser.value(".edit textarea"));
        browser.switchTo(user + "-other");
        browser.await("#empty");
        browser.driver.navigate().back();
        browser.awaitTexts(".said.user .text", "this fails", "/image a boat", "two");
        assertEquals("one", browser.value(".edit textarea"));
        assertEquals(1, browser.count("figure img"));
        assertEquals(1, browser.count(".bad"));
    }

    /** Each stands where it was said. */
    @Test
    void keepsFailedMessagesInTheirPlaceWhenOlderOnesCome() throws Exception {
        openWith(100);
        browser.awaitCount(".said.kept", 100);
        running.provider.then(FAILS);
        browser.send("this fails");
        browser.await("#turns .bad");
        browser.say("and on");
        browser.script("document.getElementById('scroll').scrollTop = 0");
        browser.awaitCount(".said.kept", 202);
        List<String> said = browser.texts(".said.user .text");
        assertEquals(List.of("q98", "q99", "this fails", "and on"), said.subList(98, 102));
        assertEquals(1, browser.count("#turns .bad"));
    }

    @Test
    void showsNothingOfTheUserBeforeWhereLoadingFails() {
        browser.say("one");
        browser.switchTo("\u592a".repeat(100)); // too long for a file name
        browser.await(".bad");
        assertEquals(List.of(), browser.texts(".said"));
        assertEquals("", browser.draft());
        browser.type("words");
        for (String id : List.of("back", "export", "clear", "send")) {
            assertFalse(browser.driver.findElement(By.id(id)).isEnabled(), id);
        }
    }

    /** A proxy has problems of its own kind. */
    @Test
    void showsAProblemWhoseMembersAreNoTexts() {
        browser.change("const real = window.fetch; window.fetch = (...args) => String(args[0]).includes('/chat')"
                + " ? Promise.resolve(Response.json({code: 502, detail: ['bad']}, {status: 502})) : real(...args)");
        browser.send("one");
        assertTrue(browser.awaitText("#turns .bad").contains("502"));
        browser.reload();
        browser.awaitTexts(".said.user.unkept .text", "one");
    }

    /** Sends it, and waits; the reply, "late", waits for the gate. */
    private static Scripted.Gate sendAndHold(String question) {
        var gate = new Scripted.Gate();
        running.provider.then(gate.before(Scripted.gemini("late")));
        browser.send(question);
        browser.await(".waiting");
        return gate;
    }

    @Test
    void keepsTheMessageAndTheDraftOverAReload() throws Exception {
        Scripted.Gate gate = sendAndHold("a question");
        browser.type("a draft");
        browser.reload();
        browser.awaitTexts(".said.user.unkept .text", "a question");
        assertEquals("a draft", browser.draft());
        gate.open();
        browser.click("Try again");
        browser.awaitTexts(".said.user.kept .text", "a question");
        assertEquals(2, stored().size());
    }

    /** A duplicated tab begins with a copy of the other one's session storage. */
    @Test
    void takesOverNothingInADuplicatedTab() {
        running.provider.then(FAILS);
        browser.send("this fails");
        browser.await(".bad");
        browser.type("a draft");
        Object copied = browser.script("return JSON.stringify({...sessionStorage})");
        String first = browser.driver.getWindowHandle();
        String address = browser.driver.getCurrentUrl();
        browser.driver.switchTo().newWindow(WindowType.TAB);
        try {
            browser.driver.get(address.replaceAll("/\\?.*", "/health"));
            browser.script("Object.assign(sessionStorage, JSON.parse(arguments[0]))", copied);
            browser.driver.get(address);
            browser.await("#empty");
            assertEquals("", browser.draft());
        } finally {
            browser.driver.close();
            browser.driver.switchTo().window(first);
        }
        browser.reload();
        assertEquals("a draft", browser.draft());
        assertEquals(1, browser.count(".bad"));
    }

    @Test
    void letsTheAddressFollowTheUser() {
        browser.say("one");
        browser.type("a draft");
        browser.switchTo(user + " & co");
        browser.await("#empty");
        assertEquals("", browser.draft());
        assertTrue(browser.driver.getCurrentUrl().endsWith("/?user_id=" + user + "+%26+co"));
        browser.driver.navigate().back();
        browser.awaitTexts(".said.user .text", "one");
        assertEquals("a draft", browser.draft());
        assertEquals(user, browser.value("#user"));
    }

    @Test
    void looksBeforeItSaysThatATurnIsLost() throws Exception {
        browser.say("one");
        cutAnswers("/chat");
        browser.send("two");
        browser.awaitTexts(".said.user.kept .text", "one", "two");
        browser.click("Regenerate");
        browser.awaitCount(".writing, .unkept", 0);
        assertEquals(List.of(), browser.texts(".bad"));
        assertEquals(4, stored().size());
    }

    @ParameterizedTest
    @ValueSource(strings = {"Stop", "time"})
    void endsALookThatNothingAnswers(String by) {
        browser.say("one");
        browser.change(
                """
                const real = window.fetch, limit = AbortSignal.timeout, fast = arguments[0] === 'time';
                AbortSignal.timeout = ms => limit.call(AbortSignal, fast ? Math.min(ms, 300) : ms);
                window.fetch = async (address, options) => {
                    if (String(address).includes('/chat')) throw new TypeError('cut');
                    if (!String(address).includes('/history')) return real(address, options);
                    return new Promise((done, fail) =>
                        options.signal.addEventListener('abort', () => fail(options.signal.reason)));
                };
                """,
                by);
        browser.send("two");
        browser.await(".waiting");
        if (by.equals("Stop")) browser.press("#text", Keys.ESCAPE);
        assertTrue(browser.awaitText("#turns .bad").contains("Connection lost"));
    }

    @Test
    void neverStoresATurnTwiceWhenItIsTriedAgain() throws Exception {
        browser.say("one");
        cutAnswers("/"); // so that it cannot look either
        browser.send("two");
        assertTrue(browser.awaitText(".bad").contains("Connection lost"));
        browser.script("window.undo()");
        browser.click("Try again");
        browser.awaitTexts(".said.user.kept .text", "one", "two");
        assertEquals(4, stored().size());
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "a draft"})
    void replacesWhenAFailedEditIsTriedAgain(String draft) throws Exception {
        browser.say("one");
        browser.type(draft);
        browser.click("Edit");
        running.provider.then(FAILS);
        browser.type(".edit textarea", " edited");
        browser.press(Keys.ENTER);
        browser.await(".bad");
        browser.awaitTexts(".said.user .text", "one", "one edited");
        browser.click("Edit");
        browser.type(".edit textarea", " twice");
        browser.clickAt(".edit .strong");
        browser.awaitTexts(".said.user.kept .text", "one edited twice");
        assertEquals(2, stored().size());
        assertEquals(draft, browser.draft());
    }

    @Test
    void showsAnotherDevicesMessageAtTheNextAnswer() throws Exception {
        browser.say("one");
        elsewhere("two");
        browser.send("three");
        browser.awaitTexts(".said.user.kept .text", "one", "two", "three");
    }

    @ParameterizedTest
    @ValueSource(strings = {"button", "escape"})
    void stopsAStreamAndStoresNothingAndBeginsAgain(String by) throws Exception {
        var gate = new Scripted.Gate();
        running.provider.then(inTwoParts("# A lighthouse\n\nIt", gate, " stood."), Scripted.gemini("# Again"));
        browser.send("a story");
        browser.await(".writing .text h2");
        if (by.equals("escape")) browser.press("#text", Keys.ESCAPE);
        else pressStop();
        assertTrue(browser.awaitText(".bad.calm").contains("Nothing was stored"));
        assertTrue(browser.awaitText(".said.model.unkept .text").contains("lighthouse"));
        assertTrue(browser.texts(".said.model.unkept .label").contains("not kept"));
        gate.open();
        assertEquals(List.of(), stored());
        browser.click("Try again");
        browser.awaitTexts(".said.model.kept .text", "Again");
    }

    /** A click within 500 ms of sending does not stop. */
    private static void pressStop() {
        browser.until("Date.now() - (window.begunAt ??= Date.now()) > 500");
        browser.click("Stop");
    }

    @Test
    void endsATurnThatIsStoppedBeforeItsFirstWord() throws Exception {
        Scripted.Gate gate = sendAndHold("one");
        browser.press("#text", Keys.ESCAPE);
        assertTrue(browser.awaitText(".bad.calm").contains("Nothing was stored"));
        assertEquals("Hi there!", browser.say("two")); // else it would wait until the gate gives up
        gate.open();
        assertEquals(List.of("user: two", "assistant: Hi **there**!"), stored());
    }

    // --- 11 to 16: it lets go, and it tells ---

    private static final String LONG =
            IntStream.range(0, 60).mapToObj(i -> "line " + i + "\n\n").collect(Collectors.joining());

    private static long scrolled() {
        return ((Number) browser.script("return " + SCROLLED)).longValue();
    }

    private static final String SCROLLED = "Math.round(document.getElementById('scroll').scrollTop)";

    @ParameterizedTest
    @ValueSource(strings = {"wheel", "key"})
    void staysWhereThePersonReads(String by) {
        var gate = new Scripted.Gate();
        running.provider.then(inTwoParts(LONG, gate, LONG));
        browser.send("tell me");
        browser.until(SCROLLED + " > 500");
        long end = scrolled();
        var scroll = browser.driver.findElement(By.id("scroll"));
        if (by.equals("wheel")) {
            new Actions(browser.driver)
                    .scrollFromOrigin(ScrollOrigin.fromElement(scroll), 0, -40)
                    .perform();
        } else {
            scroll.sendKeys(Keys.ARROW_UP);
        }
        browser.until(SCROLLED + " < arguments[0]", end);
        String later = "new Promise(done => setTimeout(() => done(" + SCROLLED + "), 50))";
        browser.waiting().until(any -> scrolled() == (Long) browser.eventually(later));
        long place = scrolled();
        gate.open();
        browser.await(".said.model.kept");
        assertEquals(place, scrolled());
        browser.clickAt("#down");
        browser.until(SCROLLED + " > arguments[0]", end);
        browser.until("!all('#down')[0].checkVisibility()");
    }

    @Test
    void showsThatItWaitsAndHowLong() {
        var gate = new Scripted.Gate();
        running.provider.then(gate.before(Scripted.gemini("late")));
        browser.send("one");
        assertEquals("", browser.awaitText(".waiting"));
        browser.change("const now = Date.now; Date.now = () => now() + 7000");
        browser.until("/^[78] s$/.test(texts('.waiting')[0])");
        browser.emulate("prefers-reduced-motion", "reduce");
        try {
            assertEquals(
                    "none",
                    browser.script("return getComputedStyle(document.querySelector('.waiting i')).animationName"));
        } finally {
            browser.emulateNothing();
            gate.open();
        }
        browser.await(".said.model.kept");
    }

    @Test
    void saysWhatToDoWithoutAKeyAndLooksAgainByItself() throws Exception {
        setUp("GEMINI_API_KEY=", false);
        browser.focusWindow();
        browser.awaitWords("#empty", "GEMINI_API_KEY=");
        assertEquals(
                "https://aistudio.google.com/apikey", browser.find("#empty a").getDomProperty("href"));
        assertTrue(browser.awaitText("#about").contains("not set up yet"));
        setUp("", true);
        browser.awaitWords("#empty", "What is on your mind?");
    }

    private static void setUp(String setting, boolean ready) throws Exception {
        running.settings(setting);
        Running.await(() -> {
            try {
                return Boolean.valueOf(ready).equals(running.get("/health").at("chat", "ready"));
            } catch (Exception e) {
                throw new AssertionError(e);
            }
        });
    }

    @Test
    void stopsOnlyWhereItIsMeant() {
        var gate = new Scripted.Gate();
        running.provider.then(gate.before(Scripted.gemini("late")));
        browser.reload(); // where Send was no Stop a moment ago
        browser.type("one");
        var send = browser.driver.findElement(By.id("send"));
        new Actions(browser.driver).doubleClick(send).perform();
        browser.await(".waiting");
        browser.script("document.getElementById('text').dispatchEvent(new KeyboardEvent('keydown', "
                + "{key: 'Escape', isComposing: true, bubbles: true}))");
        assertEquals("Stop", send.getText());
        gate.open();
        browser.await(".said.model.kept");
        assertEquals(List.of(), browser.texts(".bad"));
        assertFalse(send.isEnabled(), "nothing is written");
    }

    /** Stop becomes Send under the pointer when the reply ends. */
    @Test
    void sendsNoDraftWhereAStopCameTooLate() throws Exception {
        Scripted.Gate gate = sendAndHold("one");
        browser.type("a draft");
        browser.change("const send = document.getElementById('send'); new MutationObserver((all, watcher) => {"
                + "watcher.disconnect(); setTimeout(() => { send.click(); document.title = 'clicked'; }, 50);"
                + "}).observe(send, {childList: true, characterData: true, subtree: true})");
        gate.open();
        browser.until("document.title === 'clicked'");
        assertEquals("a draft", browser.draft());
        browser.press("#text", Keys.ENTER);
        browser.awaitTexts(".said.user.kept .text", "one", "a draft");
    }

    @Test
    void bringsTheIdBackAndStopsNothingWhenEscIsPressedInIt() {
        Scripted.Gate gate = sendAndHold("one");
        browser.type("#user", "-other");
        browser.press(Keys.ESCAPE);
        assertEquals(user, browser.value("#user"));
        browser.clickAt("#text");
        gate.open();
        browser.await(".said.model.kept");
        assertEquals(List.of(), browser.texts(".bad"));
    }

    /** Opens a conversation of so many turns. */
    private void openWith(int turns) throws Exception {
        user += "-long";
        Path file = running.file(user);
        Files.createDirectories(file.getParent());
        String messages = IntStream.range(0, turns)
                .mapToObj(i -> "{\"role\":\"user\",\"content\":\"q" + i
                        + "\"},\n{\"role\":\"assistant\",\"content\":\"a" + i + "\"}")
                .collect(Collectors.joining(",\n"));
        Files.writeString(file, "[\n" + messages + "\n]\n");
        browser.open(running.parley.port(), user);
    }

    @Test
    void putsOlderMessagesAboveThoseThatAreThere() throws Exception {
        openWith(5000);
        browser.awaitCount(".said", 100);
        browser.script("window.first = document.querySelector('.turn')");
        cutAnswers("/history");
        browser.script("document.getElementById('scroll').scrollTop = 0");
        browser.await("#above .bad");
        assertEquals(100, browser.count(".said"));
        browser.script("window.undo()");
        Object before = browser.script("return first.getBoundingClientRect().top");
        browser.click("Try again");
        browser.awaitCount(".said", 200);
        assertEquals(true, browser.script("return first.isConnected"));
        assertTrue(scrolled() > 500, "the place is kept: " + before);
    }

    @Test
    void letsACodeBlockBeUsedWhileItIsWritten() {
        var gate = new Scripted.Gate();
        running.provider.then(inTwoParts("```js\nlet a = 1;\n", gate, "let b = 2;\n```\nDone."));
        browser.send("code");
        browser.await(".writing .code");
        browser.script("const text = document.querySelector('.code code').firstChild;"
                + "getSelection().setBaseAndExtent(text, 0, text, 9)");
        browser.script("window.block = document.querySelector('.code')");
        gate.open();
        browser.await(".said.model.kept");
        assertEquals("let a = 1", browser.script("return getSelection().toString().trim()"));
        assertEquals(true, browser.script("return block.isConnected"));
        browser.clickAt(".code .copy");
        browser.awaitTexts(".code .copy", "Copied");
    }

    @Test
    void scrollsACodeBlockSidewaysWhileItIsWritten() {
        var gate = new Scripted.Gate();
        running.provider.then(inTwoParts("```\n" + "wide ".repeat(99), gate, "and wider\n```"));
        browser.send("code");
        browser.await(".writing pre");
        browser.script("document.querySelector('pre').scrollLeft = 300");
        browser.awaitCount(".writing pre[tabindex='0']", 1); // so that the arrow keys scroll it too
        gate.open();
        browser.await(".said.model.kept");
        assertEquals(300L, browser.script("return document.querySelector('pre').scrollLeft"));
        assertTrue(browser.awaitText("pre").endsWith("and wider"));
    }

    // --- 17 to 20: for everyone ---

    @Test
    void tellsAScreenReaderThatAReplyComesAndThenItsWords() {
        var gate = new Scripted.Gate();
        running.provider.then(gate.before(Scripted.gemini("Hi **there**, `you`")));
        browser.send("one");
        browser.awaitTexts("#live", "Parley is replying");
        gate.open();
        browser.awaitTexts("#live", "Hi there, you");
    }

    @Test
    void neverLetsTheFocusFallToTheBody() {
        running.provider.then(FAILS, FAILS);
        browser.send("one");
        browser.await(".bad");
        browser.click("Try again");
        browser.awaitCount(".writing", 0);
        assertEquals("text", browser.script("return document.activeElement.id"));
        browser.click("Remove");
        browser.await("#empty");
        assertEquals("text", browser.script("return document.activeElement.id"));
        browser.say("two");
        browser.click("Take back");
        browser.await("#empty");
        assertEquals("text", browser.script("return document.activeElement.id"));
    }

    @Test
    void leavesTheFocusWhereOlderMessagesAreAskedFor() throws Exception {
        openWith(200);
        browser.awaitCount(".said", 100);
        browser.change("const real = window.fetch;"
                + "window.fetch = (...args) => new Promise(done => { window.go = () => done(real(...args)); });"
                + "document.querySelector('#above button').focus({preventScroll: true})");
        browser.press(Keys.ENTER);
        browser.awaitTexts("#above button", "Loading\u2026");
        assertFocus("#above button");
        browser.script("go()");
        browser.awaitCount(".said", 200);
        assertFocus("#above button");
    }

    private static void assertFocus(String css) {
        assertEquals(
                true,
                browser.script("return document.activeElement.matches(arguments[0])", css),
                () -> css + " is not " + browser.script("return document.activeElement.outerHTML"));
    }

    @Test
    void bringsTheFocusToTheBoxWhenAConversationIsDeleted() {
        browser.say("one");
        browser.press("#clear", Keys.ENTER);
        browser.press("#ask .danger", Keys.ENTER);
        browser.await("#empty");
        assertFocus("#text");
    }

    @Test
    void bringsTheFocusBackToEditWhenAnEditIsCancelled() {
        browser.say("one");
        browser.press("[data-act=edit]", Keys.ENTER);
        browser.press(".edit textarea", Keys.ESCAPE);
        assertFocus("[data-act=edit]");
        browser.press("[data-act=edit]", Keys.ENTER);
        browser.press("[data-act=cancel]", Keys.ENTER);
        assertFocus("[data-act=edit]");
    }

    @Test
    void losesNoWordsOfAnOpenEditWhenEditIsPressedAgain() {
        browser.say("one");
        running.provider.then(FAILS);
        browser.send("two");
        browser.await(".bad");
        browser.type("a draft");
        browser.press(".kept [data-act=edit]", Keys.ENTER);
        browser.type(".edit textarea", " and more");
        for (String button : List.of(".kept [data-act=edit]", ".bad [data-act=edit]")) {
            browser.press(button, Keys.ENTER);
            assertFocus(".edit textarea");
            assertEquals("one and more", browser.value(".edit textarea"));
        }
        browser.press("[data-act=cancel]", Keys.ENTER);
        browser.press(".bad [data-act=edit]", Keys.ENTER);
        browser.type(".edit textarea", " and more");
        browser.script("document.getElementById('text').select()");
        browser.press("#text", Keys.DELETE);
        browser.press(".bad [data-act=edit]", Keys.ENTER);
        assertFocus(".edit textarea");
        assertEquals("two and more", browser.value(".edit textarea"));
    }

    @Test
    void hidesAPopoverWhenTheFocusGoesOn() {
        browser.say("one");
        for (String next : List.of("#text", "#export")) {
            browser.press("[popovertarget=ids]", Keys.ENTER);
            browser.focus("#new");
            new Actions(browser.driver)
                    .keyDown(Keys.SHIFT)
                    .sendKeys(Keys.TAB)
                    .keyUp(Keys.SHIFT)
                    .perform();
            assertFocus("[popovertarget=ids]");
            browser.awaitCount("#ids:popover-open", 1);
            browser.focus(next);
            browser.awaitCount("#ids:popover-open", 0);
            assertFocus(next);
        }
        browser.press("[popovertarget=ids]", Keys.ENTER);
        browser.press("#new", Keys.ENTER);
        browser.await("#empty");
        browser.awaitCount(":popover-open", 0);
        assertFocus("#text");
    }

    @ParameterizedTest
    @ValueSource(ints = {1280, 320})
    void showsTheWholeRingOfEachButton(int width) {
        browser.onScreen(width, 568, () -> {
            browser.say("one");
            Object cut = browser.script(
                    """
                    return [...document.querySelectorAll('.turn button')].filter(button => {
                        button.focus({focusVisible: true});
                        const {outlineWidth, outlineOffset} = getComputedStyle(button);
                        const ring = parseFloat(outlineWidth) + parseFloat(outlineOffset);
                        const {left, right} = button.getBoundingClientRect();
                        return ['.turn', '#scroll'].some(each => {
                            const edge = button.closest(each).getBoundingClientRect();
                            return left - ring < edge.left || right + ring > edge.right;
                        });
                    }).map(button => button.outerHTML)""");
            assertEquals(List.of(), cut);
        });
    }

    @Test
    void keepsInSightWhatHasTheFocusWhileAReplyStreams() {
        browser.say("one");
        var gate = new Scripted.Gate();
        running.provider.then(inTwoParts("Well.", gate, LONG));
        browser.send("tell me");
        browser.await(".writing .text p");
        browser.focus(".kept [data-act=copyReply]");
        gate.open();
        browser.awaitCount(".said.model.kept", 2);
        assertEquals(0L, scrolled());
        browser.clickAt("#down");
        assertFocus("#text");
    }

    @Test
    void announcesNoCountdown() {
        running.provider.then(exchange -> exchange.answer(
                429, "application/json", "Retry-After: 30\r\n", "{\"error\":{\"message\":\"slowly\"}}"));
        browser.send("one");
        assertTrue(browser.awaitText(".bad button").matches("Try again in \\d+ s"));
        assertEquals(0, browser.count("[role=alert] button, [aria-live] button"));
    }

    @Test
    void stopsTheTabulatorOnlyAtWhatScrolls() {
        browser.say("short");
        assertEquals(0, browser.count(".text[tabindex]"));
        browser.script("const box = document.getElementById('text'); box.value = 'x\\n'.repeat(99);"
                + "box.dispatchEvent(new Event('input'))");
        browser.say(".");
        browser.awaitCount(".text[tabindex='0']", 1);
        browser.press(".skip", Keys.ENTER);
        assertEquals("text", browser.script("return document.activeElement.id"));
    }

    @Test
    void showsBubblesAndPressedButtonsInForcedColours() {
        browser.say("one");
        browser.click("Image");
        browser.emulate("forced-colors", "active");
        try {
            assertEquals(
                    "solid",
                    browser.script(
                            "return getComputedStyle(document.querySelector('.said.user .text')).borderTopStyle"));
            assertNotEquals(
                    browser.script("return getComputedStyle(document.getElementById('draw')).backgroundColor"),
                    browser.script("return getComputedStyle(document.getElementById('down')).backgroundColor"));
        } finally {
            browser.emulateNothing();
            browser.click("Image");
        }
    }

    @Test
    void printsTheWholeConversationWithoutTheComposer() {
        running.provider.then(Scripted.gemini(LONG));
        browser.say("tell me");
        browser.command("Emulation.setEmulatedMedia", Map.of("media", "print"));
        try {
            assertFalse(browser.driver.findElement(By.id("form")).isDisplayed());
            assertTrue((Long) browser.script("return document.documentElement.scrollHeight") > 1500);
        } finally {
            browser.emulateNothing();
        }
    }

    @Test
    void printsAlsoWhatWasNotLoadedYet() throws Exception {
        openWith(400);
        browser.awaitCount(".said", 100);
        browser.change("window.print = () => { window.printed = document.querySelectorAll('.said').length }");
        cutAnswers("/history");
        browser.click("Export");
        browser.click("Print");
        browser.await("#above .bad");
        assertNull(browser.script("return window.printed"), "half of it is not the conversation");
        browser.script("window.undo()");
        browser.click("Export");
        browser.click("Print");
        browser.until("window.printed");
        assertEquals(800L, browser.script("return window.printed"));
    }

    @Test
    void exportsForPeopleAndForPrograms() throws Exception {
        browser.say("one");
        browser.change("URL.createObjectURL = blob => { window.saved = blob; return 'blob:none' };"
                + "HTMLAnchorElement.prototype.click = function () { window.savedAs = this.download }");
        browser.click("Export");
        browser.click("JSON, for programs");
        browser.until("window.savedAs");
        assertEquals(running.get("/history?user_id=" + user).text(), browser.eventually("saved.text()"));
        browser.script("delete window.savedAs");
        browser.click("Export");
        browser.click("Markdown, to read");
        browser.until("window.savedAs");
        assertEquals("parley-" + user + ".md", browser.script("return savedAs"));
        String text = (String) browser.eventually("saved.text()");
        assertTrue(text.startsWith("# " + user + "\n\n**You") && text.contains("\n\nHi **there**!\n"), text);
    }

    @Test
    void tellsTimeAndModelWhereAFingerSeesThem() {
        browser.say("one");
        assertTrue(browser.texts(".model .label").getFirst().matches(".+ \u00b7 gemini \u00b7 .+ tokens \\(.+\\)"));
    }

    @Test
    void beginsNewConversationsAndForgetsOldOnes() {
        browser.say("one");
        browser.click("Conversations");
        browser.click("New conversation");
        browser.await("#empty");
        String guest = browser.value("#user");
        assertTrue(guest.matches("guest-\\w+"), guest);
        browser.type("a draft");
        browser.click("Conversations");
        browser.click(user);
        browser.awaitTexts(".said.user .text", "one");
        browser.click("Conversations");
        browser.clickAt("[aria-label='Forget " + guest + "']");
        assertFalse(browser.texts("#ids li").toString().contains(guest));
        browser.switchTo(guest);
        browser.await("#empty");
        assertEquals("", browser.draft(), "its draft is forgotten too");
    }

    @Test
    void goesOnWithTheReplyOfAnIdThatIsForgotten() throws Exception {
        Scripted.Gate gate = sendAndHold("a question");
        browser.switchTo(user + "-too");
        browser.await("#empty");
        browser.click("Conversations");
        browser.clickAt("[aria-label='Forget " + user + "']");
        browser.switchTo(user);
        browser.await(".waiting");
        browser.awaitTexts("#send", "Stop");
        gate.open();
        browser.awaitTexts(".said.model.kept .text", "late");
    }
}
