"""Every linear path as the variance-exploding one: e = (x_t - b y) / a = x_0 + s z with s = sigma / a.

So solvers of the EDM and DPM family apply whatever a, b and sigma are, and to any checkpoint (Karras et al. 2022, Lu
et al. 2022). The flow of e is de / d ln s = e - x_0(e, s), with the net's clean estimate as x_0.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from auscult.paths.base import LinearPath, Times
from auscult.samplers.base import Predict


@dataclass(frozen=True)
class Clock:
    """The time at which ln s has a value: a fine table from ``t_eps`` to the first time, read between its rows."""

    t: Float[Tensor, " rows"]
    log_s: Float[Tensor, " rows"]

    @classmethod
    def of(cls, path: LinearPath, t_eps: float, first: float) -> Clock:
        t = torch.linspace(t_eps, first, 4001, dtype=torch.float64)
        return cls(t, (path.std(t) / path.clean_weight(t)).log())

    def to(self, like: Tensor) -> Clock:
        """The table in the precision and on the device of ``like``."""
        return Clock(self.t.to(like), self.log_s.to(like))

    def at(self, log_s: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The times."""
        i = torch.searchsorted(self.log_s, log_s).clamp(1, len(self.t) - 1)
        share = ((log_s - self.log_s[i - 1]) / (self.log_s[i] - self.log_s[i - 1])).clamp(0.0, 1.0)
        return self.t[i - 1] + share * (self.t[i] - self.t[i - 1])


def clean_at(predict: Predict, e: Tensor, anchor: Tensor, path: LinearPath, t: Times) -> Tensor:
    """The clean estimate at e: x_t = a e + b y through the net."""
    return predict(path.mean(e, anchor, t), t).clean
