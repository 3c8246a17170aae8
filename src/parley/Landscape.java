package parley;

import static java.awt.image.BufferedImage.TYPE_INT_RGB;
import static java.lang.Math.sin;
import static java.util.Locale.ROOT;
import static javax.imageio.ImageIO.write;

import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;

/** The demo's painter: a hill in the colour that a prompt names, and the same for the same prompt. */
final class Landscape {
    private static final int SIZE = 512; // pixels, each way
    private static final Map<String, String> COLOURS = Table.of(
            """
            red=0xD7263D
            orange=0xF46036
            yellow=0xFFD23F
            green=0x2E933C
            blue=0x2364AA
            purple=0x7B2D8B
            white=0xF7F4EC""");

    /** The picture, as a PNG. */
    static byte[] paint(String prompt) throws IOException {
        String words = prompt.strip().toLowerCase(ROOT);
        int seed = words.hashCode();
        int hill = Stream.of(words.split("\\W+"))
                .map(COLOURS::get)
                .filter(Objects::nonNull)
                .findFirst()
                .map(Integer::decode)
                .orElse(seed);
        var image = new BufferedImage(SIZE, SIZE, TYPE_INT_RGB);
        for (int x = 0; x < SIZE; x++) {
            double ridge = SIZE * (0.5 + sin(seed + 6.0 * x / SIZE) / 6);
            for (int y = 0; y < SIZE; y++) image.setRGB(x, y, y < ridge ? 0xCFE8FF : hill);
        }
        var png = new ByteArrayOutputStream();
        write(image, "png", png);
        return png.toByteArray();
    }
}
