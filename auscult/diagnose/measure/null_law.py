"""The law of SI-SDR between signals that have nothing in common.

If estimate and reference are independent, their correlation is rho ~ N(0, 1 / N_eff), and

    SI-SDR = 10 lg(rho^2 / (1 - rho^2)) ~ 10 lg(chi^2_1) - 10 lg(N_eff):

mean -5.52 - 10 lg(N_eff) dB, standard deviation 9.65 dB, skewness -1.54, whatever the signals are. N_eff, twice
bandwidth times duration, differs from item to item, which adds its own spread. Noisy and enhanced values that are
both of this law give improvements of deviation 13.64 dB, correlated with the noisy value by -0.71 (less where both
share their N_eff): a regression to the mean that looks like learning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from auscult.rng import Key

MEAN_DB, SD_DB, SKEWNESS = -5.517, 9.647, -1.535
"""Of 10 lg(chi^2_1)."""
_DRAWS = 399
_LAW = 20_000
_CHI2_95 = 3.841
"""rho^2 N_eff below this: an item is consistent with independence."""

Values = Float[ndarray, " items"]


@dataclass(frozen=True)
class Bounded:
    """A statistic with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Fit:
    """SI-SDR values beside the law of unrelated signals.

    Args:
        effective: N_eff, fitted to the mean.
        spread_db: standard deviation of 10 lg(N_eff) between items, what the law leaves of the variance.
        distance: largest difference of the distribution functions, times the root of the number of items: above
            1.63 the law is rejected at 1 %.
        independent: share of items whose correlation is below what chance gives in 95 of 100 cases.
    """

    items: int
    mean: Bounded
    sd: Bounded
    skewness: Bounded
    effective: float
    spread_db: float
    distance: float
    independent: float


def fit(values: Values) -> Fit:
    """Fit the law to SI-SDR values in dB, at least 8 and all finite."""
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    spread = float(np.sqrt(max(sd**2 - SD_DB**2, 0.0)))
    effective_db = MEAN_DB - mean
    return Fit(
        values.size,
        _bounded(values, lambda x: x.mean(-1)),
        _bounded(values, lambda x: x.std(-1, ddof=1)),
        _bounded(values, _skewness),
        float(10 ** (effective_db / 10)),
        spread,
        _distance(values, effective_db, spread),
        float(np.mean(values + effective_db < 10 * np.log10(_CHI2_95))),
    )


def correlation(a: Values, b: Values) -> Bounded:
    """Pearson's correlation, with the interval by Fisher's transform."""
    r = float(np.corrcoef(a, b)[0, 1])
    reach = 1.96 / np.sqrt(max(a.size - 3, 1))
    z = np.arctanh(np.clip(r, -0.999999, 0.999999))
    return Bounded(r, float(np.tanh(z - reach)), float(np.tanh(z + reach)))


def _bounded(values: Values, statistic: Callable[[ndarray], ndarray]) -> Bounded:
    rng = Key(0).child("null law", values.size).numpy()
    drawn = statistic(values[rng.integers(0, values.size, (_DRAWS, values.size))])
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Bounded(float(statistic(values)), float(low), float(high))


def _skewness(x: Float[ndarray, "*draws items"]) -> Float[ndarray, "*draws"]:
    rest = x - x.mean(-1, keepdims=True)
    skewness: ndarray = (rest**3).mean(-1) / np.maximum((rest**2).mean(-1), 1e-12) ** 1.5
    return skewness


def _distance(values: Values, effective_db: float, spread_db: float) -> float:
    """Kolmogorov's distance times the root of n, to the law with its spread."""
    rng = Key(0).child("chi-square").numpy()
    law = 10 * np.log10(rng.chisquare(1, _LAW)) - effective_db + spread_db * rng.standard_normal(_LAW)
    law, own = np.sort(law), np.sort(values)
    below = np.searchsorted(law, own) / _LAW
    steps = np.arange(values.size + 1) / values.size
    return float(max(np.max(steps[1:] - below), np.max(below - steps[:-1])) * np.sqrt(values.size))
