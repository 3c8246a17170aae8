package parley;

import static java.util.stream.Collectors.toUnmodifiableMap;

import java.util.Map;

/** Reads what the program says in tables: {@code name=value}, a row a line. */
final class Table {
    static Map<String, String> of(String text) {
        return text.lines().map(row -> row.split("=", 2)).collect(toUnmodifiableMap(row -> row[0], row -> row[1]));
    }
}
