"""Each generated or coded disturbance against what it claims: levels, spectra, shares, bands, no lag."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.signal import correlate, welch

from auscult.audio.clip import Clip
from auscult.audio.level import active_power, peak, power
from auscult.degrade.augment import SpecAugment
from auscult.degrade.band import BandLimit, BandPass, HighPass, Resampled
from auscult.degrade.base import Degradation, Drawn, Signal, Unusable
from auscult.degrade.channel import DcOffset
from auscult.degrade.codec import CODERS, Codec
from auscult.degrade.interference import Clicks, MainsHum, Wind
from auscult.degrade.noise import sounding_power
from auscult.degrade.packets import PacketLoss, gilbert
from auscult.degrade.shaped import ShapedNoise
from auscult.errors import RecipeError
from auscult.rng import Key
from tests.degrade.test_noise_and_rooms import Memory

RATE_HZ = 16_000


@pytest.fixture
def signal(clean: Clip) -> Signal:
    wave = clean.wave[:, 16_000:80_000]
    return Signal(wave, wave, clean.rate_hz)


@pytest.fixture
def white(rng: np.random.Generator) -> Signal:
    wave = 0.1 * rng.standard_normal((1, 64_000)).astype(np.float32)
    return Signal(wave, wave, RATE_HZ)


def run(link: Degradation, signal: Signal, seed: int = 0, **banks: Any) -> tuple[Signal, Drawn]:
    drawn = link.draw(Key(seed).numpy(), signal.noisy.shape[1], signal.rate_hz, banks)
    return link.apply(signal, drawn, banks), drawn


def gain_db(before: np.ndarray, after: np.ndarray, low_hz: float, high_hz: float) -> float:
    """Change of the power between two frequencies."""
    hz = np.fft.rfftfreq(before.shape[1], 1 / RATE_HZ)
    band = (hz >= low_hz) & (hz < high_hz)
    then, now = (np.square(np.abs(np.fft.rfft(wave[0].astype(float))))[band].sum() for wave in (before, after))
    return float(10 * np.log10(max(now, 1e-20) / then))


@pytest.mark.parametrize("link", [MainsHum(snr_db=(3, 3)), Wind(snr_db=(3, 3)), ShapedNoise(snr_db=(3, 3))])
def test_what_is_added_has_its_snr(signal: Signal, link: Degradation, rng: np.random.Generator) -> None:
    out, _ = run(link, signal, speech=Memory(rng.standard_normal(50_000)))
    added = out.noisy - signal.noisy
    realised = 10 * np.log10(active_power(signal.noisy, RATE_HZ) / sounding_power(added, RATE_HZ))
    assert realised == pytest.approx(3.0, abs=0.01)
    assert np.array_equal(out.clean, signal.clean)


def test_hum_is_the_mains_and_its_overtones(signal: Signal) -> None:
    """All but a millionth of its power lies within 2 Hz of multiples of the drawn fundamental; levels as drawn."""
    link = MainsHum(mains_hz=(50.0,), detune_hz=0.05, partials=(6, 6))
    out, drawn = run(link, signal)
    hum = (out.noisy - signal.noisy)[0].astype(float)
    spectrum = np.abs(np.fft.rfft(hum * np.blackman(hum.size))) ** 2
    hz = np.fft.rfftfreq(hum.size, 1 / RATE_HZ)
    fundamental = drawn["fundamental_hz"]
    assert abs(fundamental - 50.0) <= 0.05
    near = np.stack([np.abs(hz - k * fundamental) < 2.0 for k in range(1, 7)])
    assert spectrum[~near.any(axis=0)].sum() < 1e-6 * spectrum.sum()
    levels_db = 10 * np.log10([spectrum[one].sum() for one in near])
    assert levels_db - levels_db[0] == pytest.approx(np.subtract(drawn["levels_db"], drawn["levels_db"][0]), abs=0.05)
    assert {round(run(MainsHum(), signal, seed)[1]["fundamental_hz"], -1) for seed in range(20)} == {50.0, 60.0}


def test_wind_is_low_and_comes_in_gusts(signal: Signal) -> None:
    link = Wind(corner_hz=(100, 100), fall_db_per_octave=(9, 9), gusts_per_s=(1, 1), gust_db=10.0)
    out, _ = run(link, signal)
    wind = out.noisy - signal.noisy
    hz, density = welch(wind[0], RATE_HZ, nperseg=4_096)
    low, high = (10 * np.log10(density[(hz > f) & (hz < 1.3 * f)].mean()) for f in (200, 1_600))
    assert high - low == pytest.approx(-27.0, abs=2.0)  # three octaves
    assert density[hz < 200].sum() / density.sum() > 0.8
    steady, _ = run(Wind(gust_db=0.0), signal)

    def spread_db(wave: np.ndarray) -> float:
        return float(np.std(10 * np.log10(np.square(wave[0].astype(float)).reshape(-1, 3_200).mean(axis=1))))

    assert spread_db(wind) > 2 * spread_db(steady.noisy - signal.noisy)


def test_clicks_are_short_and_as_loud_as_drawn(signal: Signal) -> None:
    link = Clicks(clicks_per_s=(5, 5), below_peak_db=(6, 6), decay_ms=(0.3, 0.3))
    out, drawn = run(link, signal)
    added = np.abs(out.noisy - signal.noisy)
    assert added.max() / peak(signal.noisy) == pytest.approx(10 ** (-6 / 20), rel=1e-3)
    assert (added > 0).mean() < drawn["clicks"] * (8 * 0.3e-3 * RATE_HZ + 1) / 64_000
    counts = [run(link, signal, seed)[1]["clicks"] for seed in range(60)]
    assert np.mean(counts) == pytest.approx(20.0, abs=2.0)  # 5 a second for 4 s; standard error 0.6


def test_shaped_noise_has_the_recordings_spectrum(signal: Signal, rng: np.random.Generator) -> None:
    """A recording with a resonance at 1 kHz: third octaves of the noise are within 1.5 dB of its own."""
    from scipy.signal import lfilter

    pole = 0.97 * np.exp(2j * np.pi * 1_000 / RATE_HZ)
    recording = lfilter([1.0], [1.0, -2 * pole.real, abs(pole) ** 2], rng.standard_normal(200_000))
    out, _ = run(ShapedNoise(bank="fan"), signal, fan=Memory(recording))
    noise = out.noisy - signal.noisy
    (hz, theirs), (_, ours) = (welch(one, RATE_HZ, nperseg=2_048) for one in (recording, noise[0]))
    edges = 200 * 2 ** (np.arange(15) / 3)
    bands = [(hz >= low) & (hz < high) for low, high in pairwise(edges)]
    differences = 10 * np.log10([ours[band].sum() / theirs[band].sum() for band in bands])
    assert np.ptp(differences) < 3.0
    assert 10 * np.log10(theirs[np.abs(hz - 1_000) < 50].mean() / theirs[hz > 5_000].mean()) > 20


def test_shaped_noise_of_silence_is_refused(signal: Signal) -> None:
    with pytest.raises(Unusable, match="silent noise: memory 0"):
        run(ShapedNoise(), signal, speech=Memory(np.zeros(50_000)))


def test_gilbert_loses_the_drawn_share_in_bursts(rng: np.random.Generator) -> None:
    lost = gilbert(rng, 200_000, 0.2, 4.0)
    assert lost.mean() == pytest.approx(0.2, abs=0.01)
    starts = np.flatnonzero(np.diff(lost.astype(int)) == 1).size
    assert lost.sum() / starts == pytest.approx(4.0, abs=0.15)
    assert not gilbert(rng, 1_000, 0.0, 2.0).any()


def test_lost_packets_are_silent_and_the_others_untouched(white: Signal) -> None:
    out, drawn = run(PacketLoss(loss=(0.3, 0.3)), white)
    packets, before = (wave.noisy.reshape(-1, 320) for wave in (out, white))
    lost = ~packets.any(axis=1)
    assert lost.mean() == pytest.approx(0.3, abs=0.1)
    assert np.array_equal(packets[~lost], before[~lost])
    repeated = PacketLoss().apply(white, {**drawn, "conceal": "repeat"}, {}).noisy.reshape(-1, 320)
    for i in np.flatnonzero(lost):
        assert np.array_equal(repeated[i], repeated[i - 1] if i else np.zeros(320))
    assert np.array_equal(repeated[~lost], before[~lost])
    assert np.array_equal(out.clean, white.clean)


def test_filters_keep_their_band_without_lag(white: Signal) -> None:
    """Telephone band: flat inside, -6 dB at the edges (two passes of -3 dB), falling outside, aligned to the sample."""
    out, _ = run(BandPass(low_hz=(300, 300), high_hz=(3_400, 3_400)), white)
    assert gain_db(white.noisy, out.noisy, 500, 2_500) == pytest.approx(0.0, abs=0.1)
    assert gain_db(white.noisy, out.noisy, 290, 310) == pytest.approx(-6.0, abs=0.7)
    assert gain_db(white.noisy, out.noisy, 3_380, 3_420) == pytest.approx(-6.0, abs=0.7)
    assert gain_db(white.noisy, out.noisy, 20, 150) < -40
    assert gain_db(white.noisy, out.noisy, 5_500, 8_000) < -30
    lag = int(np.argmax(correlate(out.noisy[0], white.noisy[0], "full", "fft"))) - 63_999
    assert lag == 0
    assert np.array_equal(out.clean, white.clean)
    wide = BandPass(low_hz=(300, 300), high_hz=(9_000, 9_000))  # beyond half the rate: a high-pass
    assert gain_db(white.noisy, run(wide, white)[0].noisy, 4_000, 8_000) == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize(
    ("link", "cut"),
    [
        (HighPass(cutoff_hz=(100, 100)), (1, 30)),
        (BandLimit(cutoff_hz=(3_000, 3_000), target=True), (5_000, 8_000)),
        (BandPass(target=True), (1, 50)),
        (Resampled(rates_hz=(8_000,), target=True), (4_200, 8_000)),
    ],
)
def test_both_sides_go_through_the_same_filter(white: Signal, link: Degradation, cut: tuple[float, float]) -> None:
    other = Signal(white.clean, 0.5 * white.noisy, RATE_HZ)
    out, _ = run(link, other)
    assert np.allclose(0.5 * out.clean, out.noisy, atol=1e-6)
    assert gain_db(other.clean, out.clean, *cut) < -25


def test_an_offset_is_added_and_a_high_pass_takes_it_out(signal: Signal) -> None:
    off, drawn = run(DcOffset(offset=(0.03, 0.03)), signal)
    assert float((off.noisy - signal.noisy).mean()) == pytest.approx(0.03, abs=1e-5)
    assert drawn == {"offset": 0.03}
    out, _ = run(HighPass(), off)
    assert abs(float(out.noisy.mean())) < 1e-4
    assert gain_db(signal.noisy, out.noisy, 150, 8_000) == pytest.approx(0.0, abs=0.05)


def test_resampling_cuts_at_half_the_lower_rate(white: Signal) -> None:
    out, drawn = run(Resampled(rates_hz=(8_000,)), white)
    assert drawn["through_hz"] == 8_000
    assert gain_db(white.noisy, out.noisy, 100, 3_600) == pytest.approx(0.0, abs=0.01)
    assert gain_db(white.noisy, out.noisy, 4_100, 8_000) < -60
    inside = run(BandLimit(cutoff_hz=(3_000, 3_000), order=16), white)[0].noisy
    again = run(Resampled(rates_hz=(8_000,)), Signal(inside, inside, RATE_HZ))[0].noisy
    assert power(again - inside) < 1e-4 * power(inside)  # aligned to a small part of a sample
    assert {run(Resampled(), white, seed)[1]["through_hz"] for seed in range(20)} == {8_000, 11_025, 12_000}


# Least signal to coding error (dB): what is coded at 8 kHz loses its upper half too.
CODED = {"mp3": 15.0, "vorbis": 15.0, "opus": 4.0, "gsm": 8.0, "ulaw": 13.0}


@pytest.mark.parametrize("kind", CODERS)
def test_codecs_lose_something_and_keep_their_place(signal: Signal, kind: Any) -> None:
    out, _ = run(Codec(kinds=(kind,), compression=(0.9, 0.9)), signal)
    error = power(out.noisy - signal.noisy) / power(signal.noisy)
    least_db = CODED[kind]
    assert least_db < -10 * np.log10(error) < 45
    lag = int(np.argmax(correlate(out.noisy[0], signal.noisy[0], "full", "fft"))) - 63_999
    assert abs(lag) <= 1
    assert np.array_equal(out.clean, signal.clean)


def test_stronger_compression_loses_more(signal: Signal) -> None:
    for kind in ("mp3", "vorbis", "opus"):
        weak, strong = (
            power(run(Codec(kinds=(kind,), compression=(at, at)), signal)[0].noisy - signal.noisy)  # type: ignore[arg-type]
            for at in (0.2, 1.0)
        )
        assert strong > 2 * weak, kind


def test_codecs_take_any_rate() -> None:
    """At 11 kHz opus runs at 48 kHz and GSM at 8 kHz; a tone inside both bands stays where it is."""
    tone = 0.3 * np.sin(2 * np.pi * 800 * np.arange(11_000) / 11_000).astype(np.float32)[None]
    signal = Signal(tone, tone, 11_000)
    for kind in CODERS:
        out = Codec().apply(signal, {"kind": kind, "compression": 0.5}, {})
        assert out.noisy.shape == tone.shape
        middle = slice(2_000, 9_000)
        assert np.corrcoef(out.noisy[0, middle], tone[0, middle])[0, 1] > 0.95, kind


def test_masks_take_bands_and_moments_out(white: Signal) -> None:
    drawn = {"bands_hz": [[2_000.0, 3_000.0]], "spans_s": [[1.0, 1.2]]}
    out = SpecAugment().apply(white, drawn, {})
    rest = np.r_[0:15_000, 21_000:64_000]
    assert gain_db(white.noisy[:, rest], out.noisy[:, rest], 2_100, 2_900) < -25
    assert gain_db(white.noisy[:, rest], out.noisy[:, rest], 100, 1_800) == pytest.approx(0.0, abs=0.1)
    assert np.abs(out.noisy[:, 16_512:18_688]).max() < 1e-6  # a window's half from the edges
    assert np.array_equal(out.clean, white.clean)
    untouched = SpecAugment().apply(white, {"bands_hz": [], "spans_s": [[1.0, 1.2]]}, {}).noisy
    assert np.allclose(untouched[:, 21_000:], white.noisy[:, 21_000:], atol=1e-6)


def test_masks_keep_their_bounds(white: Signal) -> None:
    link = SpecAugment(freq_masks=3, max_band_hz=400, time_masks=2, max_span_ms=500, max_share=0.05)
    draws = [run(link, white, seed)[1] for seed in range(40)]
    bands = np.array([drawn["bands_hz"] for drawn in draws])
    spans = np.array([drawn["spans_s"] for drawn in draws])
    assert bands.shape == (40, 3, 2)
    assert spans.shape == (40, 2, 2)
    widths, lengths = np.diff(bands)[..., 0], np.diff(spans)[..., 0]
    assert 300 < widths.max() <= 400.0001
    assert 0.15 < lengths.max() <= 0.2001  # a twentieth of 4 s, which is less than 500 ms
    assert widths.min() >= 0
    assert bands.min() >= 0
    assert bands.max() <= 8_000
    assert spans.max() <= 4.0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: BandPass(low_hz=(200, 3_100)), "low_hz reaches 3100 Hz, high_hz begins at 3000 Hz"),
        (lambda: Resampled(rates_hz=()), "rates_hz is empty"),
        (lambda: Codec(kinds=()), "kinds is empty; choose from mp3, vorbis, opus, gsm, ulaw"),
        (lambda: Codec(compression=(0.0, 1.5)), "compression lies between 0 and 1"),
        (lambda: PacketLoss(loss=(0.5, 1.0)), "a share from 0 to below 1"),
        (lambda: PacketLoss(burst_packets=(0.5, 2.0)), "a burst has at least 1 packet"),
        (lambda: MainsHum(mains_hz=()), "at least one of mains_hz"),
        (lambda: Clicks(decay_ms=(0.0, 1.0)), "decay_ms must be above 0"),
    ],
)
def test_impossible_values_are_refused(make: Any, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        make()
