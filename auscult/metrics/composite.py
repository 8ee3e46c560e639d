"""Hu & Loizou's family: segmental SNR, LLR, WSS, and the composites CSIG, CBAK and COVL made of them and PESQ.

Conventions of the original programs (Hu & Loizou 2008) at 16 kHz: frames of 480 samples every 120, a Hann window that
touches zero outside the frame, full scale 1, LLR and WSS averaged over the best 95 % of the frames.

The programs of CMGAN and MP-SENet divide samples by 32768 for WSS, which suits 16-bit integers; on floats, as they are
called there, it sinks most bands under the floor of WSS, which falls, and the composites rise. ``divisor=32768`` does
the same, for comparison with tables made so.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import ClassVar, final

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from auscult.metrics.base import Metric, MetricFailure, Signal, Signals
from auscult.metrics.perceptual import pesq_wideband

Frames = Float[ndarray, "N S"]

_RATE_HZ = 16_000
_FRAME, _HOP = 480, 120
_EPS = float(np.finfo(np.float64).eps)
_BEST = 0.95
_ORDER = 16
_N_FFT = 1024

# WSS (Klatt 1982): centres and widths of the 25 critical bands in Hz, and the constants of the slopes' weights.
_CENTRES_HZ = np.array(
    [50, 120, 190, 260, 330, 400, 470, 540, 617.372, 703.378, 798.717, 904.128, 1020.38, 1148.30, 1288.72, 1442.54,
     1610.70, 1794.16, 1993.93, 2211.08, 2446.71, 2701.97, 2978.04, 3276.17, 3597.63]
)  # fmt: skip
_WIDTHS_HZ = np.array(
    [70, 70, 70, 70, 70, 70, 70, 77.3724, 86.0056, 95.3398, 105.411, 116.256, 127.914, 140.423, 153.823, 168.154,
     183.457, 199.776, 217.153, 235.631, 255.255, 276.072, 298.126, 321.465, 346.136]
)  # fmt: skip
_K_MAX, _K_LOCAL = 20.0, 1.0


def frames_of(wave: Signal) -> Frames:
    """Windowed frames, float64; the last frame that would fit is left out, as in the original programs.

    Raises:
        MetricFailure: not one frame.
    """
    count = (wave.size - _FRAME) // _HOP
    if count < 1:
        raise MetricFailure(f"shorter than {_FRAME + _HOP} samples at 16 kHz")
    window = 0.5 * (1 - np.cos(2 * np.pi * np.arange(1, _FRAME + 1) / (_FRAME + 1)))
    views = np.lib.stride_tricks.sliding_window_view(wave.astype(np.float64), _FRAME)
    return views[: count * _HOP : _HOP] * window


def _pair(signals: Signals) -> tuple[Frames, Frames]:
    return frames_of(signals.reference()), frames_of(signals.estimate)


def best_mean(values: Float[ndarray, " N"]) -> float:
    """Mean over the 95 % of the frames with the least distance."""
    return float(np.sort(values)[: round(_BEST * values.size)].mean())


def segmental_snr(signals: Signals) -> float:
    """Mean over frames of the SNR, each limited to -10 to 35 dB."""
    clean, estimate = _pair(signals)
    energy, noise = np.square(clean).sum(axis=1), np.square(clean - estimate).sum(axis=1)
    return float(np.clip(10 * np.log10(energy / (noise + _EPS) + _EPS), -10.0, 35.0).mean())


def log_likelihood_ratio(signals: Signals) -> float:
    """How much worse the estimate's linear predictor predicts clean than its own does."""
    clean, estimate = (_correlations(frames + _EPS) for frames in _pair(signals))
    own, other = (_prediction_energy(levinson(r), clean) for r in (clean, estimate))
    return best_mean(np.log(other / own))


@dataclass(frozen=True)
class WeightedSlope:
    """Distance of the slopes between critical bands, weighted towards spectral peaks; samples over ``divisor``."""

    divisor: float = 1.0

    def __call__(self, signals: Signals) -> float:
        bands, others = (_band_levels(frames / self.divisor) for frames in _pair(signals))
        weights = (_slope_weights(bands) + _slope_weights(others)) / 2
        distance = np.square(np.diff(bands) - np.diff(others))
        return best_mean((weights * distance).sum(axis=1) / weights.sum(axis=1))


@final
class SegmentalSnr(Metric):
    """Mean over frames of the SNR, each limited to -10 to 35 dB; SSNR in tables."""

    name, unit, rate_hz, matters = "seg_snr", "dB", _RATE_HZ, 0.2
    source = "Hu & Loizou 2008: 480/120 at 16 kHz, frames limited to -10 to 35 dB, pauses included"

    def _score(self, signals: Signals) -> float:
        return signals.once(segmental_snr)


@final
class Llr(Metric):
    """Log-likelihood ratio of linear predictors; 0 is best."""

    name, unit, higher_is_better, rate_hz, matters = "llr", "", False, _RATE_HZ, 0.02
    source = "Hu & Loizou 2008: 480/120 at 16 kHz, order 16, mean of the best 95 % of frames, not limited to 2"

    def _score(self, signals: Signals) -> float:
        return signals.once(log_likelihood_ratio)


@final
@dataclass(frozen=True)
class Wss(Metric):
    """Weighted spectral slope distance; 0 is best."""

    name, unit, higher_is_better, rate_hz, matters = "wss", "dB^2", False, _RATE_HZ, 1.0
    source = "Klatt 1982, Hu & Loizou 2008: 480/120 at 16 kHz, 25 bands, mean of the best 95 % of frames"
    divisor: float | None = None

    def _score(self, signals: Signals) -> float:
        return signals.once(WeightedSlope(self.divisor or 1.0))


@dataclass(frozen=True)
class _Composite(Metric):
    """A regression on PESQ, LLR, WSS and segmental SNR that predicts opinions from 1 to 5."""

    unit, rate_hz, matters, extra = "MOS", _RATE_HZ, 0.05, "pesq"
    offset: ClassVar[float]
    pesq: ClassVar[float]
    llr: ClassVar[float] = 0.0
    wss: ClassVar[float]
    seg_snr: ClassVar[float] = 0.0
    divisor: float | None = None

    def _score(self, signals: Signals) -> float:
        opinion = self.offset + self.pesq * signals.once(pesq_wideband)
        opinion += self.wss * signals.once(WeightedSlope(self.divisor or 1.0))
        opinion += self.llr * signals.once(log_likelihood_ratio) + self.seg_snr * signals.once(segmental_snr)
        return min(max(opinion, 1.0), 5.0)

    @property
    def version(self) -> str:
        """Both codes it rests on: ``pesq 0.0.4, auscult 0.3.0``."""
        return f"{super().version}, {Llr().version}"


@final
@dataclass(frozen=True)
class Csig(_Composite):
    """Predicted opinion of signal distortion, 1 to 5."""

    name, offset, pesq, llr, wss = "csig", 3.093, 0.603, -1.029, -0.009
    source = "Hu & Loizou 2008 with PESQ-WB: 3.093 - 1.029 LLR + 0.603 PESQ - 0.009 WSS"


@final
@dataclass(frozen=True)
class Cbak(_Composite):
    """Predicted opinion of background intrusiveness, 1 to 5."""

    name, offset, pesq, wss, seg_snr = "cbak", 1.634, 0.478, -0.007, 0.063
    source = "Hu & Loizou 2008 with PESQ-WB: 1.634 + 0.478 PESQ - 0.007 WSS + 0.063 segSNR"


@final
@dataclass(frozen=True)
class Covl(_Composite):
    """Predicted opinion of overall quality, 1 to 5."""

    name, offset, pesq, llr, wss = "covl", 1.594, 0.805, -0.512, -0.007
    source = "Hu & Loizou 2008 with PESQ-WB: 1.594 + 0.805 PESQ - 0.512 LLR - 0.007 WSS"


def _correlations(frames: Frames) -> Float[ndarray, "N K"]:
    """Autocorrelation at lags 0 to 16."""
    return np.stack(
        [np.einsum("ns,ns->n", frames[:, : frames.shape[1] - lag], frames[:, lag:]) for lag in range(_ORDER + 1)],
        axis=1,
    )


def levinson(correlations: Float[ndarray, "N K"]) -> Float[ndarray, "N K"]:
    """Prediction error filters (first tap 1) of all frames at once, by the Levinson-Durbin recursion."""
    filters = np.zeros_like(correlations)
    filters[:, 0] = 1.0
    floor = _EPS * correlations[:, 0]
    error = correlations[:, 0].copy()
    for order in range(1, correlations.shape[1]):
        reflection = -(filters[:, :order] * correlations[:, order:0:-1]).sum(axis=1) / np.maximum(error, floor)
        filters[:, 1 : order + 1] += reflection[:, None] * filters[:, order - 1 :: -1][:, :order]
        error *= 1 - np.square(reflection)
    return filters


def _prediction_energy(filters: Float[ndarray, "N K"], correlations: Float[ndarray, "N K"]) -> Float[ndarray, " N"]:
    """Energy of the frames after the filters: a R a', R the Toeplitz matrix of the correlations."""
    energy = correlations[:, 0] * np.square(filters).sum(axis=1)
    for lag in range(1, filters.shape[1]):
        energy += 2 * correlations[:, lag] * (filters[:, lag:] * filters[:, :-lag]).sum(axis=1)
    return np.maximum(energy, _EPS * correlations[:, 0])


@cache
def _band_filters() -> Float[ndarray, "F C"]:
    """Gaussian critical-band filters over the lower half of the bins, cut at -30 dB."""
    per_bin = _N_FFT / _RATE_HZ
    offset = np.arange(_N_FFT // 2)[:, None] - np.floor(_CENTRES_HZ * per_bin)
    filters = np.exp(-11 * np.square(offset / (_WIDTHS_HZ * per_bin)) + np.log(_WIDTHS_HZ[0] / _WIDTHS_HZ))
    return np.where(filters > np.exp(-30 / (2 * 2.303)), filters, 0.0)


def _band_levels(frames: Frames) -> Float[ndarray, "N C"]:
    """Levels of the critical bands in dB, floored at -100 dB."""
    power = np.square(np.abs(np.fft.rfft(frames, _N_FFT)[:, : _N_FFT // 2]))
    return 10 * np.log10(np.maximum(power @ _band_filters(), 1e-10))


def _slope_weights(levels: Float[ndarray, "N C"]) -> Float[ndarray, "N S"]:
    """Weights of the slopes: near the strongest band and near the closest peak they count more.

    On a rising slope the originals take the band before the peak for the peak; so do we.
    """
    rising = np.diff(levels) > 0
    slopes = rising.shape[1]
    index = np.arange(slopes)
    falls_at = np.minimum.accumulate(np.where(rising, slopes, index)[:, ::-1], axis=1)[:, ::-1]
    rose_at = np.maximum.accumulate(np.where(rising, index, -1), axis=1)
    peak = np.take_along_axis(levels, np.where(rising, falls_at - 1, rose_at + 1), axis=1)
    below = levels[:, :-1]
    strongest = levels.max(axis=1, keepdims=True)
    return _K_MAX / (_K_MAX + strongest - below) * _K_LOCAL / (_K_LOCAL + peak - below)
