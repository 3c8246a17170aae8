package parley;

import static parley.Json.object;

import java.net.URI;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/** The dialect of OpenAI (https://platform.openai.com/docs/api-reference/chat), which Nebius and most other services speak. */
record OpenAi(Upstream upstream, Settings settings) implements Provider {
    @Override
    public Reply chat(List<Message> messages, Consumer<String> onText) throws InterruptedException {
        var said = new ArrayList<Object>();
        if (settings.instructions() != null) said.add(object("role", "system", "content", settings.instructions()));
        for (Message message : Provider.alternating(messages)) {
            said.add(object("role", message.byUser() ? "user" : "assistant", "content", message.content()));
        }
        Settings.Generation generation = settings.generation();
        Map<String, Object> body = object("model", upstream.account().model(), "messages", said, "temperature", generation.temperature(),
                "top_p", generation.topP(), "top_k", generation.topK(), "max_tokens", generation.maxOutputTokens(),
                "stream", true, "stream_options", object("include_usage", true));
        var answer = new Answer(onText);
        upstream.stream(upstream.post(path("/chat/completions"), body), answer, event -> read(event, answer));
        return answer.reply(upstream.name());
    }

    /** Takes a piece of a stream, or the one whole message that some services answer although a stream was asked for. */
    private void read(Object event, Answer answer) {
        Object choice = Json.at(event, "choices", 0);
        for (String holder : List.of("delta", "message")) {
            String text = Json.string(choice, holder, "content");
            if (text != null) answer.say(text);
        }
        Object usage = Json.at(event, "usage");
        answer.cost(Json.at(usage, "prompt_tokens"), Json.at(usage, "completion_tokens"), Json.at(usage, "total_tokens"));
        switch (Json.string(choice, "finish_reason")) {
            case null -> { }
            case "stop", "length" -> answer.finish(Json.string(choice, "finish_reason"));
            case "content_filter" -> throw upstream.blocked("content_filter");
            case String reason -> throw upstream.failed("ended its reply with " + reason);
        }
    }

    @Override
    public List<Image> draw(String prompt) throws InterruptedException {
        Object answer = upstream.ask(upstream.post(path("/images/generations"),
                object("model", upstream.account().model(), "prompt", prompt, "response_format", "b64_json")));
        var images = new ArrayList<Image>();
        for (Object item : Json.items(answer, "data")) {
            if (Json.string(item, "b64_json") != null) images.add(upstream.image(Json.string(item, "b64_json")));
            else if (Json.string(item, "url") != null) images.add(upstream.fetch(Json.string(item, "url")));
        }
        if (images.isEmpty()) throw new Problem(Problem.Code.EMPTY_REPLY, upstream.name() + " drew nothing: try other words");
        return images;
    }

    @Override
    public void check() throws InterruptedException {
        List<?> models = Json.items(upstream.ask(upstream.request(path("/models")).GET()), "data");
        if (models.stream().noneMatch(model -> upstream.account().model().equals(Json.string(model, "id")))) throw upstream.unknownModel("it is not on its list");
    }

    private URI path(String path) {
        return URI.create(upstream.account().base() + path);
    }
}
