"""The line of a hard splice: found where it was made, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from auscult.audio.clip import Clip, read
from auscult.audio.rolloff import LAST_BELOW
from auscult.audio.splice import NOTHING, SpliceLine, splice_line
from auscult.degrade.band import zero_phase
from auscult.degrade.lowpass import low_passed
from auscult.restore.replacement import below, hard, measured_knee, replace

BESSEL = {"family": "bessel", "order": 2, "cutoff_hz": 3_000, "ripple_db": 0.1, "stop_db": 60.0, "resampled": False}


def stepped(rng: np.random.Generator, step_db: float, at_hz: float, rate_hz: int = 16_000) -> np.ndarray:
    """Noise that falls by 20 dB towards the step and is ``step_db`` higher above it."""
    spectrum = np.fft.rfft(rng.standard_normal(4 * rate_hz))
    hz = np.fft.rfftfreq(4 * rate_hz, 1 / rate_hz)
    level_db = np.where(hz < at_hz, -20 * hz / at_hz, step_db - 20)
    return np.fft.irfft(spectrum * 10 ** (level_db / 20)).astype(np.float32)


@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 48_000])
def test_a_known_step_is_measured(rng: np.random.Generator, rate_hz: int) -> None:
    for step_db, at_hz in ((8.0, 2_500.0), (10.0, 4_000.0), (20.0, 6_000.0)):
        line = splice_line(stepped(rng, step_db, at_hz, rate_hz), rate_hz)
        assert line.found
        assert line.frequency_hz == pytest.approx(at_hz, abs=50)
        assert line.step_db == pytest.approx(step_db, abs=1.0)
        assert 0.75 * step_db < line.steady_db < step_db + 1.0  # the least of four
        assert line.hole_db == pytest.approx(min(step_db, 10.0), abs=1.5)  # an octave below is 10 dB up


def chord(rng: np.random.Generator) -> np.ndarray:
    """A second of three voices with falling overtones."""
    time_s = np.arange(16_000) / 16_000
    wave = 1e-4 * rng.standard_normal(time_s.size)
    for pitch_hz in 220 * 2 ** (rng.integers(24, size=3) / 12):
        orders = np.arange(1, int(7_500 / pitch_hz))[:, None]
        wave += (np.sin(2 * np.pi * (orders * pitch_hz * time_s + rng.random(orders.shape))) / orders**1.5).sum(axis=0)
    return (wave * np.exp(-2 * time_s)).astype(np.float32)


def test_music_has_no_line(rng: np.random.Generator) -> None:
    for _ in range(8):
        assert not splice_line(np.concatenate([chord(rng) for _ in range(4)]), 16_000).found


def test_level_does_not_matter(rng: np.random.Generator) -> None:
    wave = stepped(rng, 10.0, 4_000.0)
    loud, quiet = splice_line(wave, 16_000), splice_line(0.01 * wave, 16_000)
    assert quiet.frequency_hz == loud.frequency_hz
    assert quiet.step_db == pytest.approx(loud.step_db, abs=1e-3)


def test_what_was_never_spliced(clean: Clip, noisy: Clip, rng: np.random.Generator) -> None:
    """Speech, noisy speech, low-passed speech, white noise, a step down, a step at some times only."""
    white = rng.standard_normal(64_000).astype(np.float32)
    half = stepped(rng, 10.0, 4_000.0)
    half[: half.size // 2] = white[: half.size // 2]
    low = zero_phase(clean.wave, 16_000, None, 4_000.0, 8)[0]
    for wave in (clean.wave[0], noisy.wave[0], low, white, stepped(rng, -10.0, 4_000.0)):
        assert not splice_line(wave, 16_000).found
    assert splice_line(half, 16_000).steady_db < 2.0
    assert not splice_line(half, 16_000).found


@pytest.mark.parametrize("samples", [1, 100, 1_000, 6_000])
def test_too_little_says_nothing(samples: int, rng: np.random.Generator) -> None:
    assert splice_line(rng.standard_normal(samples).astype(np.float32), 16_000) == NOTHING
    assert splice_line(np.zeros(64_000, np.float32), 16_000) == NOTHING
    assert splice_line(rng.standard_normal(16_000).astype(np.float32), 2_000) == NOTHING


def test_real_speech_spliced_at_its_roll_off(data: Path) -> None:
    """Behind a gentle filter most hard splices leave a line; a fade below the knee leaves none, and no speech has one.

    What is generated is the truth, 6 dB too loud above 3 kHz.
    """
    found: dict[str, list[SpliceLine]] = {"natural": [], "hard": [], "below the knee": []}
    misplaced = 0
    for path in sorted((data / "vbdmd_p257" / "clean").iterdir())[::4]:
        truth = read(path).wave
        given = low_passed(truth, 16_000, BESSEL)
        generated = truth + truth - zero_phase(truth, 16_000, None, 3_000.0, 4)
        at_hz = LAST_BELOW.of(given[0], 16_000).hz
        waves = {
            "natural": truth,
            "hard": replace(given, generated, 16_000, hard(at_hz))[0],
            "below the knee": replace(given, generated, 16_000, below(measured_knee(given, generated, 16_000)))[0],
        }
        for name, wave in waves.items():
            found[name].append(splice_line(wave[0], 16_000))
        line = found["hard"][-1]
        misplaced += line.found and abs(line.frequency_hz - at_hz) > 100
    counts = {name: sum(line.found for line in lines) for name, lines in found.items()}
    assert counts["natural"] == counts["below the knee"] == 0
    assert counts["hard"] >= 8
    assert misplaced == 0
