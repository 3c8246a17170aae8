package parley;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.zip.CRC32;
import java.util.zip.Deflater;
import java.util.zip.DeflaterOutputStream;

/** Paints a landscape from a prompt: the same for the same words, and in the colours that they name. */
final class Painter {
    private static final int SIZE = 512; // pixels, each way

    private static final Map<String, Integer> COLOURS = Map.ofEntries(Map.entry("red", 0xD7263D), Map.entry("orange", 0xF46036), Map.entry("yellow", 0xFFD23F),
            Map.entry("gold", 0xE0A526), Map.entry("green", 0x2E933C), Map.entry("teal", 0x1B998B), Map.entry("turquoise", 0x30C5C9), Map.entry("blue", 0x2364AA),
            Map.entry("purple", 0x7B2D8B), Map.entry("violet", 0x7F4FC9), Map.entry("pink", 0xFF6FA3), Map.entry("brown", 0x7A4A2B), Map.entry("black", 0x15151C),
            Map.entry("white", 0xF7F4EC), Map.entry("grey", 0x7D8491), Map.entry("gray", 0x7D8491));

    private final Random random;
    private final List<Integer> palette = new ArrayList<>();

    private Painter(String prompt) {
        String words = prompt.strip().toLowerCase(Locale.ROOT);
        random = new Random(words.hashCode() * 0x9E3779B97F4A7C15L);
        for (String word : words.split("\\W+")) {
            if (COLOURS.containsKey(word)) palette.add(COLOURS.get(word));
        }
        double hue = random.nextDouble();
        for (double step : new double[] {0, 0.11, 0.46}) palette.add(hue(hue + step));
    }

    /** A PNG of the prompt. */
    static byte[] paint(String prompt) {
        try {
            return png(new Painter(prompt).landscape());
        } catch (IOException e) {
            throw new IllegalStateException("nothing is written but memory", e);
        }
    }

    /** A sky with a sun or a moon in it, and ranges of hills that grow darker towards us. */
    private int[] landscape() {
        int near = palette.get(0);
        int sky = palette.get(1);
        boolean night = random.nextInt(3) == 0;
        int high = mix(sky, 0x0B1026, night ? 0.8 : 0.25);
        int low = mix(palette.get(2), night ? 0x1B1F3B : 0xFFF1D6, night ? 0.5 : 0.65);
        double sunX = SIZE * (0.15 + 0.7 * random.nextDouble());
        double sunY = SIZE * (0.15 + 0.25 * random.nextDouble());
        double radius = SIZE * (0.05 + 0.09 * random.nextDouble());
        int[] pixels = new int[SIZE * SIZE];
        for (int y = 0; y < SIZE; y++) {
            for (int x = 0; x < SIZE; x++) {
                double away = Math.hypot(x - sunX, y - sunY) / radius;
                int air = mix(high, low, Math.pow(y / (SIZE * 0.8), 1.3));
                int glow = mix(air, night ? 0xDDE6FF : mix(near, 0xFFE9B0, 0.5), away < 1 ? 0.95 : 0.6 / (away * away));
                boolean star = night && away > 2 && y < SIZE / 2 && random.nextInt(900) == 0;
                pixels[y * SIZE + x] = star ? 0xFFFFFF : glow;
            }
        }
        int ranges = 4 + random.nextInt(3);
        for (int i = 0; i < ranges; i++) hills(pixels, (i + 1.0) / ranges, mix(low, mix(near, 0x101018, 0.45 * i / ranges), 0.35 + 0.65 * (i + 1) / ranges));
        return pixels;
    }

    /** One range whose ridge is a sum of waves; {@code nearness} is 1 for the nearest. */
    private void hills(int[] pixels, double nearness, int colour) {
        double[] phase = random.doubles(4, 0, 2 * Math.PI).toArray();
        double steep = 0.6 + random.nextDouble();
        for (int x = 0; x < SIZE; x++) {
            double ridge = SIZE * (0.38 + 0.48 * nearness);
            for (int wave = 0; wave < phase.length; wave++) {
                ridge -= SIZE * 0.07 * steep / (1 << wave) * Math.sin(x * (1 + nearness) * Math.PI * (1 << wave) * 1.3 / SIZE + phase[wave]);
            }
            for (int y = Math.max(0, (int) ridge); y < SIZE; y++) {
                pixels[y * SIZE + x] = mix(colour, 0xFFFFFF, Math.max(0, 0.16 - (y - ridge) / SIZE)); // mist on the ridge
            }
        }
    }

    private static int hue(double hue) {
        int[] channels = new int[3];
        for (int i = 0; i < 3; i++) channels[i] = (int) (60 + 170 * (0.5 + 0.5 * Math.cos(2 * Math.PI * (hue - i / 3.0))));
        return channels[0] << 16 | channels[1] << 8 | channels[2];
    }

    private static int mix(int from, int to, double share) {
        double part = Math.clamp(share, 0.0, 1.0);
        int mixed = 0;
        for (int shift = 0; shift <= 16; shift += 8) {
            mixed |= (int) Math.round((from >> shift & 255) * (1 - part) + (to >> shift & 255) * part) << shift;
        }
        return mixed;
    }

    /** The file of the pixels, as https://www.w3.org/TR/png-3/ has it: RGB of 8 bits, no filter. */
    private static byte[] png(int[] pixels) throws IOException {
        var packed = new ByteArrayOutputStream();
        try (var out = new DeflaterOutputStream(packed, new Deflater(Deflater.BEST_SPEED))) {
            byte[] row = new byte[1 + 3 * SIZE];
            for (int y = 0; y < SIZE; y++) {
                for (int i = 0; i < 3 * SIZE; i++) row[1 + i] = (byte) (pixels[y * SIZE + i / 3] >> 16 - i % 3 * 8);
                out.write(row);
            }
        }
        var file = new ByteArrayOutputStream();
        var out = new DataOutputStream(file);
        out.writeLong(0x89504E470D0A1A0AL);
        chunk(out, "IHDR", new byte[] {0, 0, SIZE >> 8, (byte) SIZE, 0, 0, SIZE >> 8, (byte) SIZE, 8, 2, 0, 0, 0});
        chunk(out, "IDAT", packed.toByteArray());
        chunk(out, "IEND", new byte[0]);
        return file.toByteArray();
    }

    private static void chunk(DataOutputStream out, String type, byte[] data) throws IOException {
        var sum = new CRC32();
        sum.update(type.getBytes(StandardCharsets.US_ASCII));
        sum.update(data);
        out.writeInt(data.length);
        out.writeBytes(type);
        out.write(data);
        out.writeInt((int) sum.getValue());
    }
}
