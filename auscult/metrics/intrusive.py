"""Metrics that compare with a clean reference: PESQ-WB, ESTOI, SI-SDR."""

from __future__ import annotations

import warnings

import numpy as np

from auscult.errors import need
from auscult.metrics.base import Metric, MetricFailure, Signal


class PesqWideband(Metric):
    """PESQ, ITU-T P.862.2 (wide band), MOS-LQO from 1.02 to 4.64; package ``pesq`` (ITU reference code)."""

    name, unit, rate_hz, extra = "pesq", "MOS-LQO", 16_000, "pesq"

    def _score(self, clean: Signal, estimate: Signal, rate_hz: int) -> float:
        pesq = need("pesq", "PESQ")
        if clean.size < rate_hz // 4:
            raise MetricFailure("shorter than 0.25 s")
        try:
            return float(pesq.pesq(rate_hz, clean.astype(np.float32), estimate.astype(np.float32), "wb"))
        except pesq.PesqError as error:
            raise MetricFailure(_first_line(error)) from error
        except ValueError as error:  # near silence inside the package: "cannot convert float NaN to integer"
            raise MetricFailure(f"PESQ breaks off ({error})") from error


class ExtendedStoi(Metric):
    """ESTOI (Jensen & Taal 2016), 0 to 1; package ``pystoi``, which resamples to 10 kHz inside."""

    name, unit, extra = "estoi", "", "pystoi"

    def _score(self, clean: Signal, estimate: Signal, rate_hz: int) -> float:
        pystoi = need("pystoi", "ESTOI")
        if clean.size < 0.4 * rate_hz:
            raise MetricFailure("shorter than 0.4 s")
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            try:
                return float(pystoi.stoi(clean.astype(np.float64), estimate.astype(np.float64), rate_hz, extended=True))
            except RuntimeWarning as warning:  # pystoi would go on with a score of 1e-5
                raise MetricFailure("too little speech for ESTOI after silent frames are left out") from warning


class SiSdr(Metric):
    """Scale-invariant signal-to-distortion ratio (Le Roux et al. 2019), without removing means; dB."""

    name, unit = "si_sdr", "dB"

    def _score(self, clean: Signal, estimate: Signal, rate_hz: int) -> float:
        target, guess = clean.astype(np.float64), estimate.astype(np.float64)
        wanted = (guess @ target) / (target @ target) * target
        error = guess - wanted
        energy, rest = float(wanted @ wanted), float(error @ error)
        if energy == 0.0:
            raise MetricFailure("estimate and clean are orthogonal")
        return 10 * np.log10(energy / rest) if rest > 0 else np.inf


def _first_line(error: Exception) -> str:
    text = error.args[0] if error.args else type(error).__name__
    return (text.decode() if isinstance(text, bytes) else str(text)).strip().splitlines()[0]
