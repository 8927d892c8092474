"""A Jinja environment for templates that nobody has read: bounded in steps, in text and in its reach."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from jinja2 import TemplateError, Undefined, nodes
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_STEPS = 200_000
"""Loop turns and calls of one rendering; the longest conversation needs a few thousand."""
MAX_CHARS = 1 << 20
"""Longest text that a template may build: it handles stand-ins of the messages, so this is its own text."""

_FILTERS = frozenset(
    """abs capitalize count d default dictsort e escape first float int items join last length list lower map
    reject rejectattr reverse safe select selectattr string title tojson trim unique upper""".split()  # noqa: SIM905
)
_STRING_METHODS = frozenset(
    """capitalize count endswith find index isalnum isalpha isdigit islower isspace istitle isupper lower
    lstrip removeprefix removesuffix rfind rindex rsplit rstrip split splitlines startswith strip title
    upper""".split()  # noqa: SIM905
)
_METHODS: dict[type | tuple[type, ...], frozenset[str]] = {
    str: _STRING_METHODS,
    dict: frozenset(["get", "items", "keys", "values"]),
    (list, tuple): frozenset(["count", "index"]),
    (int, float, bytes): frozenset(),
}
_ITERATED = "akane_iterated"
_JOINED = "akane_joined"


class TemplateRefused(TemplateError):
    """A template asked for something that this environment does not give."""


class Sandbox(ImmutableSandboxedEnvironment):
    """Counts every loop turn and call of a rendering; `restart` sets the count back before each."""

    intercepted_binops = frozenset(["+", "*", "**", "%", "//"])
    intercepted_unops = frozenset()

    def __init__(self, helpers: dict[str, Callable[..., Any]]) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
        self.steps = 0
        own: dict[str, Callable[..., Any]] = {
            "join": self._join,
            "items": _items,
            "tojson": self._to_json,
            "string": _text,
        }
        self.filters = {name: self._counted(own.get(name) or self.filters[name]) for name in _FILTERS}
        self.finalize = _text
        self.globals = {
            "range": self._range,
            "namespace": self.globals["namespace"],
            "dict": dict,
            _ITERATED: self._iterated,
            _JOINED: self._joined,
            **helpers,
        }

    def restart(self) -> None:
        """Begin a new rendering."""
        self.steps = 0

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        """Route every loop and every `~` through the bounded helpers."""
        tree = super()._parse(source, name, filename)
        for loop in list(tree.find_all(nodes.For)):
            loop.iter = nodes.Call(nodes.Name(_ITERATED, "load"), [loop.iter], [], None, None)
        _replace_concats(tree)
        return tree.set_environment(self)  # type: ignore[return-value]

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Of plain values only what cannot blow them up; of the rest what Jinja's own sandbox allows."""
        for kind, names in _METHODS.items():
            if isinstance(obj, kind):
                return attr in names
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        """No `format`: its widths make any amount of text."""

    def unsafe_undefined(self, obj: Any, attribute: str) -> Any:
        """End the rendering at once instead of giving back something that only fails when used."""
        raise TemplateRefused(f"it reaches for the attribute {attribute[:40]!r}")

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Count the call, which also ends a recursion of macros."""
        self._count(1)
        return super().call(context, obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic on numbers of ordinary size; of texts and lists only `+`, and bounded."""
        if isinstance(left, (int, float)) and isinstance(right, (int, float)):
            if operator == "**" or max(abs(left), abs(right)) > 1e15:
                raise TemplateRefused("it computes with huge numbers")
        elif operator != "+":
            raise TemplateRefused(f"it applies {operator} to text")
        elif hasattr(left, "__len__") and hasattr(right, "__len__"):
            self._bound(len(left) + len(right))
        return super().call_binop(context, operator, left, right)

    def _count(self, steps: int) -> None:
        self.steps += steps
        if self.steps > MAX_STEPS:
            raise TemplateRefused("it does not come to an end")

    def _bound(self, chars: int) -> None:
        self._count(chars >> 8)
        if chars > MAX_CHARS:
            raise TemplateRefused("it builds too long a text")

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A filter that pays for the length of what it is given."""
        at = 1 if hasattr(function, "jinja_pass_arg") else 0

        @functools.wraps(function)
        def counted(*args: Any, **kwargs: Any) -> Any:
            value = args[at]
            if hasattr(value, "__len__"):
                self._count(1 + (len(value) >> 8 if isinstance(value, str) else len(value)))
            elif hasattr(value, "__next__"):
                args = (*args[:at], self._iterated(value), *args[at + 1 :])
            return function(*args, **kwargs)

        return counted

    def _to_json(self, value: Any, indent: int | None = None, **_: Any) -> str:
        pieces: list[str] = []
        length = 0
        if indent is not None and not 0 <= indent <= 8:
            raise TemplateRefused("it indents too far")
        for piece in json.JSONEncoder(ensure_ascii=False, indent=indent).iterencode(value):
            pieces.append(piece)
            length += len(piece)
            self._bound(length)
        return "".join(pieces)

    def _iterated(self, values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            self._count(1)
            yield value

    def _range(self, *bounds: int) -> range:
        numbers = range(*bounds)
        if len(numbers) > MAX_STEPS:
            raise TemplateRefused("it does not come to an end")
        return numbers

    def _joined(self, *parts: Any) -> str:
        texts = [_text(part) for part in parts]
        self._bound(sum(map(len, texts)))
        return "".join(texts)

    def _join(self, values: Iterable[Any], separator: str = "", attribute: str | None = None) -> str:
        items = [self.getattr(value, attribute) if attribute else value for value in self._iterated(values)]
        texts = [_text(item) for item in items]
        self._bound(sum(map(len, texts)) + len(separator) * len(texts))
        return str(separator).join(texts)


def _replace_concats(node: nodes.Node) -> None:
    for child in node.iter_child_nodes():
        _replace_concats(child)
    for field, value in node.iter_fields():
        if isinstance(value, nodes.Concat):
            setattr(node, field, _joined_call(value))
        elif isinstance(value, list):
            setattr(node, field, [_joined_call(v) if isinstance(v, nodes.Concat) else v for v in value])


def _joined_call(node: nodes.Concat) -> nodes.Call:
    return nodes.Call(nodes.Name(_JOINED, "load"), list(node.nodes), [], None, None)


def _text(value: Any) -> str:
    """Text of a plain value. A list or a map is refused: nested in itself it is longer than memory."""
    if value is None or isinstance(value, (str, int, float, Undefined)):
        return str(value)
    raise TemplateRefused("it prints something that is not text")


def _items(value: Any) -> list[Any]:
    if not isinstance(value, dict):
        raise TemplateRefused("it takes the items of something that has none")
    return list(value.items())
