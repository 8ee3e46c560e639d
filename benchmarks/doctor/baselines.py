"""What simple monitors say: rules over the training curve, as loop callbacks and training-fault detectors have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy import ndarray

from auscult.diagnose.case import Given
from auscult.diagnose.gather.history import read_curves
from auscult.hub.runs import HISTORY, read_history

Curves = Mapping[str, ndarray]
SPIKE = 100.0
FALL = 0.98


def curves_of(given: Given) -> Curves:
    """Training loss, gradient norm and a validation score (higher is better); empty where no run is given."""
    if given.history is not None:
        found = read_curves(given.history, given.columns).curves
        names = {"loss": "train.loss", "norm": "grad_norm", "score": "valid.si_sdr"}
        return {to: found[name].values for to, name in names.items() if name in found}
    if given.run is None:
        return {}
    rows = read_history(given.run / HISTORY)
    steps = [next(iter(row["turns"].values())) for row in rows if row["kind"] == "step"]
    scores = [row["means"].get("si_sdr", np.nan) for row in rows if row["kind"] == "validation"]
    return {
        "loss": np.array([float(step["loss"]) for step in steps]),
        "norm": np.array([float(step["grad_norm"]) for step in steps]),
        "score": np.array([float(score) for score in scores]),
    }


def nan_or_spike(given: Given) -> bool:
    """A loss or gradient that is not finite, or a gradient a hundred times the median."""
    curves = curves_of(given)
    if not curves:
        return False
    finite = all(np.isfinite(curves[name]).all() for name in ("loss", "norm") if name in curves)
    norms = curves.get("norm", np.ones(1))
    return not finite or bool(norms.max() > SPIKE * np.median(norms))


def not_falling(given: Given) -> bool:
    """The last fifth of the training loss is not 2 % below the first."""
    curves = curves_of(given)
    if not curves:
        return False
    loss = curves["loss"]
    few = max(1, len(loss) // 5)
    before, after = (float(np.nanmean(part)) for part in (loss[:few], loss[-few:]))
    return after > before - (1 - FALL) * abs(before)


def overfit(given: Given) -> bool:
    """The best validation was in the first third, and the last is below it."""
    score = curves_of(given).get("score", np.zeros(0))
    if len(score) < 3:
        return False
    best = int(np.nanargmax(score)) if np.isfinite(score).any() else 0
    return best < len(score) / 3 and bool(score[-1] < score[best])


RULES: Mapping[str, Callable[[Given], bool]] = {
    "NaN or spike": nan_or_spike,
    "loss not falling": not_falling,
    "overfit": overfit,
}
