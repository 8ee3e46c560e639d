"""Exponential moving average of weights: a separate copy, never swapped into the net that learns."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Average:
    """Averages a net's floating-point tensors (parameters and buffers) by name, in float32.

    Decay at the n-th update is min(decay, (1 + n) / (10 + n)), so that the average leaves the initial weights
    quickly (as torch_ema, which the SGMSE family uses).
    """

    def __init__(self, net: nn.Module, decay: float):
        self.decay, self.updates = decay, 0
        self.tensors = {name: tensor.detach().clone().float() for name, tensor in floating(net).items()}

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Move towards the net's weights."""
        self.updates += 1
        keep = min(self.decay, (1 + self.updates) / (10 + self.updates))
        live = floating(net)
        torch._foreach_lerp_(list(self.tensors.values()), [live[name].float() for name in self.tensors], 1 - keep)

    @torch.no_grad()
    def distance(self, net: nn.Module) -> float:
        """Norm of the difference to the net over the norm of the net."""
        live = floating(net)
        apart = sum(float((live[name].float() - tensor).square().sum()) for name, tensor in self.tensors.items())
        size = sum(float(live[name].float().square().sum()) for name in self.tensors)
        return (apart / size) ** 0.5 if size else 0.0

    def load(self, tensors: Mapping[str, Tensor], updates: int) -> None:
        """Continue from saved averages."""
        for name, tensor in self.tensors.items():
            tensor.copy_(tensors[name])
        self.updates = updates


def floating(net: nn.Module) -> dict[str, Tensor]:
    """The floating-point tensors of a net's state."""
    return {name: tensor for name, tensor in net.state_dict(keep_vars=False).items() if tensor.is_floating_point()}
