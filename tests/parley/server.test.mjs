/** The page's talk with the server, in Node, against a real HTTP server that does what a row tells it. */

import assert from 'node:assert/strict';
import {createServer} from 'node:http';
import {after, before, test} from 'node:test';
import {Conversation, turns} from '../../src/parley/page/conversation.js';
import {connect, events} from '../../src/parley/page/server.js';

const scripts = [], requests = [];
let http, server;

before(async () => {
  http = createServer((request, response) => {
    const parts = [];
    request.on('data', part => parts.push(part));
    request.on('end', () => {
      const body = Buffer.concat(parts).toString();
      requests.push({line: `${request.method} ${request.url}`, known: request.headers['if-none-match'], body: JSON.parse(body || '{}')});
      scripts.shift()(response);
    });
  });
  await new Promise(done => http.listen(0, '127.0.0.1', done));
  server = connect(`http://127.0.0.1:${http.address().port}/under/a/path/`);
});
after(() => http.close());

const json = (status, value, headers = {}) => response => {
  response.writeHead(status, {'Content-Type': 'application/json', ...headers});
  response.end(JSON.stringify(value));
};
const stream = (...parts) => response => {
  response.writeHead(200, {'Content-Type': 'text/event-stream'});
  parts.forEach(part => response.write(part));
  response.end();
};
const cut = response => response.destroy();

async function play(...all) {
  requests.length = 0;
  scripts.push(...all);
}

// --- Events ---

const STREAMS = [
  ['a text and its end', ['data: {"a":1}\n\nevent: done\ndata: x\n\n'], ['|{"a":1}', 'done|x']],
  ['a line separator in a text', ['data: a\u2028b\n\n'], ['|a\u2028b']],
  ['comments', [': ping\n\ndata: x\n\n: ping\n\n'], ['|x']],
  ['parts that end anywhere', ['da', 'ta: \u00e4', '\n', '\nevent: d', 'one\ndata:y\n\n'], ['|\u00e4', 'done|y']],
  ['CRLF', ['data: x\r\n\r\ndata: y\r\n\r\n'], ['|x', '|y']],
  ['an event without an end is none', ['data: x'], []],
];

for (const [name, parts, expected] of STREAMS) {
  test('reads ' + name, async () => {
    const body = new ReadableStream({
      start(to) {
        parts.forEach(part => to.enqueue(new TextEncoder().encode(part)));
        to.close();
      },
    });
    const read = [];
    for await (const event of events(body)) read.push(event.name + '|' + event.data);
    assert.deepEqual(read, expected);
  });
}

// --- Answers ---

const ANSWER = {reply: 'Hi', version: 'v1', provider: 'p', model: 'm', finish_reason: 'stop'};
const done = 'event: done\ndata: ' + JSON.stringify(ANSWER) + '\n\n';

const CHATS = [
  ['a whole turn', stream('data: {"text":"Hi"}\n\n', done), ANSWER],
  ['a problem', json(429, {code: 'busy', detail: 'wait'}, {'Retry-After': '7'}), 'busy wait 7'],
  ['a problem behind the first word', stream('data: {"text":"Hi"}\n\n', 'event: error\ndata: {"code":"blocked","detail":"no"}\n\n'), 'blocked no 0'],
  ['a stream without an end', stream('data: {"text":"Hi"}\n\n'), 'connection_lost'],
  ['a cut connection', cut, 'connection_lost'],
  ['a proxy\'s own page', response => { response.writeHead(502); response.end('<html>'); }, 'http The server answered 502. 0'],
];

for (const [name, script, expected] of CHATS) {
  test('tells ' + name, async () => {
    await play(script);
    const told = await server.chat({user_id: 'ada', message: 'Hi'}, undefined, () => {}).catch(({code, detail, wait}) =>
      code === 'connection_lost' ? code : `${code} ${detail} ${wait}`);
    assert.deepEqual(told, expected);
    assert.equal(requests[0].line, 'POST /under/a/path/chat');
  });
}

test('tells a stop from a cut', async () => {
  const stop = new AbortController();
  await play(() => stop.abort());
  await assert.rejects(server.chat({}, stop.signal, () => {}), {code: 'stopped'});
});

test('asks for a conversation that it knows with its version', async () => {
  await play(response => { response.writeHead(304); response.end(); });
  assert.equal(await server.history('a b', 100, {known: 'v1'}), null);
  assert.deepEqual(requests, [{line: 'GET /under/a/path/history?user_id=a+b&limit=100', known: '"v1"', body: {}}]);
});

// --- Operations: what is asked of the server, in which order ---

const messages = (...pairs) => pairs.flatMap(([question, reply]) => [
  {role: 'user', content: question}, {role: 'assistant', content: reply, provider: 'p', model: 'm'}]);
const history = (version, ...pairs) => json(200, {total: 2 * pairs.length, version, messages: messages(...pairs)});
const A = ['a', 'A'], B = ['b', 'B'];
const reply = (text, version) => stream('event: done\ndata: ' + JSON.stringify({...ANSWER, reply: text, version}) + '\n\n');
const gone = response => { response.writeHead(204); response.end(); };
const changed = json(409, {code: 'conversation_changed', detail: 'changed'});

/** What was asked, in short. */
const asked = () => requests.map(({line, body, known}) => [
  line.split(/[ ?]/)[0], line.match(/(chat|history|image)/)[0], body.replace && 'replace', body.message,
  /turns=1/.test(line) && 'last', body.if_version ?? line.match(/if_version=([^&]*)/)?.[1] ?? known].filter(Boolean).join(' '));

const page = state => turns(state).map(({question, reply: words, state: now}) =>
  now === 'kept' ? `${question}:${words}` : `${question} ${now}`).join(', ');

const OPERATIONS = [
  // what is done; what the server does; what it was asked; what is shown
  ['a message', c => c.send('b'), [reply('B', 'v2'), history('v2', A, B)], ['POST chat b', 'GET history'], 'a:A, b:B'],
  ['1 a regenerate names the state that is shown', c => c.retry(c.state.kept[0]), [reply('C', 'v2'), history('v2', ['a', 'C'])],
    ['POST chat replace a v1', 'GET history'], 'a:C'],
  ['1 a take back too', c => c.takeBack(), [gone, history('')], ['DELETE history last v1', 'GET history'], ''],
  ['1 what has changed is shown, and nothing more is sent', c => c.takeBack(), [changed, history('v2', A, B)],
    ['DELETE history last v1', 'GET history'], 'a:A, b:B'],
  ['1 a clear names the state too', c => c.clear(), [changed, history('v2', A, B)],
    ['DELETE history v1', 'GET history'], 'a:A, b:B'],
  ['3 two take backs at once are one', c => Promise.all([c.takeBack(), c.takeBack()]), [gone, history('')],
    ['DELETE history last v1', 'GET history'], ''],
  ['3 a cut take back that was done is one', c => c.takeBack(), [cut, history('')],
    ['DELETE history last v1', 'GET history'], ''],
  ['7 a cut turn is looked for', c => c.send('b'), [cut, history('v2', A, B)], ['POST chat b', 'GET history'], 'a:A, b:B'],
  ['7 a cut turn that is tried again names the state', async c => {
    await c.send('b');
    await c.retry(c.state.own[0]);
  }, [cut, history('v1', A), changed, history('v2', A, B)],
    ['POST chat b', 'GET history', 'POST chat b v1', 'GET history'], 'a:A, b:B'],
  ['7 a turn that was stored before Stop was heard is found', async c => {
    scripts.unshift(() => c.stop());
    await c.send('b');
  }, [history('v2', A, B)], ['POST chat b', 'GET history'], 'a:A, b:B'],
  ['8 a failed edit that is tried again replaces', async c => {
    c.set({edit: {turn: c.state.kept[0], text: 'b'}});
    await c.sendEdit();
    await c.retry(c.state.own[0]);
  }, [json(502, {code: 'provider_error', detail: 'no'}), reply('B', 'v2'), history('v2', B)],
    ['POST chat replace b v1', 'POST chat replace b v1', 'GET history'], 'b:B'],
  ['8 but not another turn', async c => {
    c.set({edit: {turn: c.state.kept[0], text: 'c'}});
    await c.sendEdit();
    await c.send('b');
    await c.retry(c.state.own[0]);
  }, [json(502, {code: 'provider_error', detail: 'no'}), reply('B', 'v2'), history('v2', A, B), reply('C', 'v3'), history('v3', A, B, ['c', 'C'])],
    ['POST chat replace c v1', 'POST chat b', 'GET history', 'POST chat c', 'GET history'], 'a:A, b:B, c:C'],
  ['9 looking again costs nothing where nothing changed', c => c.again(),
    [response => { response.writeHead(304); response.end(); }], ['GET history "v1"'], 'a:A'],
  ['one at a time', c => Promise.all([c.send('b'), c.send('c')]), [reply('B', 'v2'), history('v2', A, B)],
    ['POST chat b', 'GET history'], 'a:A, b:B'],
];

for (const [name, operate, answers, expected, shown] of OPERATIONS) {
  test(name, async () => {
    const conversation = new Conversation('ada', server, {load: () => undefined, save: () => {}}, () => {});
    await play(history('v1', A));
    await conversation.open();
    await play(...answers);
    await operate(conversation);
    assert.deepEqual(asked(), expected);
    assert.equal(page(conversation.state), shown);
    assert.equal(conversation.state.running, null);
  });
}
