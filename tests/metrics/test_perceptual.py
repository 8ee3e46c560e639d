"""PESQ and STOI: what the packages leave to their callers."""

from __future__ import annotations

import numpy as np
import pytest

from auscult.metrics.base import MetricFailure, Signals
from auscult.metrics.composite import Covl
from auscult.metrics.perceptual import ExtendedStoi, PesqNarrowband, PesqWideband, Stoi, pesq_wideband


def test_bands_are_told_apart(signals: Signals) -> None:
    """The narrow-band model hears less of the noise."""
    assert PesqNarrowband()(signals) > PesqWideband()(signals)


def test_composites_share_pesq(signals: Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    import pesq

    calls = []
    real = pesq.pesq
    monkeypatch.setattr(pesq, "pesq", lambda *args: calls.append(1) or real(*args))
    PesqWideband()(signals)
    Covl()(signals)
    assert signals.once(pesq_wideband) == PesqWideband()(signals)
    assert len(calls) == 1


@pytest.mark.parametrize(("clean_gain", "estimate_gain"), [(1e-30, 1.0), (1.0, 1e-30)])
def test_pesq_breaks_off_with_a_reason(signals: Signals, clean_gain: float, estimate_gain: float) -> None:
    """The package scales both by their common peak: next to a loud one, a faint one has no utterance."""
    clean = (clean_gain * signals.reference()).astype(np.float32)
    estimate = (estimate_gain * signals.estimate).astype(np.float32)
    with pytest.raises(MetricFailure, match=r"No utterances|breaks off"):
        PesqWideband()(Signals(estimate, 16_000, clean))


@pytest.mark.parametrize("metric", [Stoi(), ExtendedStoi()])
def test_too_little_speech_is_a_failure(metric: Stoi | ExtendedStoi, signals: Signals) -> None:
    """A third of a second is left after silent frames go."""
    clean = np.zeros_like(signals.estimate)
    clean[:5_000] = signals.reference()[10_000:15_000]
    with pytest.raises(MetricFailure, match="too little speech"):
        metric(Signals(clean + np.float32(1e-5), 16_000, clean))
