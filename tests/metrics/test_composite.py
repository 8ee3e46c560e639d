"""LLR, WSS, segmental SNR and the composites against plain loops over frames, bands and lags."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.linalg import solve_toeplitz, toeplitz

from auscult.metrics.base import Signals
from auscult.metrics.composite import Cbak, Covl, Csig, Llr, SegmentalSnr, Wss, levinson
from auscult.metrics.perceptual import PesqWideband

CENTRES = [50, 120, 190, 260, 330, 400, 470, 540, 617.372, 703.378, 798.717, 904.128, 1020.38, 1148.30, 1288.72,
           1442.54, 1610.70, 1794.16, 1993.93, 2211.08, 2446.71, 2701.97, 2978.04, 3276.17, 3597.63]  # fmt: skip
WIDTHS = [70, 70, 70, 70, 70, 70, 70, 77.3724, 86.0056, 95.3398, 105.411, 116.256, 127.914, 140.423, 153.823, 168.154,
          183.457, 199.776, 217.153, 235.631, 255.255, 276.072, 298.126, 321.465, 346.136]  # fmt: skip


def frames(wave: np.ndarray) -> list[np.ndarray]:
    window = [0.5 * (1 - math.cos(2 * math.pi * n / 481)) for n in range(1, 481)]
    count = int(len(wave) / 120 - 480 / 120)
    return [wave[120 * i : 120 * i + 480].astype(np.float64) * window for i in range(count)]


def best(values: list[float]) -> float:
    return float(np.mean(sorted(values)[: round(0.95 * len(values))]))


def llr(clean: np.ndarray, estimate: np.ndarray) -> float:
    out = []
    for c, e in zip(frames(clean), frames(estimate), strict=True):
        rc, re = (np.array([sum(x[: 480 - k] * x[k:]) for k in range(17)]) for x in (c, e))
        ac, ae = (np.append(1.0, -solve_toeplitz(r[:16], r[1:])) for r in (rc, re))
        out.append(math.log((ae @ toeplitz(rc) @ ae) / (ac @ toeplitz(rc) @ ac)))
    return best(out)


def levels(frame: np.ndarray) -> list[float]:
    power = np.abs(np.fft.fft(frame, 1024)) ** 2
    out = []
    for centre, width in zip(CENTRES, WIDTHS, strict=True):
        f0, bw, total = math.floor(centre / 8000 * 512), width / 8000 * 512, 0.0
        for j in range(512):
            weight = math.exp(-11 * ((j - f0) / bw) ** 2 + math.log(70.0) - math.log(width))
            total += power[j] * weight if weight > math.exp(-30 / (2 * 2.303)) else 0.0
        out.append(10 * math.log10(max(total, 1e-10)))
    return out


def weights(level: list[float]) -> list[float]:
    slope = [b - a for a, b in pairwise(level)]
    out = []
    for i in range(24):
        n = i
        if slope[i] > 0:
            while n < 24 and slope[n] > 0:
                n += 1
            peak = level[n - 1]
        else:
            while n >= 0 and slope[n] <= 0:
                n -= 1
            peak = level[n + 1]
        out.append(20 / (20 + max(level) - level[i]) * 1 / (1 + peak - level[i]))
    return out


def wss(clean: np.ndarray, estimate: np.ndarray, divisor: float = 1.0) -> float:
    out = []
    for c, e in zip(frames(clean), frames(estimate), strict=True):
        lc, le = levels(c / divisor), levels(e / divisor)
        w = [(a + b) / 2 for a, b in zip(weights(lc), weights(le), strict=True)]
        d = [(lc[i + 1] - lc[i] - le[i + 1] + le[i]) ** 2 for i in range(24)]
        out.append(sum(a * b for a, b in zip(w, d, strict=True)) / sum(w))
    return best(out)


def seg_snr(clean: np.ndarray, estimate: np.ndarray) -> float:
    eps = 2.2e-16
    out = []
    for c, e in zip(frames(clean), frames(estimate), strict=True):
        out.append(min(35.0, max(-10.0, 10 * math.log10(sum(c**2) / (sum((c - e) ** 2) + eps) + eps))))
    return float(np.mean(out))


@pytest.fixture
def short(signals: Signals) -> Signals:
    """A second, since loops are slow."""
    roles = {role: wave[16_000:32_077] for role, wave in signals.present.items()}
    return Signals(rate_hz=16_000, **roles)


def test_parts_equal_plain_loops(short: Signals) -> None:
    pair = short.reference(), short.estimate
    assert Llr()(short) == pytest.approx(llr(*pair), rel=1e-6)
    assert Wss()(short) == pytest.approx(wss(*pair), rel=1e-9)
    assert Wss(32_768)(short) == pytest.approx(wss(*pair, 32_768), rel=1e-9)
    assert SegmentalSnr()(short) == pytest.approx(seg_snr(*pair), rel=1e-9)


def test_composites_are_their_regressions(short: Signals) -> None:
    pesq, l, w, s = (metric(short) for metric in (PesqWideband(), Llr(), Wss(), SegmentalSnr()))  # noqa: E741
    assert Csig()(short) == pytest.approx(3.093 - 1.029 * l + 0.603 * pesq - 0.009 * w, abs=1e-9)
    assert Cbak()(short) == pytest.approx(1.634 + 0.478 * pesq - 0.007 * w + 0.063 * s, abs=1e-9)
    assert Covl()(short) == pytest.approx(1.594 + 0.805 * pesq - 0.512 * l - 0.007 * w, abs=1e-9)


def test_dividing_floats_by_32768_flatters(signals: Signals) -> None:
    """Other published tables: bands sink under the floor, WSS falls, the composites rise."""
    assert Wss(32_768)(signals) < 0.9 * Wss()(signals)
    for kind, weight in ((Csig, 0.009), (Cbak, 0.007), (Covl, 0.007)):
        gain = weight * (Wss()(signals) - Wss(32_768)(signals))
        assert kind(32_768)(signals) == pytest.approx(kind()(signals) + gain, abs=1e-9)
        assert kind(32_768).label == f"{kind.name}:32768"


def test_composites_stay_between_1_and_5(signals: Signals, rng: np.random.Generator) -> None:
    noise = rng.standard_normal(signals.estimate.size).astype(np.float32)
    for metric in (Csig(), Cbak(), Covl()):
        assert metric(replace(signals, estimate=noise, _known={})) == pytest.approx(1.0, abs=0.35)
        assert metric(replace(signals, estimate=noise, _known={})) >= 1.0


def test_levinson_solves_the_normal_equations(rng: np.random.Generator) -> None:
    waves = rng.standard_normal((5, 300)).cumsum(axis=1)
    correlations = np.array([[w[: 300 - k] @ w[k:] for k in range(17)] for w in waves])
    expected = [np.append(1.0, -solve_toeplitz(r[:16], r[1:])) for r in correlations]
    assert levinson(correlations) == pytest.approx(np.array(expected), rel=1e-6, abs=1e-6)


def test_segmental_snr_is_limited(signals: Signals) -> None:
    assert SegmentalSnr()(replace(signals, estimate=signals.clean, _known={})) == 35.0
    assert SegmentalSnr()(replace(signals, estimate=-100 * signals.reference(), _known={})) == -10.0
