"""What is drawn, as styled lines: pure functions of the state. Nobody's text is ever read as markup."""

from __future__ import annotations

import zlib
from datetime import timedelta

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.style import Style
from rich.text import Text

from services.dashboard.health import ProcessRow
from services.dashboard.state import DashboardState, Exchange
from services.dashboard.words import blocked_note, ending_note, parameters, printable, short_dtype
from shared.events import TrainStep
from shared.sanitize import clean_name

INK, DIM, FAINT = "#ece4df", "#93867f", "#5e5350"
MADDER, GROUND, BUBBLE = "#e0525d", "#141011", "#2b191c"
GOOD, WARN, BAD = "#8fb98a", "#e0a94a", "#ff5c57"
_NAMES = ("#d8a48f", "#c9b27c", "#a8b88a", "#8fb5a5", "#93aecb", "#b3a1cc", "#cf9fb8")
_NAME_STYLES = [Style(color=color, bold=True) for color in _NAMES]
_PHASES = {"thinking": (WARN, "thinking"), "speaking": (MADDER, "speaking")}
_STATES = {"ready": GOOD, "loading": WARN, "starting": WARN, "degraded": WARN, "backoff": WARN, "failed": BAD,
           "silent": BAD}  # fmt: skip
_READABLE = 100
"""Longer lines tire the eye, however wide the terminal is."""
_SPARKS = "▁▂▃▄▅▆▇█"
_console = Console(width=1000, color_system=None, force_terminal=False)
"""Only asked to wrap; it never prints."""


def wrap(text: Text, width: int) -> list[Text]:
    """`text` in lines of at most `width` cells (wide characters count two); long words are broken."""
    return list(text.wrap(_console, max(width, 4), overflow="fold")) or [Text()]


def exchange_lines(exchange: Exchange, width: int) -> list[Text]:
    """A viewer's line and her bubble, `width` cells wide, with an empty line after."""
    lines: list[Text] = []
    if exchange.prompt or exchange.retracted:
        line = _name(exchange.author, exchange.channel)
        if exchange.retracted:
            line.append("message deleted", Style(color=FAINT, italic=True))
        else:
            line.append(blocked_note(exchange.rule), Style(color=BAD))
            line.append(printable(exchange.prompt), Style(color=DIM if exchange.rule else INK))
        lines += wrap(line, width - 1)
    lines += _bubble(_reply(exchange), width)
    return [*lines, Text()]


def waiting_lines(state: DashboardState, width: int, limit: int = 3) -> list[Text]:
    """The lines nobody answered yet, newest last, at most `limit` of them and how many more there are."""
    shown = state.waiting[-limit:] if len(state.waiting) <= limit else state.waiting[-(limit - 1) :]
    lines = []
    if len(state.waiting) > len(shown):
        lines.append(Text(f"  {len(state.waiting) - len(shown)} more waiting", Style(color=FAINT)))
    for item in shown:
        line = Text().append("◦ ", Style(color=FAINT)).append_text(_name(item.author, item.channel))
        line.append(blocked_note(item.rule), Style(color=BAD))
        line.append(printable(item.text), Style(color=DIM))
        line.truncate(max(width, 1), overflow="ellipsis")
        lines.append(line)
    return lines


def header(state: DashboardState, width: int) -> Text:
    """Her name and what she does right now, one line."""
    text = Text(no_wrap=True)
    text.append(" 茜 Akane ", Style(color="#fff4f0", bgcolor="#a32b37", bold=True))
    color, phase = _PHASES.get(state.phase, (GOOD, "listening"))
    if state.stats is None:
        color, phase = WARN, "no model yet"
    if not state.connected:
        color, phase = BAD, "the bus is away"
    text.append("  ● ", Style(color=color)).append(phase, Style(color=INK))
    if state.mood != "neutral":
        text.append(f" · {state.mood}", Style(color=DIM))
    if state.muted:
        text.append("  MUTED (F2) ", Style(color=BAD, bold=True))
    rows = state.rows
    if rows:
        up = sum(row.state == "ready" for row in rows)
        right = Text(f"{up}/{len(rows)} ready ", Style(color=GOOD if up == len(rows) else WARN))
        text.append(" " * max(1, width - text.cell_len - right.cell_len)).append_text(right)
    text.truncate(width)
    return text


def summary(state: DashboardState, width: int) -> Text:
    """Model and figures in one line, for narrow terminals."""
    stats = state.stats
    if stats is None:
        return Text(" waiting for the model", Style(color=DIM), no_wrap=True)
    text = Text(no_wrap=True).append(f" {printable(stats.model)}", Style(color=INK))
    text.append(
        f" {stats.device} {short_dtype(stats.dtype)} {parameters(stats.parameters)}", Style(color=DIM)
    )
    text.append(f"  {stats.tokens_per_s:.1f}", Style(color=INK)).append(" tok/s", Style(color=DIM))
    first = state.timing_ms("first_token") or stats.first_token_ms
    if first:
        text.append(f"  first {first:.0f} ms", Style(color=DIM))
    if state.queued:
        text.append(f"  queue {state.queued}", Style(color=WARN))
    text.truncate(width, overflow="ellipsis")
    return text


def hints(width: int, keys: tuple[tuple[str, str], ...]) -> Text:
    """As many of the keys (key, what it does) as fit, the first ones first."""
    text = Text(no_wrap=True)
    for key, what in keys:
        if text.cell_len + cell_len(key + what) + 3 > width:
            break
        text.append(f" {key}", Style(color=MADDER)).append(f" {what} ", Style(color=DIM))
    return text


def panel(state: DashboardState, width: int) -> Text:
    """The right column: the model, its figures, every process."""
    lines = [*_model(state, width), Text(), *_figures(state, width), Text(), *_health(state.rows, width)]
    return Text("\n").join(lines)


def sparkline(values: tuple[float, ...], width: int) -> str:
    """The last `width` values as bars, scaled from zero to the highest."""
    shown = values[-width:] if width > 0 else ()
    top = max(shown, default=0.0)
    return "".join(_SPARKS[min(7, int(v / top * 7.99))] if top > 0 else _SPARKS[0] for v in shown)


def _name(author: str, channel: str) -> Text:
    shown = clean_name(author)
    text = Text().append(shown, _NAME_STYLES[zlib.crc32(shown.encode()) % len(_NAME_STYLES)])
    if channel not in ("", "terminal"):
        text.append(f" {clean_name(channel, 12)}", Style(color=FAINT))
    return text.append("  ")


def _reply(exchange: Exchange) -> Text:
    text = Text().append("Akane", Style(color=MADDER, bold=True)).append("  ")
    reply, heard = printable(exchange.reply), printable(exchange.heard)
    if exchange.end in ("interrupted", "lost") and heard and reply.startswith(heard):
        text.append(heard, Style(color=INK)).append(reply[len(heard) :], Style(color=FAINT))
    else:
        text.append(reply, Style(color=INK))
    if exchange.live:
        text.append("▍" if reply else "…", Style(color=MADDER))
    elif note := ending_note(exchange.end, bool(reply)):
        text.append(f" — {note}" if reply else note, Style(color=WARN, italic=True))
    return text


def _bubble(text: Text, width: int) -> list[Text]:
    wrapped = wrap(text, min(width - 4, _READABLE))
    inner = max(line.cell_len for line in wrapped)
    lines = []
    for line in wrapped:
        row = Text("▌", Style(color=MADDER, bgcolor=BUBBLE)).append(" ").append_text(line)
        row.append(" " * (inner - line.cell_len + 1))
        row.stylize_before(Style(bgcolor=BUBBLE))
        lines.append(row)
    return lines


def _model(state: DashboardState, width: int) -> list[Text]:
    stats = state.stats
    if stats is None:
        return [_title("model", width), Text("waiting for the model", Style(color=DIM))]
    name = Text(printable(stats.model), Style(color=INK, bold=True))
    name.truncate(width, overflow="ellipsis")
    where = f"{stats.device} · {short_dtype(stats.dtype)}"
    if stats.threads:
        where += f" · {stats.threads} threads"
    context = f"{parameters(stats.parameters)} · {stats.context:,} context"
    return [_title("model", width), name, Text(context, Style(color=DIM)), Text(where, Style(color=DIM))]


def _figures(state: DashboardState, width: int) -> list[Text]:
    stats = state.stats
    rate = stats.tokens_per_s if stats else 0.0
    spark = sparkline(state.rates, width - 22)
    rows = [_title("tokens", width)]
    rows.append(_pair("tokens/s", f"{rate:.1f}" if rate else "–").append(f"  {spark}", Style(color=MADDER)))
    first = state.timing_ms("first_token") or (stats.first_token_ms if stats else 0.0)
    rows.append(_pair("first token", f"{first:,.0f} ms" if first else "–"))
    sound = state.timing_ms("first_sound")
    rows.append(_pair("first sound", f"{sound:,.0f} ms" if sound else "–"))
    rows.append(_pair("total", f"{stats.tokens_total:,}" if stats else "–"))
    if state.training:
        rows += _training(state.training, width)
    rows.append(_pair("queue", str(max(state.queued, len(state.waiting)))))
    if stats and stats.kv_capacity:
        share = min(1.0, stats.kv_used / stats.kv_capacity)
        cells = max(4, width - 21)
        full = min(cells, round(share * cells))
        bar = _pair("KV cache", f"{share:.0%}").append("  ")
        bar.append("━" * full, Style(color=MADDER if share < 0.9 else WARN))
        rows.append(bar.append("━" * (cells - full), Style(color=FAINT)))
    return rows


def _training(run: TrainStep, width: int) -> list[Text]:
    """How far a run is and what it says of itself, then how fast it goes."""
    done = _pair("training", f"loss {run.loss:.3f} · {run.step:,} of {run.steps:,} · {printable(run.run)}")
    facts = [f"{run.tokens_per_s:,.0f} tokens/s"]
    if run.left_s > 0:
        facts.append(f"{timedelta(seconds=round(run.left_s))} left")
    if run.bits_per_byte is not None:
        facts.append(f"{run.bits_per_byte:.2f} bits a byte")
    lines = [done, Text(f"{'':<12}{' · '.join(facts)}", Style(color=DIM))]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines


def _health(rows: list[ProcessRow], width: int) -> list[Text]:
    free = width - 29
    head = f"{set_cell_size('process', free)} {'state':<8} {'pid':>6} {'↻':>2} {'gap':>3} {'MB':>4}"
    lines = [Text(head, Style(color=FAINT))]
    for row in rows:
        line = Text().append(set_cell_size(clean_name(row.name), free), Style(color=INK))
        line.append(f" {row.state[:8]:<8}", Style(color=_STATES.get(row.state, DIM)))
        line.append(f" {row.pid if row.pid is not None else '–':>6}", Style(color=DIM))
        line.append(f" {_count(row.restarts, 2)}", Style(color=WARN if row.restarts else FAINT))
        line.append(f" {_count(row.gaps, 3)}", Style(color=WARN if row.gaps else FAINT))
        line.append(f" {row.rss_mb:>4.0f}" if row.rss_mb else "    –", Style(color=DIM))
        lines.append(line)
        if row.detail and row.state != "ready":
            for part in wrap(Text(printable(row.detail)[:200], Style(color=WARN)), width - 2)[:3]:
                lines.append(Text("  ") + part)
    return lines


def _title(name: str, width: int) -> Text:
    text = Text().append(f"{name} ", Style(color=MADDER, bold=True))
    return text.append("─" * max(0, width - cell_len(name) - 1), Style(color="#3a2629"))


def _pair(label: str, value: str) -> Text:
    return Text().append(f"{label:<12}", Style(color=DIM)).append(f"{value:>7}", Style(color=INK))


def _count(number: int, width: int) -> str:
    return str(number).rjust(width) if number < 10**width else "9" * (width - 1) + "+"
