/** One turn on the page, and the small things that all of the page is made of. */

import {parse, plain, writer} from './markdown.js';

/** Every text enters the page here or in markdown.js, as text: nothing is ever parsed as HTML. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** @param act what a click on it does: the name of one of the acts below */
export const button = (words, act, props = {}, ...more) =>
  el('button', {type: 'button', className: 'plain', 'data-act': act, ...props}, words, ...more);

/** What scrolls can be reached with the keyboard, and nothing else is a stop on the way. */
const stops = new ResizeObserver(entries => entries.forEach(({target}) => {
  const scrolls = target.scrollHeight > target.clientHeight + 1 || target.scrollWidth > target.clientWidth + 1;
  if (scrolls) Object.assign(target, {tabIndex: 0, role: 'group', ariaLabel: 'Scrolls'});
  else ['tabindex', 'role', 'aria-label'].forEach(name => target.removeAttribute(name));
}));

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
export function failure({code, detail}, ...buttons) {
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

export const between = words => words.filter(Boolean).join(' · ');

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
export class TurnView {
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

export const note = words => el('p', {className: 'note'}, words);

/** A message is edited where it stands: what is written below stays a draft. */
function editorOf(value) {
  const rows = Math.min(8, value.split('\n').length + 1);
  const area = el('textarea', {value, rows, 'aria-label': 'Edit the message'});
  const send = button('Send', 'sendEdit', {className: 'strong'});
  return el('div', {className: 'edit'}, area, send, button('Cancel', 'cancel', {className: ''}));
}

/** Makes the nodes the children, in this order; those that are there already stay as they are. */
export function keep(parent, nodes) {
  const wanted = new Set(nodes);
  [...parent.childNodes].filter(each => !wanted.has(each)).forEach(each => each.remove());
  let next = parent.firstChild;
  for (const each of nodes) {
    if (each === next) next = next.nextSibling;
    else parent.insertBefore(each, next);
  }
}
