package parley;

import java.awt.Color;
import java.awt.GradientPaint;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import javax.imageio.ImageIO;

/** The demo's painter: hills under a sun, in the colour that a prompt names, and the same for the same prompt. */
final class Landscape {
    private static final int SIZE = 512; // pixels, each way
    private static final Map<String, Integer> COLOURS = Map.of(
            "red", 0xD7263D,
            "orange", 0xF46036,
            "yellow", 0xFFD23F,
            "green", 0x2E933C,
            "blue", 0x2364AA,
            "purple", 0x7B2D8B,
            "pink", 0xFF6FA3,
            "brown", 0x7A4A2B,
            "white", 0xF7F4EC,
            "grey", 0x7D8491);

    static {
        System.setProperty("java.awt.headless", "true");
    }

    private Landscape() {}

    /** The picture, as a PNG. */
    static byte[] paint(String prompt) throws IOException {
        String words = prompt.strip().toLowerCase(Locale.ROOT);
        var random = new Random(words.hashCode());
        int hills = Stream.of(words.split("\\W+"))
                .filter(COLOURS::containsKey)
                .map(COLOURS::get)
                .findFirst()
                .orElse(Color.HSBtoRGB(random.nextFloat(), 0.7f, 0.7f));
        var image = new BufferedImage(SIZE, SIZE, BufferedImage.TYPE_INT_RGB);
        paint(image.createGraphics(), hills & 0xFFFFFF, random);
        var png = new ByteArrayOutputStream();
        ImageIO.write(image, "png", png);
        return png.toByteArray();
    }

    private static void paint(Graphics2D brush, int hills, Random random) {
        brush.setRenderingHint(RenderingHints.KEY_ANTIALIASING, RenderingHints.VALUE_ANTIALIAS_ON);
        brush.setPaint(new GradientPaint(0, 0, new Color(0x2364AA), 0, SIZE, new Color(0xFFF1D6)));
        brush.fillRect(0, 0, SIZE, SIZE);
        brush.setPaint(new Color(0xFFE9B0));
        brush.fillOval(60 + random.nextInt(300), 60 + random.nextInt(120), 90, 90);
        for (int hill = 0; hill < 7; hill++) {
            brush.setPaint(new Color(hills | 110 + 20 * hill << 24, true));
            brush.fillOval(random.nextInt(SIZE) - SIZE, 200 + 40 * hill, SIZE + random.nextInt(2 * SIZE), SIZE);
        }
    }
}
