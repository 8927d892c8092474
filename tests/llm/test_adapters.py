"""Adapters in the engine and on the bus: found, refused, swapped between generations, never mixed in the cache."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from engine_helpers import ends, engine_of, letters, random_gpt, request, run
from test_llm_service import LONG, collect, finished, is_ready, payloads
from test_llm_service import generate as ask
from tiny_model import make_tiny_model

from benchmarks.random_adapter import random_adapter
from services.llm import adapters as adapters_module
from services.llm.adapters import find_adapter
from services.llm.inference import Inference
from services.llm.service import LlmService
from shared.bus import Bus, CommandError
from shared.commands import SetAdapter, SetAdapterReply
from shared.config import BusSettings, LlmSettings, Settings
from shared.events import LlmStats
from shared.model.adapter import Adapter, save_adapter
from shared.model.errors import ModelError
from shared.model.gpt import GPT
from shared.model.loading import load_model
from shared.service import StartError, StopSignal, serve

PROMPT = [(7 * index) % 90 for index in range(40)]


MODEL = random_gpt()


def fresh() -> GPT:
    """The same weights, without an adapter."""
    return copy.deepcopy(MODEL)


def alone(adapter: Adapter | None, prompt: list[int] = PROMPT) -> str:
    """What a model that has never had another adapter says."""
    model = fresh()
    model.set_adapter(adapter)
    return letters(list(model.generate(prompt, 10, temperature=0.0)))


MINE, OTHER = (random_adapter(MODEL.config, seed=seed) for seed in (1, 2))


def test_three_models_say_three_things() -> None:
    assert len({alone(None), alone(MINE), alone(OTHER)}) == 3


def test_what_runs_finishes_on_the_adapter_it_began_with_and_what_waits_gets_the_new_one() -> None:
    engine, _ = engine_of(fresh())
    engine.submit(request("before", PROMPT))
    engine.step()
    assert engine.adapt(MINE) == 1
    assert engine.adapter is None
    engine.submit(request("after", PROMPT))
    outputs = run(engine)
    found = ends(outputs)
    assert (found["before"].text, found["after"].text) == (alone(None), alone(MINE))
    assert found["after"].cached_tokens == 0
    assert engine.adapter is MINE


def test_an_idle_engine_swaps_at_once_and_the_last_word_counts() -> None:
    engine, _ = engine_of(fresh())
    assert engine.adapt(MINE) == 0
    assert engine.adapter is MINE
    engine.submit(request("a", PROMPT))
    engine.step()
    engine.adapt(OTHER)
    engine.adapt(None)
    engine.submit(request("b", PROMPT))
    found = ends(run(engine))
    assert (found["a"].text, found["b"].text) == (alone(MINE), alone(None))


def test_a_cancelled_last_generation_lets_the_adapter_in() -> None:
    engine, _ = engine_of(fresh())
    engine.submit(request("a", PROMPT))
    engine.step()
    engine.adapt(MINE)
    engine.cancel(lambda _: True)
    assert engine.adapter is MINE
    assert not engine.busy


def test_a_prefix_is_of_use_only_under_its_own_adapter() -> None:
    engine, _ = engine_of(fresh(), slots=3)
    texts = {None: alone(None), MINE.info.name: alone(MINE)}
    for name, adapter, cached in (
        ("a", None, 0), ("b", None, 39), ("c", MINE, 0), ("d", MINE, 39), ("e", None, 39), ("f", MINE, 39),
    ):  # fmt: skip
        engine.adapt(adapter)
        engine.submit(request(name, PROMPT))
        end = ends(run(engine))[name]
        assert (name, end.cached_tokens) == (name, cached)
        assert end.text == texts[adapter.info.name if adapter else None]


def test_an_adapter_that_cannot_be_installed_leaves_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, _ = engine_of(fresh())
    engine.adapt(MINE)
    engine.submit(request("a", PROMPT))
    engine.step()

    def full(_: Adapter | None) -> None:
        raise MemoryError

    engine.adapt(OTHER)
    monkeypatch.setattr(engine.model, "set_adapter", full)
    engine.submit(request("b", PROMPT))
    found = ends(run(engine))
    assert engine.adapter is MINE
    assert (found["a"].text, found["b"].text) == (alone(MINE), alone(MINE))


# -- files ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def folder(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In the place of `configs/adapters`: one adapter of the tiny model, one of another."""
    loaded = load_model(str(tiny), device="cpu", dtype="float32")
    for name, base in (("mine", loaded.sha256), ("foreign", "cd" * 32)):
        adapter = random_adapter(loaded.model.config, name=name, base_hash=base, spread=0.5)
        save_adapter(tmp_path / f"{name}.safetensors", adapter)
    monkeypatch.setattr(adapters_module, "ADAPTER_DIR", tmp_path)
    return tmp_path


def settings_of(tiny: Path, adapter: str) -> LlmSettings:
    return LlmSettings(
        model=str(tiny), threads=1, dtype="float32", device="cpu", adapter=adapter, queue_limit=2
    )


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ("foreign", "The adapter foreign was made for base"),
        ("nobody", "There is no adapter 'nobody': .* has foreign, mine"),
        ("sub/none.safetensors", "There is no adapter file"),
        ("../nobody", "There is no adapter file"),
        ("~nobody/x.safetensors", "There is no adapter"),
    ],
)
def test_a_start_with_a_wrong_adapter_says_why(tiny: Path, folder: Path, wanted: str, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        Inference.load(settings_of(tiny, wanted))


def test_the_service_does_not_start_with_a_wrong_adapter(
    broker: BusSettings, tiny: Path, folder: Path
) -> None:
    with pytest.raises(StartError, match="The adapter foreign was made for base"):
        serve(LlmService, Settings(bus=broker, llm=settings_of(tiny, "foreign")), StopSignal())


def test_auto_takes_the_one_that_the_preset_names_if_it_is_there_and_fits(
    tiny: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    loaded = load_model(str(tiny), device="cpu", dtype="float32")
    assert find_adapter("auto", loaded) is None
    presets = {name: adapters_module.load_preset(name) for name in adapters_module.preset_names()}
    first = min(presets)

    def named(adapter: str) -> None:
        changed = presets[first].model_copy(update={"sha256": loaded.sha256, "adapter": adapter})
        monkeypatch.setattr(adapters_module, "load_preset", {**presets, first: changed}.__getitem__)

    named("mine")
    found = find_adapter("auto", loaded)
    assert found is not None
    assert found.info.name == "mine"
    named("not-there-yet")
    assert find_adapter("auto", loaded) is None
    assert not caplog.records
    named("foreign")
    assert find_adapter("auto", loaded) is None
    assert "the model runs without its adapter: The adapter foreign" in caplog.text


# -- on the bus -------------------------------------------------------------------------------------------


@pytest.fixture
def bus(broker: BusSettings, tiny: Path, folder: Path, open_bus: Callable[..., Bus]) -> Iterator[Bus]:
    """A client of a ready llm without an adapter."""
    stop = StopSignal()
    settings = Settings(bus=broker, llm=settings_of(tiny, ""))
    thread = threading.Thread(target=serve, args=(LlmService, settings, stop))
    thread.start()
    client = open_bus("tester", "llm.token", "llm.finished", "llm.stats", "sys.health")
    collect(client, lambda seen: any(is_ready(one) for one in seen), snapshot=True)
    yield client
    stop.set()
    thread.join(10)
    assert not thread.is_alive()


def says(bus: Bus, name: str) -> str:
    ask(bus, name, temperature=0.0)
    end = finished(collect(bus, lambda seen: finished(seen, name)), name)
    assert end is not None
    return end.text


def test_load_swap_and_unload_in_the_middle_of_a_show(bus: Bus, folder: Path) -> None:
    plain = says(bus, "a")
    ask(bus, "long", **{**LONG, "max_tokens": 400})
    assert bus.request(SetAdapter(adapter="mine")) == SetAdapterReply(adapter="mine", finishing=1)
    ask(bus, "b", temperature=0.0)
    items = collect(bus, lambda seen: finished(seen, "b"))
    long, adapted = finished(items, "long"), finished(items, "b")
    assert long is not None
    assert adapted is not None
    assert long.text.startswith(plain)
    assert adapted.text != plain
    collect(bus, lambda seen: any(one.adapter == "mine" for one in payloads(seen, LlmStats)))
    assert bus.request(SetAdapter(adapter=str(folder / "mine.safetensors"))).adapter == "mine"
    assert says(bus, "c") == adapted.text
    assert bus.request(SetAdapter(adapter="")) == SetAdapterReply(adapter="")
    assert says(bus, "d") == plain
    collect(bus, lambda seen: any(one.adapter == "" for one in payloads(seen, LlmStats)))


def test_a_refused_adapter_changes_nothing(bus: Bus, folder: Path) -> None:
    bus.request(SetAdapter(adapter="mine"))
    adapted = says(bus, "a")
    (folder / "broken.safetensors").write_bytes(b"no adapter")
    for wanted, sentence in (
        ("foreign", "made for base"), ("broken", "cannot be read"), ("nobody", "There is no adapter")
    ):  # fmt: skip
        with pytest.raises(CommandError, match=sentence):
            bus.request(SetAdapter(adapter=wanted))
    assert says(bus, "b") == adapted
