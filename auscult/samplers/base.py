"""What a sampler is given, what it returns, and which paths it admits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from auscult.bounds import Time
from auscult.errors import RecipeError
from auscult.paths.base import LinearPath, Prediction, Times
from auscult.rng import Draws

Predict = Callable[[Tensor, Times], Prediction]
"""(x_t, t) -> prediction: the net with everything else it needs already bound."""


@dataclass(frozen=True)
class Needs:
    """What a sampler needs of a path, and what to use where the path has it not.

    Args:
        kind: the class whose coefficients the sampler reads, where it reads more than every path has.
        score_at_start: that a score exists at t_max.
        instead: the advice that ends the refusal.
    """

    kind: type[LinearPath] | None = None
    score_at_start: bool = False
    instead: str = ""


class Sampler(ABC):
    """Settings of a sampler; calling it samples. Subclasses are frozen dataclasses."""

    @abstractmethod
    def __call__(self, predict: Predict, anchor: Tensor, path: LinearPath, draws: Draws) -> Tensor:
        """Sample a clean estimate of the shape of ``anchor``, [B, C, F, N]."""

    @property
    @abstractmethod
    def calls(self) -> int:
        """Net calls a sample costs; at most, where the solver adapts its steps."""

    @property
    def needs(self) -> Needs:
        """What a path must have to be sampled so."""
        return Needs()

    def check(self, path: LinearPath) -> None:
        """Refuse a path that this sampler cannot walk.

        Raises:
            RecipeError: naming both, and what to use instead.
        """
        needs, this, that = self.needs, type(self).__name__, type(path).__name__
        if needs.kind is not None and not isinstance(path, needs.kind):
            raise RecipeError(f"{this} steps by the coefficients of {needs.kind.__name__}, not {that}; {needs.instead}")
        if needs.score_at_start and path.t_start < path.t_max:
            raise RecipeError(
                f"{this} needs a score where it starts, and {that} has none at t = {path.t_max:g}, "
                f"where it holds no noise; {needs.instead}"
            )


@dataclass(frozen=True, kw_only=True)
class Walk(Sampler):
    """Samplers that walk back from a first time to ``t_eps``.

    Args:
        t_eps: the last time at which the net is asked.
        reverse_start: start at this time instead, from ``path.start``: fewer steps, from the recording with noise
            of that level (Lay et al. 2023).
    """

    t_eps: Time = 0.03
    reverse_start: Time | None = None

    def __post_init__(self) -> None:
        if self.reverse_start is not None and self.reverse_start <= self.t_eps:
            raise ValueError(f"reverse_start {self.reverse_start} must exceed t_eps {self.t_eps}")

    def check(self, path: LinearPath) -> None:
        super().check(path)
        first, that = self.t_eps if self.reverse_start is None else self.reverse_start, type(path).__name__
        if first > path.t_max:
            raise RecipeError(f"{type(self).__name__} is to walk from t = {first:g}, and {that} ends at {path.t_max:g}")
