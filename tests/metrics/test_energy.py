"""The SDR family in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from auscult.metrics.base import MetricFailure, Signals
from auscult.metrics.energy import Sdr, SdrBssEval, SiSar, SiSdr, SiSir, Snr


@pytest.fixture
def axes(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Speech, noise and artefact: three orthogonal signals of unit energy."""
    q, _ = np.linalg.qr(rng.standard_normal((8_000, 3)))
    return q[:, 0], q[:, 1], q[:, 2]


@pytest.mark.parametrize("scale", [1.0, -3.0, 1e-3])
def test_scale_invariant_ratios_in_closed_form(axes: tuple[np.ndarray, ...], scale: float) -> None:
    speech, noise, artefact = axes
    signals = Signals(scale * (speech + 0.2 * noise + 0.05 * artefact), 16_000, speech, speech + noise)
    assert SiSdr()(signals) == pytest.approx(-10 * np.log10(0.2**2 + 0.05**2), abs=1e-9)
    assert SiSir()(signals) == pytest.approx(-20 * np.log10(0.2), abs=1e-9)
    assert SiSar()(signals) == pytest.approx(-20 * np.log10(0.05), abs=1e-9)


def test_plain_ratios_count_the_level(axes: tuple[np.ndarray, ...]) -> None:
    speech, noise, _ = axes
    for metric in (Sdr(), Snr()):
        assert metric(Signals(speech + 0.1 * noise, 16_000, speech)) == pytest.approx(20.0, abs=1e-9)
        assert metric(Signals(0.5 * speech, 16_000, speech)) == pytest.approx(-20 * np.log10(0.5), abs=1e-9)


def test_bss_eval_forgives_filters_of_512_taps(rng: np.random.Generator) -> None:
    clean = rng.standard_normal(6_000)
    taps = rng.standard_normal(512)
    filtered = lfilter(taps, 1.0, np.pad(clean, (0, 0)))
    late = np.roll(np.pad(clean, (0, 600)), 511)[:6_000]
    assert SdrBssEval()(Signals(late, 16_000, clean)) > 10.0
    assert SdrBssEval()(Signals(filtered, 16_000, clean)) > 8.0  # the tail beyond the end is cut off
    assert SiSdr()(Signals(late, 16_000, clean)) < -20.0


def test_bss_eval_against_least_squares(rng: np.random.Generator) -> None:
    clean, noise = rng.standard_normal((2, 2_000))
    estimate = clean + 0.3 * noise
    columns = np.stack([np.pad(clean, (lag, 511 - lag)) for lag in range(512)], axis=1)
    padded = np.pad(estimate, (0, 511))
    target = columns @ np.linalg.lstsq(columns, padded, rcond=None)[0]
    expected = 10 * np.log10((target @ target) / ((padded - target) @ (padded - target)))
    assert SdrBssEval()(Signals(estimate, 16_000, clean)) == pytest.approx(expected, abs=1e-6)


def test_what_is_not_defined_is_said(axes: tuple[np.ndarray, ...]) -> None:
    speech, _, _ = axes
    left, right = speech.copy(), speech.copy()
    left[4_000:] = 0.0
    right[:4_000] = 0.0
    with pytest.raises(MetricFailure, match="nothing of clean"):
        SiSdr()(Signals(left, 16_000, right))
    for metric in (SiSir(), SiSar()):
        with pytest.raises(MetricFailure, match="no noise"):
            metric(Signals(speech, 16_000, speech, speech))
