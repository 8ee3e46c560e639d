"""Metrics without reference: loudness, clipping, DNSMOS."""

from __future__ import annotations

import numpy as np
import pytest

from auscult.audio.clip import Clip
from auscult.catalogue import find
from auscult.errors import MissingExtra
from auscult.metrics import dnsmos
from auscult.metrics.base import MetricFailure, Signals
from auscult.metrics.blind import ClippedShare, Loudness


@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("level_db", [0.0, -20.0])
def test_loudness_of_the_standards_tone(rate_hz: int, level_db: float) -> None:
    tone = np.sin(2 * np.pi * 997 * np.arange(5 * rate_hz) / rate_hz) * 10 ** (level_db / 20)
    signals = Signals(tone.astype(np.float32), rate_hz)
    assert Loudness()(signals) == pytest.approx(level_db - 3.01, abs=0.01)


def test_loudness_below_the_gate_is_a_failure() -> None:
    with pytest.raises(MetricFailure, match="nothing above -70 LUFS"):
        Loudness()(Signals(np.full(16_000, 1e-5, np.float32), 16_000))


@pytest.mark.parametrize("scale", [1.0, 0.1, -0.3])
def test_clipped_share_is_what_was_clipped(speech: np.ndarray, scale: float) -> None:
    ceiling = 0.3 * float(np.abs(speech).max())
    clipped = scale * np.clip(speech, -ceiling, ceiling)
    over = np.abs(speech) >= ceiling
    share = ClippedShare()(Signals(clipped.astype(np.float32), 16_000))
    assert 0.6 * over.mean() < share <= over.mean()
    assert ClippedShare()(Signals(speech, 16_000)) == 0.0


def test_clipped_runs_are_counted_on_either_side() -> None:
    wave = np.array([0, 0.1, 0.5, 0.5, 0.5, 0, -0.7, -0.7, 0, -0.7, -0.7, -0.7, -0.7, 0.2, 0.5, 0.5], np.float32)
    assert ClippedShare()(Signals(wave, 16_000)) == pytest.approx(7 / 16)


# The values of the package speechmos 0.0.1.1 on these files (its own code, with librosa), and our raw outputs.
GOLDEN = {
    "noisy": {"dnsmos_sig": 1.1930056, "dnsmos_bak": 1.2169034, "dnsmos_ovrl": 1.0742932, "dnsmos_p808": 2.3410676,
              "dnsmos_sig_raw": 1.0485299, "dnsmos_bak_raw": 1.1016870, "dnsmos_ovrl_raw": 0.9801000},
    "clean": {"dnsmos_sig": 2.9593451, "dnsmos_bak": 3.7272914, "dnsmos_ovrl": 2.6307815, "dnsmos_p808": 3.4681416,
              "dnsmos_sig_raw": 3.0706449, "dnsmos_bak_raw": 3.6619270, "dnsmos_ovrl_raw": 2.7927820},
}  # fmt: skip


@pytest.mark.parametrize("side", GOLDEN)
def test_dnsmos_is_that_of_speechmos(side: str, clean: Clip, noisy: Clip) -> None:
    clip = {"clean": clean, "noisy": noisy}[side]
    signals = Signals(clip.wave[0], clip.rate_hz)
    for name, expected in GOLDEN[side].items():
        assert find(name)()(signals) == pytest.approx(expected, abs=1e-4), name


@pytest.mark.parametrize(
    ("duration_s", "windows"), [(1.0, 7), (3.0, 3), (9.5, 1), (10.0, 1), (11.0, 2), (20.2, 7), (36.0, 10)]
)
def test_windows_are_those_of_the_official_script(duration_s: float, windows: int, rng: np.random.Generator) -> None:
    wave = rng.standard_normal(round(duration_s * 16_000)).astype(np.float32)
    doubled = wave
    while len(doubled) < int(9.01 * 16_000):
        doubled = np.append(doubled, doubled)
    hops = int(np.floor(len(doubled) / 16_000) - 9.01) + 1
    spans = [doubled[i * 16_000 : int((i + 9.01) * 16_000)] for i in range(hops)]
    expected = [span for span in spans if len(span) >= int(9.01 * 16_000)]
    ours = dnsmos.windows_of(wave)
    assert len(ours) == windows == len(expected)
    for one, other in zip(ours, expected, strict=True):
        assert np.array_equal(one, other)


def test_near_silence_is_not_judged(speech: np.ndarray) -> None:
    with pytest.raises(MetricFailure, match=r"near silence \(-\d+ dBFS\)"):
        find("dnsmos_sig")()(Signals(speech * np.float32(1e-4), 16_000))


def test_samples_beyond_full_scale_are_scored(speech: np.ndarray) -> None:
    loud = speech * np.float32(1.5 / np.abs(speech).max())
    assert 1.0 < find("dnsmos_ovrl")()(Signals(loud, 16_000)) < 5.0


def test_sessions_are_kept_and_use_one_thread() -> None:
    session = dnsmos._session("sig_bak_ovr.onnx")
    assert session is dnsmos._session("sig_bak_ovr.onnx")
    assert session.get_session_options().intra_op_num_threads == 1


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dnsmos, "find_spec", {}.get)
    dnsmos.path_of.cache_clear()
    with pytest.raises(MissingExtra, match=r"pip install 'auscult\[eval\]'"):
        dnsmos.path_of("sig_bak_ovr.onnx")
