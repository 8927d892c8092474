// Drives whatever she is drawn with: mood, pose and mouth from the bus, one frame after the other.

const TO_THE_CHAT = { x: 0.55, y: 0.1 };
const AHEAD = { x: 0, y: 0 };
const CLOSED = { shape: "closed", open: 0 };
const LISTENING_MS = 1500;
const STALE_MS = 250; // a mouth that nobody moved for so long is shut
const EARLY_MS = 20; // the picture is seen a frame after it is drawn, and the drawn mouth follows with some ease
const POSES = { thinking: "thinking", speaking: "speaking" };

export class Avatar {
  // Loaded only by pages that show her.
  static async made(host, clock, look) {
    const [{ Actor }, { Wardrobe }] = await Promise.all([import("./puppet/actor.js"), import("./wardrobe.js")]);
    const avatar = new Avatar(new Actor(), clock);
    avatar.wardrobe = new Wardrobe(host, look, (puppet) => avatar.wear(puppet));
    await avatar.wardrobe.open();
    return avatar;
  }

  // `puppet`: an Actor; while a model loads it acts unseen.
  constructor(puppet, clock) {
    this.puppet = puppet;
    this.clock = clock;
    this.timelines = new Map();
    this.phase = "idle";
    this.shut();
  }

  wear(puppet) {
    puppet.follow(this.puppet);
    this.puppet = puppet;
  }

  shut() {
    this.mouth_ms = -STALE_MS;
    this.timelines.clear();
    this.puppet.mouth = CLOSED;
  }

  // Thirty times a second and as late as the way here: `update` goes by the plan, which is in time, where it is known.
  mouth(mouth, at_ms) {
    this.mouth_ms = at_ms;
    this.puppet.mouth = { shape: mouth.shape, open: mouth.openness };
  }

  timeline(timeline) {
    this.timelines.set(timeline.chunk, timeline);
  }

  // Each chunk has a mood of its own, put on when it begins to sound.
  progress(progress) {
    const name = `${progress.turn}/${progress.chunk}`;
    if (name === this.sounding) return;
    this.sounding = name;
    const plan = this.timelines.get(progress.chunk);
    if (plan) this.#putOn({ mood: plan.mood, intensity: 1 });
  }

  // Chunks are judged long before they sound: the first mood of a turn shows at once, the others wait for their words.
  mood(mood, by_hand) {
    if (!by_hand && mood.turn && mood.turn === this.felt) return;
    this.felt = mood.turn;
    this.#putOn(mood);
  }

  #putOn(mood) {
    this.puppet.mood = mood.mood;
    this.puppet.moodStrength = mood.intensity;
  }

  heard(now_ms) {
    this.listening_ms = now_ms + LISTENING_MS;
  }

  turn(state) {
    this.phase = POSES[state.phase] ?? "idle";
  }

  update(now_ms) {
    const is_listening = this.phase === "idle" && now_ms < (this.listening_ms ?? 0);
    this.puppet.look = is_listening ? TO_THE_CHAT : AHEAD;
    this.puppet.pose = is_listening ? "listening" : this.phase;
    const planned = this.planned(now_ms + EARLY_MS);
    if (planned) this.puppet.mouth = planned;
    else if (now_ms - this.mouth_ms > STALE_MS) this.puppet.mouth = CLOSED;
    this.puppet.update(now_ms);
  }

  // By the plan of the chunk that sounds; undefined without one.
  planned(now_ms) {
    const visemes = this.timelines.get(this.clock.chunk)?.visemes;
    if (!visemes) return undefined;
    const position_s = this.clock.position(now_ms);
    let found = CLOSED;
    for (const viseme of visemes) {
      if (viseme.start_s > position_s) break;
      found = { shape: viseme.shape, open: viseme.openness };
    }
    return found;
  }
}
