/**
 * The model: what this tab knows of a user's conversation. A state and an event give the next state (reduce). A
 * Conversation asks the server, and tells what happened as events.
 *
 * A turn is a question and its reply:
 *   key       the same while it is shown
 *   at        how many messages stand before it
 *   state     kept, by the server; or this tab's own: waiting, writing, drawing, checking (whether the server has it),
 *             failed, stopped, drawn
 *   version   of the conversation that it was sent to
 *   replaces  the reply of the kept turn whose place it is meant for
 *   image     whether images are the reply
 *   problem   {code, detail, until}: until when to wait, in ms
 */

const PAGE = 100; // messages that are loaded at once
const RECENT = 50; // messages that are looked at again
const PATIENCE = 10_000; // ms

const CHANGED = {
  code: 'conversation_changed',
  detail: 'It has gone on elsewhere. This is how it stands now; nothing was sent.',
};
const INTERRUPTED = {
  code: 'interrupted',
  detail: 'The page was loaded again before the answer was there. Nothing was stored.',
};

export const empty = user => ({
  user,
  loaded: false, // whether the server's conversation is shown: else nothing can be done to it
  version: '',
  total: 0, // messages that the server has
  kept: [], // its last turns
  own: [], // what only this tab has
  draft: '',
  edit: null, // {turn, text}
  running: null, // the one operation that changes something: send, draw, takeBack, clear
  taking: null, // the turn that is being taken back, until it is known
  looking: null, // why the server is being read: open, older, again
  notice: null, // {problem, again}: the operation that failed and belongs to no turn
});

// --- What is asked of a state ---

export const isFree = state => state.loaded && !state.running;

const hasEnded = turn => ['failed', 'stopped', 'drawn'].includes(turn.state);

/** The turn that is being answered. */
const current = state => state.own.find(turn => !hasEnded(turn));

export const lastKept = state => state.kept.at(-1);

/** How many of the server's messages are shown. */
export const shown = ({kept, total}) => kept.length ? total - kept[0].at : 0;

/** Whether the turn can still take the place that it is meant for. */
export function canReplace(state, {at, replaces}) {
  const last = lastKept(state);
  return replaces !== undefined && last?.at === at && last.reply === replaces;
}

/** All turns in their order, without the one that is being replaced. */
export function turns(state) {
  const now = current(state), hidden = now && canReplace(state, now) ? lastKept(state) : null;
  const order = ({state, at, replaces}) => state === 'kept' ? at : replaces === undefined ? at - 0.5 : at + 0.5;
  return [...state.kept.filter(turn => turn !== hidden), ...state.own].sort((a, b) => order(a) - order(b));
}

const has = ({kept}, turn) => kept.some(({at, question}) => at === turn?.at && question === turn.question);

const alike = (one, other) => one?.at === other.at && one.question === other.question && one.reply === other.reply;

export const isEdited = ({edit}, turn) =>
  !!edit && (turn.state === 'kept' ? alike(edit.turn, turn) : edit.turn.key === turn.key);

// --- Events ---

const before = (words, draft) => draft ? words + '\n\n' + draft : words;
const without = (turns, key) => turns.filter(turn => turn.key !== key);

const answering = (state, values) => {
  const turn = current(state);
  return {...state, own: state.own.map(each => each === turn ? {...turn, ...values} : each)};
};

/** Messages as turns. In a file edited by hand a question or a reply may stand alone. */
function paired(messages, first) {
  const all = [];
  messages.forEach(({role, content, time, provider, model}, i) => {
    const said = role === 'user' ? {question: content, time} : {reply: content, ended: time, provider, model};
    const last = all.at(-1);
    if (role !== 'user' && last && last.reply === undefined) Object.assign(last, said);
    else all.push({key: String(first + i), at: first + i, state: 'kept', ...said});
  });
  return all;
}

/** The server's turns. Known ones stay the same objects: they are not drawn again. */
function keptOf(state, {total, messages}) {
  const loaded = paired(messages, total - messages.length);
  if (loaded[0]?.at > 0 && loaded[0].question === undefined) loaded.shift(); // its question is not there yet
  const known = new Map(state.kept.map(turn => [turn.at, turn]));
  const kept = loaded.map(turn => alike(known.get(turn.at), turn) ? known.get(turn.at) : turn), [first] = kept;
  const goesOn = first && known.get(first.at) === first;
  return goesOn ? [...state.kept.filter(turn => turn.at < first.at), ...kept] : kept;
}

/** Whether the server may have stored the turn all the same. */
const isUnsure = ({state, problem}) =>
  state === 'checking' || ['connection_lost', 'interrupted', 'stopped'].includes(problem?.code);

/** While checking, another version tells it, even with the same reply. */
const isStored = (turn, kept, version) => kept.some(({at, question, reply}) => question === turn.question
  && (turn.replaces === undefined ? at >= turn.at : at === turn.at
    && (reply !== turn.replaces || turn.state === 'checking' && version !== turn.version)));

/** What is taken back goes before the draft. */
const gone = (state, {question = ''}) => ({...state, taking: null, draft: before(question, state.draft)});

const events = {
  changed: (state, {values}) => ({...state, ...values}),

  loaded(state, {history}) {
    const {version, total} = history, {running, taking} = state, kept = keptOf(state, history);
    const isLost = turn => turn.state === 'checking' && !running;
    const own = state.own.filter(turn => turn.image || !isUnsure(turn) || !isStored(turn, kept, version))
      .map(turn => isLost(turn) ? {...turn, state: 'stopped', problem: INTERRUPTED} : turn);
    const notice = version === state.version ? state.notice : null; // else it is old
    const next = {...state, loaded: true, looking: null, version, total, kept, own, notice};
    if (taking && !has(next, taking)) return gone(next, taking);
    return {...next, taking: running && taking};
  },

  /** Where the present state cannot be had, no older one is shown. */
  notLoaded(state, {problem}) {
    const {looking} = state, next = {...state, looking: null};
    const nothing = looking === 'open' && {loaded: false, version: '', total: 0, kept: []};
    return looking === 'again' ? next : {...next, ...nothing, notice: {problem, again: looking}};
  },

  /** A turn that is tried again keeps its key. */
  began: (state, {operation, turn}) => ({
    ...state,
    running: operation,
    taking: operation === 'takeBack' ? lastKept(state) : state.taking,
    notice: null,
    own: turn ? [...without(state.own, turn.key), turn] : state.own,
  }),
  delta: (state, {text}) => answering(state, {state: 'writing', reply: current(state)?.reply + text}),
  checking: state => answering(state, {state: 'checking'}),

  answered(state, {answer: {reply, provider, model, usage, version, finish_reason}, time}) {
    const asked = current(state), {key, question} = asked;
    const at = canReplace(state, asked) ? asked.at : state.total;
    const turn = {
      key, at, question, reply, state: 'kept', time: asked.time, ended: time, provider, model, usage,
      cut: finish_reason === 'length',
    };
    const kept = [...state.kept.filter(each => each.at < at), turn];
    return {...state, running: null, version, total: at + 2, kept, own: without(state.own, key)};
  },
  drawn: (state, {images}) => ({...answering(state, {state: 'drawn', images}), running: null}),

  /** The turn stays, with the problem, unless its words are on the page anyway. */
  failed(state, {problem, time}) {
    const turn = current(state), changed = problem.code === CHANGED.code, next = {...state, running: null};
    const {code, detail} = changed ? CHANGED : problem;
    if (turn && !(changed && has(state, turn))) {
      const until = Date.parse(time) + problem.wait * 1000, end = code === 'stopped' ? 'stopped' : 'failed';
      return answering(next, {state: end, problem: {code, detail, until}});
    }
    if (changed) return {...next, own: without(state.own, turn?.key), notice: {problem: CHANGED}};
    return state.running === 'send' ? next : {...next, notice: {problem, again: state.running}};
  },

  takenBack(state) {
    const {taking, kept} = state; // none where a look has told it
    return taking ? gone({...state, kept: without(kept, taking.key), total: taking.at}, taking) : state;
  },
  cleared: ({user, draft, edit}) => ({...empty(user), loaded: true, draft, edit}),
};

/** The next state. An edit whose turn is gone becomes a draft. */
export function reduce(state, event) {
  const next = events[event.type](state, event), {loaded, edit, kept, own} = next;
  if (!loaded || !edit || [...kept, ...own].some(turn => isEdited(next, turn))) return next;
  return {...next, edit: null, draft: before(edit.text, next.draft)};
}

// --- What outlives the page ---

/** All but drawn images, which are too large. */
export const remembered = ({draft, own, edit, taking}) => ({
  draft,
  edit,
  taking,
  own: own.filter(turn => turn.state !== 'drawn').map(turn => hasEnded(turn) ? turn : {...turn, reply: ''}),
});

/** What was being answered is looked for at the server. */
export function restored(user, {draft = '', own = [], edit = null, taking = null} = {}) {
  const cut = turn => turn.image ? {...turn, state: 'stopped', problem: INTERRUPTED} : {...turn, state: 'checking'};
  return {...empty(user), draft, edit, taking, own: own.map(turn => hasEnded(turn) ? turn : cut(turn))};
}

// --- Operations ---

export class Conversation {
  #server;
  #memory;
  #show;
  #stop = new AbortController();

  /**
   * @param server see connect() in server.js
   * @param memory {load(user), save(user, value)}
   * @param show called with the state and the event, after each event
   */
  constructor(user, server, memory, show) {
    this.#server = server;
    this.#memory = memory;
    this.#show = show;
    this.state = restored(user, memory.load(user));
  }

  #tell(event) {
    this.state = reduce(this.state, {time: new Date().toISOString(), ...event});
    if (event.type !== 'delta') this.#memory.save(this.state.user, remembered(this.state));
    this.#show(this.state, event);
  }

  /** What needs no server: {draft}, {edit} or {notice}. */
  set(values) {
    this.#tell({type: 'changed', values});
  }

  dismiss(key) {
    this.set({own: without(this.state.own, key)});
  }

  async open() {
    if (this.state.running) return;
    this.set({notice: null});
    await this.#look('open', Math.max(PAGE, shown(this.state)));
  }

  /** Reads twice as much each time: the server always begins at the end. */
  async older(limit = 2 * Math.max(PAGE, shown(this.state))) {
    if (this.state.looking || shown(this.state) >= this.state.total) return;
    this.set({notice: null});
    await this.#look('older', limit);
  }

  async again() {
    if (isFree(this.state) && !this.state.looking) await this.#lookAgain({known: this.state.version});
  }

  async #lookAgain(options) {
    await this.#look('again', RECENT, {signal: AbortSignal.timeout(PATIENCE), ...options});
  }

  /** Where a turn was stored meanwhile, what was read is old. */
  async #look(looking, limit, options) {
    const {user, version} = this.state;
    this.set({looking});
    try {
      const history = await this.#server.history(user, limit, options);
      if (history && this.state.version === version) this.#tell({type: 'loaded', history});
      else this.set({looking: null});
    } catch (problem) {
      this.#tell({type: 'notLoaded', problem});
    }
  }

  async send(question, image = false) {
    await this.#turn({question, image});
  }

  /** Sends a turn once more, or other words: in its place while that is there, else as a new message. */
  async retry(turn, question = turn.question) {
    const {key, image, at, replaces} = turn.state === 'kept' ? {at: turn.at, replaces: turn.reply} : turn;
    const place = canReplace(this.state, {at, replaces}) ? {at, replaces} : {};
    await this.#turn({question, image, ...key && {key}, ...place}, isUnsure(turn));
  }

  async sendEdit() {
    const {turn, text} = this.state.edit;
    if (!isFree(this.state) || !text.trim()) return;
    this.set({edit: null});
    await this.retry(turn, text);
  }

  async #turn(meant, careful = false) {
    const {user, total, version} = this.state;
    if (!isFree(this.state) || !meant.question?.trim()) return;
    const turn = {
      key: String(Math.random()), at: total, version, time: new Date().toISOString(), reply: '',
      state: meant.image ? 'drawing' : 'waiting', ...meant,
    };
    const {signal} = this.#stop = new AbortController();
    this.#tell({type: 'began', operation: turn.image ? 'draw' : 'send', turn});
    const body = {user_id: user, message: turn.question, replace: turn.replaces !== undefined};
    if (careful || body.replace) body.if_version = version;
    const onDelta = text => this.#tell({type: 'delta', text});
    try {
      this.#tell(turn.image
        ? {type: 'drawn', images: await this.#server.image(user, turn.question, signal)}
        : {type: 'answered', answer: await this.#server.chat(body, signal, onDelta)});
    } catch (problem) {
      await this.#check(problem);
      this.#tell({type: 'failed', problem});
      if (problem.code !== 'stopped') return; // it may have been stored a moment before
    }
    await this.#lookAgain();
  }

  /** Where the server may know more, it is asked before anything is said. */
  async #check({code}) {
    if (!['connection_lost', CHANGED.code].includes(code)) return;
    this.#tell({type: 'checking'});
    await this.#lookAgain({signal: AbortSignal.any([this.#stop.signal, AbortSignal.timeout(PATIENCE)])});
  }

  stop() {
    this.#stop.abort();
  }

  async takeBack() {
    await this.#remove('takeBack', 'takenBack', 1);
  }

  async clear() {
    await this.#remove('clear', 'cleared');
  }

  async #remove(operation, happened, count) {
    const {user, version} = this.state, last = lastKept(this.state);
    if (!isFree(this.state)) return;
    this.#stop = new AbortController();
    this.#tell({type: 'began', operation});
    try {
      await this.#server.remove(user, version, count);
      this.#tell({type: happened});
      await this.#lookAgain();
    } catch (problem) {
      await this.#check(problem);
      if (problem.code !== 'connection_lost' || has(this.state, last)) this.#tell({type: 'failed', problem});
    }
    this.set({running: null});
  }
}
