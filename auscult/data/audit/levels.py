"""What a recording's samples say of how it was made: level, offset, clipping, silence, numbers that are none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from auscult.units import to_db

RUN = 3
"""Samples in a row at one extreme value that make a clipped place."""
_NEAR = 2e-5
"""Relative distance at which two samples count as equal: 16-bit steps near full scale are 3e-5."""
_FRAME_S = 0.02
QUIET_DB = -60.0
"""Frames so far below full scale hold no speech."""
_CLIPPED, _SILENT_DB, _ZEROS = 5e-4, -85.0, 0.9


@dataclass(frozen=True)
class Levels:
    """Of one channel.

    Args:
        peak, rms_db: of full scale 1.
        dc: the mean over the RMS around it.
        clipped: share of samples that lie in runs of three or more at one of the signal's own extremes.
        longest_run: the longest such run, samples.
        silent: share of 20 ms frames below -60 dB of full scale.
        zeros: share of samples that are exactly zero.
        not_finite: samples that are NaN or infinite; all else is measured with them left out.
        floor_db: level of the quietest tenth of the frames that are not digital silence, under the loudest tenth.
    """

    peak: float
    rms_db: float
    dc: float
    clipped: float
    longest_run: int
    silent: float
    zeros: float
    not_finite: int
    floor_db: float

    @property
    def is_clipped(self) -> bool:
        """More than 0.05 % of the samples lie in runs at an extreme."""
        return self.clipped > _CLIPPED

    @property
    def is_silent(self) -> bool:
        """RMS below -85 dB of full scale, or nine samples of ten are zero."""
        return self.rms_db < _SILENT_DB or self.zeros > _ZEROS


def levels(wave: Float32[ndarray, " T"], rate_hz: int) -> Levels:
    """Measure a channel."""
    finite = np.isfinite(wave)
    bad = int(wave.size - np.count_nonzero(finite))
    wave = wave[finite] if bad else wave
    if not wave.size:
        return Levels(0.0, to_db(0.0), 0.0, 0.0, 0, 1.0, 0.0, bad, 0.0)
    mean = float(wave.mean(dtype=np.float64))
    square = float(np.mean(np.square(wave, dtype=np.float64)))
    around = max(square - mean**2, 0.0)
    share, longest = _clipped(wave)
    frames_db = frame_levels(wave, rate_hz)
    return Levels(
        float(np.abs(wave).max()),
        to_db(square),
        mean / around**0.5 if around > 1e-16 else 0.0,
        share,
        longest,
        float(np.mean(frames_db < QUIET_DB)) if frames_db.size else float(to_db(square) < QUIET_DB),
        float(np.mean(wave == 0.0)),
        bad,
        _floor(frames_db),
    )


def frame_levels(wave: Float32[ndarray, " T"], rate_hz: int) -> ndarray:
    """Levels of 20 ms frames in dB re full scale, means removed; -200 for digital silence."""
    size = max(1, round(_FRAME_S * rate_hz))
    frames = wave[: wave.size // size * size].reshape(-1, size).astype(np.float64)
    return 10 * np.log10(np.maximum(frames.var(1), 1e-20))


def _floor(frames_db: ndarray) -> float:
    sounding = np.sort(frames_db[frames_db > -150.0])
    tenth = max(1, sounding.size // 10)
    return float(sounding[:tenth].mean() - sounding[-tenth:].mean()) if sounding.size >= 10 else 0.0


def _clipped(wave: Float32[ndarray, " T"]) -> tuple[float, int]:
    """Share of samples in runs at an extreme, and the longest of these runs."""
    total, longest = 0, 0
    for extreme in (float(wave.max()), float(wave.min())):
        if abs(extreme) < 1e-3:
            continue
        runs = _runs(np.abs(wave - extreme) <= _NEAR * abs(extreme))
        runs = runs[runs >= RUN]
        total += int(runs.sum())
        longest = max(longest, int(runs.max(initial=0)))
    return total / wave.size, longest


def _runs(marks: ndarray) -> ndarray:
    """Lengths of the runs of true."""
    edges = np.flatnonzero(np.diff(np.r_[False, marks, False]))
    return edges[1::2] - edges[::2]
