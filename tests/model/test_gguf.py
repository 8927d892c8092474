from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from weights_helpers import FAMILIES, expected, write_gguf

from shared.model import gguf_file
from shared.model.errors import ModelError
from shared.model.gguf_file import open_gguf, parse_header
from shared.model.gguf_model import gguf_tensors, read_gguf_config
from shared.model.gpt import GPT


def logits_of(path: Path, ids: torch.Tensor) -> torch.Tensor:
    with open_gguf(path) as file:
        config = read_gguf_config(file)
        model = GPT.from_state(config, gguf_tensors(file, torch.float32))
    return model(ids)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_file_of_each_family_gives_the_logits_of_transformers(family: str, tmp_path: Path) -> None:
    ids, logits = expected(family)
    assert torch.allclose(logits_of(write_gguf(tmp_path / "m.gguf", family), ids), logits, atol=1e-4)


def test_a_sliding_window_bounds_the_context(tmp_path: Path) -> None:
    ids, logits = expected("mistral", 16)
    path = write_gguf(tmp_path / "m.gguf", "mistral")
    assert torch.allclose(logits_of(path, ids), logits, atol=1e-4)
    with open_gguf(path) as file:
        assert read_gguf_config(file).block_size == 16


def test_quantised_weights_stay_near_the_exact_ones(tmp_path: Path) -> None:
    ids, logits = expected("qwen2")
    error = {
        kind: (logits_of(write_gguf(tmp_path / f"{kind}.gguf", "qwen2", kind), ids) - logits)
        .abs()
        .max()
        .item()
        for kind in ("F16", "BF16")
    }
    assert error["F16"] < 0.01
    assert error["BF16"] < 1e-4  # the vector's weights are bfloat16 already


def test_the_header_is_what_gguf_itself_reads(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", "qwen2", "F16")
    reader = gguf.GGUFReader(path)
    with open_gguf(path) as file:
        header = file.header
        mine = {name: (info.shape, info.kind, info.offset) for name, info in header.tensors.items()}
    theirs = {
        tensor.name: (tuple(int(n) for n in reversed(tensor.shape)), tensor.tensor_type, tensor.data_offset)
        for tensor in reader.tensors
    }
    assert mine == theirs
    read = {key: field.contents() for key, field in reader.fields.items() if not key.startswith("GGUF.")}
    assert header.metadata == read


@pytest.mark.parametrize(
    "kind", ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_1", "Q4_K", "Q6_K", "IQ4_XS"]
)
def test_every_kind_is_dequantised_as_gguf_does_it(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf_file, "PIECE_ITEMS", 1024)
    number = gguf.GGMLQuantizationType[kind]
    items, size = gguf.GGML_QUANT_SIZES[number]
    raw = np.random.default_rng(1).integers(0, 256, (12, 512 // items * size), np.uint8)
    raw &= 0x3F  # keeps every float in it finite
    writer = gguf.GGUFWriter(str(tmp_path / "q.gguf"), "llama")
    data = raw.view({"F32": np.float32, "F16": np.float16}.get(kind, np.uint8))
    writer.add_tensor("t", data, raw_dtype=number)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with open_gguf(tmp_path / "q.gguf") as file:
        mine = file.tensor("t", torch.float32)
    assert torch.equal(mine, torch.from_numpy(np.array(gguf.dequantize(raw, number))))


def header(*, version: int = 3, tensors: int = 0, keys: int = 0, body: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys) + body


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def tensor(dims: list[int], kind: int = 0, offset: int = 0, name: bytes = b"t") -> bytes:
    n_dims = len(dims)
    return text(name) + struct.pack(f"<I{n_dims}QIQ", n_dims, *dims, kind, offset)


HOSTILE = {
    "empty": b"",
    "not GGUF": b"PK\x03\x04" * 10,
    "big-endian": header(version=0x03000000),
    "old version": header(version=1),
    "2^63 tensors": header(tensors=1 << 63),
    "2^63 keys": header(keys=1 << 63),
    "a million missing keys": header(keys=60_000),
    "key of 2^62 bytes": header(keys=1, body=struct.pack("<Q", 1 << 62)),
    "key past the end": header(keys=1, body=struct.pack("<Q", 100) + b"short"),
    "not UTF-8": header(keys=1, body=text(b"\xff\xfe") + struct.pack("<IB", 0, 1)),
    "unknown value type": header(keys=1, body=text(b"k") + struct.pack("<I", 99)),
    "negative list": header(keys=1, body=text(b"k") + struct.pack("<IIq", 9, 4, -1)),
    "huge list of text": header(keys=1, body=text(b"k") + struct.pack("<IIQ", 9, 8, 4_000_000)),
    "huge list of numbers": header(keys=1, body=text(b"k") + struct.pack("<IIQ", 9, 4, 4_000_000)),
    "text in a list past the end": header(
        keys=1, body=text(b"k") + struct.pack("<IIQQ", 9, 8, 1, 1 << 60) + b"abcdefgh"
    ),
    "list of lists": header(keys=1, body=text(b"k") + struct.pack("<IIQ", 9, 9, 1)),
    "the same key twice": header(keys=2, body=2 * (text(b"k") + struct.pack("<IB", 0, 1))),
    "alignment 0": header(keys=1, body=text(b"general.alignment") + struct.pack("<II", 4, 0)),
    "alignment 3": header(keys=1, body=text(b"general.alignment") + struct.pack("<II", 4, 3)),
    "alignment as text": header(keys=1, body=text(b"general.alignment") + struct.pack("<I", 8) + text(b"x")),
    "no dimensions": header(tensors=1, body=tensor([])),
    "ninety dimensions": header(tensors=1, body=tensor([1] * 90)),
    "a dimension of 0": header(tensors=1, body=tensor([0, 4])),
    "negative dimension": header(tensors=1, body=tensor([(1 << 64) - 4])),
    "absurd dimensions": header(tensors=1, body=tensor([1 << 40, 1 << 40])),
    "sizes that overflow to little": header(tensors=1, body=tensor([1 << 32, 1 << 32, 1, 1])),
    "unknown number type": header(tensors=1, body=tensor([32], kind=77)),
    "half a block": header(tensors=1, body=tensor([33], kind=2)),
    "offset past the end": header(tensors=1, body=tensor([32], offset=1 << 50)),
    "offset that overflows": header(tensors=1, body=tensor([32], offset=(1 << 64) - 32)),
    "weights cut off": header(tensors=1, body=tensor([4096])),
    "crooked offset": header(tensors=1, body=tensor([8], offset=5) + bytes(200)),
    "the same tensor twice": header(tensors=2, body=2 * tensor([8]) + bytes(200)),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_damaged_or_hostile_file_is_refused_in_one_sentence(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "hostile.gguf"
    path.write_bytes(data)
    with pytest.raises(ModelError) as refusal, open_gguf(path):
        pass
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 400 + len(str(path))


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    whole = write_gguf(tmp_path / "m.gguf").read_bytes()
    for end in [*range(0, 400, 7), *range(400, len(whole), 1999), len(whole) - 33]:
        with pytest.raises(ValueError, match=r"^it "):
            parse_header(whole[:end], end)


@pytest.fixture(scope="module")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "m.gguf").read_bytes()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_flipped_bytes_never_end_in_anything_but_a_sentence(
    data: st.DataObject, small_file: bytes, tmp_path: Path
) -> None:
    changed = bytearray(small_file)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, 9_000))
        changed[at : at + 8] = data.draw(
            st.sampled_from([b"\xff" * 8, bytes(8), b"\x00" * 7 + b"\x80", b"\x01" + bytes(7), b"\x7f"])
        )
    path = tmp_path / "changed.gguf"
    path.write_bytes(changed)
    with contextlib.suppress(ModelError, ValueError), open_gguf(path) as file:
        config = read_gguf_config(file)
        GPT.from_state(config, gguf_tensors(file, torch.float32))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"architecture": "mamba"}, "architecture 'mamba', not one of llama, qwen2, qwen3"),
        ({"split__count": 3}, "one part of a split model"),
        ({"llama__rope__scaling__type": "yarn"}, "rotary scaling 'yarn'"),
    ],
)
def test_what_cannot_be_run_is_named(changes: dict[str, str | int], says: str, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", **changes)
    with pytest.raises(ModelError, match=says), open_gguf(path) as file:
        read_gguf_config(file)


def test_rope_factors_of_another_scaling_are_refused(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", "llama3")
    with open_gguf(path) as file:
        factors = file.tensor("rope_freqs.weight").numpy()
        name = factors.tobytes()
    data = path.read_bytes()
    assert data.count(name) == 1
    path.write_bytes(data.replace(name, np.linspace(1, 8, len(factors), dtype=np.float32).tobytes()))
    with pytest.raises(ModelError, match="rotary scaling other than Llama 3's"), open_gguf(path) as file:
        read_gguf_config(file)
