/**
 * What stands on the page, as a value: a tree is a list of texts and nodes {tag, props, children}. Every text enters
 * the page here, as text: nothing is ever parsed as HTML.
 */

const NONE = {};

/** A child that is missing is an empty text, so that the others keep their places. */
const filled = children => children.flat().map(each => each || '');

export const node = (tag, props = NONE, ...children) => ({tag, props, children: filled(children)});

/** @returns what draws one tree after another into the element, and touches nothing that is the same in both */
export function drawer(element) {
  let before = [];
  return after => {
    const now = filled(after);
    patch(element, before, now);
    before = now;
  };
}

function patch(element, before, after) {
  after.forEach((now, i) => {
    const old = before[i];
    if (old === now) return;
    if (old === undefined) element.append(build(now));
    else if (isLike(old, now)) change(element.childNodes[i], old, now);
    else element.childNodes[i].replaceWith(build(now));
  });
  for (let i = before.length; i > after.length; i--) element.lastChild.remove();
}

const isLike = (old, now) => old.tag === now.tag
  && (old.props === now.props || String(Object.keys(old.props)) === String(Object.keys(now.props)));

function change(there, old, now) {
  if (now.tag) {
    setProps(there, old.props, now.props);
    patch(there, old.children, now.children);
  } else if (now.startsWith(old)) there.appendData(now.slice(old.length)); // what is selected stays selected
  else there.data = now;
}

function build(now) {
  if (!now.tag) return document.createTextNode(now);
  const made = document.createElement(now.tag);
  setProps(made, NONE, now.props);
  made.append(...now.children.map(build));
  return made;
}

function setProps(element, old, now) {
  for (const [name, value] of Object.entries(now)) {
    if (old[name] === value) continue;
    if (name === 'scrolls') sizes.observe(element);
    else if (!(name in element)) element.setAttribute(name, value);
    else if (element[name] !== value) element[name] = value;
  }
}

/** Only what scrolls is a stop of the tabulator. */
const sizes = new ResizeObserver(entries => entries.forEach(({target}) => {
  const scrolls = target.scrollHeight > target.clientHeight + 1 || target.scrollWidth > target.clientWidth + 1;
  if (scrolls) Object.assign(target, {tabIndex: 0, role: 'group', ariaLabel: 'Scrolls'});
  else ['tabindex', 'role', 'aria-label'].forEach(name => target.removeAttribute(name));
}));
