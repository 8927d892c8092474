// The page's end of /bus: connects, comes back by itself, and drops what belongs to an interrupted turn.

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 3000;
const SILENT_MS = 15000; // the stage beats every 5 s: whoever is silent for longer is gone

export class Feed {
  // `handlers`: topic or notice ("hello", "live", "clear", "lost", "source_lost", "down") -> function.
  constructor(topics, handlers, history = 1) {
    this.handlers = handlers;
    this.epoch = 0;
    this.wait_ms = FIRST_WAIT_MS;
    this.lost = 0;
    const here = new URLSearchParams(location.search);
    const asked = new URLSearchParams({ topics: topics.join(","), history: String(history) });
    if (here.has("token")) asked.set("token", here.get("token"));
    this.url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/bus?${asked}`;
    this.connect();
  }

  connect() {
    const socket = (this.socket = new WebSocket(this.url));
    socket.onmessage = (event) => {
      this.heard();
      this.take(JSON.parse(event.data), performance.now());
    };
    socket.onclose = () => {
      if (socket === this.socket) this.lose();
    };
    this.heard();
  }

  heard() {
    clearTimeout(this.alarm);
    this.alarm = setTimeout(() => this.lose(), SILENT_MS);
  }

  lose() {
    clearTimeout(this.alarm);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
    this.call("down", {});
    setTimeout(() => this.connect(), this.wait_ms);
    this.wait_ms = Math.min(LONGEST_WAIT_MS, this.wait_ms * 2);
  }

  take(message, at_ms) {
    if (message.type) {
      if (message.type === "live") this.wait_ms = FIRST_WAIT_MS;
      if (message.type === "clear") this.epoch = Math.max(this.epoch, message.epoch); // what was said before is over
      if (message.type === "lost") for (const count of Object.values(message.lost)) this.lost += count;
      this.call(message.type, message);
      return;
    }
    const epoch = message.data.epoch;
    if (epoch) {
      if (epoch < this.epoch) return;
      if (epoch > this.epoch) {
        this.epoch = epoch;
        this.call("epoch", message);
      }
    }
    this.call(message.topic, message.data, message, at_ms);
  }

  call(name, ...given) {
    this.handlers[name]?.(...given);
  }
}
