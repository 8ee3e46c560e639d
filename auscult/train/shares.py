"""Who pulls: the share of each part of a loss in the gradient at the estimate, and whether parts pull together."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from auscult.losses.base import Loss


def gradient_shares(loss: Loss) -> dict[str, Any]:
    """``gradient_share``: norm of each part's weighted gradient at the estimate, over the sum of these norms.
    ``gradient_cosine``: of each pair of parts, named ``a|b``. Empty for a loss that names no estimate.

    One backward pass a part, down to the estimate only: the net is not passed.
    """
    if loss.estimate is None or not loss.estimate.requires_grad:
        return {}
    gradients = {name: _gradient(loss, name) for name in loss.parts}
    norms = {name: float(gradient.norm()) for name, gradient in gradients.items()}
    total = sum(norms.values())
    shares = {name: norm / total if total else 0.0 for name, norm in norms.items()}
    cosines = {
        f"{a}|{b}": float(gradients[a] @ gradients[b]) / (norms[a] * norms[b]) if norms[a] * norms[b] else 0.0
        for a, b in combinations(gradients, 2)
    }
    return {"gradient_share": shares} | ({"gradient_cosine": cosines} if cosines else {})


def _gradient(loss: Loss, name: str) -> Float[Tensor, " _"]:
    """Of one weighted part at the estimate; real and imaginary parts side by side."""
    assert loss.estimate is not None
    weighted = loss.weights[name] * loss.parts[name]
    (found,) = torch.autograd.grad(weighted, loss.estimate, retain_graph=True, allow_unused=True)
    found = torch.zeros_like(loss.estimate) if found is None else found.resolve_conj()
    real = torch.view_as_real(found) if found.is_complex() else found
    return real.flatten().float()
