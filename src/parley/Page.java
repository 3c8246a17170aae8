package parley;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Base64;

/**
 * The chat page, which may run its own script and style only, and load nothing from elsewhere.
 *
 * @param policy the Content-Security-Policy (https://www.w3.org/TR/CSP3/) that names both by their hashes
 */
record Page(byte[] html, String policy) {
    static Page load() {
        try (InputStream file = Page.class.getResourceAsStream("chat.html")) {
            byte[] html = file.readAllBytes();
            String text = new String(html, StandardCharsets.UTF_8);
            return new Page(html, "default-src 'none'; connect-src 'self'; img-src 'self' blob: data:; script-src '" + hash(text, "script")
                    + "'; style-src '" + hash(text, "style") + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static String hash(String html, String tag) {
        String inside = html.substring(html.indexOf("<" + tag + ">") + tag.length() + 2, html.indexOf("</" + tag + ">"));
        try {
            return "sha256-" + Base64.getEncoder().encodeToString(MessageDigest.getInstance("SHA-256").digest(inside.getBytes(StandardCharsets.UTF_8)));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java platform has SHA-256", e);
        }
    }

    void show(Call call) throws IOException {
        call.header("Content-Security-Policy", policy);
        call.header("X-Content-Type-Options", "nosniff");
        call.header("Referrer-Policy", "no-referrer");
        call.header("Cache-Control", "no-cache");
        call.answer(200, "text/html; charset=utf-8", html);
    }
}
