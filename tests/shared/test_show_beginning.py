"""When a show counts as begun, decided on what one look at the processes brought; no process is started."""

from __future__ import annotations

import pytest

from shared.config import BusSettings
from shared.process import Spec
from shared.show import Show
from shared.supervisor import Change


@pytest.mark.parametrize("order", [("input", "director"), ("director", "input")])
def test_a_failure_that_is_noticed_together_with_the_last_readiness_still_ends_the_show(
    tmp_path, monkeypatch, order
):
    specs = [Spec(name, ("false",)) for name in ("bus", "input", "director")]
    show = Show(specs, BusSettings(), tmp_path, {}, drawn=False)
    processes = show._supervisor.processes
    processes["bus"].state = processes["input"].state = "ready"
    processes["director"].state = "failed"
    seen = {"input": "ready", "director": "failed"}
    changes = [Change(name, "starting", seen[name]) for name in order]
    monkeypatch.setattr(show._supervisor, "poll", lambda: changes)
    show._turn()
    assert show._supervisor.stopping
    assert show._status == 1
