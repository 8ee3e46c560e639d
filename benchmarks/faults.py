"""Faults of real projects, to be switched on for study: ``--set data.type=faults.IndependentCrops``."""

from __future__ import annotations

from dataclasses import replace

from auscult.data.pairs import Mixture, Pair
from auscult.rng import Key


class IndependentCrops(Mixture):
    """Clean and noisy crops of the same file, each with a start of its own: they have nothing in common.

    A project trained 1496 epochs on such pairs and called the result converged (the second case of the doctor).
    """

    def pair(self, index: int, key: Key) -> Pair:
        noisy, clean = super().pair(index, key), super().pair(index, key.child("clean"))
        return replace(noisy, clean=clean.clean)
