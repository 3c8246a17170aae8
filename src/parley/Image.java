package parley;

import java.nio.charset.StandardCharsets;

/** An image's own bytes, and what they are. */
record Image(String mimeType, byte[] bytes) {
    /** Knows an image by its first bytes (https://mimesniff.spec.whatwg.org/#image-type-pattern-matching-algorithm); null for none. */
    static Image of(byte[] bytes) {
        String start = new String(bytes, 0, Math.min(bytes.length, 16), StandardCharsets.ISO_8859_1);
        String type = start.startsWith("\u0089PNG\r\n\u001a\n") ? "image/png"
                : start.startsWith("\u00ff\u00d8\u00ff") ? "image/jpeg"
                : start.matches("(?s)RIFF.{4}WEBP.*") ? "image/webp"
                : start.startsWith("GIF87a") || start.startsWith("GIF89a") ? "image/gif"
                : start.matches("(?s).{4}ftypavi[fs].*") ? "image/avif" : null;
        return type == null ? null : new Image(type, bytes);
    }
}
