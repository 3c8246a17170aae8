package parley;

import java.nio.charset.StandardCharsets;

/**
 * Whoever a request says that it comes from.
 *
 * @param id any text of 1 to 128 characters that is not blank, without control characters or lone surrogates
 */
record User(String id) {
    private static final int MAX_CHARACTERS = 128;
    private static final int MAX_FILE_NAME = 255; // bytes, on every common file system

    /** @throws Problem 400 where the id is none */
    User {
        if (id.isBlank() || id.codePointCount(0, id.length()) > MAX_CHARACTERS) {
            throw Problem.invalid("user_id must have 1 to " + MAX_CHARACTERS + " characters and not be blank");
        }
        for (int i = 0; i < id.length(); i++) {
            if (Character.isISOControl(id.charAt(i)) || Json.loneSurrogate(id, i)) {
                throw Problem.invalid("user_id must not hold control characters or lone surrogates");
            }
        }
        if (fileName(id).length() > MAX_FILE_NAME) throw Problem.invalid("user_id is too long for a file name");
    }

    /** The name of this user's history file, in ASCII: no other user's, also where case or Unicode's forms don't count. */
    String fileName() {
        return fileName(id);
    }

    private static String fileName(String id) {
        var name = new StringBuilder("history_");
        for (byte b : id.getBytes(StandardCharsets.UTF_8)) {
            boolean plain = b >= 'a' && b <= 'z' || b >= '0' && b <= '9' || "_-.@+".indexOf(b) >= 0;
            if (plain) name.append((char) b);
            else name.append(String.format("%%%02X", b));
        }
        return name.append(".json").toString();
    }

    /** The id as a line of the console shows it. */
    @Override
    public String toString() {
        return Log.plain(id.substring(0, Math.min(id.length(), 40)));
    }
}
