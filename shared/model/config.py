"""The shape of a GPT: Akane's own sizes by default, and the flags that make it a Llama-family model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

QkNorm = Literal["after_rope", "before_rope", "none"]
RopeDtype = Literal["bfloat16", "float32"]

# Far above any model that this code can run; a checkpoint that asks for more is damaged or hostile.
MAX_SIZES = {
    "block_size": 1 << 24,
    "vocab_size": 1 << 22,
    "n_layer": 1024,
    "n_head": 1024,
    "n_kv_head": 1024,
    "n_embd": 1 << 17,
    "head_dim": 1 << 12,
    "intermediate_size": 1 << 19,
}


@dataclass(frozen=True)
class RopeScaling:
    """Llama 3 frequency scaling (https://arxiv.org/abs/2407.21783, `rope_type: llama3` in hub configs)."""

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_context: int

    def __post_init__(self) -> None:
        for name in ("factor", "low_freq_factor", "high_freq_factor", "original_context"):
            _positive_number(f"rope_scaling.{name}", getattr(self, name))
        if self.high_freq_factor <= self.low_freq_factor:
            raise ValueError("model config: rope_scaling.high_freq_factor must exceed low_freq_factor")


@dataclass(frozen=True)
class GPTConfig:
    """Sizes and family flags of one model. Raises ValueError with one sentence when they cannot be a model.

    `head_dim` and `intermediate_size` of None mean n_embd / n_head, and mlp_ratio * n_embd rounded up to a
    multiple of 256. `rope_interleaved` tells whether a rotary pair is (2i, 2i+1), as in Akane and in Llama
    GGUF files, or (i, i + head_dim/2), as in the hub's files. Ids from `token_limit` on have no token and are
    never sampled.
    """

    block_size: int = 1024
    vocab_size: int = 50304
    n_layer: int = 12
    n_head: int = 12
    n_kv_head: int = 6
    n_embd: int = 768
    mlp_ratio: float = 8 / 3
    rope_theta: float = 10000.0
    eps: float = 1e-6

    head_dim: int | None = None
    intermediate_size: int | None = None
    emb_norm: bool = True
    qk_norm: QkNorm = "after_rope"
    tied_head: bool = False
    qkv_bias: bool = False
    rope_dtype: RopeDtype = "bfloat16"
    rope_interleaved: bool = True
    rope_scaling: RopeScaling | None = None
    token_limit: int | None = 50257

    def __post_init__(self) -> None:
        for name, largest in MAX_SIZES.items():
            value = getattr(self, name)
            if value is None and name in ("head_dim", "intermediate_size"):
                continue
            if type(value) is not int or not 1 <= value <= largest:
                raise ValueError(
                    f"model config: {name} must be an integer from 1 to {largest}, not {_short(value)}"
                )
        if self.n_head % self.n_kv_head:
            raise ValueError(
                f"model config: n_head {self.n_head} is not a multiple of n_kv_head {self.n_kv_head}"
            )
        if self.head_dim is None and self.n_embd % self.n_head:
            raise ValueError(f"model config: n_embd {self.n_embd} is not a multiple of n_head {self.n_head}")
        if self.head_size % 2:
            raise ValueError(
                f"model config: the rotary embedding needs an even head size, not {self.head_size}"
            )
        for name in ("mlp_ratio", "rope_theta", "eps"):
            _positive_number(name, getattr(self, name))
        if self.intermediate_size is None and self.mlp_ratio * self.n_embd > MAX_SIZES["intermediate_size"]:
            raise ValueError(f"model config: mlp_ratio {_short(self.mlp_ratio)} is too large")
        for name in ("emb_norm", "tied_head", "qkv_bias", "rope_interleaved"):
            if type(getattr(self, name)) is not bool:
                raise ValueError(
                    f"model config: {name} must be true or false, not {_short(getattr(self, name))}"
                )
        for name, known in (("qk_norm", get_args(QkNorm)), ("rope_dtype", get_args(RopeDtype))):
            if getattr(self, name) not in known:
                got = _short(getattr(self, name))
                raise ValueError(f"model config: {name} must be one of {', '.join(known)}, not {got}")
        if self.token_limit is not None and (type(self.token_limit) is not int or self.token_limit < 1):
            raise ValueError(f"model config: token_limit must be positive, not {_short(self.token_limit)}")

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.head_dim if self.head_dim is not None else self.n_embd // self.n_head

    @property
    def hidden_size(self) -> int:
        """Width of the MLP's hidden layer."""
        if self.intermediate_size is not None:
            return self.intermediate_size
        return 256 * math.ceil(self.mlp_ratio * self.n_embd / 256)

    @property
    def n_tokens(self) -> int:
        """How many ids have a token; the rest of the vocabulary only pads the matrix."""
        return min(self.vocab_size, self.token_limit) if self.token_limit is not None else self.vocab_size

    @property
    def linear_shapes(self) -> dict[str, tuple[int, int]]:
        """(out, in) of each linear layer of a block."""
        query, kv, width = self.n_head * self.head_size, self.n_kv_head * self.head_size, self.n_embd
        return {
            "attn.c_q": (query, width),
            "attn.c_k": (kv, width),
            "attn.c_v": (kv, width),
            "attn.c_proj": (width, query),
            "mlp.w1": (self.hidden_size, width),
            "mlp.w2": (self.hidden_size, width),
            "mlp.c_proj": (width, self.hidden_size),
        }

    @property
    def parameter_count(self) -> int:
        """Number of parameters, a tied head counted once."""
        query, kv = self.n_head * self.head_size, self.n_kv_head * self.head_size
        layer = self.n_embd * (2 * query + 2 * kv + 3 * self.hidden_size) + 2 * self.n_embd
        layer += (query + 2 * kv) * self.qkv_bias + 2 * self.head_size * (self.qk_norm != "none")
        tables = self.vocab_size * self.n_embd * (1 if self.tied_head else 2)
        return tables + self.n_layer * layer + self.n_embd * (1 + self.emb_norm)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> GPTConfig:
        """Build from a checkpoint's config; an unknown field is refused: it would change what is computed."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(_short(name) for name in values if name not in known)
        if unknown:
            raise ValueError(f"model config: unknown field {', '.join(unknown[:5])}")
        given = dict(values)
        scaling = given.get("rope_scaling")
        if scaling is not None and not isinstance(scaling, RopeScaling):
            try:
                given["rope_scaling"] = RopeScaling(**scaling)
            except TypeError:
                names = ", ".join(field.name for field in fields(RopeScaling))
                raise ValueError(f"model config: rope_scaling must have the fields {names}") from None
        return cls(**given)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` reads them back."""
        return asdict(self)


def _positive_number(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e12:
        raise ValueError(f"model config: {name} must be a positive number, not {_short(value)}")


def _short(value: object) -> str:
    return repr(value)[:60]
