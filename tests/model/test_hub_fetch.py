"""Models of the hub, fetched from a hub on this machine that speaks its protocol and misbehaves on demand."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import torch
from hub_server import COMMIT, LARGE, Hub, serving
from weights_helpers import expected, hub_folder, write_gguf

from shared.model import hub_client, hub_fetch
from shared.model.errors import ModelError
from shared.model.fetch import ensure_model, is_present
from shared.model.hub_fetch import ensure_hub, hub_dir, hub_present
from shared.model.hub_name import HubName, parse_hub_name
from shared.model.loading import load_model

REPOSITORY = "org/tiny"
WEIGHTS = os.urandom(3 << 20)
SMALL = ("config.json", "tokenizer.json", "tokenizer_config.json")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub whose large files lie on another host (name), as they do in the world."""
    monkeypatch.setenv("AKANE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    hub = Hub()
    folder = hub_folder("llama", tmp_path / "made")
    hub.repositories[REPOSITORY] = {
        path.name: path.read_bytes() for path in folder.iterdir() if path.name != "expected.safetensors"
    }
    hub.repositories[REPOSITORY] |= {"README.md": b"hello", "pytorch_model.bin": os.urandom(LARGE)}
    hub.repositories["org/tiny-GGUF"] = {
        "tiny-q4_k_m.gguf": WEIGHTS,
        "tiny-q8_0.gguf": WEIGHTS[::-1],
        "sub/tiny-f16-00001-of-00002.gguf": b"G" * LARGE,
    }
    with serving(hub) as address:
        hub.elsewhere = address.replace("127.0.0.1", "localhost")
        monkeypatch.setenv("HF_ENDPOINT", address)
        yield hub


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client would have waited; it never does."""
    waited: list[float] = []
    monkeypatch.setattr(hub_client.time, "sleep", waited.append)
    monkeypatch.setattr(hub_client.HubClient.__init__, "__defaults__", (waited.append,))
    return waited


def name(text: str) -> HubName:
    found = parse_hub_name(text)
    assert found is not None
    return found


GGUF = name("org/tiny-GGUF:Q4_K_M")


def left(folder: Path) -> set[str]:
    """What lies in the cache of a repository, the lock and records apart."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix not in (".json", "")}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("org/name", HubName("org/name")),
        ("Qwen/Qwen3-4B-GGUF:Q4_K_M", HubName("Qwen/Qwen3-4B-GGUF", "Q4_K_M")),
        ("org/name:a/b-q8.gguf@v1.0", HubName("org/name", "a/b-q8.gguf", "v1.0")),
        ("org/name@refs/pr/1", HubName("org/name", "", "refs/pr/1")),
        ("smollm2-135m", None),
        ("models/tiny.gguf", None),
        ("./org/name", None),
        ("a/b/c", None),
        ("../name", None),
        ("org/name:../../x.gguf", None),
        ("org/name:a//b.gguf", None),
        ("org/name:tiny.bin", None),
        ("org/name@../x", None),
        ("org/name@", None),
        ("org/na me", None),
        ("C:\\models\\x", None),
    ],
)
def test_names_of_the_hub(text: str, named: HubName | None) -> None:
    assert parse_hub_name(text) == named
    if named is not None:
        assert str(named) == text


def test_a_repository_of_safetensors_comes_whole_and_runs(hub: Hub) -> None:
    steps: list[tuple[str, int, int]] = []
    path = ensure_hub(name(REPOSITORY), progress=lambda *step: steps.append(step))
    assert {file.name for file in path.iterdir()} == {*SMALL, "model.safetensors"}
    assert path.name == COMMIT
    size = len(hub.repositories[REPOSITORY]["model.safetensors"])
    assert ("downloading", size, size) in steps
    assert steps[-1] == ("checking", size, size)
    ids, logits = expected("llama")
    loaded = load_model(REPOSITORY, device="cpu", dtype="float32", offline=True)
    assert torch.allclose(loaded.model(ids), logits, atol=1e-4)
    assert loaded.name == REPOSITORY


@pytest.mark.parametrize("wanted", ["Q4_K_M", "q4_k_m", "tiny-q4_k_m.gguf"])
def test_one_file_is_named_by_its_quantisation_or_its_name(wanted: str, hub: Hub) -> None:
    path = ensure_hub(name(f"org/tiny-GGUF:{wanted}"))
    assert path.name == "tiny-q4_k_m.gguf"
    assert path.read_bytes() == WEIGHTS


def test_what_was_fetched_needs_no_network(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not hub_present(GGUF)
    path = ensure_hub(GGUF)
    seen = len(hub.seen)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert hub_present(GGUF)
    assert ensure_hub(GGUF, offline=True) == ensure_hub(GGUF) == path
    assert len(hub.seen) == seen
    with pytest.raises(ModelError, match="is not on this machine yet: connect"):
        ensure_hub(name("org/tiny-GGUF:Q8_0"), offline=True)


def test_another_name_of_the_same_file_downloads_nothing(hub: Hub) -> None:
    first = ensure_hub(GGUF)
    fetched = len(hub.asked("/store/"))
    assert ensure_hub(name("org/tiny-GGUF:tiny-q4_k_m.gguf")) == first
    assert len(hub.asked("/store/")) == fetched


def test_a_revision_is_asked_for_by_its_name(hub: Hub) -> None:
    ensure_hub(name(f"org/tiny-GGUF:Q8_0@{COMMIT}"))
    ensure_hub(name("org/tiny-GGUF:Q8_0@refs/pr/1"))
    assert hub.asked(f"/revision/{COMMIT}")
    assert hub.asked("/revision/refs/pr/1")
    with pytest.raises(ModelError, match="org/tiny-GGUF has no revision 'v9'"):
        ensure_hub(name("org/tiny-GGUF:Q8_0@v9"))


def test_a_cut_stream_goes_on_where_it_stopped(hub: Hub, waits: list[float]) -> None:
    hub.cut_after = [1 << 20, 100_000]
    assert ensure_hub(GGUF).read_bytes() == WEIGHTS
    ranges = [headers.get("range") for headers in hub.asked("/store/")]
    assert ranges == [None, f"bytes={1 << 20}-", f"bytes={(1 << 20) + (1 << 16)}-"]
    assert len(waits) == 2


def test_the_next_start_goes_on_too(hub: Hub) -> None:
    hub.cut_after = [1 << 20, 0, 0, 0, 0, 0]
    with pytest.raises(ModelError, match=r"\(the connection was cut\): .* What is here already is kept\.$"):
        ensure_hub(GGUF)
    assert left(hub_dir(GGUF)) == {f"{COMMIT}/tiny-q4_k_m.gguf.part"}
    hub.seen.clear()
    assert ensure_hub(GGUF).read_bytes() == WEIGHTS
    assert [headers.get("range") for headers in hub.asked("/store/")] == [f"bytes={1 << 20}-"]
    assert left(hub_dir(GGUF)) == {f"{COMMIT}/tiny-q4_k_m.gguf"}


def test_a_server_without_ranges_is_asked_for_all_of_it(hub: Hub) -> None:
    hub.ranges = False
    hub.cut_after = [1 << 20]
    assert ensure_hub(GGUF).read_bytes() == WEIGHTS


def test_a_leftover_of_other_content_is_found_and_removed(hub: Hub) -> None:
    part = hub_dir(GGUF) / COMMIT / "tiny-q4_k_m.gguf.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)
    with pytest.raises(ModelError, match="is not what the hub announces .* was removed: start again"):
        ensure_hub(GGUF)
    assert left(hub_dir(GGUF)) == set()
    assert ensure_hub(GGUF).read_bytes() == WEIGHTS


@pytest.mark.parametrize("size", [len(WEIGHTS), len(WEIGHTS) + 1])
def test_a_leftover_as_large_as_the_file_is_checked_or_dropped(size: int, hub: Hub) -> None:
    part = hub_dir(GGUF) / COMMIT / "tiny-q4_k_m.gguf.part"
    part.parent.mkdir(parents=True)
    part.write_bytes((WEIGHTS + b"x")[:size])
    assert ensure_hub(GGUF).read_bytes() == WEIGHTS
    assert len(hub.asked("/store/")) == (0 if size == len(WEIGHTS) else 1)


@pytest.mark.parametrize("file", ["tiny-q4_k_m.gguf", "config.json"])
def test_other_content_than_announced_is_never_kept(file: str, hub: Hub) -> None:
    wanted = GGUF if file.endswith("gguf") else name(REPOSITORY)
    right = hub.repositories[wanted.repository][file]
    hub.altered[file] = bytes([right[0] ^ 1]) + right[1:]
    with pytest.raises(ModelError, match=f"as {file} is not what the hub announces"):
        ensure_hub(wanted)
    assert left(hub_dir(wanted)) == set()
    assert not hub_present(wanted)


def test_a_file_that_does_not_end_is_left(hub: Hub) -> None:
    hub.altered["tiny-q4_k_m.gguf"] = WEIGHTS * 2
    with pytest.raises(ModelError, match="sends more of tiny-q4_k_m.gguf than it announces"):
        ensure_hub(GGUF)
    assert left(hub_dir(GGUF)) == set()


def test_a_pinned_hash_is_believed_more_than_the_hub(hub: Hub) -> None:
    right = hashlib.sha256(WEIGHTS).hexdigest()
    with pytest.raises(ModelError, match="has another tiny-q4_k_m.gguf than is known here"):
        ensure_hub(GGUF, sha256="0" * 64)
    assert not hub.asked("/store/")
    assert ensure_hub(GGUF, sha256=right).read_bytes() == WEIGHTS


def test_a_file_of_another_kind_is_taken_by_its_exact_path(hub: Hub) -> None:
    style = os.urandom(5000)
    hub.repositories["org/voice"] = {"voices/one.bin": style, "onnx/model.onnx": b"x"}
    right = hashlib.sha256(style).hexdigest()
    with pytest.raises(ModelError, match=r"voices/two.bin is not there"):
        ensure_hub(HubName("org/voice", "voices/two.bin"), sha256=right)
    assert ensure_hub(HubName("org/voice", "voices/one.bin"), sha256=right).read_bytes() == style


@pytest.mark.parametrize(
    ("refusal", "token", "says"),
    [
        (
            (401, "GatedRepo"),
            "",
            "is gated: accept its licence at https://huggingface.co/org/tiny-GGUF and set HF_TOKEN",
        ),
        ((403, "GatedRepo"), "hf_x", "is gated: accept .* with the account of HF_TOKEN"),
        ((401, ""), "", "no model org/tiny-GGUF on 127.0.0.1:.*needs HF_TOKEN"),
        ((404, "RepoNotFound"), "hf_x", "no model .*the token in HF_TOKEN may not read it"),
        ((404, "EntryNotFound"), "", "is not all there"),
        ((418, ""), "", "answers 418"),
    ],
)
def test_a_refusal_is_one_sentence(
    refusal: tuple[int, str], token: str, says: str, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    hub.refuse["org/tiny-GGUF"] = refusal
    with pytest.raises(ModelError, match=says) as failure:
        ensure_hub(GGUF)
    assert "\n" not in str(failure.value)


def test_a_model_that_does_not_exist_is_named(hub: Hub) -> None:
    with pytest.raises(ModelError, match="There is no model org/none on 127.0.0.1"):
        ensure_hub(name("org/none"))


def test_the_token_is_shown_to_the_hub_alone(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    ensure_hub(GGUF)
    assert {headers.get("authorization") for headers in hub.asked("/resolve/")} == {"Bearer hf_secret"}
    assert {headers.get("authorization") for headers in hub.asked("/store/")} == {None}


def test_the_token_is_not_shown_without_encryption(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.example")
    assert "Authorization" not in hub_client.HubClient()._session.headers
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example/")
    assert hub_client.HubClient()._session.headers["Authorization"] == "Bearer hf_secret"
    monkeypatch.setenv("HF_TOKEN", "two\nlines")
    with pytest.raises(ModelError, match="HF_TOKEN is not a token"):
        hub_client.HubClient()


def test_a_busy_hub_is_waited_for(hub: Hub, waits: list[float]) -> None:
    hub.broken = [503, 429, 500]
    assert ensure_hub(GGUF).read_bytes() == WEIGHTS
    assert waits == sorted(waits)
    assert len(waits) == 3


def test_without_a_network_one_sentence_soon(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match=r"127.0.0.1:9 \(it cannot be reached\): connect to the network"):
        ensure_hub(GGUF)
    assert sum(waits) <= 2


@pytest.mark.parametrize("endpoint", ["ftp://x", "hub.example", "file:///etc", "https://"])
def test_a_wrong_endpoint_is_named(endpoint: str, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(ModelError, match="HF_ENDPOINT is .*must be an http"):
        ensure_hub(GGUF)


@pytest.mark.parametrize(
    "answer", [b"<html>", b"[1]", b"{}", b'{"sha": "main", "siblings": []}', b"[" * 99_999, b'{"sha": 1}']
)
def test_an_answer_that_is_no_listing_is_refused(answer: bytes, hub: Hub) -> None:
    hub.answer = answer
    with pytest.raises(ModelError, match="did not answer as a hub does"):
        ensure_hub(GGUF)


HOSTILE = [
    "../../x.gguf",
    "/etc/x.gguf",
    "a/../x.gguf",
    "..\\x.gguf",
    "C:x.gguf",
    "a\nb.gguf",
    "x.gguf ",
    "./x.gguf",
]


def test_names_that_lead_out_of_the_folder_are_not_listed(hub: Hub, tmp_path: Path) -> None:
    sha256 = hashlib.sha256(WEIGHTS).hexdigest()
    for path in [*HOSTILE, 7, None, "x" * 300 + ".gguf"]:
        hub.extra.append({"rfilename": path, "size": 5000, "lfs": {"sha256": sha256}})
    hub.extra += [3, {}, {"rfilename": "n.gguf", "size": -1}, {"rfilename": "n.gguf", "size": 5}]
    hub.extra += [
        {"rfilename": "n.gguf", "size": 5, "lfs": {"sha256": "no"}},
        {"rfilename": "n.gguf", "blobId": 3},
    ]
    listing = hub_client.HubClient().listing(GGUF)
    assert set(listing.files) == set(hub.repositories["org/tiny-GGUF"])


def test_an_index_may_not_name_what_it_likes(hub: Hub) -> None:
    files = hub.repositories[REPOSITORY]
    for shard in ("../outside.safetensors", "pytorch_model.bin", "model-1-of-9.safetensors", 5):
        files["model.safetensors.index.json"] = json.dumps({"weight_map": {"w": shard}}).encode()
        shutil.rmtree(hub_dir(name(REPOSITORY)), ignore_errors=True)
        with pytest.raises(ModelError, match="which its index names"):
            ensure_hub(name(REPOSITORY))
    assert not hub.asked("/store/")


def test_shards_come_with_their_index(hub: Hub) -> None:
    files = hub.repositories[REPOSITORY]
    files["model-00001-of-00001.safetensors"] = files.pop("model.safetensors")
    index = {"weight_map": {"w": "model-00001-of-00001.safetensors"}}
    files["model.safetensors.index.json"] = json.dumps(index).encode()
    path = ensure_hub(name(REPOSITORY))
    ids, logits = expected("llama")
    assert torch.allclose(load_model(str(path), device="cpu", dtype="float32").model(ids), logits, atol=1e-4)


def without(*names: str) -> Callable[[dict[str, bytes]], object]:
    return lambda files: [files.pop(file) for file in names]


def config(**changes: Any) -> Callable[[dict[str, bytes]], object]:
    def change(files: dict[str, bytes]) -> None:
        files["config.json"] = json.dumps({**json.loads(files["config.json"]), **changes}).encode()

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (without("config.json"), "has no config.json"),
        (without("tokenizer.json"), "has no tokenizer.json"),
        (without("model.safetensors"), "no safetensors and no GGUF file"),
        (config(model_type="gpt2"), "type 'gpt2', not one of"),
        (config(auto_map={"AutoModel": "evil.Model"}, model_type="evil"), "type 'evil'"),
        (lambda files: files.update({"tokenizer.json": b"{}"}), "not byte-level BPE"),
    ],
)
def test_a_model_that_cannot_run_is_refused_before_its_weights_are_fetched(
    change: Callable[[dict[str, bytes]], object], says: str, hub: Hub
) -> None:
    change(hub.repositories[REPOSITORY])
    with pytest.raises(ModelError, match=says):
        ensure_hub(name(REPOSITORY))
    assert not any("model.safetensors" in path for path, _ in hub.seen)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "org/tiny-GGUF",
            "has GGUF files: choose one of org/tiny-GGUF:tiny-q4_k_m.gguf, org/tiny-GGUF:tiny-q8_0",
        ),
        ("org/tiny-GGUF:Q2_K", "is not there: choose one of"),
        ("org/tiny-GGUF:tiny.gguf", "is not there: choose one of"),
        ("org/tiny-GGUF:F16", "is split into several files"),
        ("org/tiny:Q4_K_M", "is not there: it has no GGUF file"),
    ],
)
def test_a_file_that_is_not_there_gets_the_choice(text: str, says: str, hub: Hub) -> None:
    with pytest.raises(ModelError, match=says):
        ensure_hub(name(text))


def test_two_files_of_one_quantisation_are_a_question(hub: Hub) -> None:
    hub.repositories["org/tiny-GGUF"]["other-q4_k_m.gguf"] = WEIGHTS
    with pytest.raises(ModelError, match="names more than one file: choose one of"):
        ensure_hub(GGUF)


def test_a_disk_without_room_is_found_before(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(hub_fetch.shutil, "disk_usage", lambda _: usage(0, 0, 1 << 20))
    with pytest.raises(
        ModelError, match="needs 0.0 GB more .* make room, or move the cache with AKANE_CACHE"
    ):
        ensure_hub(GGUF)
    assert not hub.asked("/store/")


def test_a_disk_that_fills_up_keeps_what_is_there(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(hub_client.os, "fsync", full)
        with pytest.raises(ModelError, match="is full: make room and start again, it goes on there"):
            ensure_hub(GGUF)
    assert left(hub_dir(GGUF)) == {f"{COMMIT}/tiny-q4_k_m.gguf.part"}
    assert ensure_hub(GGUF).read_bytes() == WEIGHTS


def test_a_changed_file_is_found(hub: Hub) -> None:
    path = ensure_hub(GGUF)
    path.write_bytes(WEIGHTS[:-1] + b"!")
    with pytest.raises(ModelError, match="was changed since it was fetched: delete it and start again"):
        ensure_hub(GGUF)
    path.unlink()
    assert ensure_hub(GGUF).read_bytes() == WEIGHTS


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"name": "org/tiny-GGUF:Q4_K_M", "commit": "../..", "path": "", "files": []}']
)
def test_a_damaged_record_means_to_fetch_again(text: str, hub: Hub) -> None:
    path = ensure_hub(GGUF)
    record = next(file for file in hub_dir(GGUF).glob("*.json"))
    record.write_text(text, encoding="utf-8")
    assert ensure_hub(GGUF) == path


def test_two_at_once_download_once(hub: Hub) -> None:
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(ensure_hub(GGUF))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 3
    assert len(set(found)) == 1
    assert len(hub.asked("/store/")) == 1


def test_fetch_and_load_take_a_hub_name(hub: Hub, tmp_path: Path) -> None:
    hub.repositories["org/real-GGUF"] = {
        "real-F32.gguf": write_gguf(tmp_path / "x.gguf", "qwen2").read_bytes()
    }
    assert not is_present("org/real-GGUF:F32")
    path = ensure_model("org/real-GGUF:F32")
    assert is_present("org/real-GGUF:F32")
    ids, logits = expected("qwen2")
    loaded = load_model("org/real-GGUF:F32", device="cpu", dtype="float32", offline=True)
    assert loaded.path == path
    assert torch.allclose(loaded.model(ids), logits, atol=1e-4)


def test_the_fetch_command_fetches_from_the_hub(hub: Hub) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shared.model.fetch", "org/tiny-GGUF:Q8_0"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "downloading: 3 of 3 MB" in done.stderr
    assert "tiny-q8_0.gguf" in done.stdout


def test_errors_of_the_http_library_are_named() -> None:
    reasons = {
        requests.exceptions.SSLError(): "certificate",
        requests.exceptions.ProxyError(): "proxy",
        requests.exceptions.ReadTimeout(): "in time",
        requests.exceptions.TooManyRedirects(): "TooManyRedirects",
    }
    for error, says in reasons.items():
        assert says in hub_client._reason(error)
