"""Other rates than the model's: conversion around it, and the band that the conversion would lose.

A recording at 44.1 or 48 kHz keeps its full band: what lies above the model's Nyquist frequency is not cut, but
follows the model's gain, measured in the upper part of the band that model and recording share. The same holds for
the last hertz below the Nyquist frequency of a recording at 8 kHz.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from auscult.audio.resample import StreamResampler, fit_length
from auscult.audio.stft import STFT, Analysis
from auscult.restore.stream import Queue, Stream, Wave, Wrapper

LOWEST, HIGHEST = 0.55, 0.95
"""The part of the shared band whose gain the rest follows."""


class FullBandStream(Wrapper):
    """Run a stream at the model's rate inside one at another rate.

    output = back(restored) + g (input - back(there(input))), with conversion there and back, and g the model's gain
    in the upper part of the band.
    """

    def __init__(self, inner: Stream, rate_hz: int, model_hz: int, channels: int):
        super().__init__(inner)
        self._channels = channels
        self._there = StreamResampler(rate_hz, model_hz, channels)
        self._back_noisy, self._back_restored = (StreamResampler(model_hz, rate_hz, channels) for _ in range(2))
        self._original, self._noisy, self._restored = (Queue(channels) for _ in range(3))
        self._gain = GainTrack(model_hz, min(rate_hz, model_hz) / model_hz, channels)
        self._frames_per_sample = model_hz / rate_hz / self._gain.stft.hop
        self._given = 0

    def push(self, wave: Wave) -> Wave:
        self._original.add(wave)
        low = self._there.push(wave)
        restored = self._inner.push(low)
        self._gain.push(low, restored)
        self._noisy.add(self._back_noisy.push(low))
        self._restored.add(self._back_restored.push(restored))
        known = int((self._gain.known - 1) / self._frames_per_sample)
        ready = min(self._noisy.end, self._restored.end, self._original.end, known)
        return self._take(max(0, ready - self._given))

    def finish(self) -> Wave:
        low = self._there.finish(self._channels)
        restored = np.concatenate([self._inner.push(low), self._inner.finish()], axis=1)
        self._gain.finish(low, restored)
        missing = self._original.waiting
        for queue, back, wave in (
            (self._noisy, self._back_noisy, low),
            (self._restored, self._back_restored, restored),
        ):
            rest = np.concatenate([back.push(wave), back.finish(self._channels)], axis=1)
            queue.add(fit_length(rest, missing - queue.waiting))
        return self._take(missing)

    def _take(self, count: int) -> Wave:
        original, noisy, restored = (queue.take(count) for queue in (self._original, self._noisy, self._restored))
        places = (self._given + np.arange(count)) * self._frames_per_sample
        self._given += count
        return (restored + self._gain.at(places) * (original - noisy)).astype(np.float32)


class GainTrack:
    """The model's gain over time: restored over noisy amplitude in the upper part of the shared band, at most one."""

    def __init__(self, model_hz: int, shared: float, channels: int):
        self.stft = STFT(n_fft=512, hop=256, window="hann")
        self._sides = [_BandPower(self.stft, shared) for _ in range(2)]
        self._gains: list[Float[ndarray, " C"]] = []
        self._first = 0  # frame number of the first gain kept
        self._channels = channels

    @property
    def known(self) -> int:
        """Frames whose gain is known."""
        return self._first + len(self._gains)

    def push(self, noisy: Wave, restored: Wave) -> None:
        """The next samples of both, at the model's rate; they may lag behind each other."""
        for side, wave in zip(self._sides, (noisy, restored), strict=True):
            side.push(wave)
        self._update()

    def finish(self, noisy: Wave, restored: Wave) -> None:
        """The last samples of both."""
        for side, wave in zip(self._sides, (noisy, restored), strict=True):
            side.push(wave)
            side.finish()
        self._update()

    def at(self, places: Float[ndarray, " T"]) -> Float[ndarray, "C T"]:
        """Gain at fractional frame numbers, interpolated; earlier frames are forgotten."""
        if places.size == 0:
            return np.zeros((self._channels, 0))
        numbers = self._first + np.arange(len(self._gains))
        track = np.stack(self._gains, axis=1)
        gain = np.stack([np.interp(places, numbers, channel) for channel in track])
        drop = min(max(0, int(places[-1]) - self._first), len(self._gains) - 1)
        self._gains, self._first = self._gains[drop:], self._first + drop
        return gain

    def _update(self) -> None:
        noisy, restored = (side.powers for side in self._sides)
        while noisy and restored:
            before, after = noisy.pop(0), restored.pop(0)
            self._gains.append(np.sqrt(np.clip(after / np.maximum(before, 1e-12), 0.0, 1.0)))


class _BandPower:
    """Power of the upper part of the band, frame by frame."""

    def __init__(self, stft: STFT, shared: float):
        self._analysis, self._samples, self._frames = Analysis(stft), 0, 0
        bins = shared * (stft.n_fft // 2)
        self._bins = slice(round(LOWEST * bins), round(HIGHEST * bins))
        self.powers: list[Float[ndarray, " C"]] = []

    def push(self, wave: Wave) -> None:
        self._samples += wave.shape[1]
        self._add(self._analysis.push(wave))

    def finish(self) -> None:
        self._add(self._analysis.finish(self._samples, self._frames))

    def _add(self, frames: ndarray) -> None:
        self._frames += frames.shape[1]
        power = np.square(np.abs(frames[..., self._bins])).sum(-1)
        self.powers += list(power.T.astype(np.float64))
