"""What a recording chain does to a signal: gain, band limit, clipping."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from auscult.audio.level import peak
from auscult.bounds import Count, Range, Share
from auscult.degrade.base import Banks, Degradation, Drawn, Signal, uniform
from auscult.units import amplitude


@dataclass(frozen=True)
class Gain(Degradation):
    """Scale target and heard signal alike, by a gain drawn from ``gain_db``."""

    gain_db: Range = (-20.0, 0.0)
    probability: Share = 1.0

    def draw(self, rng: np.random.Generator, samples: int, rate_hz: int, banks: Banks) -> Drawn:
        return {"gain_db": uniform(rng, self.gain_db)}

    def apply(self, signal: Signal, drawn: Drawn, banks: Banks) -> Signal:
        factor = np.float32(amplitude(drawn["gain_db"]))
        return Signal(signal.clean * factor, signal.noisy * factor, signal.rate_hz)


@dataclass(frozen=True)
class BandLimit(Degradation):
    """Low-pass what is heard (Butterworth, zero phase); the target keeps its band."""

    cutoff_hz: Range = (2_000.0, 7_000.0)
    order: Count = 8
    probability: Share = 1.0

    def draw(self, rng: np.random.Generator, samples: int, rate_hz: int, banks: Banks) -> Drawn:
        return {"cutoff_hz": uniform(rng, self.cutoff_hz), "order": self.order}

    def apply(self, signal: Signal, drawn: Drawn, banks: Banks) -> Signal:
        from scipy.signal import butter, sosfiltfilt

        if drawn["cutoff_hz"] >= 0.499 * signal.rate_hz:
            return signal
        # Forward and backward filtering doubles the order.
        sections = butter(max(1, drawn["order"] // 2), drawn["cutoff_hz"], fs=signal.rate_hz, output="sos")
        reach = min(3 * (2 * len(sections) + 1), signal.noisy.shape[1] - 1)
        return signal.heard(sosfiltfilt(sections, signal.noisy, axis=1, padlen=reach).astype(np.float32))


@dataclass(frozen=True)
class Clipping(Degradation):
    """Hard-clip what is heard at ``below_peak_db`` under its own peak."""

    below_peak_db: Range = (1.0, 12.0)
    probability: Share = 1.0

    def draw(self, rng: np.random.Generator, samples: int, rate_hz: int, banks: Banks) -> Drawn:
        return {"below_peak_db": uniform(rng, self.below_peak_db)}

    def apply(self, signal: Signal, drawn: Drawn, banks: Banks) -> Signal:
        ceiling = peak(signal.noisy) * amplitude(-drawn["below_peak_db"])
        return signal.heard(np.clip(signal.noisy, -ceiling, ceiling))
