"""What was left out and why: counts and a few examples, as a table for people and JSON for programs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from shared.sanitize import clean_text

Counted = Callable[[str], None]
EXAMPLES = 3
EXAMPLE_CHARS = 100


class Report:
    """Filled by the steps; examples are made safe by `masked` before anybody sees them."""

    def __init__(self) -> None:
        self.figures: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.scrubbed: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = defaultdict(list)

    def drop(self, reason: str, text: str) -> None:
        """Something was left out."""
        self.dropped[reason] += 1
        examples = self._examples[reason]
        if len(examples) < EXAMPLES and text.strip() and text not in examples:
            examples.append(text[: EXAMPLE_CHARS * 4])

    def scrub(self, kind: str) -> None:
        """Personal data was replaced."""
        self.scrubbed[kind] += 1

    def as_json(self, masked: Callable[[str], str]) -> dict[str, Any]:
        """Everything, ready for json.dump."""
        return {
            "figures": dict(self.figures),
            "dropped": {
                reason: {"count": count, "examples": self._shown(reason, masked)}
                for reason, count in self.dropped.most_common()
            },
            "scrubbed": dict(self.scrubbed.most_common()),
        }

    def _shown(self, reason: str, masked: Callable[[str], str]) -> list[str]:
        return [clean_text(masked(text), EXAMPLE_CHARS) for text in self._examples[reason]]


def table(report: Mapping[str, Any]) -> str:
    """The report's JSON as lines for a terminal."""
    lines = [f"{count:9,}  {what}" for what, count in report["figures"].items()]
    if report["dropped"]:
        lines += ["", "left out:"]
    for reason, found in report["dropped"].items():
        example = f"   e.g. {found['examples'][0]!r}" if found["examples"] else ""
        lines.append(f"{found['count']:9,}  {reason:32}{example}")
    if report["scrubbed"]:
        lines += ["", "replaced:"]
    lines += [f"{count:9,}  {kind}" for kind, count in report["scrubbed"].items()]
    return "\n".join(lines)
