/** The page's model, in Node: each row of a table is a state, what happens, and the state after it. */

import assert from 'node:assert/strict';
import {test} from 'node:test';
import {empty, reduce, restored, remembered, turns} from '../../src/parley/page/conversation.js';

// --- Writing states down: "a:A b:B | c? d! *e" is two kept turns, then c being answered, d failed, e stopped ---

const TIME = '2026-11-28T12:00:00Z';
const REPLIES = {a: 'A', b: 'B', c: 'C'};

/** The server's answer to GET /history for turns such as "a:A b:B". */
function history(words, version = words) {
  const messages = words.split(' ').filter(Boolean).flatMap(pair => {
    const [question, reply] = pair.split(':');
    return [{role: 'user', content: question, time: TIME}, {role: 'assistant', content: reply, time: TIME, provider: 'p', model: 'm'}];
  });
  return {total: messages.length, version, messages};
}

const loaded = words => reduce(empty('ada'), {type: 'loaded', history: history(words)});

/** All turns in the order of the page: kept "a:A", running "a?", failed "a!", stopped "a*", drawn "a#". */
const MARKS = {waiting: '?', writing: '?', drawing: '?', checking: '?', failed: '!', stopped: '*', drawn: '#'};
const page = state => turns(state).map(({question, reply, state: now}) =>
  now === 'kept' ? `${question}:${reply}` : question + MARKS[now]).join(' ');

const happen = (state, ...events) => events.reduce((now, event) => reduce(now, {time: TIME, ...event}), state);

let keys = 0;
const sent = (question, more = {}) => state =>
  ({type: 'began', operation: 'send', turn: {key: 'k' + ++keys, question, reply: '', at: state.total, version: state.version, state: 'waiting', ...more}});
const replacing = question => state => {
  const last = state.kept.at(-1);
  return sent(question, {at: last.at, replaces: last.reply})(state);
};
const drawing = question => state => ({...sent(question, {image: true, state: 'drawing'})(state), operation: 'draw'});
const answered = (reply, version = 'v') => () =>
  ({type: 'answered', answer: {reply, version, provider: 'p', model: 'm', finish_reason: 'stop'}});
const failed = code => () => ({type: 'failed', problem: {code, detail: code, wait: 0}});
const looked = (words, version) => () => ({type: 'loaded', history: history(words, version)});
const typed = draft => () => ({type: 'changed', values: {draft}});
const editing = (question, text) => state =>
  ({type: 'changed', values: {edit: {turn: turns(state).find(turn => turn.question === question), text}}});
const is = event => () => event;
const checking = is({type: 'checking'}), drawn = is({type: 'drawn', images: []});
const opening = is({type: 'changed', values: {looking: 'open'}});
const notLoaded = code => is({type: 'notLoaded', problem: {code}});
const takingBack = is({type: 'began', operation: 'takeBack'});
const takenBack = is({type: 'takenBack'});

const play = (state, happens) => happens.reduce((now, make) => happen(now, make(now)), state);

/** What a row expects: the page, the draft, the open edit, the notice's code, what runs. */
const seen = state => ({
  page: page(state), draft: state.draft, edit: state.edit?.text ?? null, notice: state.notice?.problem.code ?? null,
  running: state.running,
});

const ROWS = [
  // what is said; kept turns; what happens; what is seen then (the rest is as empty as can be)
  ['1 a reply is kept', 'a:A', [sent('b'), answered('B')], {page: 'a:A b:B'}],
  ['1 a regenerate hides what it replaces', 'a:A b:B', [replacing('b')], {page: 'a:A b?', running: 'send'}],
  ['1 and takes its place', 'a:A b:B', [replacing('b'), answered('C')], {page: 'a:A b:C'}],
  ['1 a regenerate of what has changed shows it and says so', 'a:A',
    [replacing('a'), looked('a:A x:X'), failed('conversation_changed')], {page: 'a:A x:X', notice: 'conversation_changed'}],
  ['1 an edit of what has changed keeps its words', 'a:A',
    [replacing('b'), looked('a:A x:X'), failed('conversation_changed')], {page: 'a:A b! x:X'}],
  ['1 a take back of what has changed says so', 'a:A',
    [is({type: 'began', operation: 'takeBack'}), looked('a:A x:X'), failed('conversation_changed')],
    {page: 'a:A x:X', notice: 'conversation_changed'}],
  ['2 an open edit stays with its turn when another message is sent', 'a:A',
    [editing('a', 'aa'), sent('b'), answered('B')], {page: 'a:A b:B', edit: 'aa'}],
  ['2 the words of an edit whose turn is gone go before the draft', 'a:A b:B',
    [typed('draft'), editing('b', 'bb'), looked('a:A')], {page: 'a:A', draft: 'bb\n\ndraft'}],
  ['2 an edit that is sent is over', 'a:A',
    [editing('a', 'aa'), is({type: 'changed', values: {edit: null}}), replacing('aa'), answered('B')], {page: 'aa:B'}],
  ['2 so do those of an edit whose conversation is deleted', 'a:A',
    [typed('draft'), editing('a', 'aa'), is({type: 'cleared'})], {draft: 'aa\n\ndraft'}],
  ['3 what is taken back goes into the box', 'a:A b:B', [takingBack, takenBack],
    {page: 'a:A', draft: 'b', running: 'takeBack'}],
  ['3 and before a draft', 'a:A b:B', [typed('draft'), takingBack, takenBack],
    {page: 'a:A', draft: 'b\n\ndraft', running: 'takeBack'}],
  ['3 also where only a later look tells it', 'a:A b:B', [takingBack, failed('connection_lost'), looked('a:A')],
    {page: 'a:A', draft: 'b'}],
  ['3 and a message was sent meanwhile', 'a:A b:B',
    [takingBack, failed('connection_lost'), sent('c'), answered('C'), looked('a:A c:C')], {page: 'a:A c:C', draft: 'b'}],
  ['3 what was not taken back is in no box', 'a:A b:B',
    [takingBack, failed('connection_lost'), looked('a:A b:B'), looked('a:A', 'v2')], {page: 'a:A', notice: null}],
  ['3 nor is what another device added hidden', 'a:A',
    [takingBack, looked('a:A x:X'), failed('connection_lost')], {page: 'a:A x:X', notice: 'connection_lost'}],
  ['4 what failed stays where it was said when the page looks again', 'a:A',
    [sent('b'), failed('rate_limited'), looked('a:A c:C')], {page: 'a:A b! c:C'}],
  ['4 so does a regenerate that was stopped, when the conversation goes on', 'a:A',
    [replacing('a'), failed('stopped'), sent('b'), answered('B'), looked('a:A b:B')], {page: 'a:A a* b:B'}],
  ['4 so does an image', 'a:A', [drawing('b'), drawn, looked('a:A c:C')], {page: 'a:A b# c:C'}],
  ['4 and an edit', 'a:A', [editing('a', 'aa'), looked('a:A c:C')], {page: 'a:A c:C', edit: 'aa'}],
  ['5 where loading fails nothing of the server is shown', 'a:A', [opening, notLoaded('connection_lost')],
    {notice: 'connection_lost'}],
  ['5 and what only this tab has stays', 'a:A',
    [typed('draft'), sent('b'), failed('blocked'), opening, notLoaded('http')],
    {page: 'b!', draft: 'draft', notice: 'http'}],
  ['7 a cut turn that was stored is a kept one', 'a:A',
    [sent('b'), checking, looked('a:A b:B'), failed('connection_lost')], {page: 'a:A b:B'}],
  ['7 a cut turn that was not stored failed', 'a:A',
    [sent('b'), checking, looked('a:A'), failed('connection_lost')], {page: 'a:A b!'}],
  ['7 it may be found later', 'a:A',
    [sent('b'), checking, failed('connection_lost'), looked('a:A b:B')], {page: 'a:A b:B'}],
  ['7 a stopped turn may have been stored', 'a:A', [sent('b'), failed('stopped'), looked('a:A b:B')], {page: 'a:A b:B'}],
  ['7 a cut regenerate that was stored', 'a:A',
    [replacing('a'), checking, looked('a:C'), failed('connection_lost')], {page: 'a:C'}],
  ['7 also with the same reply', 'a:A',
    [replacing('a'), checking, looked('a:A', 'v2'), failed('connection_lost')], {page: 'a:A'}],
  ['7 a cut regenerate that was not', 'a:A',
    [replacing('a'), checking, looked('a:A'), failed('connection_lost')], {page: 'a:A a!'}],
  ['8 what a failed edit was to replace stands', 'a:A', [replacing('b'), failed('provider_error')], {page: 'a:A b!'}],
  ['9 another device\'s turn comes in before one\'s own', 'a:A',
    [sent('b'), answered('B'), looked('a:A c:C b:B')], {page: 'a:A c:C b:B'}],
  ['9 and is not lost by a window that begins later', 'a:A b:B',
    [is({type: 'loaded', history: {...history('b:B c:C'), total: 6}})], {page: 'a:A b:B c:C'}],
  ['9 a gap is not hidden', 'a:A', [is({type: 'loaded', history: {...history('c:C'), total: 8}})], {page: 'c:C'}],
  ['10 what is stopped before its first word stays, with its words', '', [sent('b'), failed('stopped')], {page: 'b*'}],
  ['10 a late word changes nothing', '',
    [sent('b'), failed('stopped'), is({type: 'delta', text: 'late'})], {page: 'b*'}],
];

for (const [name, kept, happens, expected] of ROWS) {
  test(name, () => {
    const nothing = {page: '', draft: '', edit: null, notice: null, running: null};
    assert.deepEqual(seen(play(loaded(kept), happens)), {...nothing, ...expected});
  });
}

const RELOADS = [
  // what is said; what happened before the reload; what the server has; what is seen then
  ['6 a draft is kept', [typed('draft')], 'a:A', {page: 'a:A', draft: 'draft'}],
  ['6 so is the message that was being sent, beside the draft', [sent('b'), typed('draft')], 'a:A', {page: 'a:A b*', draft: 'draft'}],
  ['6 if it was stored it is a kept one', [sent('b')], 'a:A b:B', {page: 'a:A b:B'}],
  ['6 what was stopped or failed is kept', [sent('b'), failed('stopped'), sent('c'), failed('blocked')], 'a:A', {page: 'a:A b* c!'}],
  ['6 an image that was being drawn can be drawn again', [drawing('b')], 'a:A', {page: 'a:A b*'}],
  ['6 so does that of a turn that was answered in this tab', [sent('b'), answered('B'), editing('b', 'bb')], 'a:A b:B',
    {page: 'a:A b:B', edit: 'bb'}],
  ['6 what was being taken back goes into the box', [takingBack], '', {draft: 'a'}],
  ['6 unless it is there still', [takingBack], 'a:A', {page: 'a:A'}],
  ['6 an edit goes on', [looked('a:A'), editing('a', 'aa')], 'a:A', {page: 'a:A', edit: 'aa'}],
];

for (const [name, happens, words, expected] of RELOADS) {
  test(name, () => {
    const before = play(loaded('a:A'), happens);
    const kept = JSON.parse(JSON.stringify(remembered(before)));
    const after = happen(restored('ada', kept), {type: 'loaded', history: history(words)});
    const nothing = {page: '', draft: '', edit: null, notice: null, running: null};
    assert.deepEqual(seen(after), {...nothing, ...expected});
  });
}

test('what did not change stays the same object', () => {
  const before = loaded('a:A b:B'), after = happen(before, looked('a:A b:B c:C')());
  assert.equal(after.kept[0], before.kept[0]);
  assert.equal(after.kept[1], before.kept[1]);
});

test('a file that a person has edited is shown as it is', () => {
  const messages = ['user', 'user', 'assistant', 'assistant'].map((role, i) => ({role, content: String(i)}));
  const state = happen(empty('ada'), {type: 'loaded', history: {total: 4, version: 'v', messages}});
  assert.deepEqual(state.kept.map(({question, reply}) => [question, reply]), [['0', undefined], ['1', '2'], [undefined, '3']]);
});
