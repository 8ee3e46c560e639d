"""Faults of real projects, to be switched on for study: ``--set data.type=faults.IndependentCrops``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from auscult.data.bank import BankSpec
from auscult.data.pairs import Mixture, Pair
from auscult.degrade.base import Degradation
from auscult.rng import Key

OWN_HZ = 48_000


class IndependentCrops(Mixture):
    """Clean and noisy crops of the same file, each with a start of its own: they have nothing in common.

    A project trained 1496 epochs on such pairs and called the result converged (docs/cases/tfgridnet-crops.md).
    """

    def pair(self, index: int, key: Key) -> Pair:
        noisy, clean = super().pair(index, key), super().pair(index, key.child("clean"))
        return replace(noisy, clean=clean.clean)


class RateNotRead(Mixture):
    """Recordings at 48 kHz whose samples go to the net as they are, called another rate.

    A project trained score models so, with nets made for 16 kHz (docs/cases/voicebank-48k.md).
    """

    def __init__(
        self,
        speech: BankSpec,
        degradations: tuple[Degradation, ...],
        banks: dict[str, BankSpec] | None = None,
        root: Path = Path(),
        rate_hz: int = 16_000,
        crop_s: float = 2.0,
    ):
        super().__init__(speech, degradations, banks, root, OWN_HZ, crop_s * rate_hz / OWN_HZ)
        self.rate_hz, self.crop_s = rate_hz, crop_s
