/**
 * Markdown: text to a tree for dom.js. https://spec.commonmark.org/ with GitHub's tables, task lists and strikethrough;
 * line breaks count, formulas stay as they are.
 *
 * A context goes along: the addresses of labels (references), how deep it is nested, and what was made of which text,
 * the last time (old) and this time (known).
 */

import {node} from './dom.js';

const ENOUGH = 200_000; // characters of one paragraph that are looked into
const DEEP = 8;
const REACH = 2000; // characters within which a link or a formula ends

const inside = context => ({...context, depth: context.depth + 1});

/** While a reply grows, what was made of the same text before is taken again. */
function once(kind, text, context, make) {
  const key = `${kind} ${text}`, made = context.old.get(key) ?? make(text, context);
  context.known.set(key, made);
  return made;
}

// --- Inline: emphasis, code, links, formulas ---

const CJK = /[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Hang}\p{scx=Bopo}\u3000-\u303f\uff00-\uffef]/u;
const ENTITY = /&(?:#\d{1,7}|#x[\da-f]{1,6}|[a-z][a-z\d]{1,31});/iy;
const MATH = new RegExp([
  `\\\\\\([^]{0,${REACH}}?\\\\\\)`, `\\\\\\[[^]{0,${REACH}}?\\\\\\]`, `\\$\\$[^]{1,${REACH}}?\\$\\$`,
  `\\$(?!\\s)[^$\\n]{0,${REACH}}?[^\\s$\\\\]\\$(?!\\d)`,
].join('|'), 'y');
const OUTSIDE = '\\s<>"\'`()\\u3000-\\u303f\\uff01-\\uff0f\\uff1a-\\uff20\\uff3b-\\uff40\\uff5b-\\uff65';
/** Not in a word, and without the punctuation of the sentence around it. */
const ADDRESS = new RegExp(
  `(?<![\\p{L}\\p{N}_])https?://(?:[^${OUTSIDE}]|\\([^${OUTSIDE}]*\\))+(?<![?!.,:;*_~'"\\]])`, 'yu');
const TITLE = /(?:\s+(?:"[^"]*"|'[^']*'|\([^()]*\)))?\s*/.source;
const GOAL = /\(\s*(?:<([^<>\n]*)>|((?:[^\s()\\]|\\.|\((?:[^\s()]|\([^\s()]*\))*\))*))/.source;
const TARGET = new RegExp(GOAL + TITLE + '\\)', 'y'), LABEL = /\[([^[\]]{0,999})\]/y;

function at(expression, text, place) {
  expression.lastIndex = place;
  return expression.exec(text);
}

/** A rule tells what stands at a place, words, a node or a run of marks, and how long it is; or null. */
const rule = (expression, make) => (text, place, context) => {
  const found = at(expression, text, place);
  return found && {length: found[0].length, ...make(found, context)};
};

const RULES = [
  rule(/(?:[^\\`<\n![*_~$&h]|h(?!ttps?:)|!(?!\[))+/y, ([words]) => ({words})),
  rule(MATH, ([formula]) => ({node: node('code', {className: 'math'}, formula)})),
  rule(/\\?\n *|<br\s*\/?>/iy, () => ({node: node('br')})),
  rule(/\\([!-/:-@[-`{-~])/y, ([, words]) => ({words})),
  rule(/(`+)(?!`)([^]*?[^`])\1(?!`)/y, ([, , words]) => ({node: code(words)})),
  rule(/`+/y, ([words]) => ({words})),
  rule(/<((?:https?:\/\/|mailto:)[^\s<>]+)>/y, ([, address]) => ({node: link(address, [address])})),
  linked,
  rule(ADDRESS, ([address]) => ({node: link(address, [address])})),
  rule(ENTITY, ([entity]) => ({words: decoded(entity)})),
  rule(/(?<=(.)?)(?:\*+|_+|~~+)(?=(.)?)/ysu, found => ({words: found[0], run: run(found)})),
  (text, place) => ({length: 1, words: text[place]}),
];

const PART = /^[^]{2000}[^]*?\S(?= \S)/, OPEN = /[\\`<[*_~$]/;

/** Very long text comes in parts, each laid out by itself, as long as nothing in it is still open. */
function inline(text, context) {
  const [part] = text.match(PART) ?? [''];
  const first = once('part', part, context, () => node('span', {className: 'part'}, spans(part, context)));
  if (!part || first.children.some(each => OPEN.test(each.tag ? '' : each))) return once('text', text, context, spans);
  return [first, ...inline(text.slice(part.length), context)];
}

function spans(text, context) {
  if (context.depth > 2 * DEEP || text.length > ENOUGH) return [text];
  const nodes = [], runs = [];
  let joins = false; // whether the last node is words that go on
  for (let i = 0; i < text.length;) {
    const {length, words, node, run} = RULES.reduce((found, rule) => found ?? rule(text, i, context), null);
    i += length;
    if (run) runs.push({...run, index: nodes.length});
    if (node?.tag === 'br' && joins) nodes.push(nodes.pop().trimEnd());
    nodes.push(words && !run && joins ? nodes.pop() + words : node ?? words);
    joins = words && !run;
  }
  return emphasized(nodes, runs);
}

const code = words => node('code', {}, words.replace(/\n/g, ' ').replace(/^ ([^]*[^ ][^]*) $/, '$1'));

const normalized = label => label.trim().toLowerCase().replace(/\s+/g, ' ');

/** A link or image: [words](address "title"), [words][label] or [label] */
function linked(text, place, context) {
  const from = text[place] === '!' ? place + 1 : place, end = text[from] === '[' ? bracketEnd(text, from) : -1;
  if (end < 0) return null;
  const words = text.slice(from + 1, end), target = at(TARGET, text, end + 1), label = at(LABEL, text, end + 1);
  const to = target ? decoded(target[1] ?? target[2]) : context.references.get(normalized(label?.[1] || words));
  if (to === undefined) return null;
  const behind = target ?? label ?? [''];
  return {length: end + 1 - place + behind[0].length, node: link(to, spans(words || to, inside(context)))};
}

/** Where the bracket at the place is closed, or -1. */
function bracketEnd(text, place) {
  let depth = 0;
  for (let i = place; i < text.length && i < place + REACH; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === '[') depth++;
    else if (text[i] === ']' && --depth === 0) return i;
  }
  return -1;
}

function link(address, words) {
  const url = URL.parse(address); // what is no whole address is shown as text
  if (!['http:', 'https:', 'mailto:'].includes(url?.protocol)) return node('span', {}, words);
  return node('a', {href: url.href, target: '_blank', rel: 'noopener noreferrer'}, words);
}

const decoded = text => text.replace(new RegExp(ENTITY, 'gi'), entity =>
  new DOMParser().parseFromString(`<p>${entity}`, 'text/html').body.textContent);

/**
 * A run of * _ ~, and whether it may open or close: https://spec.commonmark.org/0.31.2/#delimiter-run. In Chinese,
 * Japanese and Korean, which have no spaces, letters count as spaces beside punctuation, and punctuation as letters.
 */
function run([marks, before = ' ', after = ' ']) {
  const c = marks[0], space = x => /\s/.test(x), hard = x => /[\p{P}\p{S}]/u.test(x) && !CJK.test(x);
  const soft = x => space(x) || hard(x) || CJK.test(x);
  const left = !space(after) && (!hard(after) || soft(before));
  const right = !space(before) && (!hard(before) || soft(after));
  const opens = left && (c !== '_' || !right || hard(before)), closes = right && (c !== '_' || !left || hard(after));
  return {c, count: marks.length, length: marks.length, opens, closes};
}

/** Each run that closes looks for the nearest that opens: "phase 2" of https://spec.commonmark.org/0.31.2/ */
function emphasized(nodes, runs) {
  const bottom = {}; // below which no run opens what such a run closes
  runs.forEach((close, k) => {
    const kind = close.c + close.opens + close.length;
    while (close.closes && close.count) {
      let j = k - 1;
      while (j >= (bottom[kind] ?? 0) && !fits(runs[j], close)) j--;
      if (j < (bottom[kind] ?? 0)) {
        bottom[kind] = k;
        break;
      }
      const open = runs[j], size = close.c === '~' ? close.count : Math.min(open.count, close.count, 2);
      const within = nodes.slice(open.index + 1, close.index);
      open.count -= size;
      close.count -= size;
      nodes[open.index] = nodes[open.index].slice(size);
      nodes[close.index] = nodes[close.index].slice(size);
      nodes.fill('', open.index + 1, close.index);
      nodes[open.index + 1] = node(close.c === '~' ? 'del' : size === 2 ? 'strong' : 'em', {}, within);
      runs.slice(j + 1, k).forEach(each => { each.count = 0; });
    }
  });
  return nodes.filter(each => each !== '');
}

function fits(open, close) {
  if (open.c !== close.c || !open.opens || !open.count) return false;
  if (close.c === '~') return open.count === close.count;
  const odd = (open.length + close.length) % 3 === 0 && (open.length % 3 || close.length % 3);
  return !((open.closes || close.opens) && odd);
}

// --- Blocks: paragraphs, headings, lists, quotes, code, tables ---

const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])( +|$)/, TASK = /^\[([ x])\] +(?=\S)/i;
const FENCE = /^( {0,3})(`{3,}|~{3,})\s*([\w+#.-]*)[^`]*$/, INDENTED = /^ {4}/;
const HEADING = /^ {0,3}(#{1,6})(?:\s+(.*?))??(?:\s+#+)?\s*$/, UNDERLINE = /^ {0,3}(=+|--+)\s*$/;
const RULE = /^ {0,3}([-*_])(\s*\1){2,}\s*$/, QUOTE = /^ {0,3}> ?/;
const RULER = /^\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?$/;
const REFERENCE = new RegExp(/^ {0,3}\[(?!\^)([^[\]]{1,999})\]:\s*(?:<([^<>]*)>|(\S+))/.source + TITLE + '$');

const CODE_OR_FORMULA = new RegExp('`[^`]*`|' + MATH.source, 'g'), UNCLOSED = /^ *(\$\$)|(\$\$) *$|(\\[[(])/;

const blank = line => !line.trim();
const untabbed = line => line.replace(/^[ \t]+/, space => space.replace(/ {4}| {0,3}\t/g, '    '));

/** Whether a line goes on with a paragraph: it is not blank, and begins nothing of its own. */
const goesOn = line => ![/^\s*$/, FENCE, /^ {0,3}([-*+]|1[.)]) +\S/, HEADING, QUOTE, RULE]
  .some(each => each.test(line));

/** Blocks of lines, each with the number of its first line in from. */
function blocks(lines, context) {
  const out = [];
  for (let i = 0; i < lines.length; i++) {
    if (blank(lines[i]) || REFERENCE.test(lines[i])) continue;
    const [block, end] = blockAt(lines, i, context);
    out.push({...block, from: i});
    i = end - 1;
  }
  return out;
}

/** The block that begins at the line, and the number of the line behind it. */
function blockAt(lines, i, context) {
  const line = untabbed(lines[i]), heading = line.match(HEADING);
  if (FENCE.test(line)) return fenced(lines, i);
  if (heading) return [headline(heading[1].length, heading[2] ?? '', context), i + 1];
  if (RULE.test(line)) return [node('hr'), i + 1];
  if (QUOTE.test(line) && context.depth < DEEP) return quote(lines, i, context);
  if (ITEM.test(line) && context.depth < DEEP) return list(lines, i, context);
  if (INDENTED.test(line)) return indented(lines, i);
  if (isTable(lines, i)) return table(lines, i, context);
  return paragraph(lines, i, context);
}

const headline = (level, text, context) => node('h' + Math.min(level + 1, 4), {}, inline(text.trim(), context));

function paragraph(lines, i, context) {
  const from = i;
  do i = formulaEnd(lines, i);
  while (i < lines.length && goesOn(untabbed(lines[i])) && !UNDERLINE.test(lines[i]) && !isTable(lines, i));
  const text = lines.slice(from, i).join('\n').trim(), under = (lines[i] ?? '').match(UNDERLINE);
  if (under) return [headline(under[1][0] === '=' ? 1 : 2, text, context), i + 1];
  return [node('p', {dir: 'auto'}, inline(text, context)), i];
}

/** The line behind this one and a formula that goes on from it: nothing in that begins a block. */
function formulaEnd(lines, i) {
  const open = lines[i].replace(CODE_OR_FORMULA, '').match(UNCLOSED)?.slice(1).find(Boolean);
  const close = {'$$': '$$', '\\[': '\\]', '\\(': '\\)'}[open];
  const length = close ? lines.slice(i + 1, i + 200).findIndex(line => line.includes(close)) + 1 : 0;
  return i + length + 1;
}

function fenced(lines, i) {
  const [, margin, marks, language] = lines[i].match(FENCE), code = [];
  const end = new RegExp(`^ {0,3}${marks[0]}{${marks.length},}\\s*$`), space = new RegExp(`^ {0,${margin.length}}`);
  for (i++; i < lines.length && !end.test(lines[i]); i++) code.push(lines[i].replace(space, ''));
  return [codeBlock(language, code.join('\n')), i + 1];
}

function indented(lines, i) {
  const code = [];
  for (; i < lines.length && (INDENTED.test(untabbed(lines[i])) || blank(lines[i])); i++) {
    code.push(untabbed(lines[i]).slice(4));
  }
  return [codeBlock('', code.join('\n').replace(/\n+$/, '')), i];
}

function codeBlock(language, words) {
  const copy = node('button', {className: 'plain copy', 'data-act': 'copyCode'}, 'Copy');
  const head = node('div', {}, node('span', {}, language || 'text'), copy);
  return node('div', {className: 'code'}, head, node('pre', {scrolls: true}, node('code', {}, words)));
}

function quote(lines, i, context) {
  const quoted = [];
  for (; i < lines.length && (QUOTE.test(lines[i]) || goesOn(lines[i])); i++) {
    quoted.push(lines[i].replace(QUOTE, ''));
  }
  return [node('blockquote', {}, blocks(quoted, inside(context))), i];
}

function list(lines, i, context) {
  const marker = () => RULE.test(lines[i]) ? null : untabbed(lines[i] ?? '').match(ITEM);
  const first = marker(), kind = m => m?.[2].slice(-1), items = [];
  let loose = false, gap = false;
  for (let m = first; kind(m) === kind(first); m = marker()) {
    loose ||= gap;
    const own = itemLines(lines, i, m), task = own[0].match(TASK);
    i += own.length;
    gap = blank(own.at(-1));
    const text = own.join('\n').trimEnd().replace(TASK, '');
    const inner = once('item', text, inside(context), () => blocks(text.split('\n'), inside(context)));
    loose ||= inner.some((each, k) => k && blank(own[each.from - 1] ?? ''));
    items.push({task, inner});
  }
  const ordered = /\d/.test(first[2]);
  const rows = items.map(({task, inner}) => item(task, inner, loose));
  return [node(ordered ? 'ol' : 'ul', ordered ? {start: parseInt(first[2], 10)} : {}, rows), i];
}

/** @param loose whether the list's paragraphs stand apart */
function item(task, inner, loose) {
  const checked = task?.[1] !== ' ', name = checked ? 'done' : 'to do';
  const box = task ? [node('input', {type: 'checkbox', disabled: true, checked, 'aria-label': name}), ' '] : [];
  const own = inner.flatMap((each, k) => {
    if (each.tag !== 'p') return [each];
    const children = k ? each.children : [...box, ...each.children];
    return loose ? [{...each, children}] : children;
  });
  return node('li', task ? {className: 'task'} : {}, own);
}

/** An item's lines, without its marker and indentation. */
function itemLines(lines, i, marker) {
  const spaces = marker[3].length, width = marker[0].length - (spaces > 4 ? spaces - 1 : 0) + (spaces ? 0 : 1);
  const own = [untabbed(lines[i]).slice(width)];
  for (i++; i < lines.length; i++) {
    const line = untabbed(lines[i]), indent = line.search(/[^ ]|$/);
    if (blank(line)) own.push('');
    else if (indent >= width) own.push(line.slice(width));
    else if (!blank(own.at(-1)) && goesOn(line) && !ITEM.test(line)) own.push(line.trim()); // a lazy continuation
    else break;
  }
  return own;
}

const isTable = (lines, i) => lines[i].includes('|') && RULER.test(lines[i + 1]?.trim())
  && cells(lines[i]).length === cells(lines[i + 1]).length;

/** A row's texts: split at each | that no backslash stands before. */
const cells = line => line.trim().replace(/^\||(?<!\\)\|$/g, '').split(/(?<!\\)\|/)
  .map(cell => cell.replaceAll('\\|', '|').trim());

function table(lines, i, context) {
  const sideOf = cell => !cell.endsWith(':') ? 'start' : cell.startsWith(':') ? 'center' : 'end';
  const sides = cells(lines[i + 1]).map(sideOf);
  const row = (tag, line) => once(tag + sides, line, context, () => {
    const texts = cells(line);
    return node('tr', {}, sides.map((side, k) => node(tag, {className: side}, inline(texts[k] ?? '', context))));
  });
  const head = node('thead', {}, row('th', lines[i])), rows = [];
  for (i += 2; i < lines.length && goesOn(lines[i]); i++) rows.push(row('td', lines[i]));
  const body = rows.length ? [node('tbody', {}, rows)] : [];
  return [node('div', {className: 'wide', scrolls: true}, node('table', {}, head, body)), i];
}

/** The addresses that lines give to labels, [label]: address "title". The first one counts. */
const addresses = lines => new Map(lines.map(line => line.match(REFERENCE)).filter(Boolean).reverse()
  .map(([, label, whole, short]) => [normalized(label), whole ?? short]));

/**
 * @returns what reads a text into a tree, again and again while it grows: all but the last block is finished then. At
 *     the end all is read once more, since a label's address may stand anywhere.
 */
export function reader() {
  let finished, from, old;
  return (text, grows) => {
    if (!grows || !old) [finished, from, old] = [[], 0, new Map()];
    const lines = text.replaceAll('\r\n', '\n').slice(from).split('\n'), known = new Map();
    const references = grows ? new Map() : addresses(lines);
    const now = blocks(lines, {references, depth: 0, old, known}), tree = [...finished, ...now];
    if (now.length > 1) {
      finished = tree.slice(0, -1);
      from += lines.slice(0, now.at(-1).from).join('\n').length + 1;
    }
    old = grows ? known : null;
    return tree;
  };
}

export const parse = text => reader()(text, false);

const ENDS = /^(p|h\d|li|tr|pre|br|td|th|div)$/; // a line

/** A tree's words, as they are read aloud. */
export const plain = tree => tree.map(each => {
  if (!each.tag || each.tag === 'button') return each.tag ? '' : each;
  return plain(each.children) + (ENDS.test(each.tag) ? '\n' : '');
}).join('');
