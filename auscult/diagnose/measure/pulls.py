"""Who pulls: the share of each term of a loss in the gradient at an estimate, and how terms pull together."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor

from auscult.diagnose.evidence import Practice, Step
from auscult.diagnose.measure.loss_survey import gradient, mixed


@dataclass(frozen=True)
class Pull:
    """Of each term its share of the summed gradient norms; of each its cosine with the sum of the others."""

    shares: dict[str, float]
    cosines: dict[str, float]
    pairs: dict[tuple[str, str], float]


def pull(practice: Practice, step: Step, left: float) -> Pull | None:
    """At the target with so much of the noise; None for a loss of one term, or without gradient."""
    found = {name: one.flatten() for name, one in gradient(practice, step, mixed(step, left)).items()}
    norms = {name: float(one.norm()) for name, one in found.items()}
    total = sum(norms.values())
    if len(found) < 2 or total == 0:
        return None
    everything = torch.stack(list(found.values())).sum(0)
    return Pull(
        {name: norm / total for name, norm in norms.items()},
        {name: _cosine(one, everything - one) for name, one in found.items()},
        {(a, b): _cosine(found[a], found[b]) for a, b in combinations(found, 2)},
    )


def _cosine(a: Float[Tensor, " n"], b: Float[Tensor, " n"]) -> float:
    norms = float(a.norm()) * float(b.norm())
    return float(a @ b) / norms if norms else 0.0
