/** One turn on the page. */

import {drawer, node} from './dom.js';
import {reader} from './markdown.js';

/** @param act what a click on it does: the name of one of the acts of page.js */
export const button = (words, act, props) => node('button', {'data-act': act, ...props}, words);

const plain = (words, act, props) => button(words, act, {className: 'plain', ...props});

const dotted = parts => parts.filter(Boolean).flatMap((each, i) => i ? [' · ', each] : [each]);

export const between = (...words) => dotted(words).join('');

const label = (...parts) => node('span', {className: 'label'}, dotted(parts));

const CALM = ['stopped', 'interrupted', 'conversation_changed'];
const NEW = 'Send as a new message'; // what can no longer take the place of its turn

/** The buttons stand outside of what is announced: a countdown is for the eyes. */
export const failure = ({code, detail}, ...buttons) =>
  node('div', {className: CALM.includes(code) ? 'bad calm' : 'bad'},
    node('div', {role: 'alert'}, node('strong', {}, code.replaceAll('_', ' ')), node('p', {dir: 'auto'}, detail)),
    buttons);

function moment(time) {
  if (!time) return '';
  const date = new Date(time), isToday = date.toDateString() === new Date().toDateString();
  const short = date.toLocaleString([], {timeStyle: 'short', ...!isToday && {dateStyle: 'medium'}});
  return node('time', {dateTime: time, title: date.toLocaleString()}, short);
}

const tokens = usage => usage
  && `${usage.total_tokens ?? '?'} tokens (${usage.prompt_tokens ?? '?'} in, ${usage.completion_tokens ?? '?'} out)`;

const KINDS = {kept: 'kept', drawn: 'drawn', failed: 'unkept', stopped: 'unkept'};
const kind = ({state}) => KINDS[state] ?? 'writing';

const said = (who, turn, ...content) => node('article', {className: `said ${who} ${kind(turn)}`}, content);
const heard = words => node('span', {className: 'hidden'}, words);
const acts = (...buttons) => node('div', {className: 'acts'}, buttons);

const editor = (value, busy, replaces) => node('div', {className: 'edit'},
  node('textarea', {value, 'aria-label': 'Edit the message'}),
  button(replaces ? 'Send' : NEW, 'sendEdit', {className: 'strong', disabled: busy}),
  button('Cancel', 'cancel'));

const question = ({turn, last, edit, busy, replaces}) => said('user', turn,
  heard('You said:'),
  edit === undefined
    ? node('div', {className: 'text', dir: 'auto', scrolls: true}, turn.image && '/image ', turn.question)
    : editor(edit, busy, replaces),
  acts(label(moment(turn.time)), plain('Copy', 'copyQuestion'), last && plain('Edit', 'edit', {disabled: busy})));

const dots = ({seconds}) => node('p', {className: 'waiting'},
  node('i'), node('i'), node('i'), node('span', {}, seconds >= 5 && seconds + ' s'));

function picture({mime_type, data}, alt) {
  const src = `data:${mime_type};base64,${data}`, download = 'parley.' + mime_type.split('/')[1];
  return node('figure', {},
    button(node('img', {src, alt}), 'look', {className: 'look', title: 'Full size'}),
    node('figcaption', {}, 'Not kept in the conversation. ', node('a', {href: src, download}, 'Save')));
}

/** What stands behind the words. */
const behind = {
  waiting: dots,
  checking: dots,
  drawing: view => node('div', {className: 'drawing'}, dots(view)),
  drawn: ({turn}) => turn.images.map(image => picture(image, turn.question)),
};

function reply(view, words) {
  const {turn, last, busy} = view, {state, ended, provider, model, usage, cut} = turn;
  return said('model', turn,
    heard('Parley said:'),
    node('div', {className: 'text', dir: 'auto'}, words, behind[state]?.(view) ?? []),
    acts(turn.reply && plain('Copy', 'copyReply'),
      last && turn.question && plain('Regenerate', 'retry', {disabled: busy}),
      state === 'kept' && label(moment(ended), provider, model, tokens(usage)),
      turn.reply && kind(turn) === 'unkept' && label('not kept'),
      cut && label('Cut off at MAX_OUTPUT_TOKENS: raise it in .env, or say “go on”.')));
}

function problem({turn, busy, replaces, seconds}) {
  const words = turn.replaces === undefined || replaces ? 'Try again' : NEW;
  return failure(turn.problem,
    button(seconds ? `${words} in ${seconds} s` : words, 'retry', {disabled: busy || seconds > 0}),
    button('Edit', 'edit', {disabled: busy}),
    button('Remove', 'dismiss', {disabled: busy}));
}

/** Draws a turn; what did not change is not touched. */
export class TurnView {
  element = document.createElement('div');
  #draw = drawer(this.element);
  #read = reader();
  #view = {};

  constructor(key) {
    this.element.className = 'turn';
    this.element.dataset.key = key;
  }

  /**
   * @param view {turn, last, edit, busy, replaces, seconds}: whether it is the last that is kept; the words
   *     of its open edit, or undefined; whether nothing can be done now; whether other words would take its place; how
   *     long it has waited, or has to
   */
  draw(view) {
    if (Object.keys(view).every(name => view[name] === this.#view[name])) return;
    this.#view = view;
    const {turn} = view, words = this.#read(turn.reply ?? '', turn.state === 'writing');
    const replies = turn.reply || ['writing', 'drawn'].includes(kind(turn));
    this.#draw([turn.question && question(view), replies && reply(view, words), turn.problem && problem(view)]);
  }
}
