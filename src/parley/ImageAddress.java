package parley;

import java.io.IOException;
import java.math.BigInteger;
import java.net.InetAddress;
import java.net.URI;
import java.net.UnknownHostException;
import java.util.List;
import java.util.stream.Stream;

/**
 * The address of an image, which a provider gave: it is fetched from the public internet by https, or from the
 * provider's own host and port.
 */
record ImageAddress(URI uri) {
    /** The address may not be fetched. The message says what it is. */
    @SuppressWarnings("serial")
    static final class Refused extends Exception {
        Refused(String what) {
            super(what);
        }
    }

    /** What is not of the public internet: RFC 6890's networks, what was added later, and groups. */
    private static final List<Network> SPECIAL = Stream.of(
                    "0.0.0.0/8",
                    "10.0.0.0/8",
                    "100.64.0.0/10",
                    "127.0.0.0/8",
                    "169.254.0.0/16",
                    "172.16.0.0/12",
                    "192.0.0.0/24",
                    "192.0.2.0/24",
                    "192.88.99.0/24",
                    "192.168.0.0/16",
                    "198.18.0.0/15",
                    "198.51.100.0/24",
                    "203.0.113.0/24",
                    "224.0.0.0/3",
                    "::/3",
                    "2001::/23",
                    "2001:db8::/32",
                    "2002::/16",
                    "3fff::/20",
                    "4000::/2",
                    "8000::/1")
            .map(Network::of)
            .toList();

    private record Network(BigInteger start, int prefix, int bits) {
        static Network of(String text) {
            String[] halves = text.split("/");
            byte[] address = bytes(halves[0]);
            return new Network(new BigInteger(1, address), Integer.parseInt(halves[1]), 8 * address.length);
        }

        private static byte[] bytes(String literal) {
            try {
                return InetAddress.getByName(literal).getAddress(); // asks nobody: it is no name
            } catch (UnknownHostException e) {
                throw new IllegalArgumentException(literal, e);
            }
        }

        boolean has(byte[] address) {
            int rest = bits - prefix;
            return 8 * address.length == bits
                    && new BigInteger(1, address).shiftRight(rest).equals(start.shiftRight(rest));
        }
    }

    /**
     * {@return the address, which may be fetched}
     *
     * @param service the provider's own address
     */
    static ImageAddress of(String text, URI service) throws Refused {
        try {
            URI uri = URI.create(text);
            String host = uri.toURL().getHost();
            boolean own = host.equalsIgnoreCase(service.getHost()) && port(uri) == port(service);
            if (own && uri.getScheme().matches("(?i)https?")) return new ImageAddress(uri);
            if (!uri.getScheme().equalsIgnoreCase("https")) throw new Refused("is not https");
            if (!isPublic(host)) throw new Refused("is in a private network");
            return new ImageAddress(uri);
        } catch (IllegalArgumentException | IOException e) {
            throw new Refused("leads nowhere");
        }
    }

    private static int port(URI uri) {
        if (uri.getPort() >= 0) return uri.getPort();
        return uri.getScheme().equalsIgnoreCase("https") ? 443 : 80;
    }

    private static boolean isPublic(String host) throws UnknownHostException {
        return Stream.of(InetAddress.getAllByName(host))
                .map(InetAddress::getAddress)
                .noneMatch(address -> SPECIAL.stream().anyMatch(network -> network.has(address)));
    }
}
