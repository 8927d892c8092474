"""The whole show on this machine: start, first token, first sound, idle cost, memory, recovery, leave."""

from __future__ import annotations

import os
import signal
import statistics
import time

from benchmarks.figures import Figure, percentile
from benchmarks.running_show import Show, running_show
from shared.bus import Message
from shared.config import ROOT, load_toml

QUESTIONS = ROOT / "benchmarks" / "data" / "show_lines.toml"
SERVICES = ("bus", "llm", "tts", "director", "input")
SETTLE_S = 5.0
IDLE_S = 10.0


def _timings(show: Show, line: str) -> tuple[float, float]:
    """Milliseconds from the submitted line to the first token and to the first sample that sounds."""
    began = time.monotonic_ns()
    message_id = show.submit(line)
    first_token = first_sound = 0.0
    turn: str | None = None

    def seen(message: Message) -> bool:
        nonlocal first_token, first_sound, turn
        payload = message.payload
        if message.topic == "turn.state" and payload.message_id == message_id:
            turn = payload.turn
            return bool(payload.phase == "done")
        if message.topic == "llm.token" and not first_token and payload.turn is not None:
            first_token = (message.mono - began) / 1e6
        if message.topic == "speech.progress" and payload.sound_mono_ns and not first_sound:
            first_sound = (payload.sound_mono_ns - began) / 1e6
        return False

    show.until(seen, 60)
    return first_token, first_sound


def _pss_mb(show: Show) -> float:
    return sum(process.memory_full_info().pss for process in show.processes()) / 1e6


def _idle_percent(show: Show) -> float:
    def spent() -> float:
        return sum(sum(process.cpu_times()[:2]) for process in show.processes())

    settled = time.monotonic() + SETTLE_S  # the persona's prefix is computed right after the start
    while time.monotonic() < settled:
        show.bus.poll(0.5)
    before, began = spent(), time.monotonic()
    while time.monotonic() - began < IDLE_S:
        show.bus.poll(1.0)
    return 100 * (spent() - before) / (time.monotonic() - began)


def _recovery_s(show: Show, service: str, number: signal.Signals) -> float:
    """Seconds from the signal, sent while she speaks, until the replaced service is ready again."""
    pid = show.pid_of(service)
    show.submit("Tell me a little story about the sea, please.")
    show.until(lambda m: m.topic == "speech.progress", 30)
    began = time.monotonic()
    os.kill(pid, number)
    show.until(
        lambda m: (
            m.topic == "sys.health"
            and m.source == service
            and m.payload.pid != pid
            and m.payload.phase in ("ready", "degraded")
        ),
        60,
    )
    return time.monotonic() - began


def run() -> list[Figure]:
    """One show for everything; it is stopped at the end, which is measured too."""
    lines = load_toml(QUESTIONS)["lines"]
    began = time.monotonic()
    with running_show() as show:
        ready_s = time.monotonic() - began
        idle = _idle_percent(show)
        measured = [_timings(show, line) for line in lines]
        tokens = [token for token, _ in measured if token]
        sounds = [sound for _, sound in measured if sound]
        memory = _pss_mb(show)
        figures = [
            Figure("show.start_to_ready", ready_s, "s", target="8 warm"),
            Figure("show.idle_cpu", idle, "% of a core", target="at most 5, with dashboard.cpu_idle"),
            Figure("show.first_token_p50", statistics.median(tokens), "ms", target="250"),
            Figure("show.first_token_p95", percentile(tokens, 0.95), "ms"),
            Figure("show.first_sound_p50", statistics.median(sounds), "ms", target="600"),
            Figure("show.first_sound_p95", percentile(sounds, 0.95), "ms"),
            Figure("show.answered_aloud", len(sounds) / len(lines), "share"),
            Figure("show.memory_pss", memory, "MB", target="at most 1,600"),
        ]
        for service in SERVICES:
            target = "5 and model load" if service == "llm" else "5"
            seconds = _recovery_s(show, service, signal.SIGKILL)
            figures.append(Figure(f"show.back_after_kill.{service}", seconds, "s", target=target))
        hung = _recovery_s(show, "director", signal.SIGSTOP)
        figures.append(Figure("show.back_after_hang.director", hung, "s", target="10 to notice, then 5"))
        stopping = time.monotonic()
        show.process.send_signal(signal.SIGINT)
        show.process.wait(30)
        figures.append(Figure("show.leave", time.monotonic() - stopping, "s", target="at most 5"))
    return figures
