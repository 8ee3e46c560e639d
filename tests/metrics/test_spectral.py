"""LSD against a literal transcription of every convention; log-mel and multi-resolution STFT against torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from auscult.catalogue import find
from auscult.metrics.base import MetricFailure, Signals
from auscult.metrics.spectral import LogMel, Lsd, LsdHigh, LsdLow, LsdUniverSr, MultiResolutionStft, mel_bands

LSD = ("lsd", "lsd_apbwe", "lsd_symmetric", "lsd_universr", "lsd_ssr_eval", "lsd_audiosr", "lsd_voicefixer")
SYMMETRIC = LSD[:4]


def magnitude(wave: np.ndarray, n_fft: int, hop: int) -> np.ndarray:
    """|STFT| by torch, bins first."""
    spectrum = torch.stft(
        torch.from_numpy(wave.astype(np.float64)), n_fft, hop, window=torch.hann_window(n_fft, dtype=torch.float64),
        center=True, pad_mode="reflect", return_complex=True,
    )  # fmt: skip
    return spectrum.abs().numpy()


def literal(name: str, clean: np.ndarray, estimate: np.ndarray, rate_hz: int) -> float:
    sizes = {"lsd_universr": (1024, 256)}
    if name in ("lsd_ssr_eval", "lsd_voicefixer"):
        sizes[name] = (int(2048 * rate_hz / 44100), int(rate_hz / 100))
    c, e = (magnitude(wave, *sizes.get(name, (2048, 512))) for wave in (clean, estimate))
    if name in ("lsd", "lsd_apbwe"):
        logs = np.log10(np.clip(c**2, 1e-8, None)) - np.log10(np.clip(e**2, 1e-8, None))
    elif name == "lsd_universr":
        logs = np.log10(np.clip(c**2, 1e-6, None)) - np.log10(np.clip(e**2, 1e-6, None))
    elif name == "lsd_symmetric":
        logs = np.log10((e**2 + 1e-8) / (c**2 + 1e-8))
    elif name == "lsd_ssr_eval":
        logs = np.log10(c**2 / (e + 1e-12) ** 2 + 1e-12)
    elif name == "lsd_voicefixer":
        logs = np.log10(c**2 / (e**2 + 1e-8) + 1e-8)
    else:
        low = int(c.shape[0] * 10 / 100)
        e = e * np.mean(c[:low]) / np.mean(e[:low])
        logs = np.log10(c**2 / (e + 1e-8) ** 2 + 1e-8)
    return float(np.mean(np.mean(logs**2, axis=0) ** 0.5))


@pytest.mark.parametrize("name", LSD)
@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 44_100, 48_000])
def test_conventions_are_the_published_ones(name: str, rate_hz: int, signals: Signals) -> None:
    metric = find(name)()
    given = replace(signals.at(rate_hz), _known={})
    there = given.at(metric.rate_hz or rate_hz)
    expected = literal(name, there.reference(), there.estimate, there.rate_hz)
    assert metric(given) == pytest.approx(expected, rel=1e-9)


def low_passed(wave: np.ndarray, cutoff_hz: float, rate_hz: int = 16_000) -> np.ndarray:
    spectrum = np.fft.rfft(wave)
    spectrum[np.fft.rfftfreq(wave.size, 1 / rate_hz) > cutoff_hz] = 0
    return np.fft.irfft(spectrum, wave.size).astype(np.float32)


@pytest.mark.parametrize("name", LSD)
def test_asymmetric_conventions_tell_roles_apart(name: str, speech: np.ndarray) -> None:
    narrow = low_passed(speech, 4_000)
    one, other = (find(name)()(Signals(e, 16_000, c)) for e, c in ((narrow, speech), (speech, narrow)))
    assert (one == pytest.approx(other, rel=1e-9)) == (name in SYMMETRIC)
    assert one > 1.0


# Level alone: a gain moves the logarithm of every bin above the floor by as much, so that figures hold for any clip
# (lsd_audiosr matches levels: what is left is its own value of a perfect estimate).
@pytest.mark.parametrize(
    ("name", "gain", "expected", "tolerance"),
    [
        ("lsd_ssr_eval", 10 ** (-1 / 20), 0.10, 0.005), ("lsd", 10 ** (-1 / 20), 0.10, 0.005),
        ("lsd_symmetric", 10 ** (-1 / 20), 0.10, 0.005), ("lsd_voicefixer", 10 ** (-1 / 20), 0.12, 0.03),
        ("lsd_ssr_eval", 0.5, 0.602, 0.005), ("lsd", 0.5, 0.59, 0.02), ("lsd_symmetric", 0.5, 0.59, 0.02),
        ("lsd_voicefixer", 0.5, 0.60, 0.03), ("lsd_audiosr", 0.5, 0.17, 0.01),
    ],
)  # fmt: skip
def test_gain_alone(name: str, gain: float, expected: float, tolerance: float, speech: np.ndarray) -> None:
    scaled = (gain * speech).astype(np.float32)
    assert find(name)()(Signals(scaled, 16_000, speech)) == pytest.approx(expected, abs=tolerance)


def test_an_empty_band_weighs_most_where_there_is_no_floor(speech: np.ndarray) -> None:
    """Half the bins are empty: ssr_eval's distance is half as large again, and scaling both barely moves it."""
    narrow = low_passed(speech, 4_000)
    full = {name: find(name)()(Signals(narrow, 16_000, speech)) for name in LSD}
    quiet = {name: find(name)()(Signals(narrow / 10, 16_000, speech / 10)) for name in LSD}
    assert full["lsd_ssr_eval"] > 2 * max(
        full[name] for name in LSD if name != "lsd_ssr_eval" and "audiosr" not in name
    )
    assert full["lsd_ssr_eval"] - quiet["lsd_ssr_eval"] < 0.2
    for name in ("lsd", "lsd_symmetric", "lsd_voicefixer"):
        assert full[name] - quiet[name] > 0.8


def test_bands_split_at_the_cut_off(speech: np.ndarray, rng: np.random.Generator) -> None:
    narrow = low_passed(speech, 4_000)
    signals = Signals(narrow, 16_000, speech, narrow)
    low, high = LsdLow(), LsdHigh()
    assert low(signals) < 0.35 * high(signals)
    assert LsdHigh(4_000.0)(Signals(narrow, 16_000, speech)) == pytest.approx(high(signals), rel=0.15)
    assert LsdLow(8_001.0)(Signals(narrow, 16_000, speech)) == pytest.approx(Lsd()(signals), rel=1e-12)
    with pytest.raises(MetricFailure, match="reaches up to half the rate"):
        high(Signals(speech, 16_000, speech, rng.standard_normal(speech.size)))
    with pytest.raises(MetricFailure, match="no bin between"):
        LsdUniverSr(24_001.0)(signals)


def test_mel_filters() -> None:
    """Slaney's scale: the first of 40 frequencies from 0 to 11,025 Hz are a published table; every area is 1."""
    filters = mel_bands(38, 2**16, 22_050)
    bins_hz = np.fft.rfftfreq(2**16, 1 / 22_050)
    centres_hz = bins_hz[filters.argmax(axis=1)]
    table_hz = [85.317, 170.635, 255.952, 341.269, 426.586, 511.904, 597.221, 682.538, 767.855, 853.173, 938.49,
                1024.856, 1119.114, 1222.042, 1334.436]  # fmt: skip
    assert centres_hz[:15] == pytest.approx(table_hz, abs=0.3)
    assert filters.sum(axis=1) * bins_hz[1] == pytest.approx(np.ones(38), rel=1e-3)


def test_log_mel_against_a_plain_computation(signals: Signals) -> None:
    def hz(mel: float) -> float:
        return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)

    top = 15 + 27 * np.log(8_000 / 1_000) / np.log(6.4)
    edges = [hz(top * i / 81) for i in range(82)]
    filters = np.zeros((80, 513))
    for m in range(80):
        left, middle, right = edges[m : m + 3]
        for k in range(513):
            f = k * 16_000 / 1024
            if left < f <= middle:
                filters[m, k] = (f - left) / (middle - left) * 2 / (right - left)
            elif middle < f < right:
                filters[m, k] = (right - f) / (right - middle) * 2 / (right - left)
    c, e = (np.log(np.clip(filters @ magnitude(w, 1024, 256), 1e-5, None))
            for w in (signals.reference(), signals.estimate))  # fmt: skip
    assert LogMel()(signals) == pytest.approx(np.abs(c - e).mean(), rel=1e-9)


def test_log_mel_of_a_gain(speech: np.ndarray) -> None:
    assert LogMel()(Signals(speech / 2, 16_000, speech)) == pytest.approx(np.log(2), abs=0.03)


def test_multi_resolution_stft_against_torch(signals: Signals) -> None:
    def at(n_fft: int, hop: int, length: int) -> Callable[[np.ndarray], torch.Tensor]:
        window = torch.hann_window(length, dtype=torch.float64)

        def of(wave: np.ndarray) -> torch.Tensor:
            x = torch.stft(torch.from_numpy(wave.astype(np.float64)), n_fft, hop, length, window, return_complex=True)
            return (x.real**2 + x.imag**2).clamp(min=1e-7).sqrt()

        return of

    total = 0.0
    for sizes in ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240)):
        c, e = (at(*sizes)(wave) for wave in (signals.reference(), signals.estimate))
        total += float(torch.norm(c - e) / torch.norm(c) + (c.log() - e.log()).abs().mean())
    assert MultiResolutionStft()(signals) == pytest.approx(total / 3, rel=1e-9)
