package parley;

import java.util.Locale;

/** The answer to {@code --check}: the settings, and whether each provider takes its key and knows its model. */
final class Check {
    private Check() {}

    /** {@return whether chats can be answered, and images too unless they are not set up} Prints what it finds. */
    static boolean passes(LiveSettings settings, ProviderHttp client) {
        settings.shown().forEach((name, value) -> System.out.println(Log.sanitized(name + "=" + value)));
        Settings now = settings.current();
        boolean good = true;
        for (Settings.Account account : now.chats()) good &= isGood(client, now, account);
        for (Settings.Account account : now.images()) good &= isGood(client, now, account) || account.missing() != null;
        return good;
    }

    private static boolean isGood(ProviderHttp client, Settings settings, Settings.Account account) {
        String use = account.use().toLowerCase(Locale.ROOT);
        String answer = answer(client, settings, account);
        System.out.println(use + ", " + account.provider() + " with " + account.model() + ": " + answer);
        return answer.equals("good");
    }

    private static String answer(ProviderHttp client, Settings settings, Settings.Account account) {
        if (account.missing() != null) return "not set up: " + account.missing() + " is missing in .env";
        try {
            Api.provider(client, settings, account).check();
            return "good";
        } catch (Problem e) {
            return e.getMessage();
        }
    }
}
