"""What a row of a manifest of pairs corrects, with no change of files: a lag between the sides, the level of clean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from auscult.errors import DataError

LAG, GAIN = "lag_samples", "gain"
"""The columns."""


@dataclass(frozen=True)
class Correction:
    """How the sides of a pair are brought together.

    Args:
        lag_samples: noisy is late by so many samples of the files (early where negative): the side that begins too
            soon is cut at its start, and both to the length that they share. None: nothing is cut.
        gain: noisy holds clean times this gain, so clean is multiplied by it; negative where the sign is turned over.
    """

    lag_samples: int | None = None
    gain: float = 1.0

    @classmethod
    def of(cls, row: Mapping[str, Any], place: str) -> Correction:
        """What a row says in its columns ``lag_samples`` and ``gain``.

        Raises:
            DataError: a lag that is no whole number, or a gain that is no finite number other than 0.
        """
        lag, gain = row.get(LAG), row.get(GAIN, 1.0)
        if lag is not None and (isinstance(lag, bool) or not isinstance(lag, int)):
            raise DataError(f"{place}: {LAG} must be a whole number of samples, this is {lag!r}")
        if isinstance(gain, bool) or not isinstance(gain, int | float) or not isfinite(gain) or gain == 0:
            raise DataError(f"{place}: {GAIN} must be a number other than 0 (1 changes nothing), this is {gain!r}")
        return cls(lag, float(gain))

    @property
    def starts(self) -> tuple[int, int]:
        """First samples of clean and of noisy that are used."""
        lag = self.lag_samples or 0
        return max(0, -lag), max(0, lag)

    def shared(self, clean_samples: int, noisy_samples: int) -> int:
        """Samples that both sides have from there on; not positive where they have none."""
        return min(clean_samples - self.starts[0], noisy_samples - self.starts[1])


AS_IT_STANDS = Correction()
