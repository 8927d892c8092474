"""Who may come in, by key, Host and Origin; and what the door refuses to be started as."""

from __future__ import annotations

import http.client
import logging
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
from door_helpers import ANY_PORT, Running, client_of, settings_for, url_of
from waiting import until_true

from services.api.__main__ import main
from services.api.access import Rules, judge
from services.api.service import ApiService
from services.llm.service import LlmService
from shared.broker import Broker
from shared.config import ApiSettings, ConfigError, Settings, load_settings, validate
from shared.service import guarded
from shared.web import listen

pytest_plugins = ("door_fixtures",)

LOCAL = Rules(keys=(), origins=("https://good.example",), host="127.0.0.1", is_local=True)
KEYED = Rules(keys=("open sesame", "k2"), origins=(), host="0.0.0.0", is_local=False)
LOCAL_KEYED = Rules(keys=("k",), origins=(), host="127.0.0.1", is_local=True)


@pytest.mark.parametrize(
    ("rules", "path", "headers", "status"),
    [
        (LOCAL, "/v1/models", {"host": "127.0.0.1:7710"}, None),
        (LOCAL, "/v1/models", {"host": "localhost"}, None),
        (LOCAL, "/v1/models", {"host": "[::1]:7710"}, None),
        (LOCAL, "/v1/models", {"host": "akane.localhost:7710"}, None),
        (LOCAL, "/v1/models", {"host": "evil.example:7710"}, 403),
        (LOCAL, "/v1/models", {"host": "127.0.0.1.evil.example"}, 403),
        (LOCAL, "/v1/models", {"host": "[::bad"}, 403),
        (LOCAL, "/v1/models", {}, 403),
        (LOCAL, "/health", {"host": "evil.example"}, 403),
        (LOCAL, "/v1/models", {"host": "localhost", "origin": "https://evil.example"}, 403),
        (LOCAL, "/v1/models", {"host": "localhost", "origin": "null"}, 403),
        (LOCAL, "/v1/models", {"host": "localhost", "origin": "https://localhost.evil.example"}, 403),
        (LOCAL, "/v1/models", {"host": "localhost", "origin": "https://good.example"}, None),
        (LOCAL, "/v1/models", {"host": "localhost", "origin": "http://localhost:3000"}, None),
        (LOCAL, "/v1/models", {"host": "localhost", "authorization": "Bearer whatever"}, None),
        (KEYED, "/v1/models", {"host": "ai.example"}, 401),
        (KEYED, "/v1/models", {"host": "ai.example", "authorization": "Bearer open sesame"}, None),
        (KEYED, "/v1/models", {"host": "ai.example", "authorization": "bearer k2"}, None),
        (KEYED, "/v1/models", {"host": "ai.example", "authorization": "Basic k2"}, 401),
        (KEYED, "/v1/models", {"host": "ai.example", "authorization": "Bearer k"}, 401),
        (KEYED, "/v1/models", {"host": "ai.example", "authorization": "Bearer "}, 401),
        (KEYED, "/v1/models", {"host": "ai.example", "authorization": "Bearer ключ"}, 401),
        (KEYED, "/metrics", {"host": "ai.example"}, 401),
        (KEYED, "/health", {"host": "ai.example"}, None),
        (LOCAL_KEYED, "/v1/models", {"host": "proxied.example", "authorization": "Bearer k"}, None),
        (LOCAL_KEYED, "/v1/models", {"host": "localhost"}, 401),
    ],
)
def test_who_passes(rules: Rules, path: str, headers: dict[str, str], status: int | None) -> None:
    refusal = judge(rules, path, headers)
    assert (refusal.status if refusal else None) == status


@pytest.fixture(scope="module")
def keyed(tiny: Any) -> Iterator[str]:
    """A door that wants a key and knows one page."""
    settings = settings_for(tiny, keys=["sesame"], origins=["https://page.example"])
    with Broker(ANY_PORT) as broker, Running(broker.settings) as services:
        services.start(LlmService, settings)
        opened, _ = services.start(ApiService, settings)
        with client_of(url_of(opened), key="sesame") as client:
            until_true(lambda: client.models.list().data)
        yield url_of(opened)


def test_the_key_opens(keyed: str) -> None:
    with client_of(keyed, key="sesame") as client:
        assert client.models.list().data[0].id == "tiny"
    with client_of(keyed, key="wrong") as client:
        with pytest.raises(openai.AuthenticationError, match="The API key is wrong") as refused:
            client.models.list()
        assert refused.value.code == "invalid_api_key"
        with pytest.raises(openai.AuthenticationError):
            client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "Hi"}])


def asked(url: str, method: str, path: str, **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    connection.request(
        method, path, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    return connection.getresponse()


def test_a_known_page_may_ask_before_it_asks(keyed: str) -> None:
    answer = asked(
        keyed, "OPTIONS", "/v1/chat/completions", Origin="https://page.example",
        Access_Control_Request_Method="POST", Access_Control_Request_Headers="authorization,content-type",
    )  # fmt: skip
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "https://page.example"
    assert answer.headers["Access-Control-Allow-Headers"] == "authorization,content-type"
    answer = asked(keyed, "GET", "/v1/models", Origin="https://page.example", Authorization="Bearer sesame")
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "https://page.example"


def test_a_foreign_page_learns_nothing(keyed: str) -> None:
    for method in ("OPTIONS", "GET"):
        answer = asked(
            keyed, method, "/v1/models", Origin="https://evil.example", Authorization="Bearer sesame"
        )
        assert answer.status in (401, 403)
        assert answer.headers["Access-Control-Allow-Origin"] is None


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    """`start(*arguments)`: exit status and what was printed to standard error."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["services.api", *arguments])
        status = guarded("api", main)
        return status, capsys.readouterr().err

    yield run
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("mode", [(), ("--standalone",)])
def test_open_to_others_without_a_key_does_not_start(start: Any, mode: tuple[str, ...]) -> None:
    with Broker(ANY_PORT) as broker:
        places = [part for key, value in broker.settings for part in ("--set", f"bus.{key}={value}")]
        status, said = start(*mode, *places, "--set", "api.host=0.0.0.0")
    assert status == 2
    assert said.startswith("api: api.host is '0.0.0.0', which other machines can reach: set api.keys")
    assert said.count("\n") == 1


@pytest.mark.parametrize("mode", [(), ("--standalone",)])
def test_a_taken_port_is_named_with_its_holder(start: Any, mode: tuple[str, ...]) -> None:
    taken = listen("api", "127.0.0.1", 0)
    with Broker(ANY_PORT) as broker:
        places = [part for key, value in broker.settings for part in ("--set", f"bus.{key}={value}")]
        status, said = start(*mode, *places, "--set", f"api.port={taken.getsockname()[1]}")
    taken.close()
    assert status == 2
    assert "held by process" in said
    assert said.count("\n") == 1


def test_a_host_that_is_not_here_is_one_sentence(start: Any) -> None:
    status, said = start("--standalone", "--set", "api.host=203.0.113.7", "--set", "api.keys=k")
    assert status == 2
    assert "The api cannot listen at 203.0.113.7:7710" in said


def test_an_empty_key_is_no_key() -> None:
    (open_to_all,) = ApiService.check(load_settings(None, ["api.host=0.0.0.0", "api.keys=,"], env={}))
    assert "set api.keys" in open_to_all.detail
    with pytest.raises(ConfigError, match="keys"):
        validate(Settings, {"api": {"keys": [""]}}, "a file")


def test_check_says_where_it_would_listen() -> None:
    (good,) = ApiService.check(Settings(api=ApiSettings(port=0)))
    assert good.ok
    assert good.detail.startswith("http://127.0.0.1:")
    (bad,) = ApiService.check(Settings(api=ApiSettings(host="0.0.0.0", port=0)))
    assert (bad.ok, bool(bad.fix)) == (False, True)
