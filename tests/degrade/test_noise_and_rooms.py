"""Noise at its SNR, loops without seams, rooms without lag."""

from __future__ import annotations

import numpy as np
import pytest

from auscult.audio.clip import Clip
from auscult.audio.level import active_power, power
from auscult.degrade.band import BandLimit
from auscult.degrade.base import Signal, Unusable
from auscult.degrade.channel import Clipping, Gain
from auscult.degrade.noise import AddNoise, ColouredNoise, at_snr, loop, sounding_power
from auscult.degrade.room import Room, direct_first, shorten
from auscult.rng import Key


class Memory:
    """A bank of arrays."""

    rate_hz = 16_000

    def __init__(self, *waves: np.ndarray, **facts: object):
        self.waves, self.facts = waves, facts

    def __len__(self) -> int:
        return len(self.waves)

    def samples(self, index: int) -> int:
        return self.waves[index].size

    def describe(self, index: int) -> dict[str, object]:
        return {"name": f"memory {index}", **self.facts}

    def read(self, index: int, start: int, samples: int) -> np.ndarray:
        return self.waves[index][None, start : start + samples].astype(np.float32)


@pytest.fixture
def signal(clean: Clip) -> Signal:
    wave = clean.wave[:, 16_000:80_000]
    return Signal(wave, wave, clean.rate_hz)


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 17.5])
def test_rms_snr_is_exact(signal: Signal, rng: np.random.Generator, snr_db: float) -> None:
    noise = rng.standard_normal((1, 64_000)).astype(np.float32)
    out = at_snr(signal, noise, snr_db, "rms")
    realised = 10 * np.log10(power(out.clean) / power(out.noisy - out.clean))
    assert realised == pytest.approx(snr_db, abs=1e-3)


@pytest.mark.parametrize("snr_db", [-5.0, 10.0])
def test_active_snr_sets_active_speech_against_sounding_noise(
    signal: Signal, rng: np.random.Generator, snr_db: float
) -> None:
    noise = rng.standard_normal((1, 64_000)).astype(np.float32)
    noise[:, 30_000:] = 0.0  # rests in the noise do not make the rest louder
    out = at_snr(signal, noise, snr_db, "active")
    added = out.noisy - out.clean
    realised = 10 * np.log10(active_power(out.clean, 16_000) / sounding_power(added, 16_000))
    assert realised == pytest.approx(snr_db, abs=0.01)


def test_a_short_noise_is_looped_without_a_click() -> None:
    """A loop of a slow sine never jumps further than the sine itself moves."""
    phase = 2 * np.pi * 50 * np.arange(5_000) / 16_000
    wave = np.sin(phase).astype(np.float32)[None]
    looped = loop(wave, start=1_234, samples=30_000, seam=320)
    assert looped.shape == (1, 30_000)
    assert np.abs(np.diff(looped)).max() < 2.5 * np.abs(np.diff(wave)).max()


def test_loop_keeps_the_power_of_noise(rng: np.random.Generator) -> None:
    wave = rng.standard_normal((1, 4_000)).astype(np.float32)
    assert power(loop(wave, 0, 64_000, 320)) == pytest.approx(power(wave), rel=0.05)


def test_offsets_and_sources_vary(signal: Signal, rng: np.random.Generator) -> None:
    bank = Memory(*(rng.standard_normal(100_000) for _ in range(5)))
    link = AddNoise(sources=(1, 3))
    draws = [link.draw(Key(i).numpy(), 64_000, 16_000, {"noise": bank}) for i in range(60)]
    assert {len(drawn["sources"]) for drawn in draws} == {1, 2, 3}
    starts = [part["start"] for drawn in draws for part in drawn["sources"]]
    assert 0 <= min(starts) < 5_000
    assert 31_000 < max(starts) <= 36_000
    assert all(drawn["sources"][0]["below_db"] == 0.0 for drawn in draws)


def test_a_silent_noise_is_refused_with_its_name(signal: Signal) -> None:
    bank = Memory(np.zeros(100_000))
    link = AddNoise()
    drawn = link.draw(Key(0).numpy(), 64_000, 16_000, {"noise": bank})
    with pytest.raises(Unusable, match="silent noise: memory 0"):
        link.apply(signal, drawn, {"noise": bank})


def test_coloured_noise_has_the_drawn_tilt(signal: Signal) -> None:
    link = ColouredNoise(snr_db=(0, 0), tilt_db_per_octave=(-6, -6), ripple_db=0.0, wander_db=0.0)
    out = link.apply(signal, link.draw(Key(0).numpy(), 64_000, 16_000, {}), {})
    spectrum = np.abs(np.fft.rfft((out.noisy - out.clean)[0])) ** 2
    hz = np.fft.rfftfreq(64_000, 1 / 16_000)
    low, high = (10 * np.log10(spectrum[(hz > f) & (hz < 1.2 * f)].mean()) for f in (500, 4_000))
    assert high - low == pytest.approx(-18.0, abs=1.0)  # three octaves


def test_a_room_adds_no_lag_and_its_target_is_the_early_part(signal: Signal) -> None:
    response = np.zeros(8_000)
    response[[200, 600, 2_600]] = [0.5, 0.2, 0.1]  # direct, 25 ms, 150 ms after
    bank = Memory(response, t60_s=0.5)
    link = Room(t60_s=(0.5, 0.5), wet_db=(0.0, 0.0), early_ms=50.0)
    out = link.apply(signal, link.draw(Key(0).numpy(), 64_000, 16_000, {"room": bank}), {"room": bank})
    dry = signal.clean
    early, late = np.zeros_like(dry), np.zeros_like(dry)
    early[:, 400:], late[:, 2_400:] = 0.4 * dry[:, :-400], 0.2 * dry[:, :-2_400]
    assert np.allclose(out.clean, dry + early, atol=1e-5)
    assert np.allclose(out.noisy, dry + early + late, atol=1e-5)


def test_shorten_gives_the_asked_reverberation_time() -> None:
    """A pure exponential of T60 2 s shortened to 0.5 s has fallen by 60 dB after 0.5 s."""
    time_s = np.arange(16_000) / 16_000
    response = (10 ** (-3 * time_s / 2.0)).astype(np.float32)
    short = shorten(response, 16_000, 2.0, 0.5)
    assert 20 * np.log10(short[8_000]) == pytest.approx(-60.0, abs=0.1)
    assert np.array_equal(shorten(response, 16_000, 2.0, 3.0), response)


def test_the_direct_path_may_be_weaker_than_a_reflection() -> None:
    response = np.zeros(1_000, np.float32)
    response[[100, 180]] = [0.6, -1.0]
    out = direct_first(response)
    assert out[0] == 1.0
    assert out[80] == pytest.approx(-1.0 / 0.6)
    with pytest.raises(Unusable, match="silent room"):
        direct_first(np.zeros(10, np.float32))


def test_gain_moves_both_sides_alike(signal: Signal) -> None:
    out = Gain(gain_db=(-6.0, -6.0)).apply(signal, {"gain_db": -6.0}, {})
    assert np.allclose(out.clean, out.noisy)
    assert np.abs(out.clean).max() / np.abs(signal.clean).max() == pytest.approx(10 ** (-0.3), rel=1e-4)


def test_band_limit_cuts_above_and_keeps_below(signal: Signal, rng: np.random.Generator) -> None:
    noise = rng.standard_normal((1, 64_000)).astype(np.float32)
    out = BandLimit().apply(Signal(noise, noise, 16_000), {"cutoff_hz": 3_000.0, "order": 8, "target": False}, {})
    gain_db = 10 * np.log10(np.abs(np.fft.rfft(out.noisy[0])) ** 2 / np.abs(np.fft.rfft(noise[0])) ** 2)
    hz = np.fft.rfftfreq(64_000, 1 / 16_000)
    assert gain_db[(hz > 100) & (hz < 2_000)].mean() == pytest.approx(0.0, abs=0.2)
    assert gain_db[hz > 5_000].mean() < -30
    assert np.array_equal(out.clean, noise)


def test_clipping_bounds_the_peak(signal: Signal) -> None:
    out = Clipping().apply(signal, {"below_peak_db": 6.0}, {})
    assert np.abs(out.noisy).max() == pytest.approx(np.abs(signal.clean).max() * 10 ** (-0.3), rel=1e-4)
    assert np.array_equal(out.clean, signal.clean)
