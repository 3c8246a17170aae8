package parley;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.net.URI;
import java.time.Duration;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Which addresses of images may be fetched, where the service is at http://10.1.1.1:7860/v1. */
class ImageAddressTest {
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            textBlock =
                    """
                    https://8.8.8.8/x.png              | fetched
                    https://[2606:4700:4700::1111]/x   | fetched
                    https://192.0.1.1/x                | fetched
                    https://172.32.0.1/x               | fetched
                    http://10.1.1.1:7860/out/x.png     | fetched
                    HTTPS://10.1.1.1:7860/x            | fetched
                    http://10.1.1.1/x                  | is not https
                    ftp://10.1.1.1:7860/x              | is not https
                    http://8.8.8.8/x                   | is not https
                    https://10.1.1.1/x                 | is in a private network
                    https://0.1.2.3/x                  | is in a private network
                    https://100.64.0.1/x               | is in a private network
                    https://127.0.0.1/x                | is in a private network
                    https://2130706433/x               | is in a private network
                    https://169.254.169.254/x          | is in a private network
                    https://172.31.255.255/x           | is in a private network
                    https://192.0.0.8/x                | is in a private network
                    https://192.0.2.1/x                | is in a private network
                    https://192.88.99.1/x              | is in a private network
                    https://192.168.1.1/x              | is in a private network
                    https://198.19.0.1/x               | is in a private network
                    https://198.51.100.7/x             | is in a private network
                    https://203.0.113.9/x              | is in a private network
                    https://224.0.0.1/x                | is in a private network
                    https://240.0.0.1/x                | is in a private network
                    https://255.255.255.255/x          | is in a private network
                    https://[::1]/x                    | is in a private network
                    https://[::ffff:10.0.0.1]/x        | is in a private network
                    https://[64:ff9b::7f00:1]/x        | is in a private network
                    https://[100::1]/x                 | is in a private network
                    https://[2001::1]/x                | is in a private network
                    https://[2001:db8::1]/x            | is in a private network
                    https://[2002:7f00:1::]/x          | is in a private network
                    https://[fc00::1]/x                | is in a private network
                    https://[fe80::1]/x                | is in a private network
                    https://[ff02::1]/x                | is in a private network
                    https://8.8.2056/x                 | names a host that Java cannot take
                    https://no-such-host.invalid/x     | leads nowhere
                    /out/x.png                         | leads nowhere
                    x y                                | leads nowhere
                    """)
    void isFetchedFromThePublicInternetOrTheServiceItself(String address, String expected) {
        var service =
                new Settings.Account("local", "IMAGE", URI.create("http://10.1.1.1:7860/v1"), null, "m", Map.of());
        String told = "fetched";
        try {
            ImageAddress.of(address, new ProviderProblems(service, Duration.ofSeconds(1)));
        } catch (Problem e) {
            told = e.getMessage().replace("local gave an image's address that ", "");
        }
        assertEquals(expected, told);
    }
}
