"""Short-time Fourier transform in numpy: whole signals (equal to torch's centred STFT) and streams of frames.

Convention: periodic window of ``n_fft`` points, frame ``n`` centred on sample ``n * hop``, the ends extended by
reflection, one-sided spectrum, no scaling; frames = 1 + floor(T / hop). The inverse divides by the summed squared
window, so it is exact for every window and hop that overlap.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Complex64, Float32
from numpy import ndarray

WINDOWS = ("hann", "sqrthann", "hamming")


def window_of(kind: str, n_fft: int) -> ndarray:
    """A periodic window, float64.

    Raises:
        ValueError: unknown kind.
    """
    phase = 2 * np.pi * np.arange(n_fft) / n_fft
    hann = 0.5 - 0.5 * np.cos(phase)
    if kind == "hann":
        return hann
    if kind == "sqrthann":
        return np.sqrt(hann)
    if kind == "hamming":
        return 0.54 - 0.46 * np.cos(phase)
    raise ValueError(f"unknown window '{kind}'; allowed: {', '.join(WINDOWS)}")


def extend(wave: ndarray, left: int, right: int) -> ndarray:
    """Reflect the ends as far as the signal reaches, then repeat the last value: defined for any length >= 1."""
    samples = wave.shape[-1]
    pad = [(0, 0)] * (wave.ndim - 1)
    reach = min(left, samples - 1), min(right, samples - 1)
    wave = np.pad(wave, [*pad, reach], mode="reflect")
    return np.pad(wave, [*pad, (left - reach[0], right - reach[1])], mode="edge")


@dataclass(frozen=True)
class STFT:
    """One transform, its inverse, and the pair of stream processors that do the same frame by frame."""

    n_fft: int
    hop: int
    window: str = "sqrthann"

    @cached_property
    def taper(self) -> ndarray:
        """The window, float32."""
        return window_of(self.window, self.n_fft).astype(np.float32)

    def frames(self, samples: int) -> int:
        """Number of frames of a signal."""
        return 1 + samples // self.hop

    def forward(self, wave: Float32[ndarray, "*B T"]) -> Complex64[ndarray, "*B N F"]:
        """Spectrum of a whole signal, frames before bins."""
        half = self.n_fft // 2
        padded = extend(wave, half, half)
        views = np.lib.stride_tricks.sliding_window_view(padded, self.n_fft, axis=-1)[..., :: self.hop, :]
        return np.fft.rfft(views[..., : self.frames(wave.shape[-1]), :] * self.taper).astype(np.complex64)

    def inverse(self, spectrum: Complex64[ndarray, "*B N F"], samples: int) -> Float32[ndarray, "*B T"]:
        """Signal of ``samples`` samples from its spectrum."""
        *lead, count, _ = spectrum.shape
        half = self.n_fft // 2
        out = np.zeros((*lead, half + max(samples, count * self.hop) + self.n_fft), np.float32)
        weight = np.zeros(out.shape[-1], np.float32)
        frames = np.fft.irfft(spectrum, n=self.n_fft).astype(np.float32) * self.taper
        for n in range(count):
            span = slice(n * self.hop, n * self.hop + self.n_fft)
            out[..., span] += frames[..., n, :]
            weight[span] += self.taper**2
        return np.divide(out, weight, out=out, where=weight > 1e-11)[..., half : half + samples]


class Analysis:
    """Frames of a stream as they become complete; together they equal ``STFT.forward`` of the whole."""

    def __init__(self, stft: STFT):
        self._stft = stft
        self._buffer: ndarray | None = None  # the latest samples, extended at the start of the stream
        self._next = 0  # where in the buffer the next frame begins
        self._started = False

    def push(self, wave: Float32[ndarray, "C T"]) -> Complex64[ndarray, "C N F"]:
        """The frames that this block completes."""
        half, n_fft, hop = self._stft.n_fft // 2, self._stft.n_fft, self._stft.hop
        buffer = wave if self._buffer is None else np.concatenate([self._buffer, wave], axis=1)
        if not self._started and buffer.shape[1] > half:
            buffer, self._started = extend(buffer, half, 0), True
        count = max(0, (buffer.shape[1] - self._next - n_fft) // hop + 1) if self._started else 0
        frames = self._transform(buffer, count)
        self._next += count * hop
        # The end of the stream is extended by reflection, which needs half a window of the past.
        drop = min(self._next, max(0, buffer.shape[1] - half - 1))
        self._buffer, self._next = buffer[:, drop:], self._next - drop
        return frames

    def finish(self, samples: int, given: int) -> Complex64[ndarray, "C N F"]:
        """The last frames of a stream of ``samples`` samples, ``given`` of whose frames were returned before."""
        if self._buffer is None:
            raise ValueError("a stream that was given nothing has no last frames")
        half = self._stft.n_fft // 2
        buffer = extend(self._buffer, 0 if self._started else half, half)
        return self._transform(buffer, self._stft.frames(samples) - given)

    def _transform(self, buffer: ndarray, count: int) -> Complex64[ndarray, "C N F"]:
        stft = self._stft
        if count <= 0:
            return np.zeros((buffer.shape[0], 0, stft.n_fft // 2 + 1), np.complex64)
        views = np.lib.stride_tricks.sliding_window_view(buffer[:, self._next :], stft.n_fft, axis=-1)
        return np.fft.rfft(views[:, :: stft.hop][:, :count] * stft.taper).astype(np.complex64)


class Synthesis:
    """Overlap-add of a stream of frames; the blocks together equal ``STFT.inverse`` of all frames."""

    def __init__(self, stft: STFT, channels: int):
        self._stft = stft
        self._sum = np.zeros((channels, stft.n_fft), np.float32)
        self._weight = np.zeros(stft.n_fft, np.float32)
        self._skip = stft.n_fft // 2
        self._given = 0

    def push(self, frames: Complex64[ndarray, "C N F"]) -> Float32[ndarray, "C T"]:
        """The samples that no later frame touches."""
        stft, count = self._stft, frames.shape[1]
        if count == 0:
            return self._sum[:, :0]
        waves = np.fft.irfft(frames, n=stft.n_fft).astype(np.float32) * stft.taper
        span = (count - 1) * stft.hop + stft.n_fft
        total = np.pad(self._sum, ((0, 0), (0, span - stft.n_fft)))
        weight = np.pad(self._weight, (0, span - stft.n_fft))
        for n in range(count):
            at = slice(n * stft.hop, n * stft.hop + stft.n_fft)
            total[:, at] += waves[:, n]
            weight[at] += stft.taper**2
        done = count * stft.hop
        self._sum = np.pad(total[:, done:], ((0, 0), (0, max(0, stft.n_fft - span + done))))
        self._weight = np.pad(weight[done:], (0, max(0, stft.n_fft - span + done)))
        return self._emit(total[:, :done], weight[:done])

    def finish(self, samples: int) -> Float32[ndarray, "C T"]:
        """The rest, up to ``samples`` samples in all."""
        rest = self._emit(self._sum, self._weight)
        missing = samples - (self._given - rest.shape[1])
        return rest[:, :missing] if missing <= rest.shape[1] else np.pad(rest, ((0, 0), (0, missing - rest.shape[1])))

    def _emit(self, total: ndarray, weight: ndarray) -> Float32[ndarray, "C T"]:
        wave = np.divide(total, weight, out=np.zeros_like(total), where=weight > 1e-11)
        skip = min(self._skip, wave.shape[1])
        self._skip -= skip
        self._given += wave.shape[1] - skip
        return wave[:, skip:]
