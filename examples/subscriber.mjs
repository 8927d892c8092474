// Akane from JavaScript, with nothing but docs/protocol.md. Prints every reply as it is generated;
// with a question it also asks the model, prints the answer and leaves:
//   npm install && node subscriber.mjs "Why is the sky blue?"
import { randomBytes, randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { decode, encode } from "@msgpack/msgpack";
import { Dealer, Subscriber } from "zeromq";

const SUBSCRIBE = process.env.AKANE_BUS_SUBSCRIBE ?? "tcp://127.0.0.1:7701";
const COMMANDS = process.env.AKANE_BUS_COMMANDS ?? "tcp://127.0.0.1:7702";
const session = `${Date.now().toString(16).padStart(12, "0")}-${randomBytes(4).toString("hex")}`;
const dealer = new Dealer({ linger: 0 });
let requests = 0;

/** Send a command and wait for its answer; an Error carries the one sentence why it was not obeyed. */
async function request(target, type, fields, timeoutMs = 2_000) {
  const id = `${session}/${++requests}`;
  const ts = BigInt(Date.now()) * 1_000_000n; // nanoseconds do not fit into a JavaScript number
  const header = { v: 1, type, source: "subscriber.mjs", session, host: hostname(), id, ts };
  Object.assign(header, { mono: process.hrtime.bigint(), expires: ts + BigInt(timeoutMs) * 1_000_000n });
  dealer.receiveTimeout = timeoutMs;
  await dealer.send([`${target}\0`, encode(header, { useBigInt64: true }), encode(fields)]);
  for (;;) {
    const [mark, head, body] = await dealer.receive().catch(() => {
      throw new Error(`No answer from ${target} at ${COMMANDS}: start Akane with python launcher.py.`);
    });
    if (mark.toString() !== "<" || decode(head).id !== id) continue; // a ping, or too late an answer
    const answer = decode(body);
    if (!answer.ok) throw new Error(answer.error);
    return answer.data;
  }
}

const last = new Map(); // source and topic -> session and seq of the newest event, to tell repetitions
/** [topic, payload] of an event that is new, or null. */
function accept(topic, head, body) {
  const { v, source, session, seq } = decode(head);
  if (v !== 1) throw new Error(`This bus speaks version ${v} of the protocol, not 1: update this program.`);
  const seen = last.get(`${source} ${topic}`);
  if (seen && (session < seen.session || (session === seen.session && seq <= seen.seq))) return null;
  last.set(`${source} ${topic}`, { session, seq });
  return [topic, decode(body)];
}

const said = new Map(); // generation -> what was printed of it
function show(topic, event) {
  if (topic === "llm.token") {
    said.set(event.generation, (said.get(event.generation) ?? "") + event.text);
    process.stdout.write(event.text);
  } else if (topic === "llm.finished") {
    // Joined late, or pieces were lost: the ending has the whole text.
    process.stdout.write(said.get(event.generation) === event.text ? "\n" : `\n${event.text}\n`);
    said.delete(event.generation);
  }
}

try {
  const topics = ["llm.token", "llm.finished", "llm.stats"];
  const events = new Subscriber();
  events.connect(SUBSCRIBE);
  events.subscribe(...topics.map((topic) => `${topic}\0`));
  dealer.connect(COMMANDS);
  for (const [topic, head, body] of (await request("bus", "bus.snapshot", { topics })).messages) {
    const [, state] = accept(topic, head, body) ?? [];
    if (topic === "llm.stats" && state) console.log(`[${state.model} on ${state.device}]`);
  }
  const question = process.argv.slice(2).join(" ");
  const generation = randomUUID();
  if (question) {
    const messages = [{ role: "user", content: question }];
    await request("llm", "llm.generate", { generation, messages, max_tokens: 64 }, 20_000);
  }
  for await (const [name, head, body] of events) {
    const [topic, event] = accept(name.toString().slice(0, -1), head, body) ?? [];
    if (!topic || (question && event.generation !== generation)) continue;
    show(topic, event);
    if (question && topic === "llm.finished") break;
  }
  process.exit(0);
} catch (error) {
  console.error(error.message);
  process.exit(2);
}
