"""What checks on curves look at: the loss with its sign, the metric that counts, and what excuses a curve."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from auscult.catalogue import CATALOGUE, find
from auscult.diagnose.evidence import Curve, Curves
from auscult.diagnose.gather.history_columns import LOWER_IS_BETTER
from auscult.diagnose.measure import trend

if TYPE_CHECKING:
    from auscult.diagnose.case import Case

PREFERRED = ("pesq", "pesq_nb", "visqol", "estoi", "stoi", "dnsmos_ovrl", "covl", "si_sdr", "si_snr", "sdr", "snr",
             "seg_snr", "loss")  # fmt: skip
UNRELATED_DB = -20.0
"""SI-SDR that no mixture of speech has: signals without anything in common have -5.5 dB - 10 log10 N_eff."""
SI_SDR = re.compile(r"si[-_ ]?s[dn]r", re.IGNORECASE)


@dataclass(frozen=True)
class Reading:
    """A curve without gaps, and whether more is better; ``words`` say how that is known."""

    name: str
    curve: Curve
    higher: bool
    words: str = ""

    @property
    def oriented(self) -> Curve:
        """Turned so that more is better."""
        return self.curve if self.higher else Curve(self.curve.at, -self.curve.values)


def training(case: Case) -> Reading | None:
    """The training loss; None where none was logged."""
    curves: Curves = case.curves
    curve = trend.finite(curves.curves["train.loss"]) if "train.loss" in curves.curves else None
    if curve is None or not curve.values.size:
        return None
    higher, words = _sign(case, curve)
    return Reading("train.loss", curve, higher, words)


def judged(case: Case) -> Reading | None:
    """What validations are judged by: the metric that checkpoints are chosen by, else the first known, or the loss."""
    found = metrics(case)
    chosen = case.facts.value("select")
    order = [chosen, *PREFERRED, *found] if isinstance(chosen, str) else [*PREFERRED, *found]
    return next((found[name] for name in order if name in found), None)


def metrics(case: Case) -> dict[str, Reading]:
    """All curves of validations, by metric."""
    found = {}
    for name, curve in case.curves.curves.items():
        metric = name.removeprefix("valid.")
        if metric != name and "." not in metric and np.isfinite(curve.values).any():
            higher = _sign(case, curve)[0] if metric == "loss" else is_higher_better(metric)
            found[metric] = Reading(name, trend.finite(curve), higher)
    return found


def is_higher_better(metric: str) -> bool:
    """Of our metrics as they say themselves, of others by name."""
    if metric in CATALOGUE["metric"]:
        own: bool | None = find(metric).higher_is_better  # type: ignore[attr-defined]
        return own is not False
    return metric not in LOWER_IS_BETTER


def _sign(case: Case, loss: Curve) -> tuple[bool, str]:
    """Whether a logged loss is a score: as stated, else where it rises together with the metrics."""
    if "loss_higher_is_better" in case.facts:
        fact = case.facts["loss_higher_is_better"]
        return bool(fact.value), f"stated by {fact.source}"
    rise = trend.change(loss) if loss.values.size >= 6 else None
    scores = [case.curves.curves[f"valid.{name}"] for name in PREFERRED[:-1] if f"valid.{name}" in case.curves.curves]
    if rise is None or rise.z < 5 or not scores or adversarial(case):
        return False, ""
    score = trend.finite(scores[0])
    improved = score.values.size >= 6 and trend.change(score, 0.2).z > 4
    return improved, "it rises together with the validation scores" if improved else ""


def adversarial(case: Case) -> bool:
    """Whether a discriminator learns beside the net: then the net's loss may rise in a healthy run."""
    return "discriminator.loss" in case.curves.curves


def warm_started(case: Case) -> bool:
    """Whether a run began with weights that were trained before, as far as is known."""
    recipe: Mapping[str, object] = case.recipe or {}
    return "init_from" in recipe


def si_sdr_level(case: Case) -> float | None:
    """Mean SI-SDR over the validations, dB; also from a loss that is its negative, by the name of its column."""
    for name in ("valid.si_sdr", "valid.si_snr", "valid.loss", "train.loss"):
        curve = case.curves.curves.get(name)
        values = trend.finite(curve).values if curve is not None else np.zeros(0)
        score = name in ("valid.si_sdr", "valid.si_snr")
        if values.size and (score or SI_SDR.search(case.curves.mapping.get(name, ""))):
            return float(np.mean(values)) * (1 if score else -1)
    return None


def begins(case: Case, curve: Curve) -> bool:
    """Whether a curve was logged from (nearly) the start of its run."""
    first_epoch = case.curves.unit == "epoch" and curve.at[0] <= 2
    return bool(first_epoch or curve.at[0] <= 0.05 * case.curves.last)
