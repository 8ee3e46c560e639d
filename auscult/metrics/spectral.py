"""Distances of spectra: LSD in every convention in use, log-mel, multi-resolution STFT."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import final

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from auscult.audio.band import band_edge
from auscult.audio.stft import extend, window_of
from auscult.metrics.base import Metric, MetricFailure, Role, Signal, Signals

Power = Float[ndarray, "N F"]
"""|STFT|^2, frames before bins."""
Log = Callable[[Power, Power], Power]
"""Powers of clean and estimate to the base-10 logarithm of their ratio."""


def power_of(wave: Signal, n_fft: int, hop: int, window: ndarray) -> Power:
    """|STFT|^2 in float64: frames centred on multiples of ``hop``, ends reflected, no scaling.

    Raises:
        MetricFailure: the signal is shorter than a frame.
    """
    if wave.size < n_fft:
        raise MetricFailure(f"shorter than one frame of {n_fft} samples")
    half = n_fft // 2
    frames = np.lib.stride_tricks.sliding_window_view(extend(wave.astype(np.float64), half, half), n_fft)[::hop]
    spectrum = np.fft.rfft(frames * window)
    return np.square(spectrum.real) + np.square(spectrum.imag)


# ---------------------------------------------------------------------------------------------------------------------
# Log-spectral distance: the root mean square over bins of log10(P_clean / P_estimate), averaged over frames.
# ---------------------------------------------------------------------------------------------------------------------


def _clamped(clean: Power, estimate: Power, floor: float) -> Power:
    """Symmetric: both powers are at least ``floor``."""
    return np.log10(np.maximum(clean, floor)) - np.log10(np.maximum(estimate, floor))


def _added(clean: Power, estimate: Power, floor: float) -> Power:
    """Symmetric: ``floor`` is added to both powers."""
    return np.log10((clean + floor) / (estimate + floor))


def _power_guarded(clean: Power, estimate: Power, floor: float) -> Power:
    """Asymmetric: ``floor`` guards the division by the estimate's power, and the ratio."""
    return np.log10(clean / (estimate + floor) + floor)


def _magnitude_guarded(clean: Power, estimate: Power, floor: float) -> Power:
    """Asymmetric: ``floor`` guards the division by the estimate's magnitude, and the ratio."""
    return np.log10(clean / np.square(np.sqrt(estimate) + floor) + floor)


def _matched(clean: Power, estimate: Power, floor: float) -> Power:
    """As :func:`_magnitude_guarded`, the estimate scaled so that the lowest tenth of the bins agree in magnitude."""
    low = clean.shape[1] // 10
    ours, theirs = (float(np.sqrt(power[:, :low]).mean()) for power in (clean, estimate))
    return _magnitude_guarded(clean, estimate * (ours / theirs) ** 2 if theirs > 0 else estimate, floor)


@dataclass(frozen=True)
class Convention:
    """One way to compute LSD: frames of ``n_fft`` every ``hop`` samples, periodic Hann, ends reflected.

    Without sizes, frames are int(2048 rate / 44100) samples long, one every 10 ms.
    """

    log: Log
    n_fft: int | None = 2048
    hop: int = 512

    def distance(self, signals: Signals, band_hz: tuple[float, float] = (0.0, np.inf)) -> float:
        """LSD over the bins from the first frequency of ``band_hz`` to below the second."""
        rate_hz = signals.rate_hz
        n_fft, hop = (self.n_fft, self.hop) if self.n_fft else (2048 * rate_hz // 44_100, rate_hz // 100)
        clean, estimate = (
            power_of(wave, n_fft, hop, window_of("hann", n_fft)) for wave in (signals.reference(), signals.estimate)
        )
        bins_hz = np.fft.rfftfreq(n_fft, 1 / rate_hz)
        low, high = np.searchsorted(bins_hz, band_hz)
        if low == high:
            raise MetricFailure(f"no bin between {band_hz[0]:g} and {min(band_hz[1], rate_hz / 2):g} Hz")
        squared = np.square(self.log(clean, estimate)[:, low:high])
        return float(np.sqrt(squared.mean(axis=1)).mean())


OURS = Convention(partial(_clamped, floor=1e-8))
SSR_EVAL = Convention(partial(_magnitude_guarded, floor=1e-12), n_fft=None)
AUDIOSR = Convention(partial(_matched, floor=1e-8))
VOICEFIXER = Convention(partial(_power_guarded, floor=1e-8), n_fft=None)
SYMMETRIC = Convention(partial(_added, floor=1e-8))
UNIVERSR = Convention(partial(_clamped, floor=1e-6), n_fft=1024, hop=256)


@final
class Lsd(Metric):
    """Log-spectral distance; 1 is a factor of ten in power (10 dB) in every bin."""

    name, unit, higher_is_better, matters = "lsd", "log10", False, 0.02
    source = "2048/512 at the file's rate, log10, powers clamped at 1e-8, symmetric"

    def _score(self, signals: Signals) -> float:
        return OURS.distance(signals)


def given_edge(signals: Signals) -> float:
    """The noisy signal's band edge in Hz, for :meth:`Signals.once`."""
    assert signals.noisy is not None
    return band_edge(signals.noisy, signals.rate_hz)


@dataclass(frozen=True)
class _Split(Metric):
    """LSD on one side of a cut-off: ``cutoff_hz``, or the band edge of the noisy signal where it is None."""

    unit, higher_is_better, matters = "log10", False, 0.02
    needs = ("clean", "noisy")
    cutoff_hz: float | None = None

    def __post_init__(self) -> None:
        if self.cutoff_hz is not None:
            needs: tuple[Role, ...] = ("clean",)
            object.__setattr__(self, "needs", needs)

    def _cutoff(self, signals: Signals) -> float:
        return signals.once(given_edge) if self.cutoff_hz is None else self.cutoff_hz


@final
@dataclass(frozen=True)
class LsdLow(_Split):
    """LSD of the bins below the cut-off: what a system that extends the band should leave alone."""

    name = "lsd_low"
    source = "as lsd, bins below cutoff_hz or else below the measured band edge of noisy"

    def _score(self, signals: Signals) -> float:
        return OURS.distance(signals, (0.0, self._cutoff(signals)))


@final
@dataclass(frozen=True)
class LsdHigh(_Split):
    """LSD of the bins from the cut-off up: what a system that extends the band has to make."""

    name = "lsd_high"
    source = "as lsd, bins from cutoff_hz or else from the measured band edge of noisy"

    def _score(self, signals: Signals) -> float:
        cutoff_hz = self._cutoff(signals)
        if self.cutoff_hz is None and cutoff_hz >= signals.rate_hz / 2:
            raise MetricFailure("noisy reaches up to half the rate: there is no upper band")
        return OURS.distance(signals, (cutoff_hz, np.inf))


@final
class LsdSsrEval(Metric):
    """LSD of ssr_eval, as in the NVSR and AudioSR papers: practically no floor, empty bands dominate."""

    name, unit, higher_is_better, matters = "lsd_ssr_eval", "log10", False, 0.02
    source = "ssr_eval (NVSR, AudioSR): int(2048 rate/44100) every 10 ms, log10(c^2/(e+1e-12)^2 + 1e-12), asymmetric"

    def _score(self, signals: Signals) -> float:
        return SSR_EVAL.distance(signals)


@final
class LsdAudioSr(Metric):
    """LSD of AudioSR's demonstration of level matching."""

    name, unit, higher_is_better, matters, rate_hz = "lsd_audiosr", "log10", False, 0.02, 22_050
    source = (
        "AudioSR repository, lsd_calculation_pitfall: 2048/512 at 22.05 kHz, estimate scaled to the magnitude of the "
        "lowest tenth of the bins, log10(c^2/(e+1e-8)^2 + 1e-8), asymmetric"
    )

    def _score(self, signals: Signals) -> float:
        return AUDIOSR.distance(signals)


@final
class LsdVoiceFixer(Metric):
    """LSD of VoiceFixer."""

    name, unit, higher_is_better, matters = "lsd_voicefixer", "log10", False, 0.02
    source = "VoiceFixer: int(2048 rate/44100) every 10 ms, log10(c^2/(e^2+1e-8) + 1e-8), asymmetric"

    def _score(self, signals: Signals) -> float:
        return VOICEFIXER.distance(signals)


@final
class LsdApBwe(Metric):
    """LSD of AP-BWE; the convention of ``lsd``."""

    name, unit, higher_is_better, matters = "lsd_apbwe", "log10", False, 0.02
    source = "AP-BWE: 2048/512 at the file's rate, powers clamped at 1e-8, symmetric; the same number as lsd"

    def _score(self, signals: Signals) -> float:
        return OURS.distance(signals)


@final
class LsdSymmetric(Metric):
    """LSD with the floor added to both powers."""

    name, unit, higher_is_better, matters = "lsd_symmetric", "log10", False, 0.02
    source = "2048/512 at the file's rate, log10((e^2+1e-8)/(c^2+1e-8)), symmetric"

    def _score(self, signals: Signals) -> float:
        return SYMMETRIC.distance(signals)


@final
@dataclass(frozen=True)
class LsdUniverSr(Metric):
    """LSD of UniverSR; with ``cutoff_hz`` its LSD-HF, over the bins from the cut-off up."""

    name, unit, higher_is_better, matters, rate_hz = "lsd_universr", "log10", False, 0.02, 48_000
    source = "UniverSR: 1024/256 at 48 kHz, powers clamped at 1e-6, symmetric; all bins, or those from cutoff_hz"
    cutoff_hz: float | None = None

    def _score(self, signals: Signals) -> float:
        return UNIVERSR.distance(signals, (self.cutoff_hz or 0.0, np.inf))


# ---------------------------------------------------------------------------------------------------------------------
# Log-mel and multi-resolution STFT
# ---------------------------------------------------------------------------------------------------------------------


@cache
def mel_bands(bands: int, n_fft: int, rate_hz: int) -> Float[ndarray, "M F"]:
    """Triangular mel filters from 0 to half the rate, Slaney's scale (linear to 1 kHz) and equal area."""
    edges_hz = _mel_to_hz(np.linspace(0.0, _hz_to_mel(rate_hz / 2), bands + 2))
    bins_hz = np.fft.rfftfreq(n_fft, 1 / rate_hz)
    widths_hz = np.diff(edges_hz)
    rising = (bins_hz - edges_hz[:-2, None]) / widths_hz[:-1, None]
    falling = (edges_hz[2:, None] - bins_hz) / widths_hz[1:, None]
    area = 2.0 / (edges_hz[2:] - edges_hz[:-2])
    return np.maximum(0.0, np.minimum(rising, falling)) * area[:, None]


# Slaney's scale: 200/3 Hz a mel up to 1 kHz, above 27 mel for a factor of 6.4.
_LINEAR_HZ, _KNEE_HZ, _LOG_STEP = 200.0 / 3.0, 1_000.0, np.log(6.4) / 27.0


def _hz_to_mel(hz: float) -> float:
    return hz / _LINEAR_HZ if hz < _KNEE_HZ else _KNEE_HZ / _LINEAR_HZ + np.log(hz / _KNEE_HZ) / _LOG_STEP


def _mel_to_hz(mel: ndarray) -> ndarray:
    above = np.exp(_LOG_STEP * np.maximum(mel - _KNEE_HZ / _LINEAR_HZ, 0.0))
    return np.where(mel < _KNEE_HZ / _LINEAR_HZ, mel * _LINEAR_HZ, _KNEE_HZ * above)


@final
class LogMel(Metric):
    """Mean distance of log-mel spectra in nepers; 0.115 is 1 dB in every band."""

    name, unit, higher_is_better, matters = "log_mel", "Np", False, 0.02
    source = "HiFi-GAN (Kong et al. 2020): 80 bands to half the rate, 1024/256, mean |ln|, magnitudes clamped at 1e-5"

    def _score(self, signals: Signals) -> float:
        filters = mel_bands(80, 1024, signals.rate_hz).T
        clean, estimate = (
            np.log(np.maximum(np.sqrt(power_of(wave, 1024, 256, window_of("hann", 1024))) @ filters, 1e-5))
            for wave in (signals.reference(), signals.estimate)
        )
        return float(np.abs(clean - estimate).mean())


@dataclass(frozen=True)
class Resolution:
    """Frames of ``n_fft``, one every ``hop`` samples, of which a window of ``length`` in the middle counts."""

    n_fft: int
    hop: int
    length: int
    window: ndarray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        before = (self.n_fft - self.length) // 2
        padded = np.pad(window_of("hann", self.length), (before, self.n_fft - self.length - before))
        object.__setattr__(self, "window", padded)

    def magnitude(self, wave: Signal) -> Power:
        """|STFT|, at least sqrt(1e-7)."""
        return np.sqrt(np.maximum(power_of(wave, self.n_fft, self.hop, self.window), 1e-7))


RESOLUTIONS = (Resolution(1024, 120, 600), Resolution(2048, 240, 1200), Resolution(512, 50, 240))


@final
class MultiResolutionStft(Metric):
    """Multi-resolution STFT distance: spectral convergence plus the mean distance of log magnitudes."""

    name, unit, higher_is_better, matters = "mr_stft", "", False, 0.02
    source = (
        "Yamamoto et al. 2020: 1024/120/600, 2048/240/1200, 512/50/240 at the file's rate, mean over resolutions, "
        "natural logarithm, powers clamped at 1e-7"
    )

    def _score(self, signals: Signals) -> float:
        return float(np.mean([self._distance(resolution, signals) for resolution in RESOLUTIONS]))

    @staticmethod
    def _distance(resolution: Resolution, signals: Signals) -> float:
        clean, estimate = (resolution.magnitude(wave) for wave in (signals.reference(), signals.estimate))
        convergence = np.linalg.norm(clean - estimate) / np.linalg.norm(clean)
        return float(convergence + np.abs(np.log(clean) - np.log(estimate)).mean())
