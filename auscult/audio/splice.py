"""The line that a hard splice of two bands leaves in a spectrogram: a step at one frequency, at all times.

Where a generated band is set on a filtered one at a fixed frequency, every frame jumps there by the same number of
decibels, whatever is being said: a dark gap of the filter's skirt below, the new band's level above. Speech, music and
codecs have steps too, but they move with what sounds, or are no sharper than their surroundings are rough.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int
from numpy import ndarray

from auscult.audio.stft import STFT

_WINDOW_S = 2048 / 44_100
_LONGEST_S = 60.0
"""Of a longer recording this much, from its middle, is looked at."""
_SIDE_HZ = 300.0
"""What a line is fitted to, on either side of a step."""
_GUARD, _CLEAR = 1, 4
"""Bins left out on either side: where a step is looked for, and where it is measured, clear of the window's lobe."""
_LOWEST_HZ = 1_500.0
"""Below, harmonics of steady voices are steps themselves."""
_MEDIAN = 9
"""Bins of the running median that takes out tones."""
_TONAL_DB = 4.0
"""A rougher spectrum is one of tones, with a step at every one of them; at splices of speech it is 0.4 to 1.8 dB."""
_QUIET_DB, _DEPTH_DB = 60.0, 120.0
"""Frames further under the loudest are left out; what lies further under the strongest bin counts as nothing."""
_GROUPS = 4
_FRAMES = 4 * _GROUPS
_SMOOTHEST_DB = 0.5
"""Added to the roughness: spectra smoother than this differ by chance."""
_LEAST_CLARITY, _LEAST_STEP_DB, _LEAST_STEADY_DB, _LEAST_RISE_DB = 7.0, 4.0, 2.0, 1.0


@dataclass(frozen=True)
class SpliceLine:
    """The clearest upward step of a recording's long-term spectrum, a line if ``found``.

    ``step_db`` is the jump at ``frequency_hz`` between straight lines fitted to the 300 Hz on either side;
    ``steady_db`` the smallest jump among four groups of frames, from quiet to loud; ``clarity`` the jump over the
    roughness of the spectrum, both as close to the step as can be; ``hole_db`` how far the gap under the step lies
    below what surrounds it on both sides, within an octave.
    """

    frequency_hz: float
    step_db: float
    steady_db: float
    clarity: float
    hole_db: float

    @property
    def found(self) -> bool:
        """Clear, steady and large enough for a splice."""
        enough = self.step_db >= _LEAST_STEP_DB and self.steady_db >= _LEAST_STEADY_DB
        return enough and self.clarity >= _LEAST_CLARITY


NOTHING = SpliceLine(0.0, 0.0, 0.0, 0.0, 0.0)
"""What is said of silence, of less than half a second of sound, and of spectra without an upward step."""


def splice_line(wave: Float32[ndarray, " T"], rate_hz: int) -> SpliceLine:
    """Look for a splice above 1.5 kHz in one channel of at least half a second.

    Only upward steps are looked for: a downward one is what every low-pass leaves. The frequency is exact to about
    two bins (45 Hz). Levels do not matter.
    """
    tonal_db, bin_hz = _group_levels(wave, rate_hz)
    levels_db = _without_tones(tonal_db)
    side = round(_SIDE_HZ / bin_hz)
    first, last = max(round(_LOWEST_HZ / bin_hz), side + _CLEAR), levels_db.shape[1] - side - _CLEAR
    if len(levels_db) == 0 or last <= first:
        return NOTHING
    bins = np.arange(first, last)
    near = _steps(levels_db, bins, side, _GUARD)
    even = _steps(tonal_db[-1:], bins, side, _GUARD).rough_db[-1] < _TONAL_DB
    rising = (near.rise_db[-1] > _LEAST_RISE_DB) & (near.jump_db[:-1].min(axis=0) > 0.0)
    clarity = np.where(even & rising, near.jump_db[-1] / (near.rough_db[-1] + _SMOOTHEST_DB), 0.0)
    at = first + int(np.argmax(clarity))
    if clarity[at - first] <= 0.0:
        return NOTHING
    step = _steps(levels_db, np.array([at]), side, _CLEAR)
    steady_db, hole_db = step.jump_db[:-1].min(), _hole(levels_db[-1], at, side, step.under_db[-1, 0])
    return SpliceLine(at * bin_hz, *map(float, (step.jump_db[-1, 0], steady_db, clarity[at - first], hole_db)))


def _group_levels(wave: ndarray, rate_hz: int) -> tuple[Float[ndarray, "G F"], float]:
    """Mean level in dB of every bin in four groups of frames, from quiet to loud, and in all; bin width in Hz."""
    n_fft = 2 ** max(6, round(np.log2(_WINDOW_S * rate_hz)))
    longest = round(_LONGEST_S * rate_hz)
    start = max(0, (wave.size - longest) // 2)
    spectrum = STFT(n_fft, n_fft // 2, "hann").forward(wave[start : start + longest])
    power, bin_hz = np.square(np.abs(spectrum)), rate_hz / n_fft
    energy = power[:, round(_LOWEST_HZ / bin_hz) :].sum(axis=1)
    power = power[np.argsort(energy)[np.count_nonzero(energy <= energy.max() * 10 ** (-_QUIET_DB / 10)) :]]
    if len(power) < _FRAMES:
        return np.zeros((0, n_fft // 2 + 1)), bin_hz
    levels_db = 10 * np.log10(np.maximum(power, power.max() * 10 ** (-_DEPTH_DB / 10)))
    groups = [group.mean(axis=0) for group in (*np.array_split(levels_db, _GROUPS), levels_db)]
    return np.stack(groups), bin_hz


def _without_tones(levels_db: Float[ndarray, "G F"]) -> Float[ndarray, "G F"]:
    """Running median over bins: steps stay, narrow lines go."""
    padded = np.pad(levels_db, ((0, 0), (_MEDIAN // 2, _MEDIAN // 2)), mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, _MEDIAN, axis=1), axis=-1)


@dataclass(frozen=True)
class _Steps:
    """By group and bin, in dB: jump between the fitted lines, difference of mean levels, residual, level just under."""

    jump_db: Float[ndarray, "G M"]
    rise_db: Float[ndarray, "G M"]
    rough_db: Float[ndarray, "G M"]
    under_db: Float[ndarray, "G M"]


def _steps(levels_db: Float[ndarray, "G F"], bins: Int[ndarray, " M"], side: int, guard: int) -> _Steps:
    design = np.stack([np.ones(side), np.arange(side) + guard - 0.5], axis=1)
    solve = np.linalg.pinv(design).T
    views = np.lib.stride_tricks.sliding_window_view(levels_db, side, axis=1)
    above, under = views[:, bins + guard], views[:, bins - guard - side + 1][..., ::-1]
    lines = [half @ solve for half in (above, under)]
    errors = [half - line @ design.T for half, line in zip((above, under), lines, strict=True)]
    rough_db = np.sqrt(np.mean([np.square(error).mean(axis=-1) for error in errors], axis=0))
    jump_db = lines[0][..., 0] - lines[1][..., 0]
    return _Steps(jump_db, above.mean(-1) - under.mean(-1), rough_db, lines[1][..., 0])


def _hole(level_db: Float[ndarray, " F"], at: int, side: int, under_db: float) -> float:
    """Depth under the lower of both sides: the 300 Hz above, and the loudest such stretch of the octave below."""
    means_db = np.convolve(level_db, np.ones(side) / side, "valid")
    return max(0.0, min(float(means_db[at + _CLEAR]), float(means_db[at // 2 : at - side].max())) - under_db)
