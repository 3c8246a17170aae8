/** What the server is asked, and what it answers: no DOM, no state. Every failure is a Problem. */

/** A refusal (RFC 9457), or why no answer came: the codes connection_lost and stopped are the page's own. */
export class Problem extends Error {
  /** @param {{code: string, detail: string, wait?: number}} problem wait: seconds until another try makes sense */
  constructor({code, detail, wait = 0}) {
    super(detail);
    Object.assign(this, {code, detail, wait});
  }
}

const LOST = {code: 'connection_lost', detail: 'The server cannot be reached. Your words are kept here.'};
const STOPPED = {code: 'stopped', detail: 'Nothing was stored.'};

/** An event stream's events, as they come: https://html.spec.whatwg.org/multipage/server-sent-events.html */
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const blocks = (rest + part.value).split(/\r?\n\r?\n/);
    rest = blocks.pop();
    yield* blocks.map(event).filter(each => each.data !== '');
  }
}

/** One event; a comment has no data. */
function event(block) {
  const lines = block.split(/\r?\n/);
  const field = name => lines.filter(line => line.startsWith(name + ':'))
    .map(line => line.slice(name.length + 1).replace(/^ /, '')).join('\n');
  return {name: field('event'), data: field('data')};
}

/** @param {string | URL} base the folder that the page lies in: a proxy may put Parley under any path */
export function connect(base) {
  /** The response, where it is good; 304 counts as good. */
  async function request(path, options = {}) {
    const response = await fetch(new URL(path, base), {cache: 'no-store', ...options});
    if (response.ok || response.status === 304) return response;
    const problem = await response.json().catch(() => ({}));
    throw new Problem({
      code: problem.code ?? 'http',
      detail: problem.detail ?? `The server answered ${response.status}.`,
      wait: parseInt(response.headers.get('Retry-After') ?? '0', 10) || 0,
    });
  }

  /** What is made of the response; all that fails on the way is a Problem. */
  async function ask(path, options, read = response => response.json()) {
    try {
      return await read(await request(path, options));
    } catch (error) {
      if (error instanceof Problem) throw error;
      throw new Problem(options?.signal?.aborted ? STOPPED : LOST);
    }
  }

  const about = (user, more = {}) => 'history?' + new URLSearchParams({user_id: user, ...more});

  const post = (body, signal) => ({
    method: 'POST',
    headers: {'Content-Type': 'application/json'},
    body: JSON.stringify(body),
    signal,
  });

  return {
    /** Who would answer now: {demo, chat: {provider, model, ready}, image}. */
    health: () => ask('health'),

    /** The last messages, {total, version, messages}; null where the conversation still is in the given version. */
    history: (user, limit, version) => ask(about(user, {limit}),
      {headers: version ? {'If-None-Match': `"${version}"`} : {}},
      response => response.status === 304 ? null : response.json()),

    /** The whole conversation, as the server words it. */
    wholeHistory: user => ask(about(user), {}, response => response.text()),

    /** Takes the last turn back, or everything; 409 where the conversation is in another version. */
    remove: (user, version, turns) =>
      ask(about(user, {if_version: version, ...turns && {turns}}), {method: 'DELETE'}, () => null),

    /** One turn, streamed, and stored: {reply, finish_reason, provider, model, usage, version}. */
    chat: (body, signal, onDelta) => ask('chat', post({...body, stream: true}, signal), async response => {
      for await (const {name, data} of events(response.body)) {
        const value = JSON.parse(data);
        if (name === 'error') throw new Problem(value);
        if (name === 'done') return value;
        onDelta(value.text);
      }
      throw new Problem(LOST);
    }),

    /** The images, as blobs. */
    image: async (user, prompt, signal) => {
      const answer = await ask('image', post({user_id: user, prompt}, signal));
      return answer.images.map(({mime_type, data}) =>
        new Blob([Uint8Array.from(atob(data), c => c.charCodeAt(0))], {type: mime_type}));
    },
  };
}
