"""Her page in a real browser: captions and mouth by the audio clock, hostile text, coming back, interruption."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from conftest import OpenBus, until
from stage_helpers import LIVE, TOKEN, Stage, Tab, line, mouth, progress, timeline, turn
from waiting import until_true

from benchmarks.figures import percentile
from services.director.service import Director
from shared.bus import Bus
from shared.commands import Panic, SetMood
from shared.config import ROOT, BusSettings, Settings
from shared.events import Health, Mood, Mouth, Muted, SpeechFinished
from shared.service import StopSignal, serve

pytest_plugins = ("stage_fixtures",)

WORD_S = 0.24
START_S = 30.0


def spoken(bus: Bus, epoch: int, words: list[str]) -> float:
    """What tts publishes while these words sound, by the clock: the wall time (ms) of their first sample."""
    text = " ".join(words)
    bus.publish("speech.timeline", timeline(epoch, text, WORD_S))
    began, began_wall_ms = time.monotonic(), time.time() * 1000
    mouth_due = progress_due = 0.0
    length_s = len(words) * WORD_S
    while (position_s := time.monotonic() - began) < length_s:
        if position_s >= mouth_due:
            mouth_due += 1 / 30
            is_open = position_s % WORD_S < WORD_S / 2
            shape = "A" if is_open else "closed"
            bus.publish(
                "avatar.mouth",
                Mouth(turn="t", epoch=epoch, shape=shape, openness=float(is_open), position_s=position_s),
            )  # fmt: skip
        if position_s >= progress_due:
            progress_due += 0.1
            heard = words[: int(position_s / WORD_S + 0.5)]
            bus.publish("speech.progress", progress(epoch, position_s, " ".join(heard)))
        bus.poll(0.004)
    bus.publish("speech.progress", progress(epoch, length_s, text))
    return began_wall_ms


WATCH_WORDS = """() => {
  window.seen = {};
  const look = () => {
    for (const word of document.querySelectorAll(".word.heard")) seen[word.textContent] ??= Date.now();
    requestAnimationFrame(look);
  };
  look();
}"""


def test_captions_keep_step_with_the_sound(stage: Stage, open_bus: OpenBus, tab: Tab) -> None:
    """Each word is seen when half of it has sounded, within 80 ms."""
    tts = open_bus("tts")
    page = tab.open(stage.url + "captions")
    until_true(lambda: "speech.progress" in stage.service.bus._events.topics)
    page.evaluate(WATCH_WORDS)
    spoken(tts, 1, ["warm", "up"])
    words = [f"word{number}" for number in range(10)]
    began_ms = spoken(tts, 2, words)
    tab.until(lambda: len(page.evaluate("seen")) >= len(words))
    seen = page.evaluate("seen")
    errors_ms = [
        seen[word] - (began_ms + (number + 0.5) * WORD_S * 1000) for number, word in enumerate(words)
    ]
    assert percentile([abs(error) for error in errors_ms], 0.95) <= 80, errors_ms
    assert page.inner_text(".captions") == " ".join(words)
    done = SpeechFinished(turn="t", epoch=2, reason="done", heard=" ".join(words), chunks=1)
    tts.publish("speech.finished", done)
    tab.until(lambda: page.evaluate("akane.captions.open") is False)
    assert page.inner_text(".captions") == " ".join(words)  # it stays for a moment


def test_without_a_voice_the_words_are_shown_instead_of_heard(
    stage: Stage, open_bus: OpenBus, tab: Tab
) -> None:
    director = open_bus("director")
    page = tab.open(stage.url + "captions")
    words = "<b>Hello</b> you."

    def shown() -> str:
        return str(page.locator(".captions").evaluate("(each) => each.textContent"))

    page.evaluate("""() => { window.asked = 0; const state = akane.captions.state.bind(akane.captions);
      akane.captions.state = (told) => { asked ||= performance.now(); state(told); };
      new MutationObserver(() => { window.shownAt ??= performance.now(); }).observe(
        document.querySelector(".captions"), { childList: true }); }""")
    director.publish("turn.state", turn(1, "speaking", text=words))
    tab.until(lambda: shown() == words)
    assert page.evaluate("shownAt - asked") >= 990, "a voice may be on its way for so long"
    director.publish("turn.state", turn(1, "speaking", text=words + " And more."))
    tab.until(lambda: shown() == words + " And more.")
    director.publish("turn.state", turn(2, "done", end="interrupted", text=words, heard=words))
    tab.until(lambda: shown() == "")
    director.publish("turn.state", turn(3, "speaking", "t2", text="Short."))
    director.publish("turn.state", turn(3, "done", "t2", end="stop", text="Short.", heard="Short."))
    tab.until(lambda: shown() == "Short.")
    director.publish("turn.state", turn(4, "thinking", "t3"))
    tab.until(lambda: page.evaluate("akane.feed.epoch") == 4)
    assert (shown(), page.evaluate("akane.captions.turn")) == ("Short.", "t2"), "it stays to be read"
    director.publish("turn.state", turn(4, "speaking", "t3", text="Bad words."))
    director.publish(
        "turn.state", turn(4, "done", "t3", end="retracted", text="Bad words.", heard="Bad words.")
    )
    tab.until(lambda: shown() == "")


def test_with_a_voice_no_word_is_shown_before_it_sounds(stage: Stage, open_bus: OpenBus, tab: Tab) -> None:
    director, tts = open_bus("director"), open_bus("tts")
    page = tab.open(stage.url + "captions")
    tab.until(lambda: said(tts, page, 1, "Warm up"))
    director.publish("turn.state", turn(2, "speaking", "t2", text="New words. Later words."))
    plan = timeline(2, "New words.").model_copy(update={"turn": "t2"})
    tts.publish("speech.timeline", plan)
    tab.until(lambda: page.evaluate("akane.captions.voiced") == "t2")
    director.publish("turn.state", turn(2, "speaking", "t2", text="New words. Later words. Last ones."))
    page.evaluate("() => new Promise((done) => setTimeout(done, 1200))")
    assert "Later" not in page.inner_text("body")
    assert page.evaluate("akane.captions.unheard") is None


def test_an_interruption_clears_and_the_past_stays_past(stage: Stage, open_bus: OpenBus, tab: Tab) -> None:
    tts, director = open_bus("tts"), open_bus("director")
    page = tab.open(stage.url + "?hide=status")
    until_true(lambda: "avatar.mouth" in stage.service.bus._events.topics)
    tab.until(lambda: said(tts, page, 5, "Never to be"))
    director.publish("turn.state", turn(6, "speaking"))  # interrupted: the epoch rises
    tab.until(lambda: page.inner_text(".captions") == "")
    tts.publish("speech.progress", progress(5, 0.6, "Never to be"))
    tts.publish("avatar.mouth", mouth(5, 0.9))
    director.publish("avatar.mood", Mood(epoch=5, mood="sad"))
    director.publish("turn.state", turn(6, "done"))
    director.publish("avatar.mood", Mood(epoch=6, mood="happy"))
    tab.until(lambda: page.evaluate("akane.avatar.puppet.mood") == "happy")
    tts.publish("speech.timeline", timeline(6, "New words"))
    tts.publish("speech.progress", progress(6, 0.6, "New words"))
    tab.until(lambda: page.inner_text(".captions") == "New words")
    assert page.evaluate("akane.feed.epoch") == 6


def test_the_mood_of_later_words_waits_for_them(stage: Stage, open_bus: OpenBus, tab: Tab) -> None:
    tts, director = open_bus("tts"), open_bus("director")
    page = tab.open(stage.url)
    until_true(lambda: "avatar.mood" in stage.service.bus._events.topics)
    moods = "akane.avatar.puppet.mood"
    director.publish("avatar.mood", Mood(turn="t", epoch=1, mood="excited"), cause="a message")
    tab.until(lambda: page.evaluate(moods) == "excited")
    director.publish("avatar.mood", Mood(turn="t", epoch=1, mood="sad"), cause="a message")
    director.publish("turn.state", turn(1, "speaking"))
    tab.until(lambda: page.evaluate("akane.avatar.phase") == "speaking")
    assert page.evaluate(moods) == "excited"
    tts.publish("speech.timeline", timeline(1, "But I cried").model_copy(update={"mood": "sad"}))
    tts.publish("speech.progress", progress(1, 0.1, "But"))
    tab.until(lambda: page.evaluate(moods) == "sad")
    director.publish("avatar.mood", Mood(turn="t", epoch=1, mood="shy"))  # by hand: at once
    tab.until(lambda: page.evaluate(moods) == "shy")


def said(tts: Bus, page: Any, epoch: int, text: str) -> bool:
    """Published again until the page shows it: the road to it may just be opening."""
    tts.publish("speech.timeline", timeline(epoch, text))
    tts.publish("speech.progress", progress(epoch, 0.1, text))
    tts.publish("avatar.mouth", mouth(epoch, 0.9))
    tts.poll(0.02)
    return bool(page.inner_text(".captions") == text)


def test_a_panic_clears_her_page_at_once(stage: Stage, open_bus: OpenBus, tab: Tab) -> None:
    tts, chat, director = open_bus("tts"), open_bus("input"), open_bus("director")
    page = tab.open(stage.url + "?hide=status")
    tab.until(lambda: said(tts, page, 5, "Something that nobody should hear"))
    chat.publish("chat.message", line("1", "bad words"))
    director.publish("turn.state", turn(5, "speaking", message_id="1", prompt="bad words"))
    tab.until(lambda: "bad words" in page.inner_text(".chat") and "nobody" in page.inner_text(".chat"))
    stage.ask(f"control/panic?token={TOKEN}", b"")
    tab.until(lambda: page.inner_text("body").strip() == "")
    tts.publish("speech.progress", progress(5, 0.6, "Something that nobody should hear"))
    tts.publish("avatar.mouth", mouth(5, 0.9))
    bad = {"message_id": "1", "prompt": "bad words", "heard": "Something that"}
    director.publish("turn.state", turn(6, "done", **bad))
    tts.publish("speech.timeline", timeline(6, "Good"))
    tts.publish("speech.progress", progress(6, 0.2, "Good"))
    tab.until(lambda: page.inner_text(".captions") == "Good")
    for _ in range(2):
        assert "Something" not in page.inner_text("body")
        assert "bad words" not in page.inner_text("body")
        page = tab.open(stage.url + "chat")  # nor after a reload
        assert page.evaluate("akane.feed.epoch") == 6


def test_a_panic_from_the_terminal_clears_her_page_and_the_chat_page(
    stage: Stage, broker: BusSettings, open_bus: OpenBus, browser: Any
) -> None:
    """The command goes to the director as the dashboard sends it, while she is about to answer."""
    stop = StopSignal()
    director = threading.Thread(target=serve, args=(Director, Settings(bus=broker), stop), daemon=True)
    director.start()
    terminal, chat, tts = open_bus("dashboard", "turn.state"), open_bus("input"), open_bus("tts")
    until(terminal, lambda items: items)  # the director's first state: it listens
    whole, alone = Tab(browser), Tab(browser)
    whole.open(stage.url + "?hide=status")
    alone.open(stage.url + "chat")
    chat.publish("chat.message", line("1", "bad words"))
    states = until(terminal, lambda items: items and items[-1].payload.turn)
    asked = states[-1].payload
    until_true(lambda: "speech.progress" in stage.service.bus._events.topics)
    whole.until(lambda: said(tts, whole.page, asked.epoch, "Something that nobody should hear"))
    for tab in (whole, alone):
        tab.until(lambda tab=tab: "bad words" in tab.page.inner_text("body"))
    replies: list[Any] = []
    terminal.ask(Panic(), replies.append)
    until(terminal, lambda _: replies)
    for tab in (whole, alone):
        tab.until(lambda tab=tab: tab.page.inner_text("body").strip() == "")
        tab.page.reload()
        tab.page.wait_for_selector(LIVE, state="attached")
        assert tab.page.inner_text("body").strip() == ""
    terminal.ask(SetMood(mood="shy"), replies.append)  # a hand on her face is still obeyed
    whole.until(lambda: (terminal.poll(0.01), whole.page.evaluate("akane.avatar.puppet.mood") == "shy")[1])
    for tab in (whole, alone):
        tab.page.close()
        assert tab.errors == []
    stop.set()
    director.join(10)


HOSTILE = (
    "<img src=x onerror=\"document.title='owned'\">",
    "<script>document.title='owned'</script>",
    "</span><style>*{display:none}</style>",
    "javascript:alert(1) {{7*7}} ${7*7}",
    "\u202eevil\u202c &lt;b&gt;",
)


def test_hostile_text_is_shown_as_text(stage: Stage, open_bus: OpenBus, tab: Tab) -> None:
    chat, tts, director = open_bus("input"), open_bus("tts"), open_bus("director")
    page = tab.open(stage.url)
    until_true(lambda: "speech.progress" in stage.service.bus._events.topics)
    for number, text in enumerate(HOSTILE):
        chat.publish("chat.message", line(str(number), text, author=text))
        tts.publish("speech.progress", progress(1, 0.1, text, name=f"t{number}"))
        director.publish(
            "turn.state",
            turn(1, "done", f"t{number}", prompt=text, author=text, message_id=str(number), heard=text),
        )
    tab.until(lambda: page.locator(".chat .message").count() == 2 * len(HOSTILE))
    texts = page.locator(".chat .text").evaluate_all("(all) => all.map((each) => each.textContent)")
    assert sorted(texts) == sorted(2 * HOSTILE)
    assert page.locator(".captions").evaluate("(each) => each.textContent") == HOSTILE[-1]
    assert page.locator("img, .scene script, .scene style").count() == 0
    assert page.title() == "Akane · index"
    assert {url.split("/")[2] for url in tab.requested if "://" in url} == {stage.url.split("/")[2]}


def test_without_a_director_she_thinks_no_more_and_says_what_the_voice_has(
    stage: Stage, open_bus: OpenBus, tab: Tab
) -> None:
    tts, director = open_bus("tts"), open_bus("director")
    page = tab.open(stage.url)
    until_true(lambda: "avatar.mouth" in stage.service.bus._events.topics)
    pose, word = "akane.avatar.phase", ".status .phase"
    director.publish("turn.state", turn(1, "thinking"))
    tab.until(lambda: page.evaluate(pose) == "thinking")
    second = open_bus("director")
    second.publish("sys.health", Health(phase="loading", pid=2))
    tab.until(lambda: page.evaluate(pose) == "idle")
    assert page.inner_text(word) == "idle"
    page = tab.open(stage.url)  # the turn is retained, and nobody is there to end it
    assert (page.evaluate(pose), page.inner_text(word)) == ("idle", "idle")
    second.publish("turn.state", turn(2, "speaking"))
    tab.until(lambda: page.evaluate(pose) == "speaking")
    open_bus("director").publish("sys.health", Health(phase="loading", pid=3))
    tab.until(lambda: page.inner_text(word) == "idle")
    assert page.evaluate(pose) == "speaking"
    done = SpeechFinished(turn="t", epoch=2, reason="done", heard="x", chunks=1)
    tts.publish("speech.finished", done)
    tab.until(lambda: page.evaluate(pose) == "idle")


def test_the_mouth_and_poses_follow_the_bus(stage: Stage, open_bus: OpenBus, tab: Tab) -> None:
    tts, director, chat = open_bus("tts"), open_bus("director"), open_bus("input")
    page = tab.open(stage.url)
    until_true(lambda: "avatar.mouth" in stage.service.bus._events.topics)
    assert page.locator(".avatar canvas").count() == 1
    chat.publish("chat.message", line("1", "Hello"))
    tab.until(lambda: page.evaluate("akane.avatar.puppet.pose") == "listening")
    director.publish("turn.state", turn(1, "thinking"))
    tab.until(lambda: page.evaluate("akane.avatar.puppet.pose") == "thinking")
    director.publish("turn.state", turn(1, "speaking"))
    page.evaluate(
        """() => {
          window.gaps = [];
          const avatar = akane.avatar, clock = akane.clock, move = avatar.mouth.bind(avatar);
          avatar.mouth = (mouth, at) => { move(mouth, at); if (clock.chunk !== null)
            gaps.push([mouth.position_s, clock.position(performance.now())]); };
        }"""
    )
    spoken(tts, 1, ["la"] * 8)
    assert page.evaluate("akane.avatar.puppet.pose") == "speaking"
    gaps_ms = sorted(abs(told - here) * 1000 for told, here in page.evaluate("gaps"))
    assert len(gaps_ms) >= 40
    assert gaps_ms[int(0.95 * len(gaps_ms))] <= 50, gaps_ms
    director.publish("turn.state", turn(1, "done"))
    tab.until(lambda: page.evaluate("akane.avatar.puppet.pose") == "idle")
    closed = "Object.values(akane.avatar.puppet.mouth).every((weight) => weight === 0) || !!akane.avatar.puppet.mouth.closed"
    tab.until(lambda: page.evaluate(closed))


def test_the_mouth_goes_by_the_plan_where_it_is_known(stage: Stage, open_bus: OpenBus, tab: Tab) -> None:
    """Its events come as late as the way here, thirty times a second: the plan is in time."""
    tts = open_bus("tts")
    page = tab.open(stage.url)
    until_true(lambda: {"avatar.mouth", "speech.timeline"} <= set(stage.service.bus._events.topics))
    page.evaluate(
        """() => {
          window.early_ms = []; window.shown = "closed";
          const avatar = akane.avatar, plan = avatar.planned.bind(avatar);
          avatar.planned = (now) => { const found = plan(now), clock = akane.clock;
            if (found && found.shape !== shown) {
              shown = found.shape;
              const places = avatar.timelines.get(clock.chunk).visemes.filter((one) => one.shape === shown);
              const gaps = places.map((one) => 1000 * (one.start_s - clock.position(performance.now())));
              early_ms.push(gaps.reduce((best, gap) => Math.abs(gap) < Math.abs(best) ? gap : best));
            }
            return found; };
        }"""
    )
    spoken(tts, 1, ["la"] * 8)
    early_ms = page.evaluate("early_ms")
    assert len(early_ms) >= 12
    assert -15 <= percentile(early_ms, 0.5) <= 21, early_ms
    tts.publish("speech.progress", progress(1, 0.1, ""))
    tts.publish("avatar.mouth", Mouth(turn="t", epoch=1, shape="U", openness=1.0, position_s=0.1))
    tts.publish("speech.progress", progress(1, 0.11, ""))
    tab.until(lambda: page.evaluate("akane.clock.position_s") == 0.11)
    page.evaluate("new Promise(requestAnimationFrame)")
    assert "U" not in page.evaluate("JSON.stringify(akane.avatar.puppet.mouth)")


def test_a_page_without_the_mouth_reads_it_from_the_plan(stage: Stage, open_bus: OpenBus, tab: Tab) -> None:
    tts = open_bus("tts")
    for _ in range(20):
        stage.socket("topics=avatar.mouth")
    until_true(lambda: len(stage.service.hub) == 20)
    page = tab.open(stage.url)
    until_true(lambda: "speech.timeline" in stage.service.bus._events.topics)
    page.evaluate(
        """() => {
          window.shapes = {};
          const avatar = akane.avatar, plan = avatar.planned.bind(avatar);
          avatar.planned = (now) => { const found = plan(now); if (found) shapes[found.shape] = true; return found; };
        }"""
    )
    spoken(tts, 1, ["la"] * 6)
    tab.until(lambda: {"A", "closed"} <= set(page.evaluate("Object.keys(shapes)")))


def test_themes_come_from_settings_and_addresses_and_nothing_scrolls(broker: BusSettings, tab: Tab) -> None:
    stage = Stage(broker, accent="#00ff00", chat_px=30)
    page = tab.open(
        stage.url + "?ink=ff0000&caption_px=99&font=x;}*{y&outline=url(evil)&hair=3355cc&chat_px=9999"
    )
    look = page.evaluate(
        """() => ["--accent", "--ink", "--caption-px", "--chat-px", "--outline"].map(
          (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim())"""
    )
    assert look == ["#00ff00", "#ff0000", "99", "24", "#1d1016"]
    assert page.evaluate("akane.avatar.puppet.colours.hair") == "#3355cc"
    for path in ("", "captions", "chat", "status"):
        page = tab.open(stage.url + path)
        body = page.evaluate(
            """() => [getComputedStyle(document.body).backgroundColor, document.documentElement.scrollHeight,
              document.documentElement.clientHeight, getComputedStyle(document.body).overflow]"""
        )
        assert body == ["rgba(0, 0, 0, 0)", 360, 360, "hidden"]
    stage.close()


def test_the_control_page_commands(stage: Stage, open_bus: OpenBus, tab: Tab) -> None:
    director = open_bus("director", register=True)
    told: list[Any] = []
    from shared.commands import Interrupt, Panic, Say, SayReply, SetMood

    director.handle(Panic, lambda command, _: told.append(command))
    director.handle(Interrupt, lambda command, _: told.append(command))
    director.handle(SetMood, lambda command, _: told.append(command))
    director.handle(Say, lambda command, _: told.append(command) or SayReply(turn="t"))
    tab.page.set_viewport_size({"width": 390, "height": 844})
    tab.page.goto(f"{stage.url}control?token={TOKEN}")

    def pressed(name: str, answer: str) -> None:
        tab.page.click(name)
        tab.until(lambda: (director.poll(0.02), tab.page.inner_text("#answer") == answer)[1])

    pressed("#panic", "panic: done")
    pressed("#interrupt", "interrupt: done")
    pressed("#unmute", "unmute: done")
    pressed("text=surprised", "mood: done")
    director.publish("avatar.mood", Mood(mood="surprised"))
    tab.until(lambda: tab.page.inner_text("button.chosen") == "surprised")
    tab.page.fill("input", "Good evening")
    pressed("form button", "say: done")
    assert told == [
        Panic(), Interrupt(reason="control page"), Panic(muted=False), SetMood(mood="surprised"),
        Say(text="Good evening", mood="surprised"),
    ]  # fmt: skip
    box = tab.page.locator("#panic").bounding_box()
    assert box["height"] >= 100
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_control_page_says_that_she_is_muted(broker: BusSettings, open_bus: OpenBus, tab: Tab) -> None:
    """Also from a stage that was started again, and while her director is replaced."""
    director = open_bus("director")
    director.publish("turn.state", turn(9, "idle", ""))
    director.publish("show.muted", Muted(muted=True))
    banner, phase = tab.page.locator("#muted"), tab.page.locator("#phase")
    for epoch in (10, 11):
        with contextlib.closing(Stage(broker)) as stage:
            tab.page.goto(f"{stage.url}control?token={TOKEN}")
            tab.until(banner.is_visible)
            assert banner.inner_text() == "MUTED"
            assert banner.evaluate("(each) => getComputedStyle(each).color") == "rgb(255, 75, 75)"
            director = open_bus("director")
            director.publish("turn.state", turn(epoch, "thinking"))
            tab.until(lambda: phase.inner_text() == "thinking")
            assert banner.is_visible()
            tab.page.reload()
            tab.until(banner.is_visible)
            if epoch == 11:
                director.publish("show.muted", Muted(muted=False))
                tab.until(lambda: not banner.is_visible())
            director.publish("turn.state", turn(epoch, "idle", ""))
            tab.until(lambda: phase.inner_text() == "idle")
    tab.errors.clear()  # the browser's own complaint about the lost socket


def test_it_comes_back_after_the_stage_was_killed(
    broker: BusSettings, open_bus: OpenBus, tab: Tab, tmp_path: Path
) -> None:
    """With state as it is by then; the browser's own complaint about the lost socket is all that is said."""
    tts, director = open_bus("tts"), open_bus("director")
    places = [part for key, value in broker for part in ("--set", f"bus.{key}={value}")]
    port = free_port()
    command = [
        sys.executable, "-m", "services.stage", *places, "--set", f"stage.port={port}", "--set", f"stage.token={TOKEN}",
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}/"

    def started() -> subprocess.Popen[bytes]:
        program = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until_true(lambda: listens(port), START_S)
        return program

    program = started()
    try:
        page = tab.open(url)
        tab.until(lambda: said(tts, page, 5, "Before the crash"))
        session = page.get_attribute("html", "data-session")
        program.kill()
        program.wait()
        tab.until(lambda: page.locator(LIVE).count() == 0)
        assert page.inner_text(".captions") == ""
        assert page.inner_text(".status .phase") == "offline"
        director.publish("turn.state", turn(7, "thinking"))
        program = started()
        page.wait_for_selector(LIVE, state="attached", timeout=60_000)
        assert page.get_attribute("html", "data-session") != session
        tab.until(lambda: page.inner_text(".status .phase") == "thinking")
        tab.until(lambda: said(tts, page, 7, "After the crash"))
    finally:
        program.kill()
        program.wait()
    assert all("WebSocket connection to" in error for error in tab.errors)
    tab.errors.clear()


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def listens(port: int) -> bool:
    import socket

    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
