/** Draws the model, and hands on what the person does. A turn that did not change is not touched. */

import {Conversations, canReplace, lastKept, shown, turns} from './conversation.js';
import {parse, plain, writer} from './markdown.js';
import {connect} from './server.js';

const $ = id => document.getElementById(id);
const flow = $('flow'), scroll = $('scroll'), box = $('text');

/** Every text enters the page here or in markdown.js, as text: nothing is ever parsed as HTML. */
function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** @param act what a click on it does: the name of one of the acts below */
const button = (words, act, props = {}, ...more) =>
  el('button', {type: 'button', className: 'plain', 'data-act': act, ...props}, words, ...more);

// --- What the browser keeps; the page works without it too: site data may be blocked, or full ---

const store = name => ({
  get(key) {
    try {
      return window[name].getItem('parley.' + key);
    } catch {
      return null;
    }
  },
  set(key, value) {
    try {
      window[name].setItem('parley.' + key, value);
    } catch {
      // not kept
    }
  },
});
const browser = store('localStorage'), tab = store('sessionStorage');
const memory = {
  load: user => JSON.parse(tab.get('of ' + user) || '{}'),
  save: (user, value) => tab.set('of ' + user, JSON.stringify(value)),
};

/** A duplicated tab begins with a copy of the other one's storage, whose drafts are not its own. */
async function claimTab() {
  const id = tab.get('id') ?? newId();
  if (await isHeld(id)) {
    Object.keys(sessionStorage).filter(key => key.startsWith('parley.')).forEach(key => sessionStorage.removeItem(key));
    return claimTab();
  }
  tab.set('id', id);
}

/** Whether another page that is open has this id: it holds a lock. One that is loaded again soon lets go of its own. */
const isHeld = id => new Promise(resolve => {
  if (!navigator.locks) resolve(false); // over plain http from another device
  navigator.locks?.request('parley ' + id, {signal: AbortSignal.timeout(500)}, () => {
    resolve(false);
    return new Promise(() => { /* held until the page goes */ });
  }).catch(() => resolve(true));
});

const newId = () => Math.random().toString(36).slice(2, 8);

// --- Scrolling: it follows the end until the person scrolls up ---

let follow = true, place = 0;
const atEnd = () => scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight <= 2;

function setFollow(now) {
  follow = now;
  $('down').hidden = now;
  if (follow) scroll.scrollTop = scroll.scrollHeight;
  place = scroll.scrollTop;
}

const letGo = () => {
  if (scroll.scrollTop > 0) setFollow(false);
};

const sizes = new ResizeObserver(() => setFollow(follow));
sizes.observe(flow);
sizes.observe(scroll);
scroll.addEventListener('wheel', event => event.deltaY < 0 && letGo(), {passive: true});
scroll.addEventListener('touchmove', letGo, {passive: true});
scroll.addEventListener('keydown', event => ['ArrowUp', 'PageUp', 'Home'].includes(event.key) && letGo());
scroll.addEventListener('scroll', () => {
  const moved = scroll.scrollTop - place;
  place = scroll.scrollTop;
  if (atEnd()) setFollow(follow || moved > 0);
  else if (moved < 0) setFollow(false);
  const failed = conversations.state.notice?.again === 'older'; // that waits for a click
  if (place < 50 && !failed) conversations.older();
});

/** What scrolls can be reached with the keyboard, and nothing else is a stop on the way. */
const stops = new ResizeObserver(entries => entries.forEach(({target}) => {
  const scrolls = target.scrollHeight > target.clientHeight + 1 || target.scrollWidth > target.clientWidth + 1;
  if (scrolls) Object.assign(target, {tabIndex: 0, role: 'group', ariaLabel: 'Scrolls'});
  else ['tabindex', 'role', 'aria-label'].forEach(name => target.removeAttribute(name));
}));

// --- A turn ---

const NEW = 'Send as a new message'; // what can no longer take the place of its turn
const RUNNING = ['waiting', 'writing', 'drawing', 'checking'];

/** What happened; the problem's own detail says what to do next. */
const TITLES = {
  blocked: 'The provider refused this',
  busy: 'An earlier message is still being answered',
  connection_lost: 'The connection was lost',
  conversation_changed: 'The conversation has changed',
  empty_reply: 'The provider said nothing',
  interrupted: 'Interrupted',
  invalid_request: 'This cannot be sent',
  not_configured: 'Not set up yet',
  overloaded: 'The server is busy',
  provider_error: 'The provider failed',
  provider_refused_key: 'The provider refused the key',
  provider_timeout: 'The provider did not answer in time',
  rate_limited: 'The provider asks for a pause',
  stopped: 'Stopped',
  storage_unavailable: 'The conversation cannot be stored',
  too_large: 'This message is too long',
  unknown_model: 'The provider does not know this model',
};

const CALM = ['stopped', 'interrupted', 'conversation_changed'];

/** The buttons stand outside of what is announced: a countdown is for the eyes. */
function failure({code, detail}, ...buttons) {
  const title = el('strong', {}, TITLES[code] ?? 'This did not work'), words = el('p', {dir: 'auto'}, detail);
  const className = CALM.includes(code) ? 'bad calm' : 'bad';
  return el('div', {className}, el('div', {role: 'alert'}, title, words), ...buttons);
}

function moment(time) {
  const date = new Date(time), today = date.toDateString() === new Date().toDateString();
  const style = today ? {timeStyle: 'short'} : {dateStyle: 'medium', timeStyle: 'short'};
  return time && el('time', {dateTime: time, title: date.toLocaleString()}, date.toLocaleString([], style));
}

const tokens = usage => usage
  && `${usage.total_tokens ?? '?'} tokens (${usage.prompt_tokens ?? '?'} in, ${usage.completion_tokens ?? '?'} out)`;

const between = words => words.filter(Boolean).join(' · ');

/** What is told beside a message, with dots between. */
function label(...words) {
  const told = words.filter(Boolean).flatMap((each, i) => i ? [' · ', each] : [each]);
  return el('span', {className: 'label'}, ...told);
}

function message(who, label) {
  const body = el('div', {className: 'text', dir: 'auto'}), acts = el('div', {className: 'acts'});
  return {node: el('article', {}, el('span', {className: 'hidden'}, label), body, acts), body, acts, who};
}

/** One turn on the page. */
class TurnView {
  node = el('div', {className: 'turn'});
  #asked = message('user', 'You said:');
  #reply = message('model', 'Parley said:');
  #writer = writer(this.#reply.body);
  #editor = null;
  #urls = [];
  #view = {};
  #shape = '';

  /**
   * Draws what has changed since the last time.
   * @param view {turn, last, edit, busy, replaces}: the turn; whether it is the last that is kept; the words of its
   *     open edit, or undefined; whether nothing can be done now; whether other words would take its place
   */
  draw(view) {
    const old = this.#view, {turn} = view;
    if (Object.keys(view).every(name => view[name] === old[name])) return;
    this.#view = view;
    if (turn.reply !== old.turn?.reply || turn.state !== old.turn?.state) this.#drawReply(turn);
    const {reply, images, ...rest} = turn, editing = view.edit !== undefined;
    const shape = JSON.stringify({...view, ...rest, turn: !reply, edit: editing}); // all but the words that grow
    if (shape === this.#shape) return;
    this.#shape = shape;
    this.node.dataset.key = turn.key;
    this.#drawQuestion(turn, editing);
    this.#drawActs(view);
    const asked = turn.question && this.#asked.node, answer = hasReply(turn) && this.#reply.node;
    keep(this.node, [asked, answer, turn.problem && problem(view)].filter(Boolean));
  }

  #drawReply({reply = '', state, time, images, question}) {
    const {body} = this.#reply, running = RUNNING.includes(state);
    body.querySelector('.waiting, .drawing')?.remove();
    if (state === 'writing') this.#writer.write(reply);
    else this.#writer.end(reply);
    if (state === 'drawing') body.append(el('div', {className: 'drawing'}, dots(time)));
    else if (running && state !== 'writing') body.append(dots(state === 'waiting' ? time : ''));
    if (state === 'drawn' && !this.#urls.length) body.append(...images.map(image => this.#picture(image, question)));
    if (!running) body.querySelectorAll('pre, .wide').forEach(each => stops.observe(each));
  }

  #drawQuestion({question = '', image, state}, editing) {
    const {node, body} = this.#asked, words = image ? '/image ' + question : question;
    if (body.textContent !== words) body.textContent = words;
    for (const said of [this.#asked, this.#reply]) said.node.className = `said ${said.who} ${kinds(state)}`;
    stops.observe(body);
    if (editing === !!this.#editor) return;
    const editor = this.#editor ?? editorOf(this.#view.edit);
    node.replaceChild(editing ? editor : body, editing ? body : editor);
    this.#editor = editing ? editor : null;
  }

  #drawActs({turn, last, edit, busy, replaces}) {
    const {state, question, reply, time, ended, provider, model, usage, cut} = turn;
    const asked = [label(moment(time)), button('Copy', 'copy')];
    if (last && question) asked.push(button('Edit', 'edit', {disabled: busy}));
    this.#asked.acts.replaceChildren(...asked);
    const acts = reply ? [button('Copy', 'copy')] : [];
    if (last && question) acts.push(button('Regenerate', 'regenerate', {disabled: busy}));
    if (state === 'kept') acts.push(label(moment(ended), provider && `${provider} · ${model}`, tokens(usage)));
    else if (reply && !RUNNING.includes(state)) acts.push(label('not kept'));
    if (cut) acts.push(label('Cut off at MAX_OUTPUT_TOKENS: raise it in .env, or say “go on”.'));
    this.#reply.acts.replaceChildren(...acts);
    if (edit === undefined) return;
    const send = this.#editor.querySelector('.strong');
    send.textContent = replaces ? 'Send' : NEW;
    send.disabled = busy;
  }

  #picture(blob, alt) {
    const src = URL.createObjectURL(blob), download = 'parley.' + blob.type.split('/')[1];
    this.#urls.push(src);
    return el('figure', {},
      button('', 'look', {className: 'look', title: 'Full size'}, el('img', {src, alt})),
      el('figcaption', {}, 'Not kept in the conversation. ', el('a', {href: src, download}, 'Save')));
  }

  /** The reply's words, and nothing of how they look. */
  get text() {
    return plain(parse(this.#view.turn.reply ?? ''));
  }

  focusEditor() {
    this.#editor?.querySelector('textarea').focus();
  }

  remove() {
    this.#urls.forEach(URL.revokeObjectURL);
    this.node.remove();
  }
}

const hasReply = ({reply, state}) => reply || RUNNING.includes(state) || state === 'drawn';

/** The classes of a turn's two messages. */
function kinds(state) {
  if (state === 'kept') return 'kept';
  if (state === 'writing') return 'writing writes';
  if (RUNNING.includes(state)) return 'writing';
  return state === 'drawn' ? 'unkept drawn' : 'unkept';
}

function problem({turn, busy, replaces}) {
  const props = {className: '', disabled: busy}, words = turn.replaces === undefined || replaces ? 'Try again' : NEW;
  const again = button(words, 'retry', {...props, 'data-until': turn.problem.until});
  return failure(turn.problem, again, button('Edit', 'edit', props), button('Remove', 'dismiss', props));
}

/** Waiting looks like it; the seconds are told from the fifth on. */
const dots = since =>
  el('p', {className: 'waiting'}, el('i'), el('i'), el('i'), el('span', {'data-since': since}));

const note = words => el('p', {className: 'note'}, words);

/** A message is edited where it stands: what is written below stays a draft. */
function editorOf(value) {
  const rows = Math.min(8, value.split('\n').length + 1);
  const area = el('textarea', {value, rows, 'aria-label': 'Edit the message'});
  const send = button('Send', 'sendEdit', {className: 'strong'});
  return el('div', {className: 'edit'}, area, send, button('Cancel', 'cancel', {className: ''}));
}

/** Makes the nodes the children, in this order; those that are there already stay as they are. */
function keep(parent, nodes) {
  const wanted = new Set(nodes);
  [...parent.childNodes].filter(each => !wanted.has(each)).forEach(each => each.remove());
  let next = parent.firstChild;
  for (const each of nodes) {
    if (each === next) next = next.nextSibling;
    else parent.insertBefore(each, next);
  }
}

// --- The conversation ---

const views = new Map();
const slots = {};
let drawnUser = '', health = null, frame = 0;

/** What stands above or below the turns; made anew only where it shows something else. */
function slot(name, shows, make) {
  const key = JSON.stringify(shows);
  if (slots[name]?.key !== key) slots[name] = {key, node: make()};
  return slots[name].node;
}

/** Words that come quickly are drawn once a frame; all else at once. */
function show(state, event) {
  if (event.type !== 'delta') return render(state, event);
  frame ||= requestAnimationFrame(() => render(conversations.state));
}

function render(state, event = {}) {
  cancelAnimationFrame(frame);
  frame = 0;
  if (state.user !== drawnUser) begin(state.user);
  if (event.type === 'began' && event.turn) setFollow(true);
  const focused = document.activeElement, list = turns(state);
  const stay = event.type === 'loaded' ? staying() : () => {};
  removeViews(new Set(list.map(turn => turn.key)));
  const nodes = list.map(turn => drawTurn(state, turn));
  keep(flow, [above(state), ...nodes, below(state, list)].filter(Boolean));
  stay();
  drawControls(state);
  announce(state, event);
  tick();
  // what had the focus is gone: it must not fall to the body
  if (focused !== document.body && (!focused.isConnected || focused.disabled)) box.focus();
}

/** Another user: nothing of the one before stays on the page. */
function begin(user) {
  removeViews(new Set());
  drawnUser = $('user').value = user;
  setFollow(true);
}

function removeViews(except) {
  for (const [key, view] of views) {
    if (except.has(key)) continue;
    view.remove();
    views.delete(key);
  }
}

function drawTurn(state, turn) {
  if (!views.has(turn.key)) views.set(turn.key, new TurnView());
  const view = views.get(turn.key), isLast = turn === lastKept(state), mayAct = isLast || turn.state !== 'kept';
  view.draw({
    turn,
    last: isLast && !!turn.reply,
    edit: state.edit?.key === turn.key ? state.edit.text : undefined,
    busy: mayAct && !isFree(state),
    replaces: isLast || canReplace(state, turn),
  });
  return view.node;
}

const isFree = state => state.loaded && !state.running;

/** @returns what brings the turn that is read back to its place, when something was put above it */
function staying() {
  const edge = scroll.getBoundingClientRect().top;
  const turn = follow ? null : [...views.values()].find(({node}) => node.getBoundingClientRect().bottom > edge)?.node;
  const before = turn?.getBoundingClientRect().top;
  return () => {
    if (turn?.isConnected) scroll.scrollTop += turn.getBoundingClientRect().top - before;
  };
}

function above({notice, kept, looking, total, ...state}) {
  if (notice?.again === 'older') return slot('above', notice, () => failed(notice));
  if (!kept.length || shown({kept, total, ...state}) >= total) return null;
  const busy = looking === 'older';
  return slot('above', busy, () => button(busy ? 'Loading…' : 'Older messages', 'older', {disabled: busy}));
}

function below({notice, loaded, looking, user}, list) {
  if (notice && notice.again !== 'older') return slot('below', notice, () => failed(notice));
  if (!loaded && looking) return slot('below', 'loading', () => note('Loading…'));
  return loaded && !list.length ? slot('below', [user, health], () => welcome(user)) : null;
}

/** What failed and belongs to no turn. */
function failed({problem, again}) {
  const retry = again ? [button('Try again', again, {className: ''})] : [];
  return failure(problem, ...retry, button('Dismiss', 'dismiss', {className: ''}));
}

const DEMO = ['help', 'write a long story', '/image a red fox in the mountains', 'error 429'];

function welcome(user) {
  const tries = health?.demo ? DEMO : ['What can you do?'];
  const {ready, provider, model} = health?.chat ?? {ready: true};
  if (!ready) return setUp(provider, model);
  return el('div', {id: 'empty'},
    el('h2', {}, 'What is on your mind?'),
    el('p', {}, `What you say is kept for “${user}”, and remembered.`),
    ...tries.map(each => button(each, 'say', {className: ''})));
}

const KEYS = {gemini: 'https://aistudio.google.com/apikey', nebius: 'https://tokenfactory.nebius.com'};

/** What is missing, and where it goes: the names are those of .env.example. */
function setUp(provider, model) {
  const name = provider.toUpperCase().replaceAll('-', '_') + (model ? '_API_KEY=' : '_CHAT_MODEL=');
  const link = {href: KEYS[provider], target: '_blank', rel: 'noopener noreferrer'};
  return el('div', {id: 'empty'},
    el('h2', {}, 'One step is left'),
    el('p', {}, 'Open the file ', el('code', {}, '.env'), ' beside Parley, and write ',
      model ? 'your key' : 'the name of a model', ' after ', el('code', {}, name)),
    model && link.href ? el('p', {}, el('a', link, `Make a key for ${provider}`)) : '',
    el('p', {}, 'It takes effect at once: this page goes on by itself.'));
}

function drawControls(state) {
  const {running, draft, kept, own} = state, stops = ['send', 'draw'].includes(running);
  if (box.value !== draft) {
    box.value = draft;
    grow();
  }
  $('send').textContent = stops ? 'Stop' : 'Send';
  $('send').disabled = !stops && (!isFree(state) || !draft.trim());
  $('back').disabled = $('export').disabled = !isFree(state) || !kept.length;
  $('clear').disabled = !isFree(state) || !kept.length && !own.length;
}

/** For whoever listens: that a reply is on its way, and then its words. */
function announce(state, {type, turn, operation}) {
  const drawing = operation === 'draw' ? 'An image is being drawn' : 'Parley is replying';
  if (type === 'began' && turn) $('live').textContent = drawing;
  if (type === 'answered') $('live').textContent = views.get(lastKept(state).key).text;
  if (type === 'drawn') $('live').textContent = 'The image is ready';
  if (type === 'failed') $('live').textContent = '';
}

/** What changes with the time alone. */
function tick() {
  for (const each of flow.querySelectorAll('[data-since]')) {
    const seconds = Math.floor((Date.now() - Date.parse(each.dataset.since)) / 1000);
    each.textContent = seconds >= 5 ? seconds + ' s' : '';
  }
  for (const each of flow.querySelectorAll('[data-until]')) {
    const seconds = Math.ceil((each.dataset.until - Date.now()) / 1000);
    const words = each.textContent.replace(/ in \d+ s$/, '');
    each.textContent = seconds > 0 ? `${words} in ${seconds} s` : words;
    each.disabled = seconds > 0 || !isFree(conversations.state);
  }
}

// --- What the person does ---

const server = connect(new URL('.', location.href));
const conversations = new Conversations(server, memory, show);
const isTouch = () => matchMedia('(pointer: coarse)').matches;
let sentAt = 0, takenBackAt = 0;

/** Sends what was written, or has it drawn. */
function submit(words) {
  const image = words.match(/^\/image\s+([^]+)/), pressed = $('draw').ariaPressed === 'true';
  if (!isFree(conversations.state) || !words.trim()) return;
  sentAt = Date.now();
  if (pressed) pressDraw();
  conversations.send(image ? image[1] : words, pressed || !!image);
  if (words === box.value) conversations.type('');
}

function pressDraw() {
  const on = $('draw').ariaPressed !== 'true';
  $('draw').ariaPressed = String(on);
  box.placeholder = on ? 'Describe an image' : 'Write a message';
}

const acts = {
  copy: (turn, pressed) => copy(pressed, pressed.closest('.user') ? turn.question : turn.reply),
  edit: turn => edit(turn),
  sendEdit: () => conversations.sendEdit(),
  cancel: () => conversations.edit(null),
  regenerate: () => conversations.regenerate(),
  retry: turn => conversations.retry(turn.key),
  dismiss: turn => conversations.dismiss(turn?.key),
  older: () => conversations.older(),
  open: () => conversations.open(conversations.user),
  takeBack: () => conversations.takeBack(),
  clear: () => conversations.clear(),
  say: (turn, pressed) => submit(pressed.textContent),
  look: (turn, pressed) => {
    const {src, alt} = pressed.firstChild;
    Object.assign($('full').querySelector('img'), {src, alt});
    $('full').showModal();
  },
};

flow.addEventListener('click', event => {
  const pressed = event.target.closest('button');
  const turn = turns(conversations.state).find(each => each.key === pressed?.closest('.turn')?.dataset.key);
  if (pressed?.matches('.copy')) copy(pressed, pressed.closest('.code').querySelector('code').textContent);
  else if (pressed) acts[pressed.dataset.act](turn, pressed);
});

/** What failed goes back into an empty box; all else is edited where it stands. */
function edit({key, question, image, state, replaces}) {
  if (state === 'kept' || replaces !== undefined || box.value) {
    conversations.edit({key, text: question});
    views.get(key).focusEditor();
    return;
  }
  conversations.dismiss(key);
  conversations.type(image ? '/image ' + question : question);
  box.focus();
}

async function copy(pressed, words) {
  pressed.textContent = await isCopied(words) ? 'Copied' : 'The browser does not allow it';
  setTimeout(() => { pressed.textContent = 'Copy'; }, 1500);
}

async function isCopied(value) {
  try {
    await navigator.clipboard.writeText(value);
    return true;
  } catch { // over plain http there is no clipboard
    const area = el('textarea', {value, className: 'hidden'}), focused = document.activeElement;
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    focused.focus();
    return done;
  }
}

const isComposing = event => event.isComposing || event.keyCode === 229; // Safari ends a composition with a 229

/** Enter sends; on a touch screen, whose keyboard has no other, it breaks the line. */
const sends = event => event.key === 'Enter' && !event.shiftKey && !isComposing(event)
  && (event.ctrlKey || event.metaKey || !isTouch());

flow.addEventListener('input', event => {
  const key = event.target.closest('.turn').dataset.key;
  conversations.edit({key, text: event.target.value});
});
flow.addEventListener('keydown', event => {
  if (!event.target.closest('.edit') || isComposing(event)) return;
  if (event.target.matches('textarea') && sends(event)) {
    event.preventDefault();
    if (isFree(conversations.state)) conversations.sendEdit();
  } else if (event.key === 'Escape') {
    event.stopPropagation();
    conversations.edit(null);
  }
});

box.addEventListener('input', () => {
  grow();
  conversations.type(box.value);
});
box.addEventListener('keydown', event => {
  const last = lastKept(conversations.state)?.question;
  if (sends(event)) {
    event.preventDefault();
    submit(box.value);
  } else if (event.key === 'ArrowUp' && !box.value && last) {
    event.preventDefault();
    conversations.type(last);
  }
});

function grow() {
  box.style.height = 'auto';
  box.style.height = box.scrollHeight + 2 + 'px';
}

document.addEventListener('keydown', event => {
  const open = document.querySelector('dialog[open], :popover-open');
  if (event.key === 'Escape' && !isComposing(event) && !open) conversations.stop();
});
$('form').addEventListener('submit', event => {
  event.preventDefault();
  if (!conversations.state.running) submit(box.value);
  else if (Date.now() - sentAt > 500) conversations.stop(); // Send has become Stop under the pointer
});
$('draw').onclick = () => {
  pressDraw();
  box.focus();
};
$('down').onclick = () => {
  setFollow(true);
  box.focus();
};
$('back').onclick = async event => {
  if (event.detail > 1 || Date.now() - takenBackAt < 500) return; // a double click takes back one turn
  await conversations.takeBack();
  takenBackAt = Date.now();
};
$('clear').onclick = () => {
  $('ask').showModal();
  $('no').focus();
};
$('no').onclick = () => $('ask').close();
$('yes').onclick = () => {
  $('ask').close();
  conversations.clear();
};
$('full').querySelector('button').onclick = () => $('full').close();

// --- Export ---

function download(words, type, ending) {
  const href = URL.createObjectURL(new Blob([words], {type}));
  el('a', {href, download: `parley-${conversations.user.replace(/[^\w.-]/g, '_')}.${ending}`}).click();
  setTimeout(() => URL.revokeObjectURL(href), 60000);
}

const asMarkdown = ({user_id, messages}) => `# ${user_id}\n\n` + messages.map(({role, content, time, model}) =>
  `**${between([role === 'user' ? 'You' : 'Parley', time, model])}**\n\n${content}\n`).join('\n---\n\n');

const formats = {
  json: async () => download(await server.wholeHistory(conversations.user), 'application/json', 'json'),
  markdown: async () => {
    const whole = await server.wholeHistory(conversations.user);
    download(asMarkdown(JSON.parse(whole)), 'text/markdown', 'md');
  },
  print: async () => {
    await conversations.older(conversations.state.total);
    window.print();
  },
};
$('formats').onclick = async event => {
  const format = event.target.dataset.format;
  if (!format) return;
  $('formats').hidePopover();
  await formats[format]().catch(problem => conversations.note(problem));
};

// --- Users ---

/** The ids that were used in this browser, the latest first. */
const ids = () => (browser.get('users') ?? '').split('\n').filter(Boolean);
const setIds = all => browser.set('users', all.slice(0, 20).join('\n'));

/** Opens a conversation; the address follows. */
function open(id, entry = 'pushState') {
  if (!id || id === conversations.user) return;
  setIds([...new Set([id, ...ids()])]);
  tab.set('user', id);
  if (entry) history[entry](null, '', '?' + new URLSearchParams({user_id: id}));
  conversations.open(id);
}

function drawIds() {
  const item = id => el('li', {}, el('button', {className: 'plain', value: id}, id),
    el('button', {className: 'plain', title: `Forget ${id}`, 'aria-label': `Forget ${id}`, 'data-forget': id}, '×'));
  $('ids').querySelector('ul').replaceChildren(...ids().map(item));
}
$('ids').addEventListener('beforetoggle', drawIds);
$('ids').onclick = ({target}) => {
  if (target.dataset.forget) {
    setIds(ids().filter(id => id !== target.dataset.forget));
    if (target.dataset.forget !== conversations.user) tab.set('of ' + target.dataset.forget, '');
    drawIds();
    $('new').focus();
  } else if (target.matches('button')) {
    $('ids').hidePopover();
    open(target.value || newGuest());
    box.focus();
  }
};
const newGuest = () => 'guest-' + newId();
$('user').onchange = () => {
  open($('user').value.trim());
  $('user').value = conversations.user;
};
const asked = () => new URLSearchParams(location.search).get('user_id');
window.addEventListener('popstate', () => open(asked(), null));

// --- Looking again ---

/** Who would answer now. */
async function lookAtHealth() {
  health = await server.health().catch(() => health);
  if (!health) return;
  const {provider, model, ready} = health.chat;
  $('demo').hidden = !health.demo;
  $('model').textContent = between([provider, model ?? 'no model', !ready && 'not set up yet']);
  render(conversations.state);
}

function lookAgain() {
  if (document.hidden) return;
  lookAtHealth();
  if (conversations.state.loaded) conversations.again();
  else acts.open();
}

await claimTab();
open(asked() || tab.get('user') || ids()[0] || newGuest(), 'replaceState');
lookAtHealth();
box.disabled = false;
box.focus();
window.addEventListener('focus', lookAgain);
document.addEventListener('visibilitychange', lookAgain);
window.addEventListener('resize', grow);
setInterval(tick, 1000);
setInterval(() => health && !health.chat.ready && !document.hidden && lookAtHealth(), 5000);
