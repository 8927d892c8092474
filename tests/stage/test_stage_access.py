"""Who may read, who may command, and what the token is."""

from __future__ import annotations

import json
import logging
import re
import stat
import urllib.request
from pathlib import Path

import pytest
from conftest import OpenBus, until
from stage_helpers import TOKEN, Stage, is_type, read
from websockets.exceptions import InvalidStatus

from services.stage.__main__ import main
from services.stage.access import Rules, judge
from services.stage.app import PAGE, PAGES
from services.stage.links import PHONE, links
from services.stage.service import StageService
from services.stage.token import TokenError, token_of, token_path
from shared.config import BusSettings, Settings, StageSettings
from shared.service import StartError, guarded
from shared.web import listen

pytest_plugins = ("stage_fixtures",)

LOCAL = Rules(TOKEN, ("https://good.example",), "127.0.0.1", is_local=True)
OPEN = Rules(TOKEN, ("https://good.example",), "0.0.0.0", is_local=False)
HERE = {"host": "127.0.0.1:7780"}
LAN = {"host": "192.168.1.5:7780"}
EVIL = {"host": "evil.example:7780"}


@pytest.mark.parametrize(
    ("rules", "path", "headers", "token", "status"),
    [
        (LOCAL, "/", HERE, "", None),
        (LOCAL, "/", {"host": "evil.example:7780"}, "", 403),
        (LOCAL, "/page/main.js", {"host": "akane.localhost:7780"}, "", None),
        (LOCAL, "/bus", HERE, "", None),
        (LOCAL, "/bus", {**HERE, "origin": "http://127.0.0.1:7780"}, "", None),
        (LOCAL, "/bus", {**HERE, "origin": "http://127.0.0.1:3000"}, "", 403),
        (LOCAL, "/bus", {**HERE, "origin": "https://127.0.0.1:7780"}, "", 403),
        (LOCAL, "/bus", {**HERE, "origin": "http://localhost:7780"}, "", 403),
        (LOCAL, "/bus", {**HERE, "origin": "null"}, "", 403),
        (LOCAL, "/bus", {**HERE, "origin": "https://evil.example"}, "", 403),
        (LOCAL, "/bus", {**HERE, "origin": "https://good.example"}, "", None),
        (LOCAL, "/bus", {**HERE, "origin": "https://evil.example"}, TOKEN, None),
        (LOCAL, "/bus", {**HERE, "origin": "https://evil.example"}, "guess", 401),
        (LOCAL, "/bus", HERE, "guess", 401),
        (LOCAL, "/bus", {"host": "evil.example:7780", "origin": "http://evil.example:7780"}, "", 403),
        (LOCAL, "/command/director.panic", HERE, "", 401),
        (LOCAL, "/command/director.panic", HERE, "guess", 401),
        (LOCAL, "/command/director.panic", HERE, TOKEN, None),
        (LOCAL, "/command/director.panic", {**HERE, "authorization": f"Bearer {TOKEN}"}, "", None),
        (LOCAL, "/command/director.panic", {**HERE, "authorization": "Bearer guess"}, TOKEN, 401),
        (LOCAL, "/control", HERE, "", 401),
        (LOCAL, "/control/panic", {**HERE, "origin": "http://127.0.0.1:7780"}, "", 401),
        (OPEN, "/", {"host": "192.168.1.5:7780"}, "", None),
        (OPEN, "/bus", {"host": "192.168.1.5:7780", "origin": "http://192.168.1.5:7780"}, "", 401),
        (OPEN, "/bus", {"host": "192.168.1.5:7780"}, TOKEN, None),
        (OPEN, "/bus", {"host": "h", "origin": "https://good.example"}, "", 401),
        (LOCAL, "/model.vrm", HERE, "", None),
        (LOCAL, "/model.vrm", {**HERE, "origin": "https://evil.example"}, "", 403),
        (OPEN, "/model.vrm", {"host": "192.168.1.5:7780"}, "", 401),
        (OPEN, "/model.vrm", {"host": "192.168.1.5:7780"}, TOKEN, None),
        (OPEN, "/control", {"host": "192.168.1.5:7780"}, "ключ", 401),
    ],
)  # fmt: skip
def test_who_passes(rules: Rules, path: str, headers: dict[str, str], token: str, status: int | None) -> None:
    peer = "127.0.0.1" if rules is LOCAL else "192.168.1.7"
    refusal = judge(rules, path, headers, token, peer)
    assert (refusal.status if refusal else None) == status


@pytest.mark.parametrize(
    ("rules", "headers", "peer", "status"),
    [
        (OPEN, HERE, "127.0.0.1", None),  # OBS beside a stage that is open for a phone
        (OPEN, {"host": "localhost:7780", "origin": "http://localhost:7780"}, "127.0.0.1", None),
        (OPEN, {"host": "[::1]:7780"}, "::1", None),
        (OPEN, HERE, "::ffff:127.0.0.1", None),
        (OPEN, HERE, "192.168.1.7", 401),  # a header is written by whoever asks
        (OPEN, HERE, "::ffff:192.168.1.7", 401),
        (OPEN, HERE, "", 401),
        (OPEN, LAN, "127.0.0.1", 401),
        (OPEN, EVIL, "127.0.0.1", 401),  # a foreign name that was pointed at this machine
        (OPEN, {**EVIL, "origin": "http://evil.example:7780"}, "127.0.0.1", 401),
        (OPEN, {"host": "0.0.0.0:7780"}, "127.0.0.1", 401),
        (OPEN, {}, "127.0.0.1", 401),
        (OPEN, {**HERE, "origin": "https://evil.example"}, "127.0.0.1", 403),
        (OPEN, {**HERE, "x-forwarded-for": "203.0.113.9"}, "127.0.0.1", 401),  # a proxy beside the stage
        (OPEN, {**HERE, "forwarded": "for=203.0.113.9"}, "127.0.0.1", 401),
        (LOCAL, {**HERE, "x-forwarded-for": "127.0.0.1"}, "127.0.0.1", 401),
        (LOCAL, HERE, "127.0.0.1", None),
        (Rules(TOKEN, (), "127.0.0.5", True), {"host": "127.0.0.5:7780"}, "127.0.0.5", None),
    ],
)
def test_who_is_at_this_machine(rules: Rules, headers: dict[str, str], peer: str, status: int | None) -> None:
    refusal = judge(rules, "/bus", headers, "", peer)
    assert (refusal.status if refusal else None) == status
    for path in ("/control", "/command/director.panic"):
        assert judge(rules, path, headers, "", peer) is not None
    assert judge(OPEN, "/bus", headers, TOKEN, peer) is None


def test_a_stage_that_is_open_for_a_phone_needs_no_token_beside_it(broker: BusSettings) -> None:
    """Over real sockets: headers do not make a client of another machine one of this machine, nor the reverse."""
    stage = Stage(broker, host="0.0.0.0")
    assert stage.url.startswith("http://127.0.0.1:")
    with stage.socket() as socket:
        assert read(socket, is_type("live"))
    for name, value in (("Host", "evil.example"), ("X-Forwarded-For", "127.0.0.1")):
        status, answer = stage.ask("model.vrm", None, None, **{name: value})
        assert (status, "token is needed" in answer["error"]) == (401, True)
        assert stage.ask("theme.json", None, None, **{name: value})[1]["refused"] == answer["error"]
    assert stage.ask("model.vrm")[0] == 404  # allowed, but there is none
    assert stage.ask("theme.json")[1]["refused"] == ""
    assert "is wrong" in stage.ask("theme.json?token=guess")[1]["refused"]
    stage.close()


INTERFACES = (
    ("lo", "127.0.0.1"), ("lo", "::1"), ("wlan0", "192.168.1.5"), ("wlan0", "fe80::1%wlan0"),
    ("eth0", "169.254.7.7"), ("eth0", "2001:db8::5"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("host", "pages"),
    [
        ("127.0.0.1", ["http://127.0.0.1:7780/"]),
        ("0.0.0.0", ["http://127.0.0.1:7780/", "http://192.168.1.5:7780/?token=a%26b"]),
        ("::", ["http://[::1]:7780/", "http://[2001:db8::5]:7780/?token=a%26b"]),
        ("192.168.1.5", ["http://192.168.1.5:7780/?token=a%26b"]),
        ("akane.lan", ["http://akane.lan:7780/?token=a%26b"]),
    ],
)
def test_links_lead_to_pages_that_can_be_opened(host: str, pages: list[str]) -> None:
    lines = links(StageSettings(host=host), "a&b", INTERFACES)
    assert [line.split()[-1] for line in lines if "her page" in line] == pages
    controls = [line.split()[-1] for line in lines if "control page" in line]
    assert controls == [f"{page.split('?')[0]}control?token=a%26b" for page in pages]
    assert (lines[-1] == PHONE) == (host == "127.0.0.1")


def test_a_foreign_page_gets_no_socket(stage: Stage) -> None:
    for origin in ("https://evil.example", "http://127.0.0.1:1"):
        with pytest.raises(InvalidStatus) as refused:
            stage.socket(origin=origin)
        assert refused.value.response.status_code == 403
        assert "need the token" in json.loads(refused.value.response.body)["error"]
    with stage.socket(f"topics=turn.state&token={TOKEN}", origin="https://evil.example") as socket:
        assert read(socket, is_type("live"))
    with stage.socket(origin=stage.url.rstrip("/")) as socket:
        assert read(socket, is_type("hello"))


def test_every_answer_forbids_foreign_content(stage: Stage) -> None:
    for path in ("", "captions", "chat", "status", "page/main.js", "theme.json", f"control?token={TOKEN}"):
        with urllib.request.urlopen(stage.url + path, timeout=10) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
            assert "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert stage.ask("control") == (401, {"error": "/control needs the token: ?token=…"})
    assert stage.ask("page/../service.py")[0] == 404
    assert stage.ask("page/%2e%2e/service.py")[0] == 404


def test_pages_have_no_script_and_no_style_inside() -> None:
    for name in PAGES.values():
        text = (PAGE / f"{name}.html").read_text("utf-8")
        assert "style=" not in text
        assert "<style" not in text
        assert "<script>" not in text
        assert not re.search(r"\son\w+=", text)


def test_a_token_is_made_once_for_its_owner_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AKANE_STATE", str(tmp_path / "state"))
    made = token_of(StageSettings())
    assert len(made) >= 32
    assert token_of(StageSettings()) == made
    assert stat.S_IMODE(token_path().stat().st_mode) == 0o600
    assert token_of(StageSettings(token="mine")) == "mine"
    token_path().write_text("\n")
    with pytest.raises(TokenError, match="is empty: delete it"):
        token_of(StageSettings())
    monkeypatch.setenv("AKANE_STATE", "/proc/nowhere")
    with pytest.raises(TokenError, match="cannot be used"):
        token_of(StageSettings())


def test_the_token_is_shown_on_request_and_never_logged(
    broker: BusSettings, open_bus: OpenBus, capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("sys.argv", ["services.stage", "--link", "--set", f"stage.token={TOKEN}"])
    monkeypatch.delenv("AKANE_STAGE_PORT")
    assert guarded("stage", main) == 0
    printed = capsys.readouterr().out
    assert f" http://127.0.0.1:7780/control?token={TOKEN}\n" in printed
    assert " http://127.0.0.1:7780/\n" in printed
    watcher = open_bus("watcher", "sys.health")
    with caplog.at_level(logging.DEBUG):
        stage = Stage(broker)
        with stage.socket(f"token={TOKEN}") as socket:
            read(socket, is_type("live"))
        stage.ask(f"control/health?token={TOKEN}")
        beats = until(watcher, lambda items: any(each.payload.phase == "ready" for each in items))
        stage.close()
    said = [each.payload.detail for each in beats if each.source == "stage"]
    assert any("--link" in detail for detail in said)
    assert not any(TOKEN in detail for detail in said)
    ours = [
        each.getMessage()
        for each in caplog.records
        if each.name.startswith(("uvicorn", "services", "shared"))
    ]
    assert not any(TOKEN in line for line in ours)


def test_a_taken_port_is_one_sentence(broker: BusSettings) -> None:
    taken = listen("stage", "127.0.0.1", 0)
    port = taken.getsockname()[1]
    settings = Settings(stage=StageSettings(port=port, token=TOKEN))
    (row,) = StageService.check(settings)
    assert (row.ok, bool(row.fix)) == (False, True)
    assert "held by process" in row.detail
    with pytest.raises(StartError, match="The stage cannot listen at"):
        Stage(broker, port=port)
    taken.close()
    (row,) = StageService.check(settings)
    assert (row.ok, row.detail) == (True, f"http://127.0.0.1:{port}/")
