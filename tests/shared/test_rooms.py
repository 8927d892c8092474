"""The import rules of the house."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
ONLY_IN = {
    "zmq": ("shared/bus.py", "shared/broker.py"),
    "torch": ("shared/model/", "services/llm/", "training/"),
    "textual": ("services/dashboard/",),
    "starlette": ("services/api/", "services/stage/", "shared/web.py"),
    "uvicorn": ("shared/web.py",),
    "llguidance": ("services/llm/",),
    "pythonosc": ("services/vmc/",),
}


def imports() -> list[tuple[str, str]]:
    found = []
    for folder in ("shared", "services", "training"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                names = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names = [node.module]
                found += [(path.relative_to(ROOT).as_posix(), name) for name in names]
    return found


def test_shared_imports_no_service() -> None:
    assert [
        row for row in imports() if row[0].startswith("shared/") and row[1].split(".")[0] == "services"
    ] == []


def test_a_service_imports_only_itself() -> None:
    for path, name in imports():
        if path.startswith("services/") and name.startswith("services."):
            assert name.split(".")[1] == path.split("/")[1], f"{path} imports {name}"


def test_training_imports_no_service() -> None:
    assert [
        row for row in imports() if row[0].startswith("training/") and row[1].split(".")[0] == "services"
    ] == []


def test_sockets_tensors_and_screens_stay_in_their_rooms() -> None:
    for path, name in imports():
        rooms = ONLY_IN.get(name.split(".")[0])
        assert rooms is None or path.startswith(rooms), f"{path} imports {name}"


def test_nothing_unpickles() -> None:
    assert [row for row in imports() if row[1].split(".")[0] in ("pickle", "dill", "joblib", "shelve")] == []
