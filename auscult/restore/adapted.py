"""Streams around a stream: a gain that is undone, and a mix with the original."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from auscult.restore.stream import Queue, Stream, Wave, Wrapper


class LevelledStream(Wrapper):
    """Multiply by a gain before, divide after."""

    def __init__(self, inner: Stream, gain: Float32[ndarray, " C"]):
        super().__init__(inner)
        self._gain = gain[:, None]

    def push(self, wave: Wave) -> Wave:
        return self._inner.push(wave * self._gain) / self._gain

    def finish(self) -> Wave:
        return self._inner.finish() / self._gain


class MixedStream(Wrapper):
    """strength x restored + (1 - strength) x original."""

    def __init__(self, inner: Stream, strength: float, channels: int):
        super().__init__(inner)
        self._strength, self._original = np.float32(strength), Queue(channels)

    def push(self, wave: Wave) -> Wave:
        self._original.add(wave)
        return self._mix(self._inner.push(wave))

    def finish(self) -> Wave:
        return self._mix(self._inner.finish())

    def _mix(self, restored: Wave) -> Wave:
        original = self._original.take(restored.shape[1])
        return self._strength * restored + (1 - self._strength) * original
