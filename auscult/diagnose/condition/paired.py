"""Paired differences over items, with intervals and tests: what all verdicts rest on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from auscult.evaluate.statistics import holm, sign_flip
from auscult.evaluate.summary import Estimate, estimate

LEVEL = 0.05
"""Below this p (after Holm's correction) a difference is shown, if its interval excludes zero too."""

Values = Float[ndarray, " _"]


@dataclass(frozen=True)
class Difference:
    """A mean paired difference: of its interval, and p from sign flips, alone and corrected within its family."""

    name: str
    of: Estimate
    p: float
    p_holm: float

    @property
    def sign(self) -> int:
        """1 or -1 where a difference is shown, else 0."""
        if not self.p_holm < LEVEL:
            return 0
        return 1 if self.of.low > 0 else -1 if self.of.high < 0 else 0


def differences(named: Mapping[str, Values]) -> tuple[Difference, ...]:
    """A family of differences, item by item; NaN where an item does not count."""
    counted = {name: values[~np.isnan(values)] for name, values in named.items()}
    ps = [sign_flip(values) for values in counted.values()]
    rows = zip(counted.items(), ps, holm(ps), strict=True)
    return tuple(Difference(name, estimate(values), p, corrected) for (name, values), p, corrected in rows)


def find(found: Sequence[Difference], name: str) -> Difference | None:
    """The difference of a name."""
    return next((one for one in found if one.name == name and one.of.items), None)


def ratio(above: Values, below: Values) -> Estimate:
    """Sum over sum, with the interval of the linearised ratio estimator."""
    whole = float(above.sum() / below.sum()) if below.sum() else float(above.sum() > 0)
    return estimate(whole + (above - whole * below) / (below.mean() or 1.0))
