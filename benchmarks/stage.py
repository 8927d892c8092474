"""The stage while she speaks: five hundred caption pages at once, what a page costs it, and a frame costs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psutil

from benchmarks.bus import free_ports
from benchmarks.figures import Figure, percentile
from benchmarks.stage_frames import measured
from shared.bus import Bus
from shared.config import ROOT, BusSettings
from shared.events import ChatMessage, Event, Health, Mood, Mouth, Progress, Timeline, TurnState, Word
from shared.mood_model import MOODS

CAPTION_TOPICS = ("speech.", "turn.state")
CAPTIONS = f"topics={','.join(CAPTION_TOPICS)}"
WHOLE_PAGE = "topics=speech.,avatar.,chat.,turn.state,sys.processes"
PAGES = 500
SECONDS = 10.0
WORD_S = 0.3
CHUNK_WORDS = 10
SERVICES = ("llm", "tts", "director", "input", "launcher")


def run() -> list[Figure]:
    """One stage for all figures."""
    with running_stage() as (url, process, buses):
        nobody, _ = _cost(process, buses, SECONDS)
        with _pages(url, WHOLE_PAGE, 1, SECONDS + 2):
            one, _ = _cost(process, buses, SECONDS)
        with _pages(url, CAPTIONS, PAGES, SECONDS + 2) as pages:
            many, published = _cost(process, buses, SECONDS)
            ages_ms = json.loads(pages.communicate()[0])
        rss_mb = process.memory_info().rss / 1e6
        try:
            frames = measured(url, lambda: _speak(buses, SECONDS))
        except RuntimeError as error:
            print(f"frames of her page are not measured: {error}", file=sys.stderr)
            frames = []
    expected = PAGES * sum(published[topic] for topic in published if topic.startswith(CAPTION_TOPICS))
    return [
        Figure("stage.cpu_no_page", nobody, "% of a core", target="nothing"),
        Figure("stage.cpu_one_page", one, "% of a core", target="at most 10"),
        Figure("stage.500_pages_p50_ms", percentile(ages_ms, 0.5), "ms"),
        Figure("stage.500_pages_p95_ms", percentile(ages_ms, 0.95), "ms", target="at most 250"),
        Figure("stage.500_pages_delivered", len(ages_ms) / expected, "share", target="all"),
        Figure("stage.cpu_500_pages", many, "% of a core"),
        Figure("stage.memory_rss", rss_mb, "MB"),
        *frames,
    ]


@contextmanager
def running_stage() -> Iterator[tuple[str, psutil.Process, dict[str, Bus]]]:
    """A bus and a ready stage: her page's address, the stage's process, a Bus in each service's name."""
    publish, subscribe, commands, port = (*free_ports(3), free_ports(1)[0].rsplit(":", 1)[1])
    settings = BusSettings(publish=publish, subscribe=subscribe, commands=commands)
    places = [f"--set=bus.{key}={value}" for key, value in settings]
    with ExitStack() as stack:
        stack.enter_context(_process("-m", "services.bus", *places))
        flags = [*places, f"--set=stage.port={port}", "--set=stage.token=benchmark"]
        stage = stack.enter_context(_process("-m", "services.stage", *flags))
        buses = {name: stack.enter_context(Bus.open(name, settings=settings, wait_s=30)) for name in SERVICES}
        watcher = stack.enter_context(Bus.open("watcher", ("sys.health",), settings=settings))
        for message in watcher.events():
            if message.source == "stage" and message.payload.phase == "ready":
                break
        yield f"http://127.0.0.1:{port}/", psutil.Process(stage.pid), buses


@contextmanager
def _process(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _pages(url: str, query: str, pages: int, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """Yields when all pages are live."""
    command = [sys.executable, "-m", "benchmarks.stage_pages", url, query, str(pages), str(seconds)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        if process.stdout.readline() != "live\n":
            raise RuntimeError("the pages did not open")
        yield process
    finally:
        process.kill()
        process.wait()


def _cost(process: psutil.Process, buses: dict[str, Bus], seconds: float) -> tuple[float, Counter[str]]:
    """Per cent of a core that the stage takes while she speaks, and what was published meanwhile."""
    before, began = process.cpu_times(), time.monotonic()
    published = _speak(buses, seconds)
    after, took_s = process.cpu_times(), time.monotonic() - began
    return 100 * (after.user + after.system - before.user - before.system) / took_s, published


def _speak(buses: dict[str, Bus], seconds: float) -> Counter[str]:
    """What a show publishes: 30 mouths and 10 positions a second, a plan and a mood for each chunk,
    two lines of chat a second, every heart beat. Returns how many events of each topic.
    """
    published: Counter[str] = Counter()

    def publish(source: str, topic: str, event: Event, cause: str | None = None) -> None:
        buses[source].publish(topic, event, cause=cause)
        published[topic] += 1

    epoch, began = time.time_ns() // 1_000_000, time.monotonic()
    words = [Word(text="word", start_s=n * WORD_S, end_s=(n + 1) * WORD_S) for n in range(CHUNK_WORDS)]
    mouths = progresses = beats = chunks = lines = 0
    publish("director", "turn.state", TurnState(turn="t", epoch=epoch, phase="speaking"))
    while (now_s := time.monotonic() - began) < seconds:
        chunk, position_s = divmod(now_s, CHUNK_WORDS * WORD_S)
        if chunk >= chunks:
            mood = MOODS[chunks % len(MOODS)]
            chunks += 1
            publish("director", "avatar.mood", Mood(turn="t", epoch=epoch, mood=mood), cause="a line")
            plan = Timeline(
                turn="t", epoch=epoch, chunk=int(chunk), text=" ".join(["word"] * CHUNK_WORDS), mood=mood,
                duration_s=CHUNK_WORDS * WORD_S, sample_rate_hz=24_000, words=words,
            )  # fmt: skip
            publish("tts", "speech.timeline", plan)
        if now_s * 30 >= mouths:
            mouths += 1
            shape = Mouth(turn="t", epoch=epoch, shape="A", openness=0.5, position_s=now_s)
            publish("tts", "avatar.mouth", shape)
        if now_s * 10 >= progresses:
            progresses += 1
            heard = int(position_s / WORD_S)
            said = " ".join(["word"] * heard)
            step = Progress(
                turn="t", epoch=epoch, chunk=int(chunk), position_s=position_s, words_heard=heard, heard=said
            )
            publish("tts", "speech.progress", step)
        if now_s * 2 >= lines:
            lines += 1
            line = ChatMessage(
                id=f"{epoch}-{lines}",
                channel="twitch",
                author="Sam",
                author_id="sam",
                text="What a day!",
            )
            publish("input", "chat.message", line)
        if now_s >= beats:
            beats += 1
            for name, bus in buses.items():
                publish(name, "sys.health", Health(phase="ready", pid=1))
                bus.poll(0.0)
        buses["tts"].poll(0.005)
    return published
