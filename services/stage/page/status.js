// One line about how she is: what she does, how fast, and whom she misses.

export class Status {
  constructor(host) {
    this.phase = host.appendChild(document.createElement("span"));
    this.speed = host.appendChild(document.createElement("span"));
    this.trouble = host.appendChild(document.createElement("span"));
    this.trouble.className = "trouble";
    this.down();
  }

  down() {
    this.say("offline");
    this.speed.hidden = this.trouble.hidden = true;
  }

  turn(state) {
    this.say(state.phase === "done" ? "idle" : state.phase);
    const first_ms = state.timings_ms.first_sound ?? state.timings_ms.first_token;
    if (first_ms === undefined) return;
    this.speed.hidden = false;
    const rate = state.tokens_per_s ? ` · ${Math.round(state.tokens_per_s)} tokens/s` : "";
    this.speed.textContent = `${Math.round(first_ms)} ms${rate}`;
  }

  processes(processes) {
    const away = processes.processes.filter((each) => each.state !== "ready").map((each) => each.name);
    this.trouble.hidden = away.length === 0;
    this.trouble.textContent = `away: ${away.join(", ")}`;
  }

  say(phase) {
    this.phase.className = `phase ${phase}`;
    this.phase.textContent = phase;
  }
}
