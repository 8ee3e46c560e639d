"""What can be read off the estimate alone: loudness, clipping, band edge."""

from __future__ import annotations

from typing import final

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from auscult.audio.band import WINDOW_S, band_edge
from auscult.errors import need
from auscult.metrics.base import Metric, MetricFailure, Signals

_SHORTEST_RUN = 3


@final
class Loudness(Metric):
    """Integrated loudness of one channel; a full-scale sine of 997 Hz has -3.01 LUFS."""

    name, unit, higher_is_better, rate_hz, needs, extra = "loudness", "LUFS", None, 48_000, (), "pyloudnorm"
    source = "ITU-R BS.1770-4, gated; weighting filters as tabulated at 48 kHz"

    def _score(self, signals: Signals) -> float:
        meter = need("pyloudnorm", "loudness").Meter(signals.rate_hz, filter_class="DeMan")
        if signals.estimate.size < meter.block_size * signals.rate_hz:
            raise MetricFailure(f"shorter than {meter.block_size} s")
        loudness = meter.integrated_loudness(signals.estimate.astype(np.float64))
        if not np.isfinite(loudness):
            raise MetricFailure("nothing above -70 LUFS")
        return float(loudness)


@final
class ClippedShare(Metric):
    """Share of samples that lie at the positive or negative peak in runs of three or more."""

    name, unit, higher_is_better, needs, matters = "clipping", "", False, (), 0.001
    source = "share of samples within 1e-4 of the positive or negative peak, in runs of three or more"

    def _score(self, signals: Signals) -> float:
        wave = signals.estimate
        sides = [side for side in (wave, -wave) if side.max() > 0]
        return sum(_in_runs(side >= (1 - 1e-4) * side.max(), _SHORTEST_RUN) for side in sides) / wave.size


@final
class BandEdge(Metric):
    """Frequency above which there is nothing."""

    name, unit, higher_is_better, needs = "band_edge", "Hz", None, ()
    source = "upper knee of the deepest cliff (20 dB in a third of an octave) of the spectrum of loud frames"

    def _score(self, signals: Signals) -> float:
        if signals.estimate.size < WINDOW_S * signals.rate_hz:
            raise MetricFailure(f"shorter than {WINDOW_S} s")
        return band_edge(signals.estimate, signals.rate_hz)


def _in_runs(marked: Bool[ndarray, " T"], shortest: int) -> int:
    """How many marked samples stand in runs of at least ``shortest``."""
    changes = np.flatnonzero(np.diff(np.concatenate([[False], marked, [False]]).astype(np.int8)))
    lengths = changes[1::2] - changes[::2]
    return int(lengths[lengths >= shortest].sum())
