"""Wording that the screen and the plain transcript share; text from anybody is made printable here."""

from __future__ import annotations

from shared.sanitize import clean_text

_MAX_SHOWN_CHARS = 16_000
ENDS = {
    "interrupted": "interrupted",
    "refused": "not answered",
    "retracted": "taken back",
    "error": "something went wrong",
    "lost": "cut off",
}
"""What is said of a turn that did not end by itself."""


def ending_note(end: str | None, answered: bool) -> str:
    """What to say of how a turn ended; nothing when it ended well, or was refused in her own words."""
    return "" if end is None or (end == "refused" and answered) else ENDS.get(end, "")


def blocked_note(rule: str) -> str:
    """What stands before a line that breaks the block-list's `rule`; nothing without one."""
    return f"[blocked: {printable(rule).replace('_', ' ')}] " if rule else ""


def printable(text: str) -> str:
    """`text` without control, escape and bidirectional characters; line breaks stay."""
    return "\n".join(clean_text(line, _MAX_SHOWN_CHARS) for line in text.splitlines()[:200])


def parameters(count: int) -> str:
    """`135 M parameters`, `1.5 B parameters`."""
    if count >= 1_000_000_000:
        return f"{count / 1e9:.1f} B parameters"
    return f"{count / 1e6:.0f} M parameters" if count >= 10_000_000 else f"{count / 1e6:.1f} M parameters"


def short_dtype(name: str) -> str:
    """`bf16` for `bfloat16` (with or without `torch.`)."""
    name = name.removeprefix("torch.")
    return {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}.get(name, name)
