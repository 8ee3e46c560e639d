"""Learning-rate schedules: the factor on the base rate as a function of the step and of past validation scores.

A schedule has no state, so there is nothing to save and nothing to lose on resume.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from auscult.bounds import Count, Whole

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


def _warmup(step: int, warmup_steps: int) -> float:
    return min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
