"""Seams, ripples and lines: their laws by chance, and planted ones of known size."""

import numpy as np
import pytest

from auscult.audio.clip import Clip
from auscult.diagnose.measure.ridge import ridge
from auscult.diagnose.measure.ripple import ripple
from auscult.diagnose.measure.seams import _deviate, seams

HZ = 16_000


def pieces(clean: Clip, noisy: Clip, count: int, seconds: float) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Restored (some noise left), noisy, clean."""
    length = round(seconds * HZ)
    starts = np.linspace(0, clean.samples - length, count).astype(int)
    sides = [(clean.wave[0, at : at + length], noisy.wave[0, at : at + length]) for at in starts]
    return [(s + 0.3 * (y - s), y, s) for s, y in sides]


def test_a_deviate_is_as_rare_as_its_gamma_law():
    from scipy.stats import gamma, norm

    for count in (6, 30, 200):
        for rare in (1e-2, 1e-5, 1e-9):
            assert _deviate(gamma.isf(rare, count), count) == pytest.approx(norm.isf(rare), abs=0.2)


@pytest.mark.parametrize(("period_s", "gain_db"), [(0.7, 6.0), (1.1, 9.0)])
def test_a_few_long_chunks_are_found_by_their_clearest_seams(clean, noisy, period_s, gain_db):
    files = []
    for restored, beside, _ in pieces(clean, noisy, 24, 2.6):
        wave, size = restored.copy(), round(period_s * HZ)
        for number, start in enumerate(range(0, wave.size, size)):
            wave[start : start + size] *= 10 ** (gain_db * (number % 2) / 20)
            wave[start : start + 48] = 0.0
        files.append((wave, beside))
    found = seams(files, HZ)
    assert found.period_s == pytest.approx(period_s, abs=0.01)
    assert found.z > 6.5
    assert seams([(restored, beside) for restored, beside, _ in pieces(clean, noisy, 24, 2.6)], HZ).z < 5


@pytest.mark.parametrize(("hop", "depth"), [(128, 0.4), (256, 0.2)])
def test_a_ripple_is_measured_at_its_hop(clean, noisy, hop, depth):
    files = []
    for restored, _, target in pieces(clean, noisy, 12, 2.0):
        gain = 1 + depth * np.cos(2 * np.pi * np.arange(restored.size) / hop)
        files.append((restored * np.sqrt(gain), target))
    found = ripple(files, HZ)
    assert found.period_s * HZ == pytest.approx(hop, rel=2e-3)
    assert found.depth == pytest.approx(depth, rel=0.3)
    assert found.z > 15
    assert found.beside < 0.05


def test_speech_and_its_pitch_have_no_common_ripple(clean, noisy):
    found = ripple([(restored, target) for restored, _, target in pieces(clean, noisy, 12, 2.0)], HZ)
    assert found.depth < 0.1
    assert ripple([(np.zeros(HZ, np.float32),) * 2] * 5, HZ).depth == 0.0
    assert ripple([(np.zeros(HZ, np.float32),) * 2], HZ).z == 0.0


def test_a_line_is_measured_and_one_that_the_input_has_is_not_the_output_s(clean, noisy):
    files = pieces(clean, noisy, 8, 2.0)
    tone = (0.01 * np.sin(2 * np.pi * 2_500 * np.arange(2 * HZ) / HZ)).astype(np.float32)
    found = ridge([(restored + tone, beside, target) for restored, beside, target in files], HZ)
    assert found.frequency_hz == pytest.approx(2_500, abs=16)
    assert min(found.excess_db, found.above_db) > 10
    assert found.share == 1.0
    shared = ridge([(3 * (restored + tone), beside + tone, target) for restored, beside, target in files], HZ)
    assert min(shared.excess_db, shared.above_db) < 3
    none = ridge(files, HZ)
    assert none.share < 0.5
    assert ridge([tuple(side[:100] for side in files[0])] * 3, HZ).share == 0.0
