"""Ridges: lines at one frequency, from beginning to end of every output, that neither input nor reference has.

What sounds in a recording sounds at its own frequencies, and not all the time; a line at one frequency in the median
frame of most files is made by what wrote them: a splice of bands, a net's upsampling, a leaking carrier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray

from auscult.audio.stft import STFT

_WINDOW_S = 0.064
_LOWEST_HZ, _HIGHEST = 200.0, 0.95
"""Below lies hum; the second is of the highest frequency, where filters end."""
_NEAR, _FAR = 3, 16
"""Bins that a line is held against, on either side: beyond the lobe of the window."""
_FLOOR = 1e-9
"""Of full scale: what lies below is silence."""
Sides = tuple[Float32[ndarray, " T"], Float32[ndarray, " T2"], Float32[ndarray, " T3"]]
"""Output, input and reference at one rate."""


@dataclass(frozen=True)
class Ridge:
    """The clearest line: ``excess_db`` over its surroundings beyond theirs, ``above_db`` over their level there.

    "Theirs" are the louder of input and reference. Both are medians over files; ``share`` is that of the files that
    have both by ``LEAST_DB`` or more.
    """

    frequency_hz: float
    excess_db: float
    above_db: float
    share: float


LEAST_DB = 3.0
NOTHING = Ridge(0.0, 0.0, 0.0, 0.0)


def ridge(files: Sequence[Sides], rate_hz: int) -> Ridge:
    """Look for a line in outputs that their inputs and references have not."""
    n_fft = 2 ** round(np.log2(_WINDOW_S * rate_hz))
    long = [_no_louder(*sides) for sides in files if min(wave.size for wave in sides) >= 4 * n_fft]
    known = [[_median_db(wave, n_fft) for wave in sides] for sides in long]
    if len(known) < 2:
        return NOTHING
    outputs, inputs, references = (np.stack(side) for side in zip(*known, strict=True))
    own, its, their = (levels - _surroundings(levels) for levels in (outputs, inputs, references))
    excess = own - np.maximum(np.maximum(its, their), 0.0)
    above = outputs - np.maximum(inputs, references)
    bin_hz = rate_hz / n_fft
    bins = np.arange(round(_LOWEST_HZ / bin_hz), int(_HIGHEST * outputs.shape[1]))
    clear = np.minimum(excess, above)[:, bins]
    at = int(np.argmax(np.median(clear, axis=0)))
    share = float(np.mean(clear[:, at] >= LEAST_DB))
    beyond, over = (float(np.median(values[:, bins[at]])) for values in (excess, above))
    return Ridge(float(bins[at] * bin_hz), beyond, over, share)


def _no_louder(output: ndarray, noisy: ndarray, clean: ndarray) -> Sides:
    """With the output at most at its input's power: what restores adds no level to a line that was there."""
    powers = [float(np.mean(np.square(wave, dtype=np.float64))) for wave in (output, noisy)]
    louder = powers[0] > powers[1] > 0
    return (output * np.float32(np.sqrt(powers[1] / powers[0])) if louder else output), noisy, clean


def _median_db(wave: ndarray, n_fft: int) -> Float[ndarray, " F"]:
    """Level of every bin in the median frame."""
    power = np.square(np.abs(STFT(n_fft, n_fft // 2, "hann").forward(wave))) / n_fft
    levels: ndarray = 10 * np.log10(np.median(power, axis=0) + _FLOOR)
    return levels


def _surroundings(levels_db: Float[ndarray, "K F"]) -> Float[ndarray, "K F"]:
    """The median of the bins on both sides."""
    padded = np.pad(levels_db, ((0, 0), (_FAR, _FAR)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * _FAR + 1, axis=1)
    apart = np.abs(np.arange(-_FAR, _FAR + 1)) >= _NEAR
    around: ndarray = np.median(windows[..., apart], axis=-1)
    return around
