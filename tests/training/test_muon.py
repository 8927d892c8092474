"""Muon against PyTorch's own, and what its matrices become."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from training.distributed import World
from training.muon import Muon, muon_and_adamw, orthogonalised
from training.optimiser import set_rate

SHAPES = [(24, 16), (16, 24), (16, 24), (32, 32)]


def test_all_directions_become_alike() -> None:
    torch.manual_seed(0)
    for shape in ((2, 24, 16), (1, 16, 24), (3, 40, 16)):
        matrices = 7 * torch.randn(shape)
        turned = orthogonalised(matrices)
        assert turned.shape == shape
        sizes = torch.linalg.svdvals(turned)
        assert float(sizes.min()) > 0.5
        assert float(sizes.max()) < 1.3
        # The nearest such matrix has the same singular vectors.
        u, _, v = torch.linalg.svd(matrices, full_matrices=False)
        nearest = (turned * (u @ v)).sum() / (turned.norm() * (u @ v).norm())
        assert float(nearest) > 0.97


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch has its own since 2.9")
def test_it_does_what_pytorch_does() -> None:
    torch.manual_seed(1)
    ours = [nn.Parameter(torch.randn(shape)) for shape in SHAPES]
    theirs = [nn.Parameter(one.detach().clone()) for one in ours]
    one = Muon(ours, 0.1, World())
    other = torch.optim.Muon(
        theirs, lr=0.02, weight_decay=0.1, momentum=0.95, nesterov=True, adjust_lr_fn="match_rms_adamw"
    )
    set_rate(one, 0.02)
    begin = [parameter.detach().clone() for parameter in ours]
    for _ in range(3):
        for left, right in zip(ours, theirs, strict=True):
            left.grad = torch.randn(left.shape)
            right.grad = left.grad.clone()
        one.step()
        other.step()
    for left, right, old in zip(ours, theirs, begin, strict=True):
        moved = (left - old).detach().norm()
        assert float((left - right).detach().norm() / moved) < 0.06  # theirs computes in bfloat16


def test_slices_change_nothing_but_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def learned() -> list[nn.Parameter]:
        torch.manual_seed(2)
        parameters = [nn.Parameter(torch.randn(24, 16)) for _ in range(5)]
        muon = Muon(parameters, 0.1, World())
        set_rate(muon, 0.02)
        for parameter in parameters:
            parameter.grad = torch.randn(24, 16)
        muon.step()
        return parameters

    whole = learned()
    sizes: list[int] = []

    def counted(matrices: torch.Tensor) -> torch.Tensor:
        sizes.append(len(matrices))
        return orthogonalised(matrices)

    monkeypatch.setattr("training.muon.SLICE_BYTES", 2 * 4 * 24 * 16)
    monkeypatch.setattr("training.muon.orthogonalised", counted)
    for left, right in zip(whole, learned(), strict=True):
        torch.testing.assert_close(left, right)
    assert sizes == [2, 2, 1]


def test_matrices_of_blocks_are_its_and_all_else_is_adamws() -> None:
    shapes = {
        "transformer.wte.weight": (8, 4),
        "transformer.h.0.attn.c_q.weight": (4, 4),
        "transformer.h.0.ln_1.weight": (4,),
        "lm_head.weight": (8, 4),
    }
    parameters = {name: nn.Parameter(torch.ones(shape)) for name, shape in shapes.items()}
    muon, adamw = muon_and_adamw(parameters, 0.1, World())
    assert [id(one) for one in muon.param_groups[0]["params"]] == [
        id(parameters["transformer.h.0.attn.c_q.weight"])
    ]
    rest = {id(one): group["share"] for group in adamw.param_groups for one in group["params"]}
    assert rest == {
        id(parameters["transformer.wte.weight"]): 0.1,
        id(parameters["lm_head.weight"]): 0.1,
        id(parameters["transformer.h.0.ln_1.weight"]): 1.0,
    }
