"""Low-frequency replacement: what was given stays, streams equal the whole, the knee is where the filter begins."""

from __future__ import annotations

import numpy as np
import pytest

from auscult.audio.clip import Clip
from auscult.degrade.band import zero_phase
from auscult.errors import RestorationError
from auscult.metrics.base import Signals
from auscult.metrics.superresolution import LowBandDeviation
from auscult.restore.replacement import (
    OFF,
    Fade,
    KneeMeter,
    Replacement,
    across,
    below,
    hard,
    measured_knee,
    replace,
    transform,
)


@pytest.fixture
def full(rng: np.random.Generator) -> np.ndarray:
    return 0.1 * rng.standard_normal((2, 40_000)).astype(np.float32)


def band(wave: np.ndarray, low_hz: float, high_hz: float, rate_hz: int) -> np.ndarray:
    spectrum = np.fft.rfft(wave.astype(np.float64))
    hz = np.fft.rfftfreq(wave.shape[1], 1 / rate_hz)
    return np.fft.irfft(np.where((hz >= low_hz) & (hz < high_hz), spectrum, 0), wave.shape[1])


@pytest.mark.parametrize("fade", [OFF, hard(3_000.0), across(3_000.0), below(3_000.0)])
def test_either_side_of_the_fade_is_one_signal(full: np.ndarray, fade: Fade) -> None:
    """Phase and content, not only level: the difference in either band is 45 dB down, ends included."""
    generated = full[::-1].copy()
    out, used = replace(full, generated, 44_100, fade)
    assert used == fade
    margin_hz = 100.0  # the window's main lobe
    for source, low_hz, high_hz in ((full, 0.0, fade.low_hz - margin_hz), (generated, fade.high_hz + margin_hz, 2e4)):
        if high_hz > low_hz:
            error, wanted = (np.square(band(w, low_hz, high_hz, 44_100)).sum() for w in (out - source, source))
            assert error < 3e-5 * wanted


def test_weights_are_a_raised_cosine() -> None:
    hz = np.array([0.0, 800.0, 900.0, 1_000.0, 2_000.0])
    assert below(1_000.0).weights(hz) == pytest.approx([1, 1, 0.5, 0, 0])
    assert across(1_000.0).weights(hz) == pytest.approx([1, 1, 1, 0.5, 0])
    assert hard(900.0).weights(hz) == pytest.approx([1, 1, 0, 0, 0])
    assert not OFF.weights(hz).any()
    assert below(np.inf).weights(hz).all()


@pytest.mark.parametrize("samples", [1, 700, 2_048, 40_000])
@pytest.mark.parametrize("block", [733, 5_000])
def test_streams_equal_the_whole(full: np.ndarray, samples: int, block: int) -> None:
    given, generated = full[:, :samples], full[::-1, :samples].copy()
    whole, _ = replace(given, generated, 44_100, across(4_000.0))
    stream, meter = Replacement(across(4_000.0), 44_100, 2), KneeMeter(44_100)
    parts = []
    for start in range(0, samples, block):
        blocks = given[:, start : start + block], generated[:, start : start + block]
        meter.push(*blocks)
        parts.append(stream.push(*blocks))
    streamed = np.concatenate([*parts, stream.finish()], axis=1)
    assert streamed.shape == given.shape
    np.testing.assert_allclose(streamed, whole, atol=1e-6)
    assert meter.finish() == measured_knee(given, generated, 44_100)


def test_memory_stays_constant(full: np.ndarray) -> None:
    """Seven seconds leave no more behind than one."""
    stream = Replacement(hard(4_000.0), 44_100, 2)
    kept = []
    for _ in range(8):
        stream.push(full, full)
        kept.append(sum(side._buffer.size for side in stream._frames._sides if side._buffer is not None))
    assert max(kept) <= 2 * 2 * 2 * 2_048
    assert stream._synthesis._sum.shape == (2, 2_048)


@pytest.mark.parametrize("order", [4, 16])
def test_the_knee_is_where_a_filter_takes_1_5_db(full: np.ndarray, order: int) -> None:
    """Butterworth both ways takes 20 log10(1 + (f / 4 kHz)^order) dB: 1.5 dB at 2.64 and at 3.60 kHz."""
    given = zero_phase(full, 44_100, None, 4_000.0, order)
    knee_hz = measured_knee(given, 0.5 * full, 44_100)  # a difference of level does not count
    assert knee_hz == pytest.approx(4_000 * (10**0.075 - 1) ** (1 / order), rel=0.08)


def test_a_full_band_input_comes_back_as_it_was(full: np.ndarray) -> None:
    out, fade = replace(full, 0.9 * full, 44_100)
    assert fade == below(np.inf)
    np.testing.assert_allclose(out, full, atol=1e-6)


def test_silence_passes(full: np.ndarray) -> None:
    silence = np.zeros_like(full)
    assert not replace(silence, silence, 44_100)[0].any()
    assert np.isfinite(replace(silence, full, 44_100)[0]).all()
    assert np.isfinite(replace(full, silence, 44_100)[0]).all()


@pytest.mark.parametrize("fade", [OFF, below(3_000.0)])
def test_nothing_is_generated_in_digital_silence(full: np.ndarray, fade: Fade) -> None:
    """A pause of zeros stays one, but for half a window at its ends; noise at the last bit of 16 is heard."""
    given = full.copy()
    given[:, 15_000:25_000] = 2**-15  # a converter at rest may be a bit off zero
    out, _ = replace(given, full, 44_100, fade)
    assert np.abs(np.diff(out[:, 17_048:22_952])).max() < 1e-8
    quiet = 2**-15 * np.sign(full)
    np.testing.assert_allclose(replace(quiet, full, 44_100, OFF)[0], full, atol=1e-6)


def test_speech_keeps_its_low_band_whatever_the_generator_did_to_it(clean: Clip, rng: np.random.Generator) -> None:
    """Under 0.1 dB in every third octave below the knee, where the generated one is 2 dB off."""
    given = zero_phase(clean.wave, 16_000, None, 4_000.0, 8)
    stft = transform(16_000)
    tilted = stft.forward(clean.wave) * np.linspace(1.25, 0.8, 513, dtype=np.float32)
    out, fade = replace(given, stft.inverse(tilted.astype(np.complex64), clean.samples), 16_000)
    assert 2_000 < fade.high_hz < 4_200
    metric = LowBandDeviation(fade.low_hz)
    assert metric(Signals(out[0], 16_000, None, given[0])) < 0.1
    untouched = stft.inverse(tilted.astype(np.complex64), clean.samples)
    assert metric(Signals(untouched[0], 16_000, None, given[0])) > 1.0


def test_what_does_not_fit_is_said(full: np.ndarray) -> None:
    with pytest.raises(RestorationError, match="signals of one shape"):
        replace(full, full[:, :-1], 44_100)
    with pytest.raises(RestorationError, match="give 0 <= low <= high"):
        Fade(2.0, 1.0)


@pytest.mark.parametrize(("rate_hz", "n_fft"), [(8_000, 512), (16_000, 1_024), (44_100, 2_048), (48_000, 2_048)])
def test_windows_have_one_duration(rate_hz: int, n_fft: int) -> None:
    assert transform(rate_hz).n_fft == n_fft
