/** What the browser and this tab keep. The page works without it too: site data may be blocked, or full. */

const attempt = work => {
  try {
    return work();
  } catch {
    return null;
  }
};
const kept = (storage, key) => attempt(() => window[storage].getItem('parley.' + key));
const keep = (storage, key, value) => attempt(() => window[storage].setItem('parley.' + key, value));

/** What the model keeps of a user's conversation in this tab. */
export const memory = {
  load: user => JSON.parse(kept('sessionStorage', 'of ' + user) ?? '{}'),
  save: (user, value) => keep('sessionStorage', 'of ' + user, JSON.stringify(value)),
};

const newId = () => Math.random().toString(36).slice(2, 8);

/** A duplicated tab begins with a copy of the other one's storage, whose drafts are not its own. */
export async function claimTab() {
  const id = kept('sessionStorage', 'id') ?? newId();
  if (await isHeld(id)) {
    Object.keys(sessionStorage).filter(key => key.startsWith('parley.')).forEach(key => sessionStorage.removeItem(key));
    return claimTab();
  }
  keep('sessionStorage', 'id', id);
}

const isReload = () => performance.getEntriesByType('navigation')[0]?.type === 'reload';

/** Whether another page that is open has this id: it holds a lock. The page before this one soon lets go of its own. */
const isHeld = id => new Promise(resolve => {
  if (!navigator.locks || isReload()) resolve(false); // there are no locks over plain http from another device
  navigator.locks?.request('parley ' + id, {signal: AbortSignal.timeout(2000)}, () => {
    resolve(false);
    return new Promise(() => { /* held until the page goes */ });
  }).catch(({name}) => resolve(name !== 'SecurityError')); // site data is blocked, and locks with it
});

export const newGuest = () => 'guest-' + newId();

/** The user of this tab, or else of the tab that was used last. */
export const tabUser = () => kept('sessionStorage', 'user') || ids()[0];

/** The ids that were used in this browser, the latest first. */
export const ids = () => (kept('localStorage', 'users') ?? '').split('\n').filter(Boolean);

const setIds = all => keep('localStorage', 'users', all.slice(0, 20).join('\n'));

export function remember(id) {
  setIds([...new Set([id, ...ids()])]);
  keep('sessionStorage', 'user', id);
}

export function forget(id) {
  setIds(ids().filter(each => each !== id));
  memory.save(id, {});
}
