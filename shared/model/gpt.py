"""Akane's GPT: pre-norm, grouped queries, one rotary table, SwiGLU; knows no tokenizer and no bus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.model.adapter import Adapter
from shared.model.config import GPTConfig
from shared.model.kv_cache import KVCache
from shared.model.rotary import RotaryEmbedding


class RMSNorm(nn.Module):
    """https://arxiv.org/abs/1910.07467 over the last dimension."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape and dtype as x."""
        # Under autocast queries and keys come in bfloat16; with weights of another type no kernel is fused.
        return F.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), self.eps)


class Attention(nn.Module):
    """Causal attention with fewer key/value heads than query heads."""

    def __init__(self, config: GPTConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.n_head, self.n_kv_head, self.head_size = config.n_head, config.n_kv_head, config.head_size
        self.qk_norm = config.qk_norm
        query, kv = self.n_head * self.head_size, self.n_kv_head * self.head_size
        self.c_q = nn.Linear(config.n_embd, query, bias=config.qkv_bias)
        self.c_k = nn.Linear(config.n_embd, kv, bias=config.qkv_bias)
        self.c_v = nn.Linear(config.n_embd, kv, bias=config.qkv_bias)
        self.c_proj = nn.Linear(query, config.n_embd, bias=False)
        self.c_qkv: nn.Module | None = None
        """The three projections as one, once `shared.model.packing` has joined them."""
        if config.qk_norm != "none":
            self.q_norm = RMSNorm(self.head_size, config.eps)
            self.k_norm = RMSNorm(self.head_size, config.eps)

    def forward(self, x: Tensor, rotary: RotaryEmbedding, step: Step) -> Tensor:
        """x is (B, T, n_embd)."""
        batch, length, _ = x.shape
        heads = (self.n_head, self.n_kv_head)
        qkv = (
            self.c_qkv(x)
            if self.c_qkv is not None
            else torch.cat((self.c_q(x), self.c_k(x), self.c_v(x)), -1)
        )
        qkv = qkv.view(batch, length, -1, self.head_size).transpose(1, 2)
        qk, v = qkv.split((sum(heads), self.n_kv_head), 1)
        if self.qk_norm == "before_rope":
            q, k = qk.split(heads, 1)
            qk = torch.cat((self.q_norm(q), self.k_norm(k)), 1)
        q, k = rotary(qk, step.cos, step.sin).split(heads, 1)
        if self.qk_norm == "after_rope":
            q, k = self.q_norm(q), self.k_norm(k)
        if step.cache is not None:
            k, v = step.cache.write(self.layer, step.rows, k, v)
        y = step.attend(q, k, v)
        return self.c_proj(y.transpose(1, 2).reshape(batch, length, -1))


class MLP(nn.Module):
    """SwiGLU (https://arxiv.org/abs/2002.05202): c_proj(silu(w1 x) * w2 x)."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.w1 = nn.Linear(config.n_embd, config.hidden_size, bias=False)
        self.w2 = nn.Linear(config.n_embd, config.hidden_size, bias=False)
        self.c_proj = nn.Linear(config.hidden_size, config.n_embd, bias=False)
        self.w12: nn.Module | None = None
        """Both input matrices as one, once `shared.model.packing` has joined them."""

    def forward(self, x: Tensor) -> Tensor:
        """x is (B, T, n_embd)."""
        gate, up = self.w12(x).chunk(2, -1) if self.w12 is not None else (self.w1(x), self.w2(x))
        return self.c_proj(F.silu(gate) * up)


class Block(nn.Module):
    """Attention, then MLP, each on a normalised copy of the residual stream."""

    def __init__(self, config: GPTConfig, layer: int) -> None:
        super().__init__()
        self.ln_1 = RMSNorm(config.n_embd, config.eps)
        self.attn = Attention(config, layer)
        self.ln_2 = RMSNorm(config.n_embd, config.eps)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, rotary: RotaryEmbedding, step: Step) -> Tensor:
        """x is (B, T, n_embd)."""
        x = x + self.attn(self.ln_1(x), rotary, step)
        return x + self.mlp(self.ln_2(x))


class CacheRows(Protocol):
    """Where a step's keys and values go: `KVCache.write`."""

    def write(self, layer: int, rows: Sequence[int], keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Put new keys and values behind the old; returns all of them."""


class Step:
    """What every layer of one forward pass shares: rotary rows, mask, and where the cache is written."""

    __slots__ = ("cache", "cos", "mask", "rows", "sin")
    cache: CacheRows | None

    def __init__(
        self, rotary: RotaryEmbedding, batch: int, length: int, cache: KVCache | None, rows: Sequence[int]
    ) -> None:
        starts = [0] * batch if cache is None else [cache.lengths[row] for row in rows]
        self.cache, self.rows = cache, rows
        self.cos, self.sin = rotary.rows(starts, length)
        self.mask = offset_mask(starts, length, self.cos.device)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """What q (B, n_head, T, head_size) reads from k and v (B, n_kv_head, longest, head_size); like q."""
        if q.shape[2] == 1:
            # One position: heads that share a key head become its query positions, so nothing is repeated.
            grouped = q.reshape(q.shape[0], k.shape[1], -1, q.shape[3])
            return F.scaled_dot_product_attention(grouped, k, v, attn_mask=self.mask).reshape(q.shape)
        return F.scaled_dot_product_attention(
            q, k, v, attn_mask=self.mask, is_causal=self.mask is None, enable_gqa=True
        )


def offset_mask(starts: Sequence[int], length: int, device: torch.device) -> Tensor | None:
    """Who sees whom when `length` tokens follow `starts[b]` cached ones, (B, 1, length, longest).

    None where the kernel needs no mask: a plain causal square, or a single token that sees all there is.
    """
    if not any(starts) or (length == 1 and len(set(starts)) == 1):
        return None
    longest = max(starts) + length
    own = torch.tensor(starts, device=device)[:, None, None] + torch.arange(length, device=device)[:, None]
    return (torch.arange(longest, device=device) <= own)[:, None]


class GPT(nn.Module):
    """Logits of the next token. Parameter names are those of Akane's checkpoints, whatever the family."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.transformer = nn.ModuleDict(
            {
                # Initialising itself on the meta device would import all of torch._dynamo (1 s).
                "wte": nn.Embedding.from_pretrained(
                    torch.empty(config.vocab_size, config.n_embd), freeze=False
                ),
                "h": nn.ModuleList(Block(config, layer) for layer in range(config.n_layer)),
                "ln_f": RMSNorm(config.n_embd, config.eps),
            }
        )
        if config.emb_norm:
            self.emb_norm = RMSNorm(config.n_embd, config.eps)
        head = None if config.tied_head else nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self.lm_head: nn.Module | None = head
        self.rotary = RotaryEmbedding(config)
        self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        """Normal(0, 0.02), but zero for both `c_proj` of each block, which so starts as the identity."""
        if self.device.type == "meta":
            return
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear) and name.endswith("c_proj"):
                module.weight.zero_()
            elif isinstance(module, (nn.Linear, nn.Embedding)):
                module.weight.normal_(std=0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                module.bias.zero_()

    @classmethod
    def from_state(
        cls,
        config: GPTConfig,
        tensors: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]],
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype | None = None,
    ) -> GPT:
        """A model in eval mode from named tensors, one converted at a time: a generator needs no copy.

        `dtype` None keeps each tensor's own. Raises ValueError in one sentence when a tensor is missing,
        unknown, or of another shape.
        """
        with torch.device("meta"):
            model = cls(config)
        wanted = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
        missing = set(wanted)
        for name, tensor in tensors.items() if isinstance(tensors, Mapping) else tensors:
            if name not in missing:
                known = "comes twice" if name in wanted else "does not belong to this architecture"
                raise ValueError(f"the checkpoint's tensor {name[:80]!r} {known}")
            if tuple(tensor.shape) != wanted[name]:
                got = tuple(tensor.shape)
                raise ValueError(
                    f"the checkpoint's tensor {name!r} is {got}, the config needs {wanted[name]}"
                )
            missing.discard(name)
            module, _, leaf = name.rpartition(".")
            parameter = nn.Parameter(tensor.to(device=device, dtype=dtype), requires_grad=False)
            setattr(model.get_submodule(module), leaf, parameter)
        if missing:
            raise ValueError(f"the checkpoint lacks the tensor {min(missing)!r} ({len(missing)} missing)")
        model.rotary.build(torch.device(device))
        return model.eval()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.transformer["wte"].weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return self.transformer["wte"].weight.dtype

    def new_cache(self, batch: int = 1, max_seq_len: int | None = None) -> KVCache:
        """A cache of this model's shape, dtype and device."""
        return KVCache.from_config(self.config, batch, max_seq_len, dtype=self.dtype, device=self.device)

    def forward(
        self,
        tokens: Tensor,
        cache: KVCache | None = None,
        rows: Sequence[int] | None = None,
        last_only: bool = False,
    ) -> Tensor:
        """Logits (B, T, vocab_size) for tokens (B, T); with `last_only` only the last position's, T = 1.

        With a cache, batch entry b continues cache row `rows[b]` (row b by default) and is added to it.
        Raises CacheOverflowError when a row is full, ValueError when the context is too short.
        """
        batch, length = tokens.shape
        if cache is None:
            rows = ()
            if length > self.config.block_size:
                raise ValueError(f"{length} tokens do not fit the context of {self.config.block_size}")
        else:
            rows = range(batch) if rows is None else rows
            if len(rows) != batch or len(set(rows)) != batch:
                raise ValueError(f"{batch} sequences need as many different cache rows, not {list(rows)}")
            cache.require_room(rows, length)
        x = self.hidden(tokens, Step(self.rotary, batch, length, cache, rows))
        if cache is not None:
            cache.advance(rows, length)
        return self.head(x[:, -1:] if last_only else x)

    def hidden(self, tokens: Tensor, step: Step) -> Tensor:
        """What the last layer gives for tokens (B, T), (B, T, n_embd)."""
        x = self.transformer["wte"](tokens)
        if self.config.emb_norm:
            x = self.emb_norm(x)
        for block in self.transformer["h"]:
            x = block(x, self.rotary, step)
        return x

    def head(self, x: Tensor) -> Tensor:
        """Logits (…, vocab_size) of hidden states (…, n_embd)."""
        x = self.transformer["ln_f"](x)
        return F.linear(x, self.transformer["wte"].weight) if self.lm_head is None else self.lm_head(x)

    def set_adapter(self, adapter: Adapter | None) -> None:
        """Compute with this adapter from now on, or with none; `require_fits` must have passed."""
        from shared.model.adapted import attach

        attach(self, adapter)

    def generate(self, tokens: Sequence[int], max_tokens: int, **options: Any) -> Iterator[int]:
        """Token ids that follow `tokens`, one at a time; options as in `shared.model.generate.generate`."""
        from shared.model.generate import generate

        return generate(self, tokens, max_tokens, **options)
