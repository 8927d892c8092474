"""Where the pages are: addresses to open here, and those for a phone, which carry the token."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Iterator
from urllib.parse import urlencode

import psutil

from shared.config import StageSettings
from shared.web import is_local

PHONE = 'Only this machine can open these: for a phone set stage.host = "0.0.0.0".'


def is_everywhere(host: str) -> bool:
    """`0.0.0.0`, `::` or nothing: the stage listens at every address, and this one names none."""
    try:
        return not host or ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def address_of(host: str, port: int) -> str:
    """`http://127.0.0.1:7780/`: how this machine calls a stage that listens at `host`."""
    if is_everywhere(host):
        host = "::1" if ":" in host else "127.0.0.1"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def interfaces() -> Iterator[tuple[str, str]]:
    """Name and address of each network interface that is up."""
    states = psutil.net_if_stats()
    for name, addresses in psutil.net_if_addrs().items():
        if name in states and states[name].isup:
            for each in addresses:
                if each.family in (socket.AF_INET, socket.AF_INET6):
                    yield name, each.address


def network_places(host: str, found: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Of the interfaces `found`: name and address of those at which other machines reach `host`."""
    if is_local(host):
        return []
    if not is_everywhere(host):
        return [("", host)]
    places = []
    for name, text in found:
        address = ipaddress.ip_address(text.partition("%")[0])
        is_useful = not (address.is_loopback or address.is_link_local)
        if is_useful and address.version == (6 if ":" in host else 4):
            places.append((name, str(address)))
    return places


def links(settings: StageSettings, token: str, found: Iterable[tuple[str, str]]) -> list[str]:
    """The lines of `--link`; on loopback her page needs no token, anywhere else it does."""
    query = "?" + urlencode({"token": token})

    def pages(place: str, page_query: str) -> list[str]:
        return [f"  her page      {place}{page_query}", f"  control page  {place}control{query}"]

    places = network_places(settings.host, found)
    lines = []
    if is_local(settings.host) or is_everywhere(settings.host):
        lines += ["On this machine:", *pages(address_of(settings.host, settings.port), "")]
    for name, host in places:
        title = f"From other machines ({name}):" if name else "From this and other machines:"
        lines += [title, *pages(address_of(host, settings.port), query)]
    return lines if places else [*lines, PHONE]
