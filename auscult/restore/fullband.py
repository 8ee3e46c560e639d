"""Other rates than the model's: resampling around it, and the band above the model's own.

A recording at 44.1 or 48 kHz keeps its full band: what lies above the model's Nyquist frequency is not cut, but
follows the model's gain, measured in the upper half of the band that the model does see.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from auscult.audio.resample import StreamResampler, fit_length
from auscult.audio.stft import STFT, Analysis
from auscult.restore.stream import Queue, Stream, Wave, Wrapper

LOWEST, HIGHEST = 0.55, 0.95
"""The part of the model's band, relative to its Nyquist frequency, whose gain the band above follows."""


class ResampledStream(Wrapper):
    """Run a stream at the model's rate inside one at another rate, not above which the model's band lies."""

    def __init__(self, inner: Stream, rate_hz: int, model_hz: int, channels: int):
        super().__init__(inner)
        self._channels = channels
        self._down = StreamResampler(rate_hz, model_hz, channels)
        self._up = StreamResampler(model_hz, rate_hz, channels)
        self._taken, self._given = 0, 0

    def push(self, wave: Wave) -> Wave:
        self._taken += wave.shape[1]
        out = self._up.push(self._inner.push(self._down.push(wave)))
        self._given += out.shape[1]
        return out

    def finish(self) -> Wave:
        last = np.concatenate([self._inner.push(self._down.finish(self._channels)), self._inner.finish()], axis=1)
        out = np.concatenate([self._up.push(last), self._up.finish(self._channels)], axis=1)
        return fit_length(out, self._taken - self._given)


class FullBandStream(Wrapper):
    """As :class:`ResampledStream`, for rates above the model's, with the high band kept and its gain following.

    output = up(restored) + g (input - up(down(input))), g from the model's gain in its own upper band.
    """

    def __init__(self, inner: Stream, rate_hz: int, model_hz: int, channels: int):
        super().__init__(inner)
        self._channels = channels
        self._down = StreamResampler(rate_hz, model_hz, channels)
        self._up_noisy, self._up_restored = (StreamResampler(model_hz, rate_hz, channels) for _ in range(2))
        self._original, self._noisy, self._restored = (Queue(channels) for _ in range(3))
        self._gain = GainTrack(model_hz, channels)
        self._frames_per_sample = model_hz / rate_hz / self._gain.stft.hop
        self._given = 0

    def push(self, wave: Wave) -> Wave:
        self._original.add(wave)
        low = self._down.push(wave)
        restored = self._inner.push(low)
        self._gain.push(low, restored)
        self._noisy.add(self._up_noisy.push(low))
        self._restored.add(self._up_restored.push(restored))
        known = int((self._gain.known - 1) / self._frames_per_sample)
        ready = min(self._noisy.end, self._restored.end, self._original.end, known)
        return self._take(max(0, ready - self._given))

    def finish(self) -> Wave:
        low = self._down.finish(self._channels)
        restored = np.concatenate([self._inner.push(low), self._inner.finish()], axis=1)
        self._gain.finish(low, restored)
        missing = self._original.waiting
        for queue, up, wave in ((self._noisy, self._up_noisy, low), (self._restored, self._up_restored, restored)):
            rest = np.concatenate([up.push(wave), up.finish(self._channels)], axis=1)
            queue.add(fit_length(rest, missing - queue.waiting))
        return self._take(missing)

    def _take(self, count: int) -> Wave:
        original, noisy, restored = (queue.take(count) for queue in (self._original, self._noisy, self._restored))
        places = (self._given + np.arange(count)) * self._frames_per_sample
        self._given += count
        return (restored + self._gain.at(places) * (original - noisy)).astype(np.float32)


class GainTrack:
    """The model's gain over time: restored over noisy amplitude in the upper part of its band, at most one."""

    def __init__(self, model_hz: int, channels: int):
        self.stft = STFT(n_fft=512, hop=256, window="hann")
        self._sides = [_BandPower(self.stft) for _ in range(2)]
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

    def __init__(self, stft: STFT):
        self._analysis, self._samples, self._frames = Analysis(stft), 0, 0
        bins = stft.n_fft // 2
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
