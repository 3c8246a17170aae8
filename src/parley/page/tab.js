/** What the browser and this tab keep. Site data may be blocked, or full: the page works all the same. */

const attempt = work => {
  try {
    return work();
  } catch {
    return null;
  }
};
const kept = (storage, key) => attempt(() => window[storage].getItem('parley.' + key));
const keep = (storage, key, value) => attempt(() => window[storage].setItem('parley.' + key, value));

const newId = () => Math.random().toString(36).slice(2, 8);

let tab = kept('sessionStorage', 'id') ?? newId();

/** A duplicated tab begins with a copy of the other one's storage, and the same id. */
export async function claimTab() {
  while (await isHeld(tab)) tab = newId();
  keep('sessionStorage', 'id', tab);
}

export const memory = {
  load: user => JSON.parse(kept('sessionStorage', `${tab} of ${user}`) ?? '{}'),
  save: (user, value) => keep('sessionStorage', `${tab} of ${user}`, JSON.stringify(value)),
};

const isReload = () => performance.getEntriesByType('navigation')[0]?.type === 'reload';

/** Whether another page that is open has this id: it holds a lock. The page before this one soon lets go of its own. */
const isHeld = id => new Promise(resolve => {
  if (!navigator.locks || isReload()) resolve(false); // over plain http from another device there are no locks
  navigator.locks?.request('parley ' + id, {signal: AbortSignal.timeout(2000)}, () => {
    resolve(false);
    return new Promise(() => { /* held until the page goes */ });
  }).catch(({name}) => resolve(name !== 'SecurityError')); // where site data is blocked
});

export const newGuest = () => 'guest-' + newId();

/** The user of this tab, or else of the tab that was used last. */
export const tabUser = () => kept('sessionStorage', tab + ' user') || ids()[0];

/** Used in this browser, the latest first. */
export const ids = () => (kept('localStorage', 'users') ?? '').split('\n').filter(Boolean);

const setIds = all => keep('localStorage', 'users', all.slice(0, 20).join('\n'));

export function remember(id) {
  setIds([...new Set([id, ...ids()])]);
  keep('sessionStorage', tab + ' user', id);
}

export function forget(id) {
  setIds(ids().filter(each => each !== id));
  memory.save(id, {});
}
