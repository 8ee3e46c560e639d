"""A table of scores beside the files it is of: a few items scored again."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping

import numpy as np
from numpy import ndarray

from auscult.audio.clip import read
from auscult.diagnose.case import Case
from auscult.diagnose.check import Check
from auscult.diagnose.evidence import OutputItem
from auscult.diagnose.finding import Finding, Measured
from auscult.errors import AudioError
from auscult.evaluate.score import Waves, metrics_named, score_waves

ITEMS = 6
VARIANTS = {
    "pesq": ("pesq", "pesq_nb"),
    "pesq_nb": ("pesq_nb", "pesq"),
    "stoi": ("stoi", "estoi"),
    "estoi": ("estoi", "stoi"),
    "si_sdr": ("si_sdr", "sdr", "snr"),
    "si_snr": ("si_sdr", "sdr", "snr"),
    "sdr": ("sdr", "si_sdr", "snr"),
}
"""What a column of a name may hold, itself first."""
NEAR = {"pesq": 0.02, "pesq_nb": 0.02, "stoi": 0.005, "estoi": 0.005, "si_sdr": 0.1, "si_snr": 0.1, "sdr": 0.1}
"""Differences that versions and roundings make; ten times as much is another number."""
NEEDS = {"pesq": "pesq", "pesq_nb": "pesq", "stoi": "pystoi", "estoi": "pystoi"}


def check_rescoring(case: Case) -> Finding | None:
    """Does a metric mean what its column says?"""
    scores = case.scores
    place = {_key(name): i for i, name in enumerate(scores.items)}
    items = [one for one in case.outputs.items if one.clean is not None and _key(one.name) in place]
    if len(items) < 3:
        return None
    chosen = [items[i] for i in np.unique(np.linspace(0, len(items) - 1, ITEMS).astype(int))]
    columns = [metric for metric, side in scores.values if side == "enhanced" and metric in VARIANTS]
    again = _again(chosen, columns, case)
    told = {m: np.array([scores.values[m, "enhanced"][place[_key(one.name)]] for one in chosen]) for m in columns}
    answers = [one for m in columns for one in _compared(m, told[m], again)]
    return min(answers, key=lambda one: ("fault", "suspect", "healthy").index(one.verdict), default=None)


def _key(name: str) -> str:
    return re.sub(r"\.(wav|flac)$", "", name.rpartition("/")[2])


def _again(items: list[OutputItem], columns: list[str], case: Case) -> Mapping[str, ndarray]:
    """Scores of the files by metric, NaN where one fails or time is up."""
    wanted = list(dict.fromkeys(variant for column in columns for variant in VARIANTS[column]))
    usable = [name for name in wanted if name not in NEEDS or importlib.util.find_spec(NEEDS[name])]
    metrics = metrics_named(usable)
    found = {metric.label: np.full(len(items), np.nan) for metric in metrics}
    for place, item in enumerate(items):
        if case.clock.left <= 0 or item.clean is None:
            break
        try:
            enhanced, clean = read(item.enhanced), read(item.clean)
        except AudioError:
            continue
        if (enhanced.rate_hz, enhanced.samples) == (clean.rate_hz, clean.samples):
            waves = Waves(enhanced.wave[:1], clean.rate_hz, clean.wave[:1])
            for name, value in score_waves(metrics, waves).scores.items():
                found[name][place] = value
    return found


def _compared(column: str, told: ndarray, again: Mapping[str, ndarray]) -> Iterator[Finding]:
    off = {name: _off(told, again[name]) for name in VARIANTS[column] if name in again}
    own = off.get(VARIANTS[column][0], np.nan)
    if not np.isfinite(own):
        return
    near = NEAR[column]
    measured = [Measured(f"{column} of the table - {name} of the files, median", o, "", "0") for name, o in off.items()]
    fitting = [name for name, o in off.items() if o < 2 * near]
    if own < 2 * near:
        says = f"{column} of the table is {column} of the files, to {own:.2g}"
        yield Finding("rescoring", "healthy", ("metric-mixup", "rate-mismatch-evaluation"), says, measured)
    elif fitting and own > 5 * near:
        says = f"the column {column} holds {fitting[0]}: it differs by {own:.2g} from {column} of the same files"
        yield Finding("rescoring", "fault", ("metric-mixup",), says, measured)
    elif own > 10 * near:
        says = f"{column} of the table differs by {own:.2g} from {column} of the same files"
        causes = ("metric-mixup", "scores-not-repeatable", "rate-mismatch-evaluation")
        yield Finding("rescoring", "suspect", causes, says, measured)


def _off(told: ndarray, again: ndarray) -> float:
    apart = np.abs(told - again)
    return float(np.median(apart[np.isfinite(apart)])) if np.isfinite(apart).sum() >= 3 else np.nan


RESCORING = Check(
    "rescoring",
    "evaluation",
    "Does a few files' score, computed again, agree with the table?",
    ("scores", "outputs"),
    12.0,
    "fault: another metric or variant of the same files gives the table's values and the named one does not; suspect: "
    "none does (0.2 of PESQ, 0.05 of STOI, 1 dB)",
    "Definition: the same files scored again; docs/metrics.md",
    check_rescoring,
)
