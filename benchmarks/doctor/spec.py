"""What a case needs beside its corpus: settings and code of a training, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.doctor.project import word

SOURCE, LOSS = "benchmarks.doctor.project.Handled", "benchmarks.doctor.project.Compared"
TRUST = ("benchmarks",)


@dataclass(frozen=True)
class Training:
    """What is done to a training before it starts.

    Args:
        settings: overrides of its recipe.
        source, loss: habits of :mod:`benchmarks.doctor.project` by name, with an amount; ``term`` is the loss's place.
        patch: a slip of :mod:`benchmarks.doctor.slips` in the loop, with an amount.
        resumed: stopped half-way and resumed; the slip is in the second half.
    """

    settings: tuple[str, ...] = ()
    source: tuple[str, float] | None = None
    loss: tuple[str, float] | None = None
    term: int | None = 0
    patch: tuple[str, float] | None = None
    resumed: bool = False

    def applied(self, recipe: dict[str, Any]) -> dict[str, Any]:
        """A recipe with source and loss of the project, whether they have a habit or not."""
        way, amount = self.source or ("plain", 0.0)
        recipe = recipe | {"data": {"type": SOURCE, "source": recipe["data"], "way": word(way), "amount": amount}}
        method = recipe["method"]
        if "losses" in method:
            return recipe | {"method": method | {"losses": self._losses(method["losses"])}}
        return recipe

    def _losses(self, losses: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        found = []
        for place, loss in enumerate(losses):
            meant = self.loss is not None and (self.term is None or place == self.term)
            way, amount = self.loss if meant and self.loss else ("as it is", 0.0)
            found.append({"type": LOSS, "loss": loss, "way": word(way), "amount": amount})
        return found
