"""Datasets of the hub, from a hub on this machine: listed page by page, streamed file by file into shards."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hub_server import Hub, serving

from shared.model import hub_client
from shared.model.errors import ModelError
from shared.model.hub_client import HubClient
from shared.model.hub_listing import HubFile
from shared.model.hub_name import HubName
from training import tokenise
from training.shards import sources, streaming
from training.shards.manifest import read_manifest
from training.shards.ranks import write_ranks

REPOSITORY = "org/web"
FOLDER = "sample/10BT"
TEXTS = [[f"document {i} of file {number} " * (i % 7 + 1) for i in range(90)] for number in range(5)]


def parquet(texts: list[str]) -> bytes:
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(
        pa.table({"text": texts, "id": texts}), buffer, row_group_size=30, compression="none"
    )
    return buffer.getvalue()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("AKANE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    monkeypatch.setattr(hub_client.HubClient.__init__, "__defaults__", (lambda seconds: None,))
    monkeypatch.setitem(sources.HUB, "fineweb", f"{REPOSITORY}/{FOLDER}")
    hub = Hub()
    hub.repositories[REPOSITORY] = {
        **{f"{FOLDER}/00{number}.parquet": parquet(texts) for number, texts in enumerate(TEXTS)},
        f"{FOLDER}/README.md": b"no text of it",
        "data/CC-MAIN-2024-10/000.parquet": parquet(["another folder"] * 30),
        "sample/notes/a.md": b"no",
    }
    with serving(hub) as address:
        hub.elsewhere = address.replace("127.0.0.1", "localhost")
        monkeypatch.setenv("HF_ENDPOINT", address)
        yield hub


def run(tmp_path: Path, source: str, *flags: str) -> int:
    ranks = tmp_path / "bytes.tiktoken"
    if not ranks.exists():
        write_ranks(ranks, {bytes([one]): one for one in range(256)})
    common = ["--tokenizer", str(ranks), "--processes", "1", "--validation", "0.3"]
    return tokenise.main(["--source", source, "--out", str(tmp_path / "out"), *common, *flags])


def documents(folder: Path) -> list[str]:
    manifest = read_manifest(folder)
    data = np.concatenate([np.fromfile(folder / shard.name, "<u2") for shard in manifest.shards])
    parts = np.split(data, np.flatnonzero(data == manifest.eot) + 1)[:-1]
    return sorted(bytes(part[:-1].astype(np.uint8)).decode() for part in parts)


ALL = sorted(text for texts in TEXTS for text in texts)


def test_a_named_dataset_is_streamed_into_shards_and_leaves_no_download(hub: Hub, tmp_path: Path) -> None:
    assert run(tmp_path, "fineweb") == 0
    assert documents(tmp_path / "out") == ALL
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".bin", ".json"}
    assert len(hub.asked("/tree/main/")) == 3, "six files, two on a page"
    assert not hub.asked("README")


def test_a_cut_connection_is_gone_on_with(hub: Hub, tmp_path: Path) -> None:
    hub.cut_after = [2000, 100]
    assert run(tmp_path, f"hub:{REPOSITORY}/{FOLDER}") == 0
    assert documents(tmp_path / "out") == ALL
    assert len(hub.asked("/store/")) == 2 * len(TEXTS) + 2, "a footer and a span of each"


@pytest.mark.parametrize(
    ("ranges", "wrong"),
    [
        (True, "003.parquet is not parquet"),
        (False, "003.parquet is not what the hub announces"),  # whole files are known by their hash
    ],
)
def test_what_was_read_is_not_fetched_again(
    hub: Hub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ranges: bool,
    wrong: str,
) -> None:
    monkeypatch.setattr(tokenise, "COMMIT_EVERY_S", 0.0)
    hub.ranges = ranges
    name = f"{FOLDER}/003.parquet"
    right = hub.repositories[REPOSITORY][name]
    hub.altered[name] = right[:500] + bytes(len(right) - 500)
    assert run(tmp_path, "fineweb") == 2
    assert wrong in capsys.readouterr().err
    hub.altered.clear()
    before = len(hub.asked("/store/"))
    assert run(tmp_path, "fineweb") == 0
    assert documents(tmp_path / "out") == ALL
    again = [path for path, _ in hub.seen if "/store/" in path][before:]
    assert not any("000.parquet" in path or "001.parquet" in path for path in again)


def test_of_a_large_file_only_the_text_that_is_wanted_comes(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "TAIL_BYTES", 64)
    monkeypatch.setattr(streaming, "SPAN_BYTES", 1000)
    monkeypatch.setattr(streaming, "GAP_BYTES", 0)
    monkeypatch.setattr(tokenise, "AHEAD", 1)
    whole = sum(map(len, hub.repositories[REPOSITORY].values()))
    assert run(tmp_path, "fineweb", "--limit", "3000") == 0
    asked = [[int(at) for at in headers["range"][6:].split("-")] for headers in hub.asked("/store/")]
    assert sum(last + 1 - first for first, last in asked) < whole / 5
    assert documents(tmp_path / "out") == sorted(TEXTS[0][: len(documents(tmp_path / "out"))])


def test_a_file_that_changes_while_it_is_read_is_refused(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hub_client.HubClient, "files_in", _then_changed(hub, f"{FOLDER}/002.parquet"))
    assert run(tmp_path, "fineweb") == 2
    assert "002.parquet of org/web has changed just now: start again." in capsys.readouterr().err
    assert not (tmp_path / "out" / "manifest.json").exists()


def _then_changed(hub: Hub, path: str) -> Callable[..., list[HubFile]]:
    real = hub_client.HubClient.files_in

    def files_in(self: HubClient, name: HubName) -> list[HubFile]:
        files = real(self, name)
        hub.repositories[REPOSITORY][path] = parquet(TEXTS[0])
        return files

    return files_in


def test_a_hub_without_ranges_gives_whole_files(hub: Hub, tmp_path: Path) -> None:
    hub.ranges = False
    assert run(tmp_path, "fineweb") == 0
    assert documents(tmp_path / "out") == ALL
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".bin", ".json"}
    assert len([1 for path, _ in hub.seen if "/store/" in path]) == len(TEXTS) + 1, "asked once"


def test_lines_of_json_come_as_whole_files(hub: Hub, tmp_path: Path) -> None:
    lines = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS[0]).encode()
    hub.repositories["org/lines"] = {"data/a.jsonl": lines, "data/b.jsonl": lines.replace(b"0", b"9")}
    assert run(tmp_path, "hub:org/lines/data") == 0
    assert len(documents(tmp_path / "out")) == 2 * len(TEXTS[0])


def test_it_stops_fetching_where_enough_was_read(hub: Hub, tmp_path: Path) -> None:
    assert run(tmp_path, "fineweb", "--limit", "1000") == 0
    assert 1000 <= sum(read_manifest(tmp_path / "out").tokens.values()) < 10_000
    assert not hub.asked("004.parquet")


def test_a_dataset_that_changed_is_not_gone_on_with(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tokenise, "COMMIT_EVERY_S", 0.0)
    last = f"{FOLDER}/004.parquet"
    hub.repositories[REPOSITORY][last] = b"no parquet"
    assert run(tmp_path, "fineweb") == 2
    assert "is not parquet" in capsys.readouterr().err
    hub.repositories[REPOSITORY][f"{FOLDER}/000.parquet"] = parquet(TEXTS[1])
    assert run(tmp_path, "fineweb") == 2
    assert "have changed since" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("hub:org/none/data", "There is no dataset org/none on"),
        ("hub:org/web/nothing", "org/web:nothing is not all there"),
        ("hub:org/web/sample/notes", "org/web:sample/notes has no parquet or JSONL file"),
        ("hub:org", "names no dataset: write hub:ORG/DATASET/FOLDER"),
        ("hub:org/web/../../x", "names no dataset"),
        ("fineweb@v9", "There is no source"),
        ("hub:org/web/sample/10BT@v9", "org/web has no revision 'v9'"),
    ],
)
def test_one_sentence_for_what_is_not_there(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, said: str
) -> None:
    assert run(tmp_path, source) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_the_next_page_must_be_of_the_same_list(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token is shown to the hub alone, wherever its answers point."""
    name = HubName(REPOSITORY, FOLDER, kind="dataset")
    real = hub_client.HubClient._asked

    def elsewhere(self: HubClient, url: str, *more: object) -> object:
        found, _ = real(self, url, *more)  # type: ignore[arg-type]
        return found, "http://example.invalid/api?cursor=2"

    monkeypatch.setattr(hub_client.HubClient, "_asked", elsewhere)
    assert [file.path for file in HubClient().files_in(name)] == [
        f"{FOLDER}/000.parquet",
        f"{FOLDER}/001.parquet",
    ]


def test_an_answer_that_is_no_list_is_refused(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_client, "read_tree", hub_client.read_listing)
    with pytest.raises(ModelError, match="did not answer as a hub does"):
        HubClient().files_in(HubName(REPOSITORY, FOLDER, kind="dataset"))
