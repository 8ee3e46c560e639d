"""Numbers known before anything is measured: noisy scores of test sets, scores of published checkpoints.

A number that does not meet its anchor is wrong before it is interesting: other files, another protocol, or a fault in
the scoring code. So anchors are looked at as soon as the noisy inputs are scored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
import pydantic
import yaml
from numpy import ndarray

from auscult.audio.clip import read
from auscult.evaluate.protocol import list_hash
from auscult.evaluate.rows import Evaluation, Item
from auscult.evaluate.score import NOISY, mean

Expected = Mapping[str, tuple[float, float]]
LOOKED_AT = 8
"""Pairs that are examined for the reason of a mismatch."""


@dataclass(frozen=True)
class Anchor:
    """A test set with known scores of its noisy files: metric to (mean, tolerance)."""

    scores: Expected
    source: str
    rate_hz: int
    list: str | None = None
    items: int | tuple[int, int] | None = None
    names: str = ""
    quoted: bool = False

    def fits(self, items: Sequence[Item]) -> bool:
        """Whether these are the items of the set."""
        if self.list is not None:
            return self.list == list_hash([item.name.rpartition("/")[2] for item in items])
        low, high = self.items if isinstance(self.items, tuple) else (self.items or 0, self.items or 0)
        return low <= len(items) <= high and all(re.search(self.names, item.name) for item in items)


@dataclass(frozen=True)
class Published:
    """A checkpoint whose scores on an anchored set are known."""

    sha256: str
    data: str
    scores: Expected
    source: str


@dataclass(frozen=True)
class Known:
    """The table in the package."""

    anchors: Mapping[str, Anchor]
    checkpoints: Mapping[str, Published]


@dataclass(frozen=True)
class Checked:
    """A known number beside the measured one."""

    what: str
    metric: str
    known: float
    measured: float
    tolerance: float
    quoted: bool = False

    @property
    def agrees(self) -> bool:
        return abs(self.measured - self.known) <= self.tolerance

    def __str__(self) -> str:
        return f"{self.metric} {self.measured:.3f} (known {self.known:g} ± {self.tolerance:g})"


def in_words(checked: Sequence[Checked]) -> list[str]:
    """A sentence for everything that was checked, what does not agree first."""
    sentences = []
    for what in dict.fromkeys(one.what for one in checked):
        for agrees, verb in ((False, "not as known"), (True, "as known")):
            own = [str(one) for one in checked if one.what == what and one.agrees == agrees]
            sentences += [f"{what}: {verb}: {', '.join(own)}"] if own else []
    return sorted(sentences, key=lambda sentence: ": as known" in sentence)


@lru_cache
def known() -> Known:
    """The table in the package."""
    text = (resources.files("auscult.evaluate") / "known.yaml").read_text(encoding="utf-8")
    return pydantic.TypeAdapter(Known).validate_python(yaml.safe_load(text))


def recognised(items: Sequence[Item]) -> str | None:
    """The name of the test set that these items are, if it is known."""
    return next((name for name, anchor in known().anchors.items() if anchor.fits(items)), None)


def check_inputs(evaluation: Evaluation, data: str) -> list[Checked]:
    """The noisy files' scores beside the known ones; empty for a data set that is not known."""
    name = recognised([item for item in evaluation.items if item.data == data])
    if name is None:
        return []
    anchor = known().anchors[name]
    return list(_beside(f"{data}, noisy ({name})", evaluation, data, NOISY, anchor.scores, anchor.quoted))


def calibration(evaluation: Evaluation) -> list[Checked]:
    """Known checkpoints among the systems: is it the evaluation code, or the model?"""
    sets = {
        data: recognised([item for item in evaluation.items if item.data == data])
        for data in dict.fromkeys(item.data for item in evaluation.items)
    }
    checked: list[Checked] = []
    for system, facts in evaluation.systems.items():
        for title, published in known().checkpoints.items():
            same = facts.get("sha256") == published.sha256 or published.sha256[:16] in str(facts.get("origin", ""))
            same = same and facts.get("strength") == 1.0
            for data in (data for data, name in sets.items() if same and name == published.data):
                checked += _beside(f"{system} ({title})", evaluation, data, system, published.scores)
    return checked


def _beside(
    what: str, evaluation: Evaluation, data: str, system: str, expected: Expected, quoted: bool = False
) -> Iterator[Checked]:
    rows = [row for row in evaluation.rows if (row.data, row.system) == (data, system)]
    for metric, (value, tolerance) in expected.items():
        if any(metric in row.scores for row in rows):
            yield Checked(what, metric, value, mean(rows, metric), tolerance, quoted)


def likely_reason(items: Sequence[Item], rate_hz: int) -> str:
    """Why noisy files do not have their known scores: what a few pairs show, the gravest first."""
    pairs = [(read(item.clean), read(item.noisy)) for item in _spread(items) if item.clean and item.noisy]
    own_hz = pairs[0][0].rate_hz
    if own_hz != rate_hz:
        return (
            f"the files say {own_hz} Hz, the set is scored at {rate_hz} Hz: if they were resampled, by what? "
            "(soxr VHQ is used here)"
        )
    found = [_compare(clean.wave.mean(axis=0), noisy.wave.mean(axis=0)) for clean, noisy in pairs]
    likeness, lag, gain = (
        float(np.median([getattr(pair, name) for pair in found])) for name in ("peak", "lag", "gain")
    )
    if likeness < 0.3:
        return f"clean and noisy files look unrelated (correlation {likeness:.2f}): are the pairs right?"
    if abs(lag) >= 1:
        return f"noisy files are shifted against clean ones by {lag:.0f} samples: an encoder or resampler delayed them"
    if abs(gain - 1) > 0.1:
        return f"clean speech is in the noisy files at {gain:.2f} times its level: one side was normalised"
    return (
        "rate, alignment and level of the pairs look right: files of another resampling or release, or metric versions"
    )


def _spread(items: Sequence[Item]) -> list[Item]:
    return [items[i] for i in np.unique(np.linspace(0, len(items) - 1, LOOKED_AT).astype(int))]


@dataclass(frozen=True)
class _Likeness:
    peak: float
    lag: int
    gain: float


def _compare(clean: ndarray, noisy: ndarray) -> _Likeness:
    """Normalised cross-correlation of two signals: its peak, where that is, and the clean signal's gain there."""
    size = 1 << (clean.size + noisy.size - 2).bit_length()
    spectra = [np.fft.rfft(side.astype(np.float64), size) for side in (clean, noisy)]
    correlation = np.fft.irfft(spectra[1] * spectra[0].conj(), size)
    at = int(np.argmax(np.abs(correlation)))
    energy = float(np.square(clean, dtype=np.float64).sum()) or 1.0
    total = float(np.square(noisy, dtype=np.float64).sum()) or 1.0
    lag = at if at < size // 2 else at - size
    return _Likeness(abs(float(correlation[at])) / (energy * total) ** 0.5, lag, float(correlation[at]) / energy)
