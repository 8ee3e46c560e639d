"""Steady noise with the spectrum of a recording: speech-shaped noise, or a fan made endless."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64
from numpy import ndarray

from auscult.bounds import Range, Share
from auscult.degrade.base import Banks, Degradation, Drawn, Signal, Unusable, uniform
from auscult.degrade.noise import SpeechLevel, at_snr, shaped

LISTEN_S = 10.0
"""As much of a recording shapes the noise."""
SEGMENT_S = 0.064


@dataclass(frozen=True)
class ShapedNoise(Degradation):
    """Add Gaussian noise with the long-term spectrum of a recording of ``bank``, at an SNR drawn from ``snr_db``.

    With the bank ``speech`` this is the speech-shaped noise of listening tests (as in ICRA noises, Dreschler et al.
    2001, without modulation).
    """

    snr_db: Range = (-5.0, 20.0)
    bank: str = "speech"
    level: SpeechLevel = "active"
    probability: Share = 1.0

    def banks(self) -> Sequence[str]:
        return (self.bank,)

    def draw(self, rng: np.random.Generator, samples: int, rate_hz: int, banks: Banks) -> Drawn:
        bank = banks[self.bank]
        index = int(rng.integers(len(bank)))
        start = int(rng.integers(max(1, bank.samples(index) - round(LISTEN_S * bank.rate_hz))))
        source = {"bank": self.bank, "index": index, **bank.describe(index), "start": start}
        return {"snr_db": uniform(rng, self.snr_db), "level": self.level, **source, "seed": int(rng.integers(2**31))}

    def apply(self, signal: Signal, drawn: Drawn, banks: Banks) -> Signal:
        bank, index, start = banks[drawn["bank"]], drawn["index"], drawn["start"]
        heard = bank.read(index, start, min(bank.samples(index) - start, round(LISTEN_S * bank.rate_hz)))
        if not heard.any():
            raise Unusable("silent noise", str(drawn.get("name", index)))
        rng = np.random.Generator(np.random.Philox(key=drawn["seed"]))
        samples = signal.noisy.shape[1]
        noise = shaped(rng, samples, long_term_db(heard, signal.rate_hz, samples))
        return at_snr(signal, noise.astype(np.float32)[None], drawn["snr_db"], drawn["level"])


def long_term_db(wave: Float32[ndarray, "1 T"], rate_hz: int, samples: int) -> Float64[ndarray, " F"]:
    """Long-term spectrum (Welch's averages) at the ``samples // 2 + 1`` frequencies of another length; 0 dB at most."""
    from scipy.signal import welch

    hz, power = welch(wave[0], rate_hz, nperseg=min(wave.shape[1], round(SEGMENT_S * rate_hz)))
    level_db = 10.0 * np.log10(np.maximum(power / power.max(), 1e-12))
    return np.interp(np.fft.rfftfreq(samples, 1 / rate_hz), hz, level_db)
