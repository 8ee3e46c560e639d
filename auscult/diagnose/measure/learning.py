"""A model in its training step: which parameters the gradient reaches, and how it learns one batch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from auscult.diagnose.clock import Clock
from auscult.diagnose.evidence import Practice, Step

WARM_STEPS, RATE = 3, 1e-3
"""Last layers that start at zero pass no gradient on at the first step, and do at the next."""
BATCH_STEPS = 60
HALF = 0.5
"""Of the first loss: learned, whatever comes."""


@dataclass(frozen=True)
class Reach:
    """Where gradients went: parameters by module, those that never had one, those that are frozen at random values."""

    sizes: Mapping[str, int]
    dead: Mapping[str, int]
    frozen: Mapping[str, int]
    connected: bool

    @property
    def total(self) -> int:
        """Parameters."""
        return max(1, sum(self.sizes.values()))


def reach(practice: Practice, twin: Practice, step: Step, clock: Clock) -> Reach:
    """Take a few small steps and see which parameters ever have a gradient."""
    nets = practice.nets()
    named = {f"{net}.{name}": p for net, module in nets.items() for name, p in module.named_parameters()}
    others = {f"{net}.{name}": p for net, module in twin.nets().items() for name, p in module.named_parameters()}
    moved, connected = _moved(practice, step, named, clock)
    sizes, dead, frozen = ({_module(name): 0 for name in named} for _ in range(3))
    for name, parameter in named.items():
        sizes[_module(name)] += parameter.numel()
        if parameter.requires_grad and name not in moved:
            dead[_module(name)] += parameter.numel()
        elif not parameter.requires_grad and name in others and not torch.equal(parameter, others[name]):
            frozen[_module(name)] += parameter.numel()
    return Reach(sizes, dead, frozen, connected)


def _moved(practice: Practice, step: Step, named: Mapping[str, Tensor], clock: Clock) -> tuple[set[str], bool]:
    """Names of parameters that had a gradient; and whether the loss has a graph at all."""
    learners = [p for p in named.values() if p.requires_grad]
    moved: set[str] = set()
    if not learners:
        return moved, False
    adam = torch.optim.Adam(learners, RATE)
    for _ in range(WARM_STEPS):
        loss = total(practice, step)
        if not loss.requires_grad:
            return moved, False
        adam.zero_grad()
        loss.backward()
        moved |= {name for name, p in named.items() if p.grad is not None and bool((p.grad != 0).any())}
        adam.step()
        if clock.left <= 0:
            break
    return moved, bool(moved)


def _module(name: str) -> str:
    """The net and its module of the first level: ``net.encoder``."""
    return ".".join(name.split(".")[:2])


def total(practice: Practice, step: Step) -> Tensor:
    """What is learned from: the sum of the weighted parts, with a graph."""
    return torch.stack(list(practice.loss(step).values())).sum()


def learn(practice: Practice, step: Step, rate: float, clip: float | None, clock: Clock) -> list[float]:
    """The loss of the same batch after each step of Adam, until it is halved, not finite, or the time is up."""
    learners = [p for net in practice.nets().values() for p in net.parameters() if p.requires_grad]
    if not learners:
        return [float(total(practice, step).detach())]
    adam, losses = torch.optim.Adam(learners, rate), []
    for _ in range(BATCH_STEPS + 1):
        loss = total(practice, step)
        losses.append(float(loss.detach()))
        learned = 0 <= losses[-1] < HALF * losses[0]
        if learned or not loss.requires_grad or not math.isfinite(losses[-1]) or clock.left <= 0:
            break
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learners, clip or math.inf)
        adam.step()
    return losses
