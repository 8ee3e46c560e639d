"""What a recording chain does to the samples of a signal: gain, offset, clipping."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from auscult.audio.level import peak
from auscult.bounds import Range, Share
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
class DcOffset(Degradation):
    """Add a constant to what is heard, in parts of full scale: converters with a bias."""

    offset: Range = (-0.05, 0.05)
    probability: Share = 1.0

    def draw(self, rng: np.random.Generator, samples: int, rate_hz: int, banks: Banks) -> Drawn:
        return {"offset": uniform(rng, self.offset)}

    def apply(self, signal: Signal, drawn: Drawn, banks: Banks) -> Signal:
        return signal.heard(signal.noisy + np.float32(drawn["offset"]))


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
