"""A show without model and voice: answers typed lines with numbered words at a fixed rate."""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from dataclasses import dataclass

from shared.bus import Bus, Refused, Request
from shared.commands import Interrupt, Panic, Reply, Submit, SubmitReply
from shared.config import BusSettings
from shared.events import ChatMessage, Health, LlmStats, Processes, ProcessInfo, Token, TurnState

NAMES = ("director", "llm", "input", "launcher")
STATS = LlmStats(
    model="fake-135m", device="cpu", dtype="bfloat16", parameters=134_515_008, context=2048, threads=2,
    kv_used=700, kv_capacity=4096,
)  # fmt: skip


@dataclass
class Turn:
    """The reply that is being streamed."""

    state: TurnState
    began: float
    sent: int = 0


class FakeShow:
    """Director, model, input and launcher in one loop, as far as a screen can tell."""

    def __init__(self, buses: dict[str, Bus], rate_hz: float, words: int, endless: bool = False) -> None:
        self.director, self.llm, self.input, self.launcher = (buses[name] for name in NAMES)
        self.buses = buses
        self.rate_hz, self.words, self.endless = rate_hz, words, endless
        self.turns = 0
        self.turn: Turn | None = None
        self._next_beat = 0.0
        self.input.handle(Submit, self._submit)
        self.director.handle(Interrupt, lambda _, __: self._end("interrupted"))
        self.director.handle(Panic, lambda _, __: self._end("interrupted"))

    def run(self, seconds: float) -> None:
        """Serve for `seconds`."""
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            self._beat(now)
            self._stream(now)
            wait_s = 1 / self.rate_hz if self.turn else 0.02
            for bus in self.buses.values():
                bus.poll(wait_s if bus is self.input else 0.0)

    def _submit(self, command: Submit, _: Request) -> Reply:
        if command.text.startswith("/"):
            raise Refused("That line is on the block-list: say it differently.")
        self._end("interrupted")
        self._begin(command)
        return SubmitReply(message_id=f"message-{self.turns}")

    def _begin(self, command: Submit) -> None:
        self.turns += 1
        name, message_id = f"turn-{self.turns}", f"message-{self.turns}"
        line = ChatMessage(
            id=message_id, channel=command.channel, author=command.author, author_id="1", text=command.text
        )
        cause = self.input.publish("chat.message", line)
        state = TurnState(
            turn=name, epoch=time.time_ns() // 1_000_000, phase="thinking", author=command.author,
            prompt=command.text, message_id=message_id, channel=command.channel, generation=name,
        )  # fmt: skip
        self.director.publish("turn.state", state, cause)
        self.turn = Turn(state, time.monotonic())

    def _stream(self, now: float) -> None:
        if self.turn is None and self.endless:
            self._begin(Submit(text="and then?"))
        turn = self.turn
        if turn is None:
            return
        due = min(self.words, int((now - turn.began) * self.rate_hz))
        for index in range(turn.sent, due):
            self.llm.publish(
                "llm.token",
                Token(
                    generation=turn.state.turn, index=index, text=f" w{index}", tokens=index + 1,
                    turn=turn.state.turn, epoch=turn.state.epoch,
                ),
            )  # fmt: skip
        turn.sent = max(turn.sent, due)
        if turn.sent >= self.words:
            self._end("stop")

    def _end(self, reason: str) -> None:
        turn, self.turn = self.turn, None
        if turn is None:
            return
        text = " ".join(f"w{index}" for index in range(turn.sent))
        done = {
            "phase": "done", "text": text, "heard": text, "end": reason, "tokens": turn.sent,
            "tokens_per_s": self.rate_hz, "timings_ms": {"first_token": 1.0, "done": 1000.0},
        }  # fmt: skip
        self.director.publish("turn.state", turn.state.model_copy(update=done))

    def _beat(self, now: float) -> None:
        if now < self._next_beat:
            return
        self._next_beat = now + 1.0
        active = 1 if self.turn else 0
        self.llm.publish(
            "llm.stats", STATS.model_copy(update={"active": active, "tokens_per_s": self.rate_hz})
        )
        for name, bus in self.buses.items():
            bus.publish("sys.health", Health(phase="ready", pid=4000 + len(name), rss_mb=41.0))
        infos = [ProcessInfo(name=name, state="ready", pid=4000 + len(name)) for name in NAMES[:3]]
        self.launcher.publish("sys.processes", Processes(processes=infos))


def main() -> None:
    """`python -m benchmarks.fake_show PUBLISH SUBSCRIBE COMMANDS`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("addresses", nargs=3, metavar="ADDRESS")
    parser.add_argument("--rate-hz", type=float, default=600.0)
    parser.add_argument("--words", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--endless", action="store_true", help="begin another reply when one ends")
    given = parser.parse_args()
    publish, subscribe, commands = given.addresses
    settings = BusSettings(publish=publish, subscribe=subscribe, commands=commands)
    with ExitStack() as stack:
        buses = {
            name: stack.enter_context(
                Bus.open(name, settings=settings, register=name in ("director", "input"))
            )
            for name in NAMES
        }
        print("serving", flush=True)
        FakeShow(buses, given.rate_hz, given.words, given.endless).run(given.seconds)


if __name__ == "__main__":
    main()
