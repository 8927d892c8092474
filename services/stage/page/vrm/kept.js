// The model that was dropped on this page, kept by the browser for the next visit.

const [DATABASE, STORE, KEY] = ["akane", "models", "dropped"];

function opened() {
  return new Promise((done, fail) => {
    const asked = indexedDB.open(DATABASE, 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore(STORE);
    asked.onsuccess = () => done(asked.result);
    asked.onerror = () => fail(asked.error);
  });
}

// The result of `ask(store)`; `otherwise` where the browser keeps nothing (private windows, a full disk).
async function transaction(mode, ask, otherwise) {
  try {
    const database = await opened();
    try {
      return await new Promise((done, fail) => {
        const whole = database.transaction(STORE, mode);
        const asked = ask(whole.objectStore(STORE));
        whole.oncomplete = () => done(asked.result);
        whole.onerror = whole.onabort = () => fail(whole.error);
      });
    } finally {
      database.close();
    }
  } catch {
    return otherwise;
  }
}

/** `{ name, bytes }`, or null. */
export const kept = async () => (await transaction("readonly", (store) => store.get(KEY), null)) ?? null;

/** True when it is there after a reload. */
export const keep = async (name, bytes) => (await transaction("readwrite", (store) => store.put({ name, bytes }, KEY), null)) !== null;

export const forget = () => transaction("readwrite", (store) => store.delete(KEY), null);
