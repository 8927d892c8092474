"""Names of the hub: `org/name`, `org/name:Q4_K_M` or `org/name:file.gguf`; `@revision` may follow each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_NAME = re.compile(rf"({_PART}/{_PART})(?::([^:@]+))?(?:@([^:@]+))?")
_PATH = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9._+-]{0,199}/){0,4}[A-Za-z0-9_][A-Za-z0-9._+-]{0,199}")
_QUANTISATION = re.compile(r"[A-Za-z0-9_]{2,24}")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")


@dataclass(frozen=True)
class HubName:
    """`wanted` is empty for the safetensors of the repository, else a .gguf file of it or a quantisation.

    Of a dataset it is the folder of its files.
    """

    repository: str
    wanted: str = ""
    revision: str = "main"
    kind: Literal["model", "dataset"] = "model"

    @property
    def page(self) -> str:
        """Its path on the hub, where its files lie too."""
        return self.repository if self.kind == "model" else f"datasets/{self.repository}"

    def __str__(self) -> str:
        wanted = f":{self.wanted}" if self.wanted else ""
        revision = f"@{self.revision}" if self.revision != "main" else ""
        return f"{self.repository}{wanted}{revision}"


def parse_hub_name(text: str) -> HubName | None:
    """The named model, or None when `text` cannot name one (a preset, a path, something else)."""
    match = _NAME.fullmatch(text)
    if match is None:
        return None
    repository, wanted, revision = match[1], match[2] or "", match[3] or "main"
    if not wanted and repository.endswith((".gguf", ".safetensors")):
        return None
    if wanted and not (
        _QUANTISATION.fullmatch(wanted) or (wanted.endswith(".gguf") and is_safe_path(wanted))
    ):
        return None
    if not _REVISION.fullmatch(revision) or ".." in revision:
        return None
    return HubName(repository, wanted, revision)


def is_safe_path(path: str) -> bool:
    """Whether a file name of a repository may be used as it is below a folder of ours, on every system."""
    return bool(_PATH.fullmatch(path)) and not any(part.endswith(".") for part in path.split("/"))
