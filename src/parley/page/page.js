/** Draws the model, and hands on what the person does. */

import {Conversation, canReplace, isEdited, isFree, lastKept, shown, turns} from './conversation.js';
import {drawer, node} from './dom.js';
import {parse, plain} from './markdown.js';
import {connect} from './server.js';
import {claimTab, forget, ids, memory, newGuest, remember, tabUser} from './tab.js';
import {TurnView, between, button, failure} from './turn.js';

const $ = id => document.getElementById(id);
const scroll = $('scroll'), box = $('text');
const server = connect(new URL('.', location.href)), conversations = new Map();
let conversation; // the one that is shown

// --- Scrolling: it follows the end until the person scrolls up ---

let follow = true, place = 0;
const atEnd = () => scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight <= 2;

function setFollow(now) {
  follow = now;
  $('down').hidden = now;
  if (follow) scroll.scrollTop = scroll.scrollHeight;
  place = scroll.scrollTop;
}

const letGo = () => scroll.scrollTop > 0 && setFollow(false);

const sizes = new ResizeObserver(() => setFollow(follow));
[scroll, $('flow')].forEach(each => sizes.observe(each));
scroll.addEventListener('wheel', event => event.deltaY < 0 && letGo(), {passive: true});
scroll.addEventListener('touchmove', letGo, {passive: true});
scroll.addEventListener('touchend', () => atEnd() && setFollow(true));
scroll.addEventListener('keydown', ({key}) => ['ArrowUp', 'PageUp', 'Home'].includes(key) && letGo());
$('turns').addEventListener('focusin', ({target}) =>
  conversation.state.running && target.matches(':focus-visible') && setFollow(false));
scroll.addEventListener('scroll', () => {
  const moved = scroll.scrollTop - place;
  place = scroll.scrollTop;
  if (atEnd()) setFollow(follow || moved > 0);
  else if (moved < 0) setFollow(false);
  const failed = conversation.state.notice?.again === 'older'; // that waits for a click
  if (place < 50 && !failed) conversation.older();
});

/** @returns what keeps the turn that is read in its place, when something was put above it */
function staying() {
  const place = element => element.getBoundingClientRect(), edge = place(scroll).top;
  const turn = follow ? null : [...$('turns').children].find(each => place(each).bottom > edge);
  const before = turn && place(turn).top;
  return () => {
    if (turn?.isConnected) scroll.scrollTop += place(turn).top - before;
  };
}

// --- Drawing ---

const views = new Map(), drawAbove = drawer($('above')), drawBelow = drawer($('below'));
let drawnUser = '', health = null, frame = 0, takenBackAt = 0;
let movedAt = 0, turnedAt = 0; // when the focus came to the box; when Send and Stop changed places

/** Who acts at once meant what was there before. */
const isMeant = since => Date.now() - since > 500;

/** Words that come quickly are drawn once a frame. */
function show(state, event) {
  if (state !== conversation.state) return; // another one's
  if (event.type === 'delta') frame ||= requestAnimationFrame(() => render());
  else render(event);
}

function render(event = {}) {
  cancelAnimationFrame(frame);
  frame = 0;
  const {state} = conversation, all = turns(state), focused = document.activeElement;
  const begins = event.type === 'began' && event.turn;
  if (begins || state.user !== drawnUser) setFollow(true);
  if (state.user !== drawnUser) drawnUser = $('user').value = state.user;
  const stay = event.type === 'loaded' ? staying() : () => {};
  drawTurns(state, all);
  drawAbove(above(state));
  drawBelow(below(state, all));
  stay();
  drawControls(state);
  announce(state, event);
  if (focused === document.body || focused.isConnected && !focused.disabled) return;
  box.focus(); // else it would fall to the body
  movedAt = Date.now();
}

function drawTurns(state, all) {
  const keys = new Set(all.map(turn => turn.key)), {children} = $('turns');
  views.forEach(({element}, key) => {
    if (keys.has(key)) return;
    element.remove();
    views.delete(key);
  });
  all.forEach((turn, i) => {
    if (!views.has(turn.key)) views.set(turn.key, new TurnView(turn.key));
    const view = views.get(turn.key), isLast = turn === lastKept(state), isOwn = turn.state !== 'kept';
    view.draw({
      turn,
      last: isLast && !!turn.reply,
      edit: isEdited(state, turn) ? state.edit.text : undefined,
      busy: (isLast || isOwn) && !isFree(state),
      replaces: isLast || canReplace(state, turn),
      seconds: isOwn ? seconds(turn) : 0,
    });
    if (children[i] !== view.element) $('turns').insertBefore(view.element, children[i]);
  });
}

/** How long a turn has waited; of one that failed, how long it has to. */
const seconds = ({time, problem}) => problem
  ? Math.max(0, Math.ceil((problem.until - Date.now()) / 1000))
  : Math.floor((Date.now() - Date.parse(time)) / 1000);

function above(state) {
  const {notice, kept, total} = state, busy = state.looking === 'older';
  if (notice?.again === 'older') return [failed(notice)];
  const more = kept.length && shown(state) < total;
  return [more && button(busy ? 'Loading…' : 'Older messages', 'older', {className: 'plain'})];
}

function below({notice, loaded, looking, user}, all) {
  if (notice && notice.again !== 'older') return [failed(notice)];
  if (!loaded) return [looking && node('p', {className: 'note'}, 'Loading…')];
  return [!all.length && node('div', {id: 'empty'}, welcome(user))];
}

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
  const send = $('send'), words = stops ? 'Stop' : 'Send';
  if (box.value !== draft) box.value = draft;
  if (send.textContent !== words) turnedAt = Date.now();
  send.textContent = words;
  send.disabled = !stops && (!isFree(state) || !draft.trim());
  $('back').disabled = $('export').disabled = !isFree(state) || !kept.length;
  $('clear').disabled = !isFree(state) || !kept.length && !own.length;
}

function announce(state, {type, turn}) {
  if (type === 'began' && turn) $('live').textContent = turn.image ? 'An image is being drawn' : 'Parley is replying';
  if (type === 'answered') $('live').textContent = plain(parse(lastKept(state).reply));
  if (type === 'drawn') $('live').textContent = 'The image is ready';
  if (type === 'failed') $('live').textContent = '';
}

// --- What a click does ---

const acts = {
  copyQuestion: ({question}, pressed) => copy(pressed, question),
  copyReply: ({reply}, pressed) => copy(pressed, reply),
  copyCode: (turn, pressed) => copy(pressed, pressed.closest('.code').querySelector('code').textContent),
  edit,
  sendEdit: () => conversation.sendEdit(),
  cancel,
  retry: turn => conversation.retry(turn),
  dismiss: turn => turn ? conversation.dismiss(turn.key) : conversation.set({notice: null}),
  older: () => conversation.older(),
  open: () => load(),
  takeBack: async () => {
    if (!isMeant(takenBackAt)) return; // it was tapped twice
    await conversation.takeBack();
    takenBackAt = Date.now();
  },
  ask: () => $('ask').showModal(),
  clear: () => {
    $('ask').close(); // else the focus goes to a disabled button
    box.focus();
    return conversation.clear();
  },
  say: (turn, {textContent}) => submit(textContent),
  look: (turn, {firstChild: {src, alt}}) => {
    Object.assign($('full').querySelector('img'), {src, alt});
    $('full').showModal();
  },
  draw: () => {
    pressDraw();
    box.focus();
  },
  down: () => {
    setFollow(true);
    box.focus();
  },
  switch: (turn, {value}) => {
    open(value || newGuest());
    box.focus();
  },
  forget: (turn, {value}) => {
    forget(value);
    if (!conversations.get(value)?.state.running) conversations.delete(value);
    listIds();
    $('new').focus();
  },
  json: async () => download(await server.wholeHistory(drawnUser), 'json'),
  markdown: async () => download(asMarkdown(JSON.parse(await server.wholeHistory(drawnUser))), 'md'),
  print: async () => {
    await conversation.older(conversation.state.total);
    if (shown(conversation.state) >= conversation.state.total) window.print();
  },
};

document.addEventListener('click', async ({target, detail}) => {
  const pressed = target.closest('[data-act]'), key = pressed?.closest('.turn')?.dataset.key;
  if (!pressed || detail > 1) return; // a double click is one
  try {
    await acts[pressed.dataset.act](turns(conversation.state).find(turn => turn.key === key), pressed);
  } catch (problem) {
    conversation.set({notice: {problem}});
  }
});

/** What failed goes back into an empty box; all else is edited where it stands, one at a time. */
function edit(turn) {
  const {key, question, image, state, replaces} = turn, isOpen = conversation.state.edit;
  if (isOpen || state === 'kept' || replaces !== undefined || box.value) {
    if (!isOpen) conversation.set({edit: {turn, text: question}});
    $('turns').querySelector('.edit textarea').focus();
    return;
  }
  conversation.dismiss(key);
  conversation.set({draft: image ? '/image ' + question : question});
  box.focus();
}

function cancel() {
  const turn = $('turns').querySelector('.turn:has(.edit)');
  conversation.set({edit: null});
  turn.querySelector('[data-act=edit]:enabled')?.focus();
}

async function copy(pressed, words) {
  try {
    await navigator.clipboard.writeText(words);
  } catch {
    copyOldWay(words);
  }
  pressed.textContent = 'Copied';
  setTimeout(() => { pressed.textContent = 'Copy'; }, 1500);
}

/** Over plain http there is no clipboard. */
function copyOldWay(words) {
  document.addEventListener('copy', event => {
    event.clipboardData.setData('text/plain', words);
    event.preventDefault();
  }, {once: true});
  document.execCommand('copy');
}

function pressDraw() {
  const on = $('draw').ariaPressed !== 'true';
  $('draw').ariaPressed = String(on);
  box.placeholder = on ? 'Describe an image' : 'Write a message';
}

const asMarkdown = ({user_id, messages}) => `# ${user_id}\n\n` + messages.map(({role, content, time, model}) =>
  `**${between(role === 'user' ? 'You' : 'Parley', time, model)}**\n\n${content}\n`).join('\n---\n\n');

function download(words, ending) {
  const href = URL.createObjectURL(new Blob([words])), name = drawnUser.replace(/[^\w.-]/g, '_');
  Object.assign(document.createElement('a'), {href, download: `parley-${name}.${ending}`}).click();
}

// --- What is typed ---

function submit(words) {
  const image = words.match(/^\/image\s+([^]+)/), pressed = $('draw').ariaPressed === 'true';
  if (!isFree(conversation.state) || !words.trim()) return;
  if (pressed) pressDraw();
  conversation.send(image?.[1] ?? words, pressed || !!image);
  if (words === box.value) conversation.set({draft: ''});
}

const isComposing = event => event.isComposing || event.keyCode === 229; // Safari ends a composition with a 229

/** Enter sends; on a touch screen, whose keyboard has no other, it breaks the line. */
const sends = event => event.key === 'Enter' && !event.shiftKey && !isComposing(event)
  && (event.ctrlKey || event.metaKey || !matchMedia('(pointer: coarse)').matches);

$('flow').addEventListener('input', ({target}) =>
  conversation.set({edit: {...conversation.state.edit, text: target.value}}));
$('flow').addEventListener('keydown', event => {
  if (!event.target.closest('.edit') || isComposing(event)) return;
  if (event.target.matches('textarea') && sends(event)) {
    event.preventDefault();
    conversation.sendEdit();
  } else if (event.key === 'Escape') {
    event.stopPropagation();
    cancel();
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
    if (!event.repeat && isMeant(movedAt)) submit(box.value);
  } else if (event.key === 'ArrowUp' && !box.value && last) {
    event.preventDefault();
    conversation.set({draft: last});
  }
});
document.addEventListener('keydown', event => {
  const open = document.querySelector('dialog[open], :popover-open');
  if (event.key !== 'Escape' || isComposing(event) || open) return;
  if (event.target === $('user')) $('user').value = drawnUser;
  else conversation.stop();
});
document.addEventListener('focusin', ({target}) => {
  const open = document.querySelector(':popover-open'); // it would hide what has the focus
  if (open && !open.contains(target) && target.popoverTargetElement !== open) open.hidePopover();
});
$('form').addEventListener('submit', event => {
  event.preventDefault();
  if (!isMeant(turnedAt)) return;
  if (conversation.state.running) conversation.stop();
  else submit(box.value);
});

// --- Users ---

/** The address follows the user. What runs for the one before goes on. */
function open(user, entry = 'pushState') {
  if (!user || user === drawnUser) return;
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
  if (opened.state.loaded && opened === conversation) remember(drawnUser);
}

const drawIds = drawer($('ids').querySelector('ul'));

function listIds() {
  drawIds(ids().map(value => node('li', {},
    button(value, 'switch', {className: 'plain', value}),
    button('×', 'forget', {className: 'plain', title: `Forget ${value}`, 'aria-label': `Forget ${value}`, value}))));
}
$('ids').addEventListener('beforetoggle', listIds);
$('user').addEventListener('change', ({target}) => {
  open(target.value.trim());
  target.value = drawnUser;
});
const asked = () => new URLSearchParams(location.search).get('user_id');
window.addEventListener('popstate', () => open(asked(), null));

// --- Looking again ---

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
