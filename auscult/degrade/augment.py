"""SpecAugment (Park et al. 2019, arXiv:1904.08779): bands and moments taken out of what the model hears."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from auscult.audio.stft import STFT
from auscult.bounds import NotNegative, Positive, Share, Whole
from auscult.degrade.base import Banks, Degradation, Drawn, Signal

WINDOW_MS, HOP_MS = 32.0, 8.0


@dataclass(frozen=True)
class SpecAugment(Degradation):
    """Silence ``freq_masks`` bands and ``time_masks`` moments of the heard side; the target keeps them.

    As in the paper, each width is uniform between zero and its bound (``max_band_hz``; ``max_span_ms``, and no more
    than ``max_share`` of the item) and its place uniform. The masks act on the short-time spectrum of the wave, so
    that they have smooth edges and serve every method; time warping, which moves the target, is left out.
    """

    freq_masks: Whole = 2
    max_band_hz: NotNegative = 500.0
    time_masks: Whole = 2
    max_span_ms: Positive = 100.0
    max_share: Share = 0.1
    probability: Share = 1.0

    def draw(self, rng: np.random.Generator, samples: int, rate_hz: int, banks: Banks) -> Drawn:
        span_s = min(self.max_span_ms * 1e-3, self.max_share * samples / rate_hz)
        bands = [_mask(rng, self.max_band_hz, rate_hz / 2) for _ in range(self.freq_masks)]
        spans = [_mask(rng, span_s, samples / rate_hz) for _ in range(self.time_masks)]
        return {"bands_hz": bands, "spans_s": spans}

    def apply(self, signal: Signal, drawn: Drawn, banks: Banks) -> Signal:
        hop, n_fft = (max(1, round(ms * 1e-3 * signal.rate_hz)) for ms in (HOP_MS, WINDOW_MS))
        stft = STFT(n_fft + n_fft % 2, hop)
        spectrum = stft.forward(signal.noisy)
        centres_s = np.arange(spectrum.shape[1]) * hop / signal.rate_hz
        bins_hz = np.arange(spectrum.shape[2]) * signal.rate_hz / stft.n_fft
        for low, high in drawn["bands_hz"]:
            spectrum[:, :, (low <= bins_hz) & (bins_hz < high)] = 0.0
        for start, end in drawn["spans_s"]:
            spectrum[:, (start <= centres_s) & (centres_s < end)] = 0.0
        return signal.heard(stft.inverse(spectrum, signal.noisy.shape[1]))


def _mask(rng: np.random.Generator, widest: float, whole: float) -> list[float]:
    """Both ends of a mask: width uniform up to ``widest``, place uniform within ``whole``."""
    width = float(rng.uniform(0.0, min(widest, whole)))
    start = float(rng.uniform(0.0, whole - width))
    return [round(start, 6), round(start + width, 6)]
