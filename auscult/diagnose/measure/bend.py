"""Where a curve turns: two lines that meet, fitted by least squares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from auscult.diagnose.evidence import Curve


@dataclass(frozen=True)
class Bend:
    """The place where two lines meet, their slopes a unit of the axis, and these in standard errors."""

    at: float
    before: float
    after: float
    z_before: float
    z_after: float


def bend(curve: Curve, fewest: int = 3) -> Bend | None:
    """The best of all continuous pairs of lines that meet at a point of the curve; None of fewer than 2 x 3 points.

    The place is the best of n: callers ask for more standard errors than of a place that is known beforehand.
    """
    at, values = curve.at, curve.values
    if values.size < 2 * fewest or not np.isfinite(values).all():
        return None
    fits = [_fit(at, values, float(knot)) for knot in at[fewest - 1 : values.size - fewest + 1]]
    return min(fits, key=lambda fit: fit[1])[0]


def _fit(at: np.ndarray, values: np.ndarray, knot: float) -> tuple[Bend, float]:
    """Both lines that meet at a knot, and the squares that they leave."""
    columns = np.stack([np.ones_like(at), np.minimum(at - knot, 0.0), np.maximum(at - knot, 0.0)], axis=1)
    inverse = np.linalg.pinv(columns.T @ columns)
    found = inverse @ columns.T @ values
    left = float(np.square(values - columns @ found).sum())
    error = np.sqrt(np.maximum(np.diag(inverse), 0.0) * left / max(values.size - 4, 1))
    z = np.divide(found, error, out=np.where(found == 0, 0.0, np.copysign(np.inf, found)), where=error > 0)
    return Bend(knot, float(found[1]), float(found[2]), float(z[1]), float(z[2])), left
