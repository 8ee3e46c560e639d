"""Guidance by two conditions: towards the low-resolution signal, and towards the tokens (Brooks et al. 2023).

v = u(-, -) + s_low [u(low, -) - u(-, -)] + s_told [u(low, told) - u(low, -)]

is a weighted sum of up to three answers. Those with weight zero are not asked for, answers that are the same are
joined, and what remains is one call of a larger batch: (1 - s_low), (s_low - s_told) and s_told. Outside an interval of
times, where guidance does little or harm (Kynkaanniemi et al. 2024), one answer is enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from auscult.nets.dit import Context
from auscult.nets.flow_net import FlowNet, Told
from auscult.shapes import bcast


@dataclass(frozen=True)
class Branch:
    """One answer: its weight in the sum, and whether the net is given the low-resolution signal and the tokens."""

    weight: float
    low: bool
    told: bool


def branches(scale_low: float, scale_told: float, guided: bool) -> tuple[Branch, ...]:
    """The fewest answers; without tokens (``guided`` false) that with and that without them are one."""
    parts = [Branch(1 - scale_low, False, True), Branch(scale_low, True, True)]
    if guided:
        parts = [
            Branch(1 - scale_low, False, False),
            Branch(scale_low - scale_told, True, False),
            Branch(scale_told, True, True),
        ]
    return tuple(part for part in parts if part.weight != 0)


EVERYTHING = (Branch(1.0, True, True),)
"""The answer to all conditions."""


@dataclass(frozen=True)
class GuidedFlow:
    """A net with all that is told to it in one sampling run: (x_t, t) -> velocity, in one call.

    What does not depend on x_t is computed when it is made.
    """

    net: FlowNet
    parts: Sequence[Branch]
    beside: Tensor
    told: Told
    context: Context

    @classmethod
    def of(cls, net: FlowNet, parts: Sequence[Branch], beside: Tensor, null: float, told: Told) -> GuidedFlow:
        """For a batch; ``null`` is the value that stands for no low-resolution signal."""
        absent = torch.full_like(beside, null)
        everything = torch.cat([beside if part.low else absent for part in parts])
        none, all_items = torch.zeros_like(told.heard), torch.ones_like(told.heard)
        joined = Told.joined([told.withheld(none if part.told else all_items) for part in parts])
        return cls(net, parts, everything, joined, net.context(joined))

    def __call__(self, x: Tensor, t: Float[Tensor, " B"]) -> Tensor:
        count = len(self.parts)
        answers = self.net(torch.cat([x] * count), torch.cat([t] * count), self.beside, self.told, self.context)
        if count == 1 and self.parts[0].weight == 1:
            return answers
        weights = answers.real.new_tensor([part.weight for part in self.parts]).repeat_interleave(len(x))
        return (bcast(weights, answers) * answers).unflatten(0, (count, len(x))).sum(0)


@dataclass(frozen=True)
class FlowWithin:
    """Guidance within an interval of times, ends included; ``plain``, the answer to all conditions, elsewhere."""

    guided: GuidedFlow
    plain: GuidedFlow
    interval: tuple[float, float]

    def __call__(self, x: Tensor, t: Float[Tensor, " B"]) -> Tensor:
        inside = (t >= self.interval[0]) & (t <= self.interval[1])
        if bool(inside.all()):
            return self.guided(x, t)
        if not bool(inside.any()):
            return self.plain(x, t)
        return torch.where(bcast(inside, x), self.guided(x, t), self.plain(x, t))
