/**
 * The model: what this tab knows of each user's conversation. No DOM.
 *
 * A state is a value that never changes. An event and a state give the next state (reduce); Conversations asks the
 * server, and says each thing that happened as an event.
 *
 * @typedef {object} Turn      a question and its reply
 * @property {string} key      the same for all of its life
 * @property {number} at       how many messages of the conversation stand before it
 * @property {string} state    kept: the server has it. All others are this tab's own: waiting, writing, drawing;
 *                             checking, whether the server has it; failed, stopped, drawn
 * @property {string} [question]
 * @property {string} [reply]
 * @property {string} [version]    of the conversation that it was sent to
 * @property {string} [replaces]   it is meant for the place of the kept turn at the same place with this reply
 * @property {string} [edits]      the key of the kept turn that it was edited from
 * @property {boolean} [image]     the question is a prompt, and images are the reply
 * @property {{code: string, detail: string, until: number}} [problem]   until when to wait, in ms
 *
 * @typedef {object} State
 * @property {string} user
 * @property {boolean} loaded  whether the server's conversation is shown: else nothing can be done to it
 * @property {string} version  which state of the server's conversation is shown
 * @property {number} total    how many messages the server has
 * @property {Turn[]} kept     its last turns
 * @property {Turn[]} own      what only this tab has
 * @property {string} draft
 * @property {{key: string, text: string} | null} edit   the turn that is being edited, with the words so far
 * @property {string | null} running   the one operation that changes something: send, draw, takeBack, clear
 * @property {string | null} looking   what is being read: open, older, again
 * @property {{problem: object, again: string} | null} notice   the operation that failed and belongs to no turn
 */

const PAGE = 100; // messages that are loaded at once
const RECENT = 50; // messages that are looked at again

export const CHANGED = {
  code: 'conversation_changed',
  detail: 'It has gone on elsewhere. This is how it stands now; nothing was sent.',
};
const INTERRUPTED = {
  code: 'interrupted',
  detail: 'The page was loaded again before the answer was there. Nothing was stored.',
};

/** @returns {State} */
export const empty = user => ({
  user, loaded: false, version: '', total: 0, kept: [], own: [], draft: '', edit: null, running: null, looking: null,
  notice: null,
});

// --- What is asked of a state ---

const ends = ['failed', 'stopped', 'drawn'];

/** The turn that is being answered. */
export const current = state => state.own.find(turn => !ends.includes(turn.state));

export const lastKept = state => state.kept.at(-1);

/** How many of the server's messages are shown. */
export const shown = state => state.kept.length ? state.total - state.kept[0].at : 0;

/** Whether the turn can still take the place that it is meant for. */
export function canReplace(state, turn) {
  const last = lastKept(state);
  return turn.replaces !== undefined && last?.at === turn.at && last.reply === turn.replaces;
}

/** All turns as they are shown: this tab's own where they were said, and without the one that is being replaced. */
export function turns(state) {
  const now = current(state);
  const hidden = now && canReplace(state, now) ? now.at : undefined;
  const own = [...state.own].sort((a, b) => a.at - b.at);
  const all = [];
  for (const turn of state.kept) {
    while (own.length && own[0].at <= turn.at && own[0].replaces === undefined) all.push(own.shift());
    if (turn.at !== hidden) all.push(turn);
    while (own.length && own[0].at <= turn.at) all.push(own.shift());
  }
  return [...all, ...own];
}

// --- Events ---

const before = (words, draft) => draft ? words + '\n\n' + draft : words;
const without = (turns, key) => turns.filter(turn => turn.key !== key);

/** The state with the turn that is being answered changed. */
const answering = (state, change) => ({
  ...state,
  own: state.own.map(turn => turn === current(state) ? {...turn, ...change(turn)} : turn),
});

/** The server's messages as turns. Whoever edits the file may leave a question or a reply alone. */
function paired(messages, first) {
  const all = [];
  messages.forEach(({role, content, time, provider, model}, index) => {
    const said = role === 'user' ? {question: content, time} : {reply: content, ended: time, provider, model};
    const last = all.at(-1);
    if (role !== 'user' && last && last.reply === undefined) Object.assign(last, said);
    else all.push({at: first + index, state: 'kept', ...said});
  });
  const key = ({at, time, ended, question, reply}) => [at, time, ended, question?.length, reply?.length].join(' ');
  return all.map(turn => ({...turn, key: key(turn)}));
}

const alike = (one, other) => one?.at === other?.at && one?.question === other?.question && one?.reply === other?.reply;

/** The turns that the server has. Those that are known stay the same objects, so that they are not drawn again. */
function keptOf(state, {total, messages}) {
  const loaded = paired(messages, total - messages.length);
  if (loaded[0]?.at > 0 && loaded[0].question === undefined) loaded.shift(); // its question is not there yet
  const known = new Map(state.kept.map(turn => [turn.at, turn]));
  const kept = loaded.map(turn => {
    const old = known.get(turn.at);
    if (!alike(old, turn)) return turn;
    return old.time === turn.time && old.ended === turn.ended ? old : {...old, ...turn, key: old.key};
  });
  const goesOn = kept.length && alike(known.get(kept[0].at), kept[0]);
  return goesOn ? [...state.kept.filter(turn => turn.at < kept[0].at), ...kept] : kept;
}

/** Whether the server may have the turn although nobody said so: the connection was cut, here or there. */
const unsure = turn =>
  turn.state === 'checking' || ['connection_lost', 'interrupted', 'stopped'].includes(turn.problem?.code);

const isStored = (turn, kept, version) => turn.replaces === undefined
  ? kept.some(each => each.at >= turn.at && each.question === turn.question)
  : version !== turn.version && kept.some(each => each.at === turn.at && each.question === turn.question);

const events = {
  typed: (state, {draft}) => ({...state, draft}),
  edited: (state, {edit}) => ({...state, edit}),
  dismissed: (state, {key}) => key ? {...state, own: without(state.own, key)} : {...state, notice: null},

  looking: (state, {what}) => ({...state, looking: what, notice: null}),
  looked: state => ({...state, looking: null}),

  loaded(state, {history}) {
    const kept = keptOf(state, history);
    const lost = turn => turn.state === 'checking' && !state.running;
    const own = state.own.filter(turn => turn.image || !unsure(turn) || !isStored(turn, kept, history.version))
      .map(turn => lost(turn) ? {...turn, state: 'stopped', problem: INTERRUPTED} : turn);
    const next = {...state, loaded: true, looking: null, version: history.version, total: history.total, kept, own};
    const homeless = state.edit && ![...kept, ...own].some(turn => turn.key === state.edit.key);
    return homeless ? {...next, edit: null, draft: before(state.edit.text, state.draft)} : next;
  },

  /** Nothing of an older state is shown where the present one cannot be had. */
  notOpened: (state, {problem}) =>
    ({...state, loaded: false, version: '', total: 0, kept: [], looking: null, notice: {problem, again: 'open'}}),
  notOlder: (state, {problem}) => ({...state, looking: null, notice: {problem, again: 'older'}}),
  noted: (state, {problem}) => ({...state, notice: {problem}}),

  /** An operation begins; a turn that is tried again keeps its key. */
  began: (state, {operation, turn}) => ({
    ...state,
    running: operation,
    notice: null,
    edit: [turn?.key, turn?.edits].includes(state.edit?.key) ? null : state.edit,
    own: turn ? [...without(state.own, turn.key), turn] : state.own,
  }),
  delta: (state, {text}) => answering(state, turn => ({state: 'writing', reply: turn.reply + text})),
  checking: state => answering(state, () => ({state: 'checking'})),

  /** The turn is stored. */
  answered(state, {answer, time}) {
    const {key, question, time: asked, at} = current(state);
    const replaced = canReplace(state, current(state));
    const turn = {
      key, question, time: asked, state: 'kept', at: replaced ? at : state.total, reply: answer.reply, ended: time,
      provider: answer.provider, model: answer.model, usage: answer.usage, cut: answer.finish_reason === 'length',
    };
    return {
      ...state,
      running: null,
      version: answer.version,
      total: turn.at + 2,
      kept: [...state.kept.filter(each => each.at < turn.at), turn],
      own: without(state.own, key),
    };
  },
  drawn: (state, {images}) => ({...answering(state, () => ({state: 'drawn', images})), running: null}),

  /** The operation failed: its turn stays, with the problem, unless its words are on the page anyway. */
  failed(state, {problem, time}) {
    const turn = current(state), next = {...state, running: null}, changed = problem.code === CHANGED.code;
    const {code, detail} = changed ? CHANGED : problem;
    const isThere = changed && state.kept.some(each => each.at === turn?.at && each.question === turn.question);
    if (turn && !isThere) {
      const until = problem.wait ? Date.parse(time) + problem.wait * 1000 : 0;
      const end = {state: code === 'stopped' ? 'stopped' : 'failed', problem: {code, detail, until}};
      return {...answering(next, () => end), running: null};
    }
    const own = without(state.own, turn?.key);
    if (changed) return {...next, own, notice: {problem: CHANGED}};
    return state.running === 'send' ? next : {...next, notice: {problem: {code, detail}, again: state.running}};
  },

  /** The last turn is gone from the server; its words go before the draft. */
  takenBack(state, {turn}) {
    const words = turn.question ?? '';
    return {...state, kept: without(state.kept, turn.key), total: turn.at, draft: before(words, state.draft)};
  },
  cleared: state => ({...empty(state.user), loaded: true, draft: state.draft}),
  ended: state => ({...state, running: null}),
};

/** @returns {State} what is true once the event has happened */
export const reduce = (state, event) => events[event.type](state, event);

// --- What is kept in the tab, for when the page is loaded again ---

/** Drawn images are too large for it. */
export const remembered = ({draft, own, edit}) => ({
  draft,
  edit,
  own: own.filter(turn => turn.state !== 'drawn').map(turn => ends.includes(turn.state) ? turn : {...turn, reply: ''}),
});

/** The state that a page begins with; what was being answered is looked for at the server. */
export function restored(user, {draft = '', own = [], edit = null} = {}) {
  const cut = turn => turn.image ? {...turn, state: 'stopped', problem: INTERRUPTED} : {...turn, state: 'checking'};
  return {...empty(user), draft, edit, own: own.map(turn => ends.includes(turn.state) ? turn : cut(turn))};
}

// --- Operations ---

/** The conversations of this tab, one of which is shown. In each, at most one operation runs at a time. */
export class Conversations {
  #states = new Map();
  #stops = new Map();
  #server;
  #memory;
  #show;

  /**
   * @param server as connect() of server.js gives it
   * @param memory {load(user), save(user, value)}: what outlives the page
   * @param show called with the state and the event after each event of the user that is shown
   */
  constructor(server, memory, show) {
    this.#server = server;
    this.#memory = memory;
    this.#show = show;
  }

  /** @returns {State} of the user that is shown */
  get state() {
    return this.#states.get(this.user);
  }

  #tell(user, event) {
    const state = reduce(this.#states.get(user), {time: new Date().toISOString(), ...event});
    this.#states.set(user, state);
    if (event.type !== 'delta') this.#memory.save(user, remembered(state));
    if (user === this.user) this.#show(state, event);
  }

  type(draft) {
    this.#tell(this.user, {type: 'typed', draft});
  }

  edit(edit) {
    this.#tell(this.user, {type: 'edited', edit});
  }

  dismiss(key) {
    this.#tell(this.user, {type: 'dismissed', key});
  }

  /** Tells of what failed outside of the model. */
  note(problem) {
    this.#tell(this.user, {type: 'noted', problem});
  }

  /** Shows another user's conversation; what runs for the one before goes on. */
  async open(user) {
    this.user = user;
    if (!this.#states.has(user)) this.#states.set(user, restored(user, this.#memory.load(user)));
    this.#tell(user, {type: 'looking', what: this.state.running ? null : 'open'});
    if (!this.state.running) await this.#look(user, Math.max(PAGE, shown(this.state)), 'notOpened');
  }

  /** Shows what was said before: twice as much each time, since the server always begins at the end. */
  async older(limit = 2 * Math.max(PAGE, shown(this.state))) {
    const {user, total, looking} = this.state;
    if (looking || shown(this.state) >= total) return;
    this.#tell(user, {type: 'looking', what: 'older'});
    await this.#look(user, limit, 'notOlder');
  }

  /** Looks whether the conversation has gone on elsewhere. */
  async again() {
    const {user, version, loaded, running, looking} = this.state;
    if (loaded && !running && !looking) await this.#look(user, RECENT, 'looked', version);
  }

  /** Reads the last messages. Where a turn was stored meanwhile, what was read is out of date. */
  async #look(user, limit, failure, known) {
    const {version} = this.#states.get(user);
    try {
      const history = await this.#server.history(user, limit, known);
      const current = history && this.#states.get(user).version === version;
      this.#tell(user, current ? {type: 'loaded', history} : {type: 'looked'});
    } catch (problem) {
      this.#tell(user, {type: failure, problem});
    }
  }

  /** Sends a message, or has an image drawn of it. */
  async send(question, image = false) {
    await this.#turn({question, image});
  }

  /** Asks the last question again. */
  async regenerate() {
    const {question, at, reply} = lastKept(this.state);
    await this.#turn({question, at, replaces: reply});
  }

  /** Sends the open edit: in its turn's place while that is the last one, else as a new message. */
  async sendEdit() {
    const {edit: {key, text}, own} = this.state, last = lastKept(this.state);
    if (own.some(turn => turn.key === key)) await this.retry(key, text);
    else await this.#turn({question: text, edits: key, ...last?.key === key && {at: last.at, replaces: last.reply}});
  }

  /** Sends what has not been stored once more, as it was meant; what can no longer replace is sent as a new message. */
  async retry(key, words) {
    const {own} = this.state, turn = own.find(each => each.key === key);
    const {image, at, replaces} = turn, question = words ?? turn.question;
    const meant = canReplace(this.state, turn) ? {at, replaces} : {};
    await this.#turn({key, question, image, ...meant}, unsure(turn));
  }

  /** One turn, until it is stored or says why it is not. */
  async #turn(meant, careful = false) {
    const {user, total, version, loaded, running} = this.state;
    if (running || !loaded || !meant.question?.trim()) return;
    const turn = {
      key: String(Math.random()), at: total, version, time: new Date().toISOString(), reply: '',
      state: meant.image ? 'drawing' : 'waiting', ...meant,
    };
    const stop = new AbortController();
    this.#stops.set(user, stop);
    this.#tell(user, {type: 'began', operation: turn.image ? 'draw' : 'send', turn});
    const body = {user_id: user, message: turn.question, replace: turn.replaces !== undefined};
    if (careful || body.replace) body.if_version = version;
    const onDelta = text => this.#tell(user, {type: 'delta', text});
    try {
      const happened = turn.image
        ? {type: 'drawn', images: await this.#server.image(user, turn.question, stop.signal)}
        : {type: 'answered', answer: await this.#server.chat(body, stop.signal, onDelta)};
      this.#tell(user, happened);
    } catch (problem) {
      await this.#check(user, problem);
      this.#tell(user, {type: 'failed', problem});
      return;
    }
    await this.#look(user, RECENT, 'looked');
  }

  /** Where the server may know more than this page, it is asked before anything is said. */
  async #check(user, problem) {
    if (!['connection_lost', CHANGED.code].includes(problem.code)) return;
    this.#tell(user, {type: 'checking'});
    await this.#look(user, RECENT, 'looked');
  }

  /** Ends the turn that is being answered: nothing of it is stored. */
  stop() {
    this.#stops.get(this.user)?.abort();
  }

  /** Takes the last turn back, as it is shown. */
  async takeBack() {
    const turn = lastKept(this.state);
    if (turn) await this.#remove('takeBack', {type: 'takenBack', turn}, 1);
  }

  /** Deletes the conversation, as it is shown. */
  async clear() {
    await this.#remove('clear', {type: 'cleared'});
  }

  async #remove(operation, happened, count) {
    const {user, version, loaded, running} = this.state;
    if (running || !loaded) return;
    this.#tell(user, {type: 'began', operation});
    try {
      await this.#server.remove(user, version, count);
      this.#tell(user, happened);
      await this.#look(user, RECENT, 'looked');
    } catch (problem) {
      await this.#check(user, problem);
      const done = problem.code === 'connection_lost' && this.#states.get(user).version !== version;
      this.#tell(user, done ? happened : {type: 'failed', problem});
    }
    this.#tell(user, {type: 'ended'});
  }
}
