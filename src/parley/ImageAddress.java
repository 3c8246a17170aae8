package parley;

import static java.net.InetAddress.getAllByName;
import static java.util.regex.Pattern.compile;

import java.io.IOException;
import java.net.InetAddress;
import java.net.URI;
import java.net.URL;
import java.util.HexFormat;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Which addresses of images may be fetched, as providers give them: those of the public internet by https, and those of
 * the provider's own host and port.
 */
final class ImageAddress {
    /** How addresses begin, in hexadecimal digits, that are not of the public internet: RFC 6890, and groups. */
    private static final Pattern SPECIAL_IPV4 = compile(
            """
            (?x) 00                     # 0.0.0.0/8, this network
            | 0a | ac1 | c0a8           # 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, private ones
            | 64[4-7]                   # 100.64.0.0/10, shared by a provider's customers
            | 7f                        # 127.0.0.0/8, this machine
            | a9fe                      # 169.254.0.0/16, a link's own
            | c00000 | c05863           # 192.0.0.0/24, 192.88.99.0/24, protocols
            | c61[23]                   # 198.18.0.0/15, benchmarks
            | c00002 | c63364 | cb0071  # 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24, documentation
            | [ef]                      # 224.0.0.0/3, groups, and what is reserved
            """);

    private static final Pattern SPECIAL_IPV6 = compile(
            """
            (?x) [^23]                  # all but 2000::/3: this machine, links, groups, private, mapped and translated
            | 20010[01]                 # 2001::/23, protocols
            | 20010db8 | 3fff0          # 2001:db8::/32, 3fff::/20, documentation
            | 2002                      # 2002::/16, which holds IPv4 addresses
            """);

    /**
     * {@return the address, which may be fetched}
     *
     * @param problems of the provider that gave it
     * @throws Problem where it may not be fetched
     */
    static URI of(String text, ProviderProblems problems) {
        URI service = problems.account().base();
        try {
            URI address = URI.create(text);
            URL url = address.toURL();
            boolean own = url.getHost().equalsIgnoreCase(service.getHost()) && port(url) == port(service.toURL());
            if (own && url.getProtocol().startsWith("http")) return address;
            if (!url.getProtocol().equals("https")) throw problems.ofImageAddress("is not https");
            if (Stream.of(getAllByName(url.getHost())).anyMatch(ImageAddress::isSpecial)) {
                throw problems.ofImageAddress("is in a private network");
            }
            if (address.getHost() == null) throw problems.ofImageAddress("names a host that Java cannot take");
            return address;
        } catch (IllegalArgumentException | IOException e) {
            throw problems.ofImageAddress("leads nowhere");
        }
    }

    private static int port(URL url) {
        return url.getPort() < 0 ? url.getDefaultPort() : url.getPort();
    }

    private static boolean isSpecial(InetAddress address) {
        String digits = HexFormat.of().formatHex(address.getAddress());
        return (digits.length() == 8 ? SPECIAL_IPV4 : SPECIAL_IPV6)
                .matcher(digits)
                .lookingAt();
    }
}
