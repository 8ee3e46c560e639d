"""What a chain leaves of the band: low-pass, high-pass, band-pass, a lower sample rate on the way.

Each acts on what is heard; with ``target`` on the target as well, so that the model learns signals of that band and
not to undo the filter. Filters are Butterworth, run forward and backward: zero phase, so target and heard signal stay
aligned, and twice the attenuation of one pass (-6 dB at the cut-off).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray

from auscult.audio.resample import fit_length, resample
from auscult.bounds import Count, Range, Share
from auscult.degrade.base import Banks, Degradation, Drawn, Signal, uniform
from auscult.errors import RecipeError

Wave = Float32[ndarray, "C T"]


@dataclass(frozen=True)
class BandLimit(Degradation):
    """Low-pass at a cut-off drawn from ``cutoff_hz``; ``order`` is that of both passes together."""

    cutoff_hz: Range = (2_000.0, 7_000.0)
    order: Count = 8
    target: bool = False
    probability: Share = 1.0

    def draw(self, rng: np.random.Generator, samples: int, rate_hz: int, banks: Banks) -> Drawn:
        return {"cutoff_hz": uniform(rng, self.cutoff_hz), "order": self.order, "target": self.target}

    def apply(self, signal: Signal, drawn: Drawn, banks: Banks) -> Signal:
        return _banded(signal, drawn, None, drawn["cutoff_hz"])


@dataclass(frozen=True)
class HighPass(Degradation):
    """High-pass at a cut-off drawn from ``cutoff_hz``. By default on both sides: DC and rumble are nobody's target."""

    cutoff_hz: Range = (40.0, 40.0)
    order: Count = 4
    target: bool = True
    probability: Share = 1.0

    def draw(self, rng: np.random.Generator, samples: int, rate_hz: int, banks: Banks) -> Drawn:
        return {"cutoff_hz": uniform(rng, self.cutoff_hz), "order": self.order, "target": self.target}

    def apply(self, signal: Signal, drawn: Drawn, banks: Banks) -> Signal:
        return _banded(signal, drawn, drawn["cutoff_hz"], None)


@dataclass(frozen=True)
class BandPass(Degradation):
    """Keep what lies between two drawn edges; the defaults are about the telephone's 300 to 3400 Hz.

    Raises:
        RecipeError: the edges may cross.
    """

    low_hz: Range = (200.0, 400.0)
    high_hz: Range = (3_000.0, 3_800.0)
    order: Count = 8
    target: bool = False
    probability: Share = 1.0

    def __post_init__(self) -> None:
        if self.low_hz[1] >= self.high_hz[0]:
            raise RecipeError(
                f"BandPass: low_hz reaches {self.low_hz[1]:g} Hz, high_hz begins at {self.high_hz[0]:g} Hz; "
                "keep the highest low edge below the lowest high edge"
            )

    def draw(self, rng: np.random.Generator, samples: int, rate_hz: int, banks: Banks) -> Drawn:
        edges = {"low_hz": uniform(rng, self.low_hz), "high_hz": uniform(rng, self.high_hz)}
        return {**edges, "order": self.order, "target": self.target}

    def apply(self, signal: Signal, drawn: Drawn, banks: Banks) -> Signal:
        return _banded(signal, drawn, drawn["low_hz"], drawn["high_hz"])


@dataclass(frozen=True)
class Resampled(Degradation):
    """Through one of ``rates_hz``, drawn with equal chances, and back: a steep cut at half that rate."""

    rates_hz: tuple[Count, ...] = (8_000, 11_025, 12_000)
    target: bool = False
    probability: Share = 1.0

    def __post_init__(self) -> None:
        if not self.rates_hz:
            raise RecipeError("Resampled: rates_hz is empty; give at least one rate, such as [8000]")

    def draw(self, rng: np.random.Generator, samples: int, rate_hz: int, banks: Banks) -> Drawn:
        return {"through_hz": int(rng.choice(self.rates_hz)), "target": self.target}

    def apply(self, signal: Signal, drawn: Drawn, banks: Banks) -> Signal:
        return signal.through(lambda wave: there_and_back(wave, signal.rate_hz, drawn["through_hz"]), drawn["target"])


def there_and_back(wave: Wave, rate_hz: int, through_hz: int) -> Wave:
    """Resampled to another rate and back, at the same length."""
    return fit_length(resample(resample(wave, rate_hz, through_hz), through_hz, rate_hz), wave.shape[1])


def zero_phase(wave: Wave, rate_hz: int, low_hz: float | None, high_hz: float | None, order: int) -> Wave:
    """Butterworth filter, forward and backward; an edge at or above half the rate cuts nothing."""
    from scipy.signal import butter

    half = max(1, order // 2)  # two passes double the order
    edges: dict[Literal["highpass", "lowpass"], float | None] = {"highpass": low_hz, "lowpass": high_hz}
    for kind, edge_hz in edges.items():
        if edge_hz is not None and edge_hz < 0.499 * rate_hz:
            wave = both_ways(butter(half, edge_hz, kind, fs=rate_hz, output="sos"), wave)
    return wave


def both_ways(sections: Float[ndarray, "S 6"], wave: Wave) -> Wave:
    """Second-order sections, run forward and backward: zero phase, twice the attenuation in dB."""
    from scipy.signal import sosfiltfilt

    reach = min(3 * (2 * len(sections) + 1), wave.shape[1] - 1)
    return sosfiltfilt(sections, wave, axis=1, padlen=reach).astype(np.float32)


def _banded(signal: Signal, drawn: Drawn, low_hz: float | None, high_hz: float | None) -> Signal:
    return signal.through(
        lambda wave: zero_phase(wave, signal.rate_hz, low_hz, high_hz, drawn["order"]), drawn["target"]
    )
