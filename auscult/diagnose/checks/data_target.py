"""Whether the target is what it should be: speech at its own speed, clean, of the band that its rate promises."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from auscult.audio.band import band_edge
from auscult.data.audit.content import Content, content, heard
from auscult.data.audit.levels import levels
from auscult.diagnose.case import Case
from auscult.diagnose.check import Check
from auscult.diagnose.finding import Exhibit, Finding, Measured, Remedy, Verdict, graded
from auscult.diagnose.gather.files import sample
from auscult.diagnose.gather.items import EXCERPT_S, stretch
from auscult.errors import AudioError

RATE, FLOOR, BAND = "data-rate", "data-target-floor", "data-target-band"
Named = tuple[str, ndarray, int]
_MOST = 30
FAR = 1.9
"""Factors nearer to 1 can hardly be told from slow or fast speakers."""
_WITNESSED = 1.0
"""Over 600 draws of 24 recordings of healthy speech, 1.38 times the rate fits better by at most 1.8, in 99 of 100 by
less than 0.5; of speech that is read at 1/1.38 of its rate, its own fits better by 3.3 in the median."""
_AGREES = 0.08
_TOP, _FULL, _SPREAD = 0.95, 0.77, 0.08
"""Where 95 % of the recordings end; 0.84 of half the rate and above in 36 healthy corpora."""
_FLOOR_DB = -20.0, -25.0


def targets(case: Case, most: int = _MOST) -> list[Named]:
    """Clean recordings: as the loader gives them, else of the files."""
    items = case.get("items")
    if items is not None:
        chosen = sample(items.items, most, case.key.child("targets"))
        return [(one.name, one.clean[: one.length or None], one.rate_hz) for one in chosen]
    files = case.get("files")
    infos = [pair.clean for rows in files.splits.values() for pair in rows if pair.clean] if files else []
    found = []
    for info in sample(infos, most, case.key.child("targets")):
        try:
            found.append((str(info.path), stretch(info, 0.0, EXCERPT_S), info.rate_hz))
        except AudioError:
            continue
    return found


def rate(case: Case) -> Finding | None:
    """The speed at which speech sounds."""
    found = targets(case)
    if not found:
        return None
    rate_hz = found[0][2]
    measured = [one for _, wave, hz in found if hz == rate_hz and (one := heard(wave, hz)) is not None]
    result = content(measured, rate_hz)
    if result is None or result.items < 5:
        return Finding(RATE, "cannot tell", ("wrong-rate",), f"only {len(measured)} clean recordings are long enough")
    verdict, factor = _speed(result, found)
    numbers = (Measured("squared distance from read speech as it is heard", result.distance, "", "below 10"),
               Measured(f"the same at {factor:.3g} times the rate", result.distances[factor], "", "below 10"),
               Measured("median pitch as heard", result.pitch_hz, "Hz", "90 to 250"))  # fmt: skip
    if verdict != "healthy":
        true_hz = round(factor * rate_hz)
        says = (
            f"speech sounds {1 / factor:.2f} times its speed: the pitch is {result.pitch_hz:.0f} Hz, and it looks "
            f"like speech at about {true_hz} Hz, not at {rate_hz} Hz (distance {result.distances[factor]:.1f} against "
            f"{result.distance:.1f})"
        )
        remedy = Remedy(f"find where samples taken at about {true_hz} Hz are called {rate_hz} Hz, and resample there")
        return Finding(RATE, verdict, ("wrong-rate",), says, numbers, remedy=remedy,
                       exhibits=[Exhibit(name, "listen to its speed") for name, _, _ in found[:5]])  # fmt: skip
    says = (
        f"speech sounds at its own speed at {rate_hz} Hz: pitch {result.pitch_hz:.0f} Hz, distance from read speech "
        f"{result.distance:.1f}"
    )
    if result.distance > 16:
        return Finding(RATE, "cannot tell", ("wrong-rate",), f"clean does not look like read speech at any rate "
                       f"(distance {result.nearest:.0f})", numbers)  # fmt: skip
    return Finding(RATE, "healthy", ("wrong-rate",), says, numbers)


def _speed(result: Content, found: Sequence[Named]) -> tuple[Verdict, float]:
    """Far factors by what is heard alone; a near one where the band ends there too."""
    gap = result.distance - result.nearest
    if max(result.factor, 1 / result.factor) >= FAR:
        if gap >= 7 and result.nearest < 12:
            return ("fault" if gap >= 10 else "suspect"), result.factor
        return "healthy", result.factor
    slower = [f for f in result.distances if f > 1 and result.distance - result.distances[f] >= _WITNESSED]
    if slower and (ceiling := float(np.quantile(_edges(found), _TOP))) < _FULL:
        factor = min(slower, key=lambda f: abs(f * ceiling - 1))
        if abs(factor * ceiling - 1) < _AGREES:
            return "fault", factor
    return "healthy", result.factor


def floor(case: Case) -> Finding | None:
    """The level of pauses under that of speech."""
    found = [(name, levels(wave, hz)) for name, wave, hz in targets(case) if wave.size >= 2 * hz]
    depths = sorted(((one.floor_db, name) for name, one in found if one.floor_db < 0), reverse=True)
    if len(depths) < 5:
        return None
    middle = float(np.median([depth for depth, _ in depths]))
    low, high = (float(v) for v in np.quantile([depth for depth, _ in depths], [0.05, 0.95]))
    numbers = (Measured("quietest tenth of the frames under the loudest", middle, "dB", "below -25", low, high),)
    says = f"the quietest moments of clean lie {-middle:.0f} dB under the loudest (median of {len(depths)} recordings)"
    verdict: Verdict = "fault" if middle > _FLOOR_DB[0] else "suspect" if middle > _FLOOR_DB[1] else "healthy"
    exhibits = [Exhibit(name, f"{depth:.0f} dB") for depth, name in depths[:5]] if verdict != "healthy" else []
    return Finding(FLOOR, verdict, ("noisy-target",), says, numbers, exhibits=exhibits)


def band(case: Case) -> Finding | None:
    """The band of clean recordings against half their rate."""
    found = [one for one in targets(case) if np.any(one[1])]
    if len(found) < 3:
        return None
    hz = min(found[0][2], case.facts.value("rate_hz") or found[0][2])
    edges = np.minimum(_edges(found) * found[0][2] / hz, 1.0)
    share, middle, top = float(np.mean(edges < 0.55)), float(np.median(edges)), float(np.quantile(edges, _TOP))
    one_ceiling = len(found) >= 8 and top < _FULL and top - middle < _SPREAD
    numbers = (Measured("band edge of clean", middle * hz / 2, "Hz", f"above {0.7 * hz / 2:.0f}"),
               Measured("share of recordings below 0.55 of half the rate", share, "", "below 0.2"),
               Measured("where 95 % of them end", top * hz / 2, "Hz", f"above {_FULL * hz / 2:.0f}"))  # fmt: skip
    says = (
        f"clean ends at {middle * hz / 2:.0f} Hz of {hz / 2:.0f} Hz ({share:.0%} of {len(found)} "
        f"recordings end below {0.55 * hz / 2:.0f} Hz, 95 % below {top * hz / 2:.0f} Hz)"
    )
    lowest = sorted(zip(edges, (name for name, _, _ in found), strict=True))[:5]
    exhibits = [Exhibit(name, f"ends at {edge * hz / 2:.0f} Hz") for edge, name in lowest if edge < top]
    verdict: Verdict = "fault" if one_ceiling else graded(share, 0.8, 0.4)
    return Finding(BAND, verdict, ("band-limited-target",), says, numbers, exhibits=exhibits)


def _edges(found: Sequence[Named]) -> Float[ndarray, " recordings"]:
    """Band edges as shares of half the rate."""
    return np.array([band_edge(wave, hz) / (hz / 2) for _, wave, hz in found])


CONTENT_RATE = Check(
    RATE,
    "data",
    "Does speech sound at its own speed?",
    (),
    3.0,
    "by pitch, syllable rate and long-term spectrum of 5 recordings or more: fault where another rate by a factor of "
    "1.9 or more fits better by 10 in squared distance, suspect by 7 (12 corpora of 4 languages: at most 2; played at "
    f"a third: 18 in the median single speaker); a nearer factor: fault by {_WITNESSED:g} where the "
    "band ends at that factor below half the rate (healthy speech: at most 1.8, full band)",
    "Pitch, syllable rate and spectrum of 223 speakers; docs/cases/voicebank-48k.md",
    rate,
)
TARGET_FLOOR = Check(
    FLOOR,
    "data",
    "Is clean clean?",
    (),
    1.0,
    f"suspect where the quietest tenth of the frames lies less than {-_FLOOR_DB[1]:g} dB under the loudest in the "
    f"median recording, fault below {-_FLOOR_DB[0]:g} dB (36 corpora: 31 to 64 dB)",
    "Dynamic range of read speech, measured on healthy recordings",
    floor,
)
TARGET_BAND = Check(
    BAND,
    "data",
    "Has clean the band that its rate promises?",
    (),
    2.0,
    "fault: 80 % of the recordings end below 0.55 of half the rate (of the stated one, where it is lower), or 95 % of "
    f"8 or more end below {_FULL} and most of them in one place; suspect: 40 % below 0.55 (12 corpora at 16 kHz: "
    "lowest median 0.72)",
    "Definition: the highest frequency that holds energy",
    band,
)
