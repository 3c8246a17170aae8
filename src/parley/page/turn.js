/** A turn, and what else stands in the conversation, as trees for dom.js. */

import {node} from './dom.js';
import {reader} from './markdown.js';

/** @param act what a click on it does: the name of one of the acts of page.js */
export const button = (words, act, props = {}) => node('button', {'data-act': act, ...props}, words);

const plain = (words, act, props) => button(words, act, {className: 'plain', ...props});

/** What there is of it, with dots between. */
const dotted = parts => parts.filter(Boolean).flatMap((each, i) => i ? [' · ', each] : [each]);

export const between = (...words) => dotted(words).join('');

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
export const failure = ({code, detail}, ...buttons) =>
  node('div', {className: CALM.includes(code) ? 'bad calm' : 'bad'},
    node('div', {role: 'alert'}, node('strong', {}, TITLES[code] ?? 'This did not work'), node('p', {dir: 'auto'}, detail)),
    buttons);

const label = (...parts) => node('span', {className: 'label'}, dotted(parts));

function moment(time) {
  if (!time) return '';
  const date = new Date(time), isToday = date.toDateString() === new Date().toDateString();
  const short = date.toLocaleString([], {timeStyle: 'short', ...!isToday && {dateStyle: 'medium'}});
  return node('time', {dateTime: time, title: date.toLocaleString()}, short);
}

const tokens = usage => usage
  && `${usage.total_tokens ?? '?'} tokens (${usage.prompt_tokens ?? '?'} in, ${usage.completion_tokens ?? '?'} out)`;

/** The classes of a turn's two messages. */
function kinds(state) {
  if (RUNNING.includes(state)) return state === 'writing' ? 'writing writes' : 'writing';
  return {kept: 'kept', drawn: 'unkept drawn'}[state] ?? 'unkept';
}

/** How many rows a text area has, where the browser does not know field-sizing. */
export const rows = text => Math.min(8, text.split('\n').length);

/** What is edited where it stands leaves the draft below alone. */
const editor = (value, busy, replaces) => node('div', {className: 'edit'},
  node('textarea', {value, rows: rows(value), 'aria-label': 'Edit the message'}),
  button(replaces ? 'Send' : NEW, 'sendEdit', {className: 'strong', disabled: busy}),
  button('Cancel', 'cancel'));

function asked({turn: {state, question, image, time}, last, edit, busy, replaces}) {
  const words = image ? '/image ' + question : question;
  return node('article', {className: 'said user ' + kinds(state)},
    node('span', {className: 'hidden'}, 'You said:'),
    edit === undefined ? node('div', {className: 'text', dir: 'auto', scrolls: true}, words) : editor(edit, busy, replaces),
    node('div', {className: 'acts'},
      label(moment(time)), plain('Copy', 'copyQuestion'), last && plain('Edit', 'edit', {disabled: busy})));
}

/** Waiting looks like it; the seconds are told from the fifth on. */
const dots = seconds => node('p', {className: 'waiting'},
  node('i'), node('i'), node('i'), node('span', {}, seconds >= 5 && seconds + ' s'));

function picture({mime_type, data}, alt) {
  const src = `data:${mime_type};base64,${data}`, download = 'parley.' + mime_type.split('/')[1];
  return node('figure', {},
    node('button', {className: 'look', title: 'Full size', 'data-act': 'look'}, node('img', {src, alt})),
    node('figcaption', {}, 'Not kept in the conversation. ', node('a', {href: src, download}, 'Save')));
}

/** What stands where the reply comes. */
function answer({state, question, images}, seconds) {
  if (state === 'drawn') return images.map(image => picture(image, question));
  if (state === 'drawing') return [node('div', {className: 'drawing'}, dots(seconds))];
  return ['waiting', 'checking'].includes(state) ? [dots(seconds)] : [];
}

function told({turn, last, busy, seconds}, words) {
  const {state, question, reply, ended, provider, model, usage, cut} = turn;
  return node('article', {className: 'said model ' + kinds(state)},
    node('span', {className: 'hidden'}, 'Parley said:'),
    node('div', {className: 'text', dir: 'auto'}, words, answer(turn, seconds)),
    node('div', {className: 'acts'},
      reply && plain('Copy', 'copyReply'),
      last && question && plain('Regenerate', 'retry', {disabled: busy}),
      state === 'kept' && label(moment(ended), provider, model, tokens(usage)),
      reply && ['failed', 'stopped'].includes(state) && label('not kept'),
      cut && label('Cut off at MAX_OUTPUT_TOKENS: raise it in .env, or say “go on”.')));
}

function problem({turn: {problem: what, replaces: meant}, busy, replaces, seconds}) {
  const words = meant === undefined || replaces ? 'Try again' : NEW;
  return failure(what,
    button(seconds > 0 ? `${words} in ${seconds} s` : words, 'retry', {disabled: busy || seconds > 0}),
    button('Edit', 'edit', {disabled: busy}), button('Remove', 'dismiss', {disabled: busy}));
}

/** @returns what makes a turn's trees, one after another */
export function turnReader() {
  const read = reader();
  /**
   * @param view {turn, last, edit, busy, replaces, seconds}: the turn; whether it is the last that is kept; the words
   *     of its open edit, or undefined; whether nothing can be done now; whether other words would take its place; how
   *     long it has waited, or has to
   */
  return view => {
    const {state, question, reply = '', problem: what} = view.turn;
    const hasReply = reply || RUNNING.includes(state) || state === 'drawn';
    return [
      question ? asked(view) : '',
      hasReply ? told(view, read(reply, state === 'writing')) : '',
      what ? problem(view) : '',
    ];
  };
}
