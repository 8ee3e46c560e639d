"""Models of listeners: PESQ for quality, STOI and ESTOI for intelligibility."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, final

import numpy as np

from auscult.errors import need
from auscult.metrics.base import Metric, MetricFailure, Signals

_PESQ_SHORTEST_S = 0.25
_STOI_SHORTEST_S = 0.4
_SEED = 0


def pesq_wideband(signals: Signals) -> float:
    """PESQ-WB of signals at 16 kHz, MOS-LQO; for :meth:`Signals.once`, since composites contain it.

    Raises:
        MetricFailure: too short, or PESQ finds no utterance.
    """
    return _pesq(signals, "wb")


@final
class PesqWideband(Metric):
    """PESQ, wide band: 1.04 to 4.64."""

    name, unit, rate_hz, matters, extra = "pesq", "MOS-LQO", 16_000, 0.05, "pesq"
    source = "ITU-T P.862.2 (2007), wide band; ITU reference code"

    def _score(self, signals: Signals) -> float:
        return signals.once(pesq_wideband)


@final
class PesqNarrowband(Metric):
    """PESQ, narrow band (what a telephone passes): 1.02 to 4.55."""

    name, unit, rate_hz, matters, extra = "pesq_nb", "MOS-LQO", 16_000, 0.05, "pesq"
    source = "ITU-T P.862 (2001) with the mapping of P.862.1, at 16 kHz; ITU reference code"

    def _score(self, signals: Signals) -> float:
        return _pesq(signals, "nb")


@final
class Stoi(Metric):
    """Short-time objective intelligibility, up to 1."""

    name, unit, matters, extra = "stoi", "", 0.005, "pystoi"
    source = "Taal et al. 2011; 10 kHz, 15 third-octave bands from 150 Hz; resampled from the file's rate by pystoi"

    def _score(self, signals: Signals) -> float:
        return _stoi(signals, extended=False)


@final
class ExtendedStoi(Metric):
    """Extended short-time objective intelligibility, up to 1."""

    name, unit, matters, extra = "estoi", "", 0.005, "pystoi"
    source = "Jensen & Taal 2016; 10 kHz, 15 third-octave bands from 150 Hz; resampled from the file's rate by pystoi"

    def _score(self, signals: Signals) -> float:
        return _stoi(signals, extended=True)


def _pesq(signals: Signals, mode: Literal["wb", "nb"]) -> float:
    pesq = need("pesq", "PESQ")
    if signals.estimate.size < _PESQ_SHORTEST_S * signals.rate_hz:
        raise MetricFailure(f"shorter than {_PESQ_SHORTEST_S} s")
    clean, estimate = signals.reference().astype(np.float32), signals.estimate.astype(np.float32)
    try:
        return float(pesq.pesq(signals.rate_hz, clean, estimate, mode))
    except pesq.PesqError as error:
        raise MetricFailure(_first_line(error)) from error
    except ValueError as error:  # near silence inside the package: "cannot convert float NaN to integer"
        raise MetricFailure(f"PESQ breaks off ({error})") from error


def _stoi(signals: Signals, extended: bool) -> float:
    pystoi = need("pystoi", "STOI")
    if signals.estimate.size < _STOI_SHORTEST_S * signals.rate_hz:
        raise MetricFailure(f"shorter than {_STOI_SHORTEST_S} s")
    clean, estimate = signals.reference().astype(np.float64), signals.estimate.astype(np.float64)
    with warnings.catch_warnings(), _fixed_global_draws():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return float(pystoi.stoi(clean, estimate, signals.rate_hz, extended=extended))
        except RuntimeWarning as warning:  # pystoi would go on with a score of 1e-5
            raise MetricFailure("too little speech after silent frames are left out") from warning


@contextmanager
def _fixed_global_draws() -> Iterator[None]:
    """pystoi adds noise of numpy's global generator: give it the same each time, and put the generator back."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(_SEED)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def _first_line(error: Exception) -> str:
    text = error.args[0] if error.args else type(error).__name__
    return (text.decode() if isinstance(text, bytes) else str(text)).strip().splitlines()[0]
