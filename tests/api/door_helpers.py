"""Services in threads, and clients for their door."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import openai

from shared.bus import Bus, Message
from shared.config import ApiSettings, BusSettings, LlmSettings, Settings
from shared.service import Service, StopSignal, serve

START_S = 60.0
ANY_PORT = BusSettings(
    publish="tcp://127.0.0.1:*", subscribe="tcp://127.0.0.1:*", commands="tcp://127.0.0.1:*"
)


def free_ports(count: int) -> list[int]:
    """Ports that nobody holds now."""
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in servers]
    for server in servers:
        server.close()
    return ports


class Running:
    """Services in threads of this process, each on its own Bus; they end with the test."""

    def __init__(self, bus: BusSettings) -> None:
        self.bus = bus
        self._started: list[tuple[threading.Thread, StopSignal]] = []
        self._watcher = Bus.open("watcher", ("sys.health",), settings=bus)

    def start(self, kind: type[Service], settings: Settings) -> tuple[Service, StopSignal]:
        """A service that is ready, and what makes it leave."""
        stop = StopSignal()
        made: list[Service] = []
        values = settings.model_copy(update={"bus": self.bus})
        thread = threading.Thread(
            target=serve,
            args=(kind, values, stop),
            kwargs={"opened": made.append, "wait_s": 30.0},
            daemon=True,
        )
        thread.start()
        self._started.append((thread, stop))
        for item in self._watcher.events(START_S):
            if isinstance(item, Message) and made and item.session == made[0].bus.session:
                assert item.payload.phase != "stopping"
                if item.payload.phase in ("ready", "degraded"):
                    return made[0], stop
        raise AssertionError(f"{kind.name} did not become ready")

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        for _, stop in reversed(self._started):
            stop.set()
        for thread, _ in self._started:
            thread.join(15)
            assert not thread.is_alive()
        self._watcher.close(linger_ms=0)


def url_of(service: Service) -> str:
    """Where that door listens."""
    return service.detail


def client_of(url: str, key: str = "none") -> openai.OpenAI:
    """The official client, without its patience."""
    return openai.OpenAI(base_url=url, api_key=key, max_retries=0, timeout=30)


def settings_for(tiny: Path | str, **api: Any) -> Settings:
    """A tiny model of three slots, a door on a free port."""
    llm = LlmSettings(
        model=str(tiny), threads=1, dtype="float32", device="cpu", slots=3, queue_limit=2, context=1024
    )
    return Settings(llm=llm, api=ApiSettings(**{"port": 0, **api}))
