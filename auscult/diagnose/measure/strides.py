"""Steps of an ordinary loop, from the weights of a run: how far does the loss fall, at which rate, with which bound?

All losses are of the same held-out batches with the same draws, so that they are compared pair by pair.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor, nn

from auscult.diagnose.clock import Clock
from auscult.diagnose.evidence import Practice, Step
from auscult.diagnose.measure.learning import total
from auscult.hub.bundle import load_net, select

HELD_OUT, STEPS = 8, 15
Losses = Float[ndarray, " batches"]
Weights = Mapping[str, Mapping[str, Tensor]]
"""Of each net that learns, by tensor."""
Build = Callable[[str, nn.Module, float], torch.optim.Optimizer]
"""The run's optimiser of a net, at a multiple of its rate."""


@dataclass(frozen=True)
class Gain:
    """Mean of paired differences over batches, its distance from 0 in standard errors, and whether all agree."""

    mean: float
    z: float
    agreed: bool

    @classmethod
    def of(cls, before: Losses, after: Losses) -> Gain:
        """Positive where the loss fell."""
        fell = before - after
        error = float(fell.std(ddof=1)) / math.sqrt(fell.size)
        mean = float(fell.mean())
        z = mean / error if error > 0 else math.copysign(math.inf, mean) if mean else 0.0
        return cls(mean, z, bool((fell > 0).all() or (fell < 0).all()))

    @property
    def sure(self) -> bool:
        """Three standard errors, or two and the same sign in every batch (by chance: 1 in 128 of 8)."""
        return abs(self.z) > 3 or (self.agreed and abs(self.z) > 2)


class Track:
    """A practice whose nets are put at weights, walked from them, and judged on held-out batches."""

    def __init__(self, practice: Practice, build: Build, clip: float | None):
        self._practice, self._build, self._clip = practice.fresh(), build, clip
        steps = self._practice.steps(STEPS + HELD_OUT)
        self._held_out, self._steps = steps[:HELD_OUT], steps[HELD_OUT:]
        self.born = self._weights()

    @property
    def walkable(self) -> bool:
        """Whether there are batches enough to walk along and to be judged by."""
        return len(self._held_out) == HELD_OUT and len(self._steps) == STEPS

    def of(self, tensors: Mapping[str, Tensor], kind: str, origin: str) -> Weights | None:
        """The nets' weights in a checkpoint, ``ema`` or ``net``; None where it holds no averages.

        Raises:
            CheckpointError: they do not fit the nets.
        """
        if kind == "ema" and not any(name.startswith("ema.") for name in tensors):
            return None
        found: dict[str, Mapping[str, Tensor]] = {}
        for name, net in self._practice.nets().items():
            found[name] = select(tensors, name, "ema" if kind == "ema" else "net", origin)
            load_net(net, found[name], origin)
        return found

    def losses(self, weights: Weights) -> Losses:
        """Of the held-out batches."""
        self._put(weights)
        return self._judge()

    def walk(self, weights: Weights, multiple: float, bounded: bool, clock: Clock) -> Losses | None:
        """Losses after the steps of an ordinary loop from weights; None where the time is up or the loss broke."""
        self._put(weights)
        nets = self._practice.nets()
        optimisers = [self._build(name, net, multiple) for name, net in nets.items()]
        for step in self._steps:
            if clock.left <= 0 or not self._step(step, nets, optimisers, bounded):
                return None
        found = self._judge()
        return found if np.isfinite(found).all() else None

    def _step(
        self, step: Step, nets: Mapping[str, nn.Module], optimisers: Sequence[torch.optim.Optimizer], bounded: bool
    ) -> bool:
        loss = total(self._practice, step)
        if not loss.requires_grad or not bool(torch.isfinite(loss)):
            return False
        for optimiser in optimisers:
            optimiser.zero_grad()
        loss.backward()
        for net in nets.values():
            nn.utils.clip_grad_norm_(net.parameters(), (self._clip if bounded else None) or math.inf)
        for optimiser in optimisers:
            optimiser.step()
        return True

    @torch.no_grad()
    def _judge(self) -> Losses:
        return np.array([float(total(self._practice, step)) for step in self._held_out])

    def _weights(self) -> Weights:
        return {
            name: {key: tensor.detach().clone() for key, tensor in net.state_dict().items()}
            for name, net in self._practice.nets().items()
        }

    def _put(self, weights: Weights) -> None:
        for name, net in self._practice.nets().items():
            net.load_state_dict(dict(weights[name]))
