"""Learning-rate schedules: the factor on the base rate as a function of the step and of past validation scores.

A schedule has no state, so there is nothing to save and nothing to lose on resume.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from auscult.bounds import Count, Share, Whole

Scores = Sequence[tuple[int, float]]
"""(step, score) of every validation so far; higher is better."""


class Schedule(ABC):
    """Subclasses are frozen dataclasses."""

    @abstractmethod
    def factor(self, step: int, steps: int, scores: Scores) -> float:
        """Factor for step ``step`` (from 0) of ``steps``."""


@dataclass(frozen=True)
class Constant(Schedule):
    """The base rate, after a linear warm-up."""

    warmup_steps: Whole = 0

    def factor(self, step: int, steps: int, scores: Scores) -> float:
        return _warmup(step, self.warmup_steps)


@dataclass(frozen=True)
class WarmupCosine(Schedule):
    """Linear warm-up, then half a cosine down to ``floor`` at the last step."""

    warmup_steps: Whole = 500
    floor: float = 0.0

    def factor(self, step: int, steps: int, scores: Scores) -> float:
        progress = (step - self.warmup_steps) / max(1, steps - 1 - self.warmup_steps)
        cosine = 0.5 * (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0)))
        return _warmup(step, self.warmup_steps) * (self.floor + (1 - self.floor) * cosine)


@dataclass(frozen=True)
class CosineRestarts(Schedule):
    """Half a cosine down to ``floor``, again and again, each ``multiplier`` times as long as the one before.

    SGDR (Loshchilov and Hutter 2017, eq. 5). The first cycle begins after the warm-up and takes ``period`` steps; let
    the run end where a cycle does, at warmup_steps + period x (1 + multiplier + multiplier^2 + ...).
    """

    period: Count = 10_000
    multiplier: Count = 1
    floor: Share = 0.0
    warmup_steps: Whole = 0

    def factor(self, step: int, steps: int, scores: Scores) -> float:
        if step < self.warmup_steps:
            return _warmup(step, self.warmup_steps)
        into, length = _cycle(step - self.warmup_steps, self.period, self.multiplier)
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * into / length))


@dataclass(frozen=True)
class StepDecay(Schedule):
    """Multiply by ``gamma`` every ``every`` steps."""

    every: Count = 10_000
    gamma: float = 0.5
    warmup_steps: Whole = 0

    def factor(self, step: int, steps: int, scores: Scores) -> float:
        return _warmup(step, self.warmup_steps) * self.gamma ** (step // self.every)


@dataclass(frozen=True)
class Plateau(Schedule):
    """Multiply by ``gamma`` whenever ``patience`` validations in a row have not improved the best score."""

    gamma: float = 0.5
    patience: Count = 3
    warmup_steps: Whole = 0
    floor: float = 1e-3

    def factor(self, step: int, steps: int, scores: Scores) -> float:
        best, waited, cuts = -math.inf, 0, 0
        for _, score in scores:
            best, waited = (score, 0) if score > best else (best, waited + 1)
            if waited == self.patience:
                cuts, waited = cuts + 1, 0
        return _warmup(step, self.warmup_steps) * max(self.gamma**cuts, self.floor)


def _cycle(step: int, period: int, multiplier: int) -> tuple[int, int]:
    """Steps into the cycle that a step falls in, and how long that is."""
    if multiplier == 1:
        return step % period, period
    while step >= period:
        step, period = step - period, period * multiplier
    return step, period


def _warmup(step: int, warmup_steps: int) -> float:
    return min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
