"""What a fault of the benchmark is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from auscult.diagnose.causes import BY_ID

Material = Literal["data", "loader", "loss", "run", "outputs", "scores", "sampler"]
UNKNOWN = ("abnormal-run", "abnormal-output", "abnormal-recordings")
"""Honest answers to what has no name."""


@dataclass(frozen=True)
class Fault:
    """A way to spoil a set-up, and what a doctor may call it.

    Args:
        material: what it is put into.
        accepted: causes that name it, the exact one first; a wrong set-up often has several true names.
        severities: from slight to gross; what the number means only ``inject`` knows.
        inject: ``data``: (tree, rng, severity) -> tree. ``loader``, ``loss``: (severity) -> a way of
            :mod:`benchmarks.doctor.project`. ``run``: (severity) -> :class:`benchmarks.doctor.spec.Training`.
            ``outputs``: (outputs, rng, severity) -> outputs. ``scores``: (table, rng, severity) -> table.
            ``sampler``: (severity) -> settings of the method.
        unseen: of a kind that no check was written for: the right family, or that it is abnormal, is a right answer.
        in_history: of runs: whether loss, rate, gradient norm and validation scores alone can show it. Not so what acts
            on other things (a part of the net, the order of items, labels, a condition), or what those curves show as a
            worse run that has no name in ``accepted``.
    """

    name: str
    material: Material
    accepted: tuple[str, ...]
    severities: tuple[float, ...]
    inject: Callable[..., Any]
    unseen: bool = False
    in_history: bool = True

    def __post_init__(self) -> None:
        if unknown := set(self.accepted) - set(BY_ID):
            raise ValueError(f"{self.name}: not causes: {', '.join(sorted(unknown))}")

    @property
    def family(self) -> str:
        """Of the exact cause."""
        return BY_ID[self.accepted[0]].family

    def exact(self, cause: str) -> bool:
        """Whether a cause is the exact one."""
        return cause == self.accepted[0]

    def right(self, cause: str) -> bool:
        """Whether a cause is a right answer."""
        if self.unseen and (cause in UNKNOWN or BY_ID[cause].family == self.family):
            return True
        return cause in self.accepted
