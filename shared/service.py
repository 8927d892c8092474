"""The base of every process: arguments, phases, heartbeat, signals, lifeline, orderly leave."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import psutil

from shared import logs
from shared.broker import Broker
from shared.bus import Bus, BusError, Message, Refused, Request, SourceLost
from shared.clock import Clock
from shared.commands import ServiceStop
from shared.config import ConfigError, Settings, load_settings
from shared.endpoints import AddressError
from shared.events import Health, ServicePhase
from shared.process import LIFELINE_ENV

log = logging.getLogger(__name__)

BEAT_S = 1.0
LEAVE_S = 4.0
"""A process whose lifeline was cut and that is still here after this long kills itself."""
EXIT_BAD_INPUT = 2


class StartError(Exception):
    """One sentence: why this service cannot start and what to do. It is not tried again."""


@dataclass(frozen=True)
class Finding:
    """One row of `launcher.py --check`."""

    part: str
    ok: bool
    detail: str
    fix: str = ""
    """What to do about it; empty when all is well."""


@dataclass(frozen=True)
class Options:
    """What the command line of a service said."""

    settings: Settings
    check: bool
    log_level: str


class StopSignal:
    """Set from a signal handler, the lifeline or a command; wakes whoever waits on the bus."""

    def __init__(self) -> None:
        self._set = threading.Event()
        self._wakers: list[Callable[[], None]] = []

    def set(self) -> None:
        """Ask for an orderly leave. Safe from any thread and from signal handlers."""
        self._set.set()
        for wake in self._wakers:
            wake()

    def is_set(self) -> bool:
        """True once somebody asked."""
        return self._set.is_set()

    def on_set(self, wake: Callable[[], None]) -> None:
        """Call `wake` when it is set."""
        self._wakers.append(wake)
        if self.is_set():
            wake()


class Service:
    """One process on the bus; subclasses fill in what they do. All methods run in the owner's thread."""

    name: ClassVar[str]
    topics: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: Settings, bus: Bus, clock: Clock) -> None:
        self.settings = settings
        self.bus = bus
        self.clock = clock
        self.phase: ServicePhase = "loading"
        self.detail = ""

    def start(self) -> None:
        """Load what is slow; the phase is `loading` until this returns. StartError when it cannot be."""

    def on_event(self, message: Message) -> None:
        """An event of `topics` arrived; at start also what the broker retained of them."""

    def on_lost(self, lost: SourceLost) -> None:
        """A source died or was replaced: close what its session had open."""

    def tick(self) -> float:
        """Do a slice of work; returns the seconds until it wants to be called again (0 = at once)."""
        return BEAT_S

    def stop(self) -> None:
        """Asked to leave: finish what is safe to finish. The process exits 0 afterwards."""

    @classmethod
    def check(cls, settings: Settings) -> list[Finding]:
        """This service's rows of `--check`; must not need the bus."""
        return []

    def degraded(self, sentence: str) -> None:
        """Work goes on, with less than was asked for; the sentence tells people what is missing."""
        if (self.phase, self.detail) != ("degraded", sentence):
            log.warning("%s", sentence)
        self._enter("degraded", sentence)

    def ready(self, detail: str = "") -> None:
        """All is well; `detail` is what people may like to know (device, model, voice)."""
        self._enter("ready", detail)

    def beat(self, loop_ms: float = 0.0) -> None:
        """Publish `sys.health` now."""
        last_seq = {topic: seq for topic, seq in self.bus.last_seq.items() if topic != "sys.health"}
        health = Health(
            phase=self.phase,
            pid=os.getpid(),
            detail=self.detail,
            last_seq=last_seq,
            gaps=dict(self.bus.gaps),
            rss_mb=round(psutil.Process().memory_info().rss / 1e6, 1),
            loop_ms=round(loop_ms, 1),
        )
        self.bus.publish("sys.health", health)

    def _enter(self, phase: ServicePhase, detail: str) -> None:
        changed = (self.phase, self.detail) != (phase, detail)
        self.phase, self.detail = phase, detail
        if changed:
            self.beat()


def parse(service: type[Service], argv: Sequence[str] | None = None) -> Options:
    """Arguments every service understands. ConfigError for bad settings."""
    parser = argparse.ArgumentParser(prog=f"python -m services.{service.name}", description=service.__doc__)
    add_arguments(parser)
    return options(parser.parse_args(argv))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of every service, for those that add their own."""
    parser.add_argument("--config", type=Path, help="toml file with the settings (configs/stack.toml)")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="one setting")
    parser.add_argument(
        "--check", action="store_true", help="examine this service's part and print it as JSON"
    )
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))


def options(arguments: argparse.Namespace) -> Options:
    """Parsed arguments -> Options. ConfigError for bad settings."""
    settings = load_settings(arguments.config, arguments.set)
    return Options(settings, arguments.check, arguments.log_level)


def run(service: type[Service], argv: Sequence[str] | None = None) -> int:
    """Entry of `python -m services.<name>`: returns the exit status."""
    return guarded(service.name, lambda: run_chosen(service, parse(service, argv)))


def run_chosen(service: type[Service], chosen: Options, *, broker: bool = False) -> int:
    """What every entry point does with its options: print the check, or serve until asked to leave.

    With `broker` the bus runs inside this process, on the same addresses.
    """
    if chosen.check:
        print_findings(service.check(chosen.settings))
        return 0
    logs.configure(service.name, chosen.log_level)
    stop = StopSignal()
    install_stop(stop)
    if not broker:
        serve(service, chosen.settings, stop)
        return 0
    try:
        with Broker(chosen.settings.bus) as running:
            serve(service, chosen.settings.model_copy(update={"bus": running.settings}), stop)
    except AddressError as error:
        raise StartError(str(error)) from None
    return 0


def print_findings(findings: list[Finding]) -> None:
    """What the launcher's `--check` reads from each service: one JSON object a line."""
    for finding in findings:
        print(json.dumps(asdict(finding), ensure_ascii=False))


def guarded(name: str, work: Callable[[], int]) -> int:
    """Run `work`; what people can mend becomes one sentence and exit 2, all else a logged error and 1."""
    try:
        return work()
    except (ConfigError, StartError, BusError) as error:
        print(f"{name}: {error}", file=sys.stderr, flush=True)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        log.exception("%s stopped by an unexpected %s: %s", name, type(error).__name__, error)
        return 1


def install_stop(stop: StopSignal) -> None:
    """Set `stop` on SIGTERM, SIGINT (unless ignored) and at the end of the lifeline."""
    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: stop.set())
    lifeline = os.environ.pop(LIFELINE_ENV, None)
    if lifeline is not None:
        watch_lifeline(int(lifeline), stop.set)


def watch_lifeline(descriptor: int, leave: Callable[[], None]) -> None:
    """Call `leave` when the other end of the pipe closes; whoever is then still here is killed."""
    os.set_inheritable(descriptor, False)

    def watch() -> None:
        while os.read(descriptor, 64):
            pass
        leave()
        threading.Event().wait(LEAVE_S)
        os._exit(1)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def serve(
    service: type[Service],
    settings: Settings,
    stop: StopSignal,
    *,
    clock: Clock = time.monotonic,
    opened: Callable[[Service], None] = lambda _: None,
    wait_s: float = 15.0,
) -> None:
    """Open the bus, start the service and loop until `stop` is set; works in any one thread.

    `opened` gets the service before it starts (the dashboard's screen hooks in there).
    """
    with Bus.open(service.name, service.topics, settings=settings.bus, register=True, wait_s=wait_s) as bus:
        made = service(settings, bus, clock)
        stop.on_set(bus.wake)

        def on_stop(_: ServiceStop, __: Request) -> None:
            stop.set()

        bus.handle(ServiceStop, on_stop)
        opened(made)
        made.beat()
        made.start()
        for message in bus.snapshot():
            made.on_event(message)
        if made.phase == "loading":
            made.ready(made.detail)
        loop(made, stop)
        made.phase = "stopping"
        made.beat()
        made.stop()


def loop(service: Service, stop: StopSignal) -> None:
    """Poll, hand out events, work, beat; until `stop` is set."""
    bus, clock = service.bus, service.clock
    next_beat = clock() + BEAT_S
    longest_s = 0.0
    wait_s = 0.0
    while not stop.is_set():
        items = bus.poll(max(0.0, min(wait_s, next_beat - clock())))
        began = clock()
        for item in items:
            if isinstance(item, SourceLost):
                service.on_lost(item)
            else:
                service.on_event(item)
        wait_s = service.tick()
        longest_s = max(longest_s, clock() - began)
        if clock() >= next_beat:
            service.beat(longest_s * 1000)
            next_beat, longest_s = clock() + BEAT_S, 0.0


__all__ = ["Finding", "Refused", "Service", "StartError", "StopSignal", "run", "serve"]
