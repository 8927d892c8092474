// What people write and what she answers. Everything is set as text; nothing of a message is ever read as markup.

const SHOWN = 40;
const KNOWN = 400; // lines and turns of which is known whose they are

export class Chat {
  constructor(host, name) {
    this.host = host;
    this.name = name; // hers
    this.clear();
  }

  clear() {
    this.host.replaceChildren();
    this.rows = new Map();
    this.owners = new Map(); // row key -> the viewer's line that it is or answers, as retractions name it
    this.gone = new Set(); // what was taken back stays away, whoever names it again
  }

  // After a panic: these turns, and all that is shown, are over.
  forget(turns) {
    for (const turn of turns) this.gone.add(`turn/${turn}`);
    for (const key of this.rows.keys()) this.retract(key);
  }

  message(message) {
    if (message.rule) return; // it breaks the block-list
    const { id, channel, author_id } = message;
    this.own(`message/${id}`, { message_id: id, channel, author_id });
    this.add(`message/${id}`, message.author, message.text);
  }

  // Her answer, word by word as it is heard.
  progress(progress) {
    const row = this.add(`turn/${progress.turn}`, this.name, "");
    row.element.classList.add("hers");
    row.chunks ??= [];
    row.chunks[progress.chunk] = progress.heard;
    row.text.textContent = row.chunks.filter(Boolean).join(" ");
  }

  // What became of it; a late page finds the viewer's line here too.
  turn(state) {
    if (this.gone.has(`turn/${state.turn}`)) return;
    if (state.end === "retracted") {
      this.retract(`message/${state.message_id}`);
      this.retract(`turn/${state.turn}`);
      return;
    }
    if (state.message_id) {
      this.own(`message/${state.message_id}`, state);
      this.own(`turn/${state.turn}`, state);
    }
    if (state.message_id && state.prompt && !state.rule && (state.phase !== "done" || state.text)) {
      this.add(`message/${state.message_id}`, state.author, state.prompt);
    }
    if (state.phase !== "done" || !state.heard) return;
    const row = this.add(`turn/${state.turn}`, this.name, "");
    row.element.classList.add("hers");
    row.text.textContent = state.heard;
  }

  retracted(retraction) {
    for (const [key, owner] of this.owners) {
      const named = retraction.message_id
        ? owner.message_id === retraction.message_id
        : !retraction.author_id || owner.author_id === retraction.author_id;
      if (owner.channel === retraction.channel && named) this.retract(key);
    }
  }

  own(key, { message_id, channel, author_id }) {
    this.owners.set(key, { message_id, channel, author_id });
    if (this.owners.size > KNOWN) this.owners.delete(this.owners.keys().next().value);
  }

  retract(key) {
    this.gone.add(key);
    this.remove(key);
  }

  add(key, author, text) {
    if (this.rows.has(key)) return this.rows.get(key);
    const element = document.createElement("div");
    element.className = "message";
    const row = { element, author: part("author", author), text: part("text", text) };
    element.append(row.author, row.text);
    if (this.gone.has(key)) return row; // never shown
    this.host.append(element);
    this.rows.set(key, row);
    if (this.rows.size > SHOWN) this.remove(this.rows.keys().next().value);
    return row;
  }

  remove(key) {
    this.rows.get(key)?.element.remove();
    this.rows.delete(key);
  }
}

function part(name, text) {
  const span = document.createElement("span");
  span.className = name;
  span.textContent = text;
  return span;
}
