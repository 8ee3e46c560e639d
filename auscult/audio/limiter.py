"""A look-ahead limiter: nothing changes unless something is over full scale, and then only around it.

The gain that each sample needs is min(1, 1/|x|). A sliding minimum over 2 ms either side, then a moving average of the
same width, gives a smooth gain that never exceeds what any sample needs (the average runs over minima that all saw
the sample).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

Wave = Float32[ndarray, "C _"]

REACH_S = 0.002
CEILING = 0.9999
"""Just under full scale, so that rounding to integers cannot wrap."""


class Limiter:
    """Limit a stream: as many samples come out over ``push`` and ``finish`` as went in; channels share one gain."""

    def __init__(self, rate_hz: int, channels: int):
        self._reach = max(1, round(REACH_S * rate_hz))
        # Two reaches of the past and of the future decide a sample's gain; the past of a stream needs no gain.
        self._held = np.zeros((channels, 2 * self._reach), np.float32)

    def push(self, wave: Wave) -> Wave:
        """The samples whose future is known."""
        held = np.concatenate([self._held, wave], axis=1)
        ready = held.shape[1] - 4 * self._reach
        if ready <= 0:
            self._held = held
            return held[:, :0]
        out = self._limited(held)
        self._held = held[:, ready:]
        return out

    def finish(self) -> Wave:
        """The rest of the stream."""
        silence = np.zeros((self._held.shape[0], 2 * self._reach), np.float32)
        held = np.concatenate([self._held, silence], axis=1)
        return self._limited(held)

    def _limited(self, held: Wave) -> Wave:
        """All of ``held`` but two reaches at either end."""
        inner = held[:, 2 * self._reach : held.shape[1] - 2 * self._reach]
        peak = np.abs(held).max(axis=0)
        if peak.max(initial=0.0) <= 1.0:
            return inner
        needed = np.where(peak > 1.0, CEILING / np.maximum(peak, 1.0), 1.0)
        width = 2 * self._reach + 1
        lowest = np.lib.stride_tricks.sliding_window_view(needed, width).min(axis=1)
        total = np.cumsum(np.concatenate([[0.0], lowest]))
        gain = (total[width:] - total[:-width]) / width
        return (inner * gain).astype(np.float32)
