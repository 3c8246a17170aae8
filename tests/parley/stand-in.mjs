// An independent fake of OpenAI's API and of Gemini's (npm: @copilotkit/aimock), which prints its address.
import {LLMock} from '@copilotkit/aimock';
const fox = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const mock = new LLMock({port: 0});
mock.onMessage('hello', {content: 'Hi there, from \u{1f98a} a stand-in!'});
mock.onMessage('limit', {error: {message: 'said so', type: 'rate_limit_error'}, status: 429});
mock.onImage('fox', {image: {b64Json: fox}});
await mock.start();
console.log(mock.url);
