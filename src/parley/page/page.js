/** Draws the model, and hands on what the person does. A turn that did not change is not touched. */

import {Conversations, canReplace, lastKept, shown, turns} from './conversation.js';
import {connect} from './server.js';
import {claimTab, forget, ids, memory, newGuest, remember, tabUser} from './tab.js';
import {TurnView, between, button, el, failure, keep, note} from './turn.js';

const $ = id => document.getElementById(id);
const flow = $('flow'), scroll = $('scroll'), box = $('text');

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
scroll.addEventListener('touchend', () => atEnd() && setFollow(true));
scroll.addEventListener('keydown', event => ['ArrowUp', 'PageUp', 'Home'].includes(event.key) && letGo());
scroll.addEventListener('scroll', () => {
  const moved = scroll.scrollTop - place;
  place = scroll.scrollTop;
  if (atEnd()) setFollow(follow || moved > 0);
  else if (moved < 0) setFollow(false);
  const failed = conversations.state.notice?.again === 'older'; // that waits for a click
  if (place < 50 && !failed) conversations.older();
});

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
  if (focused !== document.body && (!focused.isConnected || focused.disabled)) {
    box.focus();
    movedAt = Date.now();
  }
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
let sentAt = 0, takenBackAt = 0, movedAt = 0;

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
  open: () => load(conversations.user),
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
  if (event.detail > 1) return; // a double click is one: another button may have come under the pointer
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
  movedAt = 0; // who types means the box
  grow();
  conversations.type(box.value);
});
box.addEventListener('keydown', event => {
  const last = lastKept(conversations.state)?.question;
  if (sends(event)) {
    event.preventDefault();
    const meant = !event.repeat && Date.now() - movedAt > 500; // not for the button that had the focus
    if (meant) submit(box.value);
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

/** Opens a conversation; the address follows. */
function open(id, entry = 'pushState') {
  if (!id || id === conversations.user) return;
  if (entry) history[entry](null, '', '?' + new URLSearchParams({user_id: id}));
  load(id);
}

/** An id that the server takes is remembered. */
async function load(id) {
  await conversations.open(id);
  const {user, loaded} = conversations.state;
  if (loaded) remember(user);
}

function drawIds() {
  const item = id => el('li', {}, el('button', {className: 'plain', value: id}, id),
    el('button', {className: 'plain', title: `Forget ${id}`, 'aria-label': `Forget ${id}`, 'data-forget': id}, '×'));
  $('ids').querySelector('ul').replaceChildren(...ids().map(item));
}
$('ids').addEventListener('beforetoggle', drawIds);
$('ids').onclick = ({target}) => {
  if (target.dataset.forget) {
    forget(target.dataset.forget);
    drawIds();
    $('new').focus();
  } else if (target.matches('button')) {
    $('ids').hidePopover();
    open(target.value || newGuest());
    box.focus();
  }
};
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
open(asked() || tabUser() || newGuest(), 'replaceState');
lookAtHealth();
box.disabled = false;
box.focus();
window.addEventListener('focus', lookAgain);
document.addEventListener('visibilitychange', lookAgain);
window.addEventListener('resize', grow);
setInterval(tick, 1000);
setInterval(() => health && !health.chat.ready && !document.hidden && lookAtHealth(), 5000);
