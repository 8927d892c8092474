"""A tiny model, a few dialogues and one run of fine-tuning, for the tests of this folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tiny_model import make_tiny_model

ROOT = Path(__file__).parents[2]
DIALOGUES = ROOT / "tests" / "data" / "dialogues.jsonl"


PERSONA = """
name = "Akane"
system = "You are Akane."
fallback = ["Hm?"]
care = "Take care."
sampling.max_tokens = 24
[[example]]
author = "Mia"
says = "hi!"
reply = "Hi Mia!"
"""


def tiny(folder: Path) -> Path:
    """A model of one token a byte, and a persona of few words beside it."""
    (folder / "persona.toml").write_text(PERSONA, encoding="utf-8")
    return make_tiny_model(folder, block_size=1024)


def command(folder: Path, model: Path, *more: str) -> list[str]:
    """Arguments of a small run into `folder`."""
    arguments = {
        "--data": DIALOGUES,
        "--model": model,
        "--out": folder,
        "--persona": model.with_name("persona.toml"),
        "--heldout-share": 0.45,
        "--rank": 4,
        "--batch": 4,
        "--samples": 0,
        "--evaluate-every": 2,
        "--patience": 0,
        "--max-tokens": 512,
        "--dtype": "float32",
        "--device": "cpu",
        "--threads": 1,
    }
    return [*(str(part) for pair in arguments.items() for part in pair), *more]


def start(arguments: list[str], **options: Any) -> subprocess.Popen[str]:
    """`python -m training.finetune` as people run it."""
    return subprocess.Popen(
        [sys.executable, "-m", "training.finetune", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


def write_dialogues(path: Path, *lines: Any) -> Path:
    """JSONL of objects; texts are written as they are."""
    path.write_text(
        "".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in lines), "utf-8"
    )
    return path
