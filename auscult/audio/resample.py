"""Sample-rate conversion by soxr: whole signals, and streams whose blocks join without seams."""

from __future__ import annotations

import numpy as np
import soxr
from jaxtyping import Float32
from numpy import ndarray

QUALITY = "VHQ"


def resampled_length(samples: int, from_hz: int, to_hz: int) -> int:
    """Length after conversion, rounded up: a signal never vanishes."""
    return -(-samples * to_hz // from_hz)


def fit_length(wave: Float32[ndarray, "C T"], samples: int) -> Float32[ndarray, "C T2"]:
    """Cut or zero-extend at the end to exactly ``samples``."""
    have = wave.shape[1]
    return wave[:, :samples] if have >= samples else np.pad(wave, ((0, 0), (0, samples - have)))


def resample(wave: Float32[ndarray, "C T"], from_hz: int, to_hz: int) -> Float32[ndarray, "C T2"]:
    """Band-limited conversion of a whole signal, with the length :func:`resampled_length` says."""
    if from_hz == to_hz:
        return wave
    out = np.ascontiguousarray(soxr.resample(wave.T, from_hz, to_hz, quality=QUALITY).T, dtype=np.float32)
    return fit_length(out, resampled_length(wave.shape[1], from_hz, to_hz))


class StreamResampler:
    """Convert a stream block by block; the blocks together equal the conversion of the whole.

    The converter's delay shows as blocks that come later (not as a shift): ``finish`` returns the rest, so that
    the total is exactly the resampled length.
    """

    def __init__(self, from_hz: int, to_hz: int, channels: int):
        self.from_hz, self.to_hz = from_hz, to_hz
        self._taken, self._given = 0, 0
        self._stream = None
        if from_hz != to_hz:
            self._stream = soxr.ResampleStream(from_hz, to_hz, channels, dtype="float32", quality=QUALITY)

    def push(self, wave: Float32[ndarray, "C T"]) -> Float32[ndarray, "C T2"]:
        """The output that this block completes."""
        self._taken += wave.shape[1]
        return self._convert(wave, last=False)

    def finish(self, channels: int) -> Float32[ndarray, "C T2"]:
        """The rest of the output."""
        total = resampled_length(self._taken, self.from_hz, self.to_hz)
        before = self._given
        rest = self._convert(np.zeros((channels, 0), np.float32), last=True)
        return fit_length(rest, total - before)

    def _convert(self, wave: Float32[ndarray, "C T"], last: bool) -> Float32[ndarray, "C T2"]:
        if self._stream is not None:
            block = np.ascontiguousarray(wave.T)
            wave = np.ascontiguousarray(self._stream.resample_chunk(block, last=last).T, dtype=np.float32)
        self._given += wave.shape[1]
        return wave
