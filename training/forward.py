"""From token ids to the loss of the next token, in one module that can be compiled, wrapped and sharded."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.model.gpt import GPT, Step
from shared.model.rotary import RotaryEmbedding
from training.loss import summed_cross_entropy


class DocumentStep(Step):
    """A pass in which a token sees the tokens of its own document alone, and positions begin anew in each.

    `segments` (B, T) numbers the documents of each row.
    """

    __slots__ = ("repeats",)

    def __init__(self, rotary: RotaryEmbedding, segments: Tensor) -> None:
        # There the kernels that share key heads are flash, which takes no mask, and the plain one, which
        # would keep (B, n_head, T, T) of every layer.
        self.repeats = segments.device.type == "cuda"
        self.cache, self.rows = None, ()
        at = torch.arange(segments.shape[1], device=segments.device)
        begins = torch.ones_like(segments, dtype=torch.bool)
        begins[:, 1:] = segments[:, 1:] != segments[:, :-1]
        positions = at - (at * begins).cummax(1).values
        self.cos, self.sin = rotary.cos[positions][:, None], rotary.sin[positions][:, None]
        self.mask = (segments[:, None, :, None] == segments[:, None, None, :]).tril()

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """As `Step.attend`; on a card each key head is repeated for its query heads."""
        if not self.repeats:
            return super().attend(q, k, v)
        k, v = (one.repeat_interleave(q.shape[1] // one.shape[1], 1) for one in (k, v))
        return F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask)


def head_inputs(
    model: GPT, tokens: Tensor, step: Step, autocast: bool, at: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """What the head multiplies: hidden states (N, n_embd) behind the last norm, and its matrix.

    `tokens` are (B, T); `at` picks positions of all B * T, in their order, else all are taken. `autocast`
    computes in bfloat16 with float32 weights.
    """
    with torch.autocast(tokens.device.type, torch.bfloat16, enabled=autocast):
        hidden = model.hidden(tokens, step).flatten(0, 1)
        hidden = model.transformer["ln_f"](hidden if at is None else hidden[at])
    head = model.transformer["wte"] if model.lm_head is None else model.lm_head
    return hidden.bfloat16() if autocast else hidden, head.weight


class NextToken(nn.Module):
    """The summed loss of a batch: all of a training step that runs on the device."""

    def __init__(self, model: GPT, autocast: bool) -> None:
        super().__init__()
        self.model, self.autocast = model, autocast

    def forward(self, inputs: Tensor, targets: Tensor, segments: Tensor | None = None) -> Tensor:
        """-log p in nats, summed over targets (B, T) that are not below 0; `segments`: see DocumentStep."""
        rotary = self.model.rotary
        batch, length = inputs.shape
        step = Step(rotary, batch, length, None, ()) if segments is None else DocumentStep(rotary, segments)
        return summed_cross_entropy(*head_inputs(self.model, inputs, step, self.autocast), targets.flatten())
