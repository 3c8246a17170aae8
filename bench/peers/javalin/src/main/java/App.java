import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import dev.langchain4j.data.message.AiMessage;
import dev.langchain4j.data.message.ChatMessage;
import dev.langchain4j.data.message.SystemMessage;
import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.model.googleai.GoogleAiGeminiChatModel;
import io.javalin.Javalin;
import io.javalin.http.Context;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.ReentrantLock;

/**
 * What a person would write with Javalin, virtual threads and langchain4j: a JSON file a user, one turn at a time for
 * each user, written through a rename.
 */
public class App {
    private static final int WINDOW = 20;
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Path FOLDER = Path.of(System.getenv("HISTORY_DIR"));
    private static final ConcurrentHashMap<String, ReentrantLock> TURNS = new ConcurrentHashMap<>();
    private static final GoogleAiGeminiChatModel MODEL = GoogleAiGeminiChatModel.builder()
            .baseUrl(System.getenv("GEMINI_BASE_URL") + "/v1beta")
            .apiKey("none")
            .modelName("gemini-flash-latest")
            .temperature(0.7)
            .build();

    public static void main(String[] args) throws IOException {
        Files.createDirectories(FOLDER);
        Javalin.create(config -> {
                    config.concurrency.useVirtualThreads = true;
                    config.startup.showJavalinBanner = false;
                    config.routes.get("/health", context -> context.json(Map.of("status", "ok")));
                    config.routes.post("/chat", App::chat);
                })
                .start("127.0.0.1", Integer.parseInt(System.getenv("PORT")));
    }

    private static void chat(Context context) throws IOException {
        JsonNode body = JSON.readTree(context.bodyInputStream());
        String user = body.path("user_id").asText("");
        String message = body.path("message").asText("");
        if (!user.matches("[\\w-]{1,64}") || message.isEmpty()) {
            context.status(400).json(Map.of("error", "bad request"));
            return;
        }
        ReentrantLock turn = TURNS.computeIfAbsent(user, any -> new ReentrantLock());
        turn.lock();
        try {
            Path file = FOLDER.resolve("history_" + user + ".json");
            ArrayNode history = Files.exists(file) ? (ArrayNode) JSON.readTree(file.toFile()) : JSON.createArrayNode();
            add(history, "user", message);
            String reply = MODEL.chat(messages(history)).aiMessage().text();
            add(history, "assistant", reply);
            Path temporary = file.resolveSibling(file.getFileName() + ".tmp");
            Files.write(temporary, JSON.writerWithDefaultPrettyPrinter().writeValueAsBytes(history));
            Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE);
            context.json(Map.of("user_id", user, "reply", reply));
        } finally {
            turn.unlock();
        }
    }

    private static void add(ArrayNode history, String role, String content) {
        history.addObject()
                .put("role", role)
                .put("content", content)
                .put("time", Instant.now().toString());
    }

    private static List<ChatMessage> messages(ArrayNode history) {
        var messages = new ArrayList<ChatMessage>(List.of(SystemMessage.from("You are a helpful assistant.")));
        for (int i = Math.max(0, history.size() - WINDOW); i < history.size(); i++) {
            String content = history.get(i).get("content").asText();
            messages.add(
                    history.get(i).get("role").asText().equals("user")
                            ? UserMessage.from(content)
                            : AiMessage.from(content));
        }
        return messages;
    }
}
