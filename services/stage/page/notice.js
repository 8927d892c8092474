// One sentence to whoever looks at the page, for a while or for good.

const SHOWN_MS = 12000;

export class Notice {
  constructor(host) {
    this.line = document.createElement("p");
    this.line.className = "notice";
    this.line.hidden = true;
    host.append(this.line);
  }

  keep(sentence) {
    clearTimeout(this.alarm);
    this.line.textContent = sentence;
    this.line.hidden = false;
  }

  say(sentence) {
    this.keep(sentence);
    this.alarm = setTimeout(() => {
      this.line.hidden = true;
    }, SHOWN_MS);
  }
}
