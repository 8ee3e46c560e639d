"""Ratios of energies in dB: the SDR family. Infinite where there is no error at all."""

from __future__ import annotations

from typing import final

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from auscult.metrics.base import Metric, MetricFailure, Signals

_TAPS = 512
"""Length of the distortion filter that BSS-eval allows."""


@final
class SiSdr(Metric):
    """Scale-invariant signal-to-distortion ratio."""

    name, unit, matters = "si_sdr", "dB", 0.2
    source = "Le Roux et al. 2019; means not removed"

    def _score(self, signals: Signals) -> float:
        target = _target(signals)
        return ratio_db(target, signals.estimate - target)


@final
class SiSir(Metric):
    """Scale-invariant ratio of the speech to what is left of the noise."""

    name, unit, needs, matters = "si_sir", "dB", ("clean", "noisy"), 0.2
    source = "as SI-SDR, error split by projection on the noise (noisy - clean), which is not orthogonalised"

    def _score(self, signals: Signals) -> float:
        return ratio_db(_target(signals), _remaining_noise(signals))


@final
class SiSar(Metric):
    """Scale-invariant ratio of the speech to the artefacts: what is neither speech nor noise."""

    name, unit, needs, matters = "si_sar", "dB", ("clean", "noisy"), 0.2
    source = "as SI-SDR, error split by projection on the noise (noisy - clean), which is not orthogonalised"

    def _score(self, signals: Signals) -> float:
        target = _target(signals)
        return ratio_db(target, signals.estimate - target - _remaining_noise(signals))


@final
class Sdr(Metric):
    """Energy of clean over that of the error, without scaling."""

    name, unit, matters = "sdr", "dB", 0.2
    source = "plain ratio |s|^2 / |s - e|^2, as in the Music Demixing challenge; the same number as snr; not BSS-eval"

    def _score(self, signals: Signals) -> float:
        return _plain(signals)


@final
class Snr(Metric):
    """Energy of clean over that of the error, without scaling."""

    name, unit, matters = "snr", "dB", 0.2
    source = "plain ratio |s|^2 / |s - e|^2, the overall SNR of Hu & Loizou 2008; the same number as sdr"

    def _score(self, signals: Signals) -> float:
        return _plain(signals)


@final
class SdrBssEval(Metric):
    """SDR of BSS-eval: what a filter of 512 taps can make of clean is not an error."""

    name, unit, matters = "sdr_bss", "dB", 0.2
    source = "BSS-eval v3 (Vincent et al. 2006), one source, distortion filter of 512 taps at the file's rate"

    def _score(self, signals: Signals) -> float:
        clean, estimate = signals.reference().astype(np.float64), signals.estimate.astype(np.float64)
        target = _filtered(clean, estimate)
        return ratio_db(target, np.pad(estimate, (0, _TAPS - 1)) - target)


def ratio_db(wanted: Float[ndarray, " T"], error: Float[ndarray, " T"]) -> float:
    """Ratio of energies in dB; infinite without an error.

    Raises:
        MetricFailure: there is nothing of what is wanted.
    """
    energy, rest = float(wanted @ wanted), float(error @ error)
    if energy == 0.0:
        raise MetricFailure("nothing of clean is in the estimate")
    return 10 * np.log10(energy / rest) if rest > 0 else np.inf


def _projection(signal: ndarray, on: ndarray) -> ndarray:
    return (signal @ on) / (on @ on) * on


def _target(signals: Signals) -> ndarray:
    """The part of the estimate along clean, float64."""
    return _projection(signals.estimate.astype(np.float64), signals.reference().astype(np.float64))


def _remaining_noise(signals: Signals) -> ndarray:
    """The part of the estimate along the noise, float64."""
    assert signals.noisy is not None
    noise = signals.noisy.astype(np.float64) - signals.reference()
    if not noise.any():
        raise MetricFailure("noisy equals clean: there is no noise to look for")
    return _projection(signals.estimate.astype(np.float64), noise)


def _plain(signals: Signals) -> float:
    clean = signals.reference().astype(np.float64)
    return ratio_db(clean, clean - signals.estimate)


def _filtered(clean: ndarray, estimate: ndarray) -> ndarray:
    """Clean through the filter that comes closest to the estimate, 511 samples longer than either."""
    from scipy.fft import irfft, next_fast_len, rfft
    from scipy.linalg import LinAlgError, solve_toeplitz

    total = clean.size + _TAPS - 1
    n_fft = next_fast_len(total, real=True)
    spectrum = rfft(clean, n_fft)
    own = irfft(np.square(np.abs(spectrum)), n_fft)[:_TAPS]
    cross = irfft(spectrum.conj() * rfft(estimate, n_fft), n_fft)[:_TAPS]
    try:
        taps = solve_toeplitz(own, cross)
    except LinAlgError as error:
        raise MetricFailure("clean has too narrow a spectrum for a filter of 512 taps") from error
    return irfft(spectrum * rfft(taps, n_fft), n_fft)[:total]
