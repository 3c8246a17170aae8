/** What the browser and this tab keep. The page works without it too: site data may be blocked, or full. */

const store = name => ({
  get(key) {
    try {
      return window[name].getItem('parley.' + key);
    } catch {
      return null;
    }
  },
  set(key, value) {
    try {
      window[name].setItem('parley.' + key, value);
    } catch {
      // not kept
    }
  },
});
const browser = store('localStorage'), tab = store('sessionStorage');

/** What the model keeps of a user's conversation in this tab. */
export const memory = {
  load: user => JSON.parse(tab.get('of ' + user) || '{}'),
  save: (user, value) => tab.set('of ' + user, JSON.stringify(value)),
};

/** A duplicated tab begins with a copy of the other one's storage, whose drafts are not its own. */
export async function claimTab() {
  const id = tab.get('id') ?? newId();
  if (await isHeld(id)) {
    Object.keys(sessionStorage).filter(key => key.startsWith('parley.')).forEach(key => sessionStorage.removeItem(key));
    return claimTab();
  }
  tab.set('id', id);
}

/** Whether another page that is open has this id: it holds a lock. One that is loaded again soon lets go of its own. */
const isHeld = id => new Promise(resolve => {
  if (!navigator.locks) resolve(false); // over plain http from another device
  navigator.locks?.request('parley ' + id, {signal: AbortSignal.timeout(500)}, () => {
    resolve(false);
    return new Promise(() => { /* held until the page goes */ });
  }).catch(({name}) => resolve(name !== 'SecurityError')); // site data is blocked, and locks with it
});

const newId = () => Math.random().toString(36).slice(2, 8);

export const newGuest = () => 'guest-' + newId();

/** The user of this tab, or else of the tab that was used last. */
export const tabUser = () => tab.get('user') || ids()[0];

/** The ids that were used in this browser, the latest first. */
export const ids = () => (browser.get('users') ?? '').split('\n').filter(Boolean);

const setIds = all => browser.set('users', all.slice(0, 20).join('\n'));

export function remember(id) {
  setIds([...new Set([id, ...ids()])]);
  tab.set('user', id);
}

export function forget(id) {
  setIds(ids().filter(each => each !== id));
  memory.save(id, {});
}
