/** Draws the model, and hands on what the person does. A turn that did not change is not touched. */

import {Conversation, canReplace, isEdited, isFree, lastKept, shown, turns} from './conversation.js';
import {drawer, node} from './dom.js';
import {parse, plain} from './markdown.js';
import {connect} from './server.js';
import {claimTab, forget, ids, memory, newGuest, remember, tabUser} from './tab.js';
import {between, button, failure, rows, turnReader} from './turn.js';

const $ = id => document.getElementById(id);
const scroll = $('scroll'), box = $('text');

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
sizes.observe($('flow'));
sizes.observe(scroll);
scroll.addEventListener('wheel', event => event.deltaY < 0 && letGo(), {passive: true});
scroll.addEventListener('touchmove', letGo, {passive: true});
scroll.addEventListener('touchend', () => atEnd() && setFollow(true));
scroll.addEventListener('keydown', event => ['ArrowUp', 'PageUp', 'Home'].includes(event.key) && letGo());
scroll.addEventListener('scroll', () => {
  const moved = scroll.scrollTop - place;
  place = scroll.scrollTop;
  if (atEnd()) setFollow(follow || moved > 0);
  else if (moved < 0) setFollow(false);
  const failed = conversation.state.notice?.again === 'older'; // that waits for a click
  if (place < 50 && !failed) conversation.older();
});

/** @returns what brings the turn that is read back to its place, when something was put above it */
function staying() {
  const edge = scroll.getBoundingClientRect().top, top = turn => turn.getBoundingClientRect().top;
  const turn = follow ? null : [...$('turns').children].find(each => each.getBoundingClientRect().bottom > edge);
  const before = turn && top(turn);
  return () => {
    if (turn?.isConnected) scroll.scrollTop += top(turn) - before;
  };
}

// --- The conversation ---

const views = new Map(), drawAbove = drawer($('above')), drawBelow = drawer($('below'));
let drawnUser = '', health = null, frame = 0;

/** Words that come quickly are drawn once a frame; all else at once. */
function show(state, event) {
  if (state.user !== conversation.state.user) return;
  if (event.type === 'delta') frame ||= requestAnimationFrame(() => render());
  else render(event);
}

function render(event = {}) {
  cancelAnimationFrame(frame);
  frame = 0;
  const {state} = conversation, all = turns(state), focused = document.activeElement;
  if (state.user !== drawnUser || event.type === 'began' && event.turn) setFollow(true);
  if (state.user !== drawnUser) drawnUser = $('user').value = state.user;
  const stay = event.type === 'loaded' ? staying() : () => {};
  drawTurns(state, all);
  drawAbove(above(state));
  drawBelow(below(state, all));
  stay();
  drawControls(state);
  announce(state, event);
  // what had the focus is gone: it must not fall to the body
  if (focused !== document.body && (!focused.isConnected || focused.disabled)) {
    box.focus();
    movedAt = Date.now();
  }
}

class TurnView {
  element = document.createElement('div');
  #draw = drawer(this.element);
  #read = turnReader();
  #shown = {};

  constructor(key) {
    this.element.className = 'turn';
    this.element.dataset.key = key;
  }

  draw(view) {
    if (Object.keys(view).every(name => view[name] === this.#shown[name])) return;
    this.#shown = view;
    this.#draw(this.#read(view));
  }
}

function drawTurns(state, all) {
  const keys = new Set(all.map(turn => turn.key));
  for (const [key, {element}] of views) {
    if (keys.has(key)) continue;
    element.remove();
    views.delete(key);
  }
  let next = $('turns').firstChild;
  for (const turn of all) {
    if (!views.has(turn.key)) views.set(turn.key, new TurnView(turn.key));
    const {element} = views.get(turn.key);
    views.get(turn.key).draw(viewOf(state, turn));
    if (element === next) next = next.nextSibling;
    else $('turns').insertBefore(element, next);
  }
}

function viewOf(state, turn) {
  const isLast = turn === lastKept(state), isOwn = turn.state !== 'kept';
  return {
    turn,
    last: isLast && !!turn.reply,
    edit: isEdited(state, turn) ? state.edit.text : undefined,
    busy: (isLast || isOwn) && !isFree(state),
    replaces: isLast || canReplace(state, turn),
    seconds: isOwn ? seconds(turn) : 0,
  };
}

/** How long a turn has waited; of one that failed, how long it has to. */
const seconds = ({time, problem}) => problem
  ? Math.max(0, Math.ceil((problem.until - Date.now()) / 1000)) || 0
  : Math.floor((Date.now() - Date.parse(time)) / 1000);

function above(state) {
  const {notice, kept, looking, total} = state, busy = looking === 'older';
  if (notice?.again === 'older') return [failed(notice)];
  if (!kept.length || shown(state) >= total) return [];
  return [button(busy ? 'Loading…' : 'Older messages', 'older', {className: 'plain', disabled: busy})];
}

function below({notice, loaded, looking, user}, all) {
  if (notice && notice.again !== 'older') return [failed(notice)];
  if (!loaded && looking) return [node('p', {className: 'note'}, 'Loading…')];
  return loaded && !all.length ? [node('div', {id: 'empty'}, welcome(user))] : [];
}

/** What failed and belongs to no turn. */
const failed = ({problem, again}) =>
  failure(problem, again && button('Try again', again), button('Dismiss', 'dismiss'));

const DEMO = ['help', 'write a long story', '/image a red fox in the mountains', 'error 429'];
const KEYS = {gemini: 'https://aistudio.google.com/apikey', nebius: 'https://tokenfactory.nebius.com'};

function welcome(user) {
  if (health && !health.chat.ready) return setUp(health.chat);
  const tries = health?.demo ? DEMO : ['What can you do?'];
  return [
    node('h2', {}, 'What is on your mind?'),
    node('p', {}, `What you say is kept for “${user}”, and remembered.`),
    ...tries.map(each => button(each, 'say')),
  ];
}

/** What is missing, and where it goes: the names are those of .env.example. */
function setUp({provider, model}) {
  const name = provider.toUpperCase().replaceAll('-', '_') + (model ? '_API_KEY=' : '_CHAT_MODEL=');
  const link = {href: KEYS[provider], target: '_blank', rel: 'noopener noreferrer'};
  return [
    node('h2', {}, 'One step is left'),
    node('p', {}, 'Open the file ', node('code', {}, '.env'), ' beside Parley, and write ',
      model ? 'your key' : 'the name of a model', ' after ', node('code', {}, name)),
    model && link.href && node('p', {}, node('a', link, `Make a key for ${provider}`)),
    node('p', {}, 'It takes effect at once: this page goes on by itself.'),
  ];
}

function drawControls(state) {
  const {running, draft, kept, own} = state, stops = ['send', 'draw'].includes(running);
  if (box.value !== draft) box.value = draft;
  box.rows = rows(draft);
  $('send').textContent = stops ? 'Stop' : 'Send';
  $('send').disabled = !stops && (!isFree(state) || !draft.trim());
  $('back').disabled = $('export').disabled = !isFree(state) || !kept.length;
  $('clear').disabled = !isFree(state) || !kept.length && !own.length;
}

/** For whoever listens: that a reply is on its way, and then its words. */
function announce(state, {type, turn}) {
  if (type === 'began' && turn) $('live').textContent = turn.image ? 'An image is being drawn' : 'Parley is replying';
  if (type === 'answered') $('live').textContent = plain(parse(lastKept(state).reply));
  if (type === 'drawn') $('live').textContent = 'The image is ready';
  if (type === 'failed') $('live').textContent = '';
}

// --- What the person does ---

const server = connect(new URL('.', location.href)), conversations = new Map();
const isTouch = () => matchMedia('(pointer: coarse)').matches;
let conversation, sentAt = 0, takenBackAt = 0, movedAt = 0;

/** Sends what was written, or has it drawn. */
function submit(words) {
  const image = words.match(/^\/image\s+([^]+)/), pressed = $('draw').ariaPressed === 'true';
  if (!isFree(conversation.state) || !words.trim()) return;
  sentAt = Date.now();
  if (pressed) pressDraw();
  conversation.send(image?.[1] ?? words, pressed || !!image);
  if (words === box.value) conversation.set({draft: ''});
}

function pressDraw() {
  const on = $('draw').ariaPressed !== 'true';
  $('draw').ariaPressed = String(on);
  box.placeholder = on ? 'Describe an image' : 'Write a message';
}

const acts = {
  copyQuestion: ({question}, pressed) => copy(pressed, question),
  copyReply: ({reply}, pressed) => copy(pressed, reply),
  copyCode: (turn, pressed) => copy(pressed, pressed.closest('.code').querySelector('code').textContent),
  edit: turn => edit(turn),
  sendEdit: () => conversation.sendEdit(),
  cancel: () => conversation.set({edit: null}),
  retry: turn => conversation.retry(turn),
  dismiss: turn => turn ? conversation.dismiss(turn.key) : conversation.set({notice: null}),
  older: () => conversation.older(),
  open: () => load(),
  takeBack: () => conversation.takeBack(),
  clear: () => conversation.clear(),
  say: (turn, pressed) => submit(pressed.textContent),
  look: (turn, {firstChild: {src, alt}}) => {
    Object.assign($('full').querySelector('img'), {src, alt});
    $('full').showModal();
  },
};

const turnAt = element => turns(conversation.state).find(turn => turn.key === element.closest('.turn')?.dataset.key);

$('flow').addEventListener('click', event => {
  const pressed = event.target.closest('button');
  if (pressed && event.detail < 2) acts[pressed.dataset.act](turnAt(pressed), pressed); // a double click is one
});

/** What failed goes back into an empty box; all else is edited where it stands. */
function edit(turn) {
  const {key, question, image, state, replaces} = turn;
  if (state === 'kept' || replaces !== undefined || box.value) {
    conversation.set({edit: {turn, text: question}});
    views.get(key).element.querySelector('textarea').focus();
    return;
  }
  conversation.dismiss(key);
  conversation.set({draft: image ? '/image ' + question : question});
  box.focus();
}

async function copy(pressed, words) {
  pressed.textContent = await isCopied(words) ? 'Copied' : 'The browser does not allow it';
  setTimeout(() => { pressed.textContent = 'Copy'; }, 1500);
}

async function isCopied(words) {
  try {
    await navigator.clipboard.writeText(words);
    return true;
  } catch { // over plain http there is no clipboard
    const area = document.createElement('textarea'), focused = document.activeElement;
    area.value = words;
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

$('flow').addEventListener('input', ({target}) =>
  conversation.set({edit: {...conversation.state.edit, text: target.value}}));
$('flow').addEventListener('keydown', event => {
  if (!event.target.closest('.edit') || isComposing(event)) return;
  if (event.target.matches('textarea') && sends(event)) {
    event.preventDefault();
    conversation.sendEdit();
  } else if (event.key === 'Escape') {
    event.stopPropagation();
    conversation.set({edit: null});
  }
});

box.addEventListener('input', () => {
  movedAt = 0; // who types means the box
  conversation.set({draft: box.value});
});
box.addEventListener('keydown', event => {
  const last = lastKept(conversation.state)?.question;
  if (sends(event)) {
    event.preventDefault();
    const meant = !event.repeat && Date.now() - movedAt > 500; // not for the button that had the focus
    if (meant) submit(box.value);
  } else if (event.key === 'ArrowUp' && !box.value && last) {
    event.preventDefault();
    conversation.set({draft: last});
  }
});

document.addEventListener('keydown', event => {
  const open = document.querySelector('dialog[open], :popover-open');
  if (event.key === 'Escape' && !isComposing(event) && !open) conversation.stop();
});
$('form').addEventListener('submit', event => {
  event.preventDefault();
  if (!conversation.state.running) submit(box.value);
  else if (Date.now() - sentAt > 500) conversation.stop(); // Send has become Stop under the pointer
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
  await conversation.takeBack();
  takenBackAt = Date.now();
};
$('clear').onclick = () => $('ask').showModal();
$('yes').onclick = () => conversation.clear();

// --- Export ---

function download(words, type, ending) {
  const link = document.createElement('a'), name = conversation.state.user.replace(/[^\w.-]/g, '_');
  link.href = URL.createObjectURL(new Blob([words], {type}));
  link.download = `parley-${name}.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

const asMarkdown = ({user_id, messages}) => `# ${user_id}\n\n` + messages.map(({role, content, time, model}) =>
  `**${between(role === 'user' ? 'You' : 'Parley', time, model)}**\n\n${content}\n`).join('\n---\n\n');

const formats = {
  json: whole => download(whole, 'application/json', 'json'),
  markdown: whole => download(asMarkdown(JSON.parse(whole)), 'text/markdown', 'md'),
};

$('formats').onclick = async ({target: {dataset: {format}}}) => {
  if (!format) return;
  $('formats').hidePopover();
  if (format === 'print') return print();
  try {
    formats[format](await server.wholeHistory(conversation.state.user));
  } catch (problem) {
    conversation.set({notice: {problem}});
  }
};

/** Prints the whole conversation, or nothing where it cannot be had. */
async function print() {
  await conversation.older(conversation.state.total);
  if (shown(conversation.state) >= conversation.state.total) window.print();
}

// --- Users ---

/** Opens a user's conversation; the address follows. What runs for the one before goes on. */
function open(user, entry = 'pushState') {
  if (!user || user === conversation?.state.user) return;
  if (entry) history[entry](null, '', '?' + new URLSearchParams({user_id: user}));
  if (!conversations.has(user)) conversations.set(user, new Conversation(user, server, memory, show));
  conversation = conversations.get(user);
  render();
  load();
}

/** An id that the server takes is remembered. */
async function load() {
  const opened = conversation;
  await opened.open();
  if (opened.state.loaded && opened === conversation) remember(opened.state.user);
}

const drawIds = drawer($('ids').querySelector('ul'));

function listIds() {
  const plain = {className: 'plain'};
  drawIds(ids().map(id => node('li', {}, node('button', {...plain, value: id}, id),
    node('button', {...plain, title: `Forget ${id}`, 'aria-label': `Forget ${id}`, 'data-forget': id}, '×'))));
}
$('ids').addEventListener('beforetoggle', listIds);
$('ids').onclick = ({target}) => {
  if (target.dataset.forget) {
    forget(target.dataset.forget);
    listIds();
    $('new').focus();
  } else if (target.matches('button')) {
    $('ids').hidePopover();
    open(target.value || newGuest());
    box.focus();
  }
};
$('user').onchange = () => {
  open($('user').value.trim());
  $('user').value = drawnUser;
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
  $('model').textContent = between(provider, model ?? 'no model', !ready && 'not set up yet');
  render();
}

function lookAgain() {
  if (document.hidden) return;
  lookAtHealth();
  if (conversation.state.loaded) conversation.again();
  else load();
}

await claimTab();
open(asked() || tabUser() || newGuest(), 'replaceState');
lookAtHealth();
box.disabled = false;
box.focus();
window.addEventListener('focus', lookAgain);
document.addEventListener('visibilitychange', lookAgain);
setInterval(() => render(), 1000); // seconds pass
setInterval(() => health && !health.chat.ready && !document.hidden && lookAtHealth(), 5000);
