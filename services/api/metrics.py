"""Counts since the start, in Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from services.api.door import LlmView

FIRST_TOKEN_BOUNDS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Histogram:
    """How many values lay at or below each bound."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * len(bounds)
        self.count = 0
        self.sum = 0.0

    def add(self, value: float) -> None:
        """One more value."""
        self.count += 1
        self.sum += value
        for at, bound in enumerate(self.bounds):
            self.counts[at] += value <= bound

    def lines(self, name: str) -> Iterable[str]:
        """Its samples."""
        for bound, count in zip(self.bounds, self.counts, strict=True):
            yield f'{name}_bucket{{le="{bound:g}"}} {count}'
        yield f'{name}_bucket{{le="+Inf"}} {self.count}'
        yield f"{name}_sum {self.sum:g}"
        yield f"{name}_count {self.count}"


class Metrics:
    """Written and read by the event loop's thread alone."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.active = 0
        self.abandoned = 0
        self.first_token_s = Histogram(FIRST_TOKEN_BOUNDS_S)

    def render(self, view: LlmView) -> str:
        """The whole page."""
        lines: list[str] = []

        def metric(name: str, kind: str, text: str, samples: Iterable[str]) -> None:
            lines.append(f"# HELP akane_{name} {text}")
            lines.append(f"# TYPE akane_{name} {kind}")
            lines.extend(f"akane_{sample}" for sample in samples)

        def single(name: str, kind: str, text: str, value: float) -> None:
            metric(name, kind, text, [f"{name} {value:g}" if value != int(value) else f"{name} {int(value)}"])

        metric(
            "api_requests_total",
            "counter",
            "Requests answered, by path and HTTP status.",
            [
                f'api_requests_total{{path="{path}",status="{status}"}} {count}'
                for (path, status), count in sorted(self.requests.items())
            ],
        )
        single("api_requests_active", "gauge", "Completions that run now.", self.active)
        single("api_abandoned_total", "counter", "Completions whose client left.", self.abandoned)
        single("api_prompt_tokens_total", "counter", "Prompt tokens of finished answers.", self.prompt_tokens)
        single(
            "api_completion_tokens_total", "counter", "Tokens generated for answers.", self.completion_tokens
        )
        metric(
            "api_first_token_seconds",
            "histogram",
            "From the request's arrival to its first text.",
            self.first_token_s.lines("api_first_token_seconds"),
        )
        single("llm_ready", "gauge", "1 while the model can answer.", view.phase == "ready")
        single("llm_lost_events_total", "counter", "Events of the model lost on the bus.", view.gaps)
        if (stats := view.stats) is not None:
            single("llm_generations_active", "gauge", "Generations that run, of all clients.", stats.active)
            single("llm_generations_queued", "gauge", "Generations that wait for a slot.", stats.queued)
            single("llm_tokens_total", "counter", "Tokens since the model started.", stats.tokens_total)
            single("llm_tokens_per_second", "gauge", "Of the latest generation.", stats.tokens_per_s)
            single("llm_kv_used_tokens", "gauge", "Tokens held in the KV cache.", stats.kv_used)
            single("llm_kv_capacity_tokens", "gauge", "Tokens that the KV cache can hold.", stats.kv_capacity)
        return "\n".join(lines) + "\n"
