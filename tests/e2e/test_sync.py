"""Her real voice and her real page: mouth and captions keep step with the sound."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import sync
from benchmarks.bus import free_ports
from benchmarks.page import Watch, her_page
from benchmarks.running_show import running_show
from shared.commands import Say

SAID = (
    "Good evening, everybody! My train was late again, so I ran.",
    "Do you want some tea? It is warm, and I have far too much of it.",
    "Then let us begin, before somebody falls asleep.",
)
TWO_FRAMES_MS = 35


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.skipif(sys.platform == "win32", reason="the show is ended by a signal")
def test_mouth_and_captions_keep_step_with_her_voice(tmp_path: Path) -> None:
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install -e '.[dev]')")
    port = free_ports(1)[0].rsplit(":", 1)[1]
    flags = ("--only=director,tts,stage", f"--audio-out={tmp_path}", f"--set=stage.port={port}")
    turns = []
    with running_show(*flags, ready=("director", "tts", "stage")) as show:
        try:
            with her_page(f"http://127.0.0.1:{port}/", 640, 360) as page:
                watch = Watch(page)
                for text in SAID:
                    name = show.bus.request(Say(text=text), timeout_s=5.0).turn
                    turns += sync.heard(show, tmp_path, lambda state, name=name: state.turn == name)
                shown = watch.shown()
        except RuntimeError as error:
            pytest.skip(str(error))
    found = {figure.name: figure.value for figure in sync.figures(turns, shown)}
    assert found["sync.turns"] == len(SAID)
    assert found["sync.words_shown"] == 1
    assert found["sync.sounds_shown"] > 0.5
    assert abs(found["sync.mouth_behind_loudness"]) <= 200, found
    if found["sync.frame_every_p95"] > TWO_FRAMES_MS:
        pytest.skip(f"too busy a machine to judge: a frame took {found['sync.frame_every_p95']:.0f} ms")
    assert found["sync.mouth_error_p95"] <= 50, found
    assert found["sync.caption_error_p95"] <= 80, found
