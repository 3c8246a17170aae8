/** What the server is asked, and what it answers. Every failure is a Problem. */

/** A refusal, or why no answer came; wait: seconds until another try makes sense. */
export class Problem extends Error {
  constructor({code, detail, wait = 0}) {
    super(detail);
    Object.assign(this, {code: String(code), detail: String(detail), wait});
  }
}

const LOST = {code: 'connection_lost', detail: 'The server cannot be reached. Your words are kept here.'};
const STOPPED = {code: 'stopped', detail: 'Nothing was stored.'};

/** Events as they come: https://html.spec.whatwg.org/multipage/server-sent-events.html */
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const blocks = (rest + part.value).split(/\r?\n\r?\n/);
    rest = blocks.pop();
    yield* blocks.map(event).filter(each => each.data);
  }
}

/** Parley's data is one line. */
function event(block) {
  const field = name => block.match(`(?:^|\n)${name}: ?([^\r\n]*)`)?.[1] ?? '';
  return {name: field('event'), data: field('data')};
}

async function refusal(response) {
  const {code = 'http', detail = `The server answered ${response.status}.`} = await response.json().catch(() => ({}));
  return new Problem({code, detail, wait: parseInt(response.headers.get('Retry-After'), 10) || 0});
}

/** @param {string | URL} base the folder that the page lies in: a proxy may put Parley under any path */
export function connect(base) {
  async function ask(path, options, read = response => response.json()) {
    try {
      const response = await fetch(new URL(path, base), {cache: 'no-store', ...options});
      if (response.ok || response.status === 304) return await read(response);
      throw await refusal(response);
    } catch (error) {
      if (error instanceof Problem) throw error;
      throw new Problem(options?.signal?.reason?.name === 'AbortError' ? STOPPED : LOST); // not of a time limit
    }
  }

  const of = (user, more) => 'history?' + new URLSearchParams({user_id: user, ...more});

  const post = (body, signal) => ({
    method: 'POST',
    headers: {'Content-Type': 'application/json'},
    body: JSON.stringify(body),
    signal,
  });

  return {
    /** {demo, chat: {provider, model, ready}, image} */
    health: () => ask('health'),

    /** {total, version, messages}; null where it still is in the known version. */
    history: (user, limit, {known, signal} = {}) => ask(of(user, {limit}),
      {headers: known && {'If-None-Match': `"${known}"`}, signal},
      response => response.status === 304 ? null : response.json()),

    wholeHistory: user => ask(of(user), {}, response => response.text()),

    /** Takes the last turns back, or everything. */
    remove: (user, version, turns) =>
      ask(of(user, {if_version: version, ...turns && {turns}}), {method: 'DELETE'}, () => null),

    /** {reply, finish_reason, provider, model, usage, version}, once it is stored. */
    chat: (body, signal, onDelta) => ask('chat', post({...body, stream: true}, signal), async response => {
      for await (const {name, data} of events(response.body)) {
        const value = JSON.parse(data);
        if (name === 'error') throw new Problem(value);
        if (name === 'done') return value;
        onDelta(value.text);
      }
      throw new Problem(LOST);
    }),

    /** [{mime_type, data}], in base64 */
    image: async (user, prompt, signal) => (await ask('image', post({user_id: user, prompt}, signal))).images,
  };
}
