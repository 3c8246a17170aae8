package parley;

import static java.lang.System.out;
import static parley.Log.sanitized;

import parley.Settings.Account;

/** The answer to {@code --check}: the settings, and whether each provider takes its key and knows its model. */
final class Check {
    /**
     * {@return whether chats can be answered, and images too} One service of images need not be set up; each of a list
     * has to be. Prints what it finds.
     */
    static boolean passes(LiveSettings settings, ProviderHttp client) {
        settings.shown().forEach((name, value) -> out.println(sanitized(name + "=" + value)));
        Settings now = settings.current();
        boolean good = true;
        var services = new Services(client, now);
        for (Account account : now.chats()) good &= isGood(services, account);
        for (Account account : now.images()) {
            good &= isGood(services, account)
                    || account.missing() != null && now.images().size() == 1;
        }
        return good;
    }

    private static boolean isGood(Services services, Account account) {
        String answer = answer(services, account);
        out.println(account + ": " + answer);
        return answer.equals("good");
    }

    private static String answer(Services services, Account account) {
        if (account.missing() != null) return "not set up: " + account.missing() + " is missing in .env";
        try {
            services.provider(account).check();
            return "good";
        } catch (Problem e) {
            return e.getMessage();
        }
    }
}
