"""Band limiting for super-resolution against its closed forms, and where targets decide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.signal import freqz_sos

from auscult.audio.clip import Clip
from auscult.audio.rolloff import LAST_BELOW
from auscult.data.bank import BankSpec
from auscult.data.loader import fetch
from auscult.data.pairs import Mixture
from auscult.degrade.base import Drawn, Signal, Unusable, degrade
from auscult.degrade.lowpass import RandomLowPass, _sections, low_passed
from auscult.errors import RecipeError
from auscult.rng import Key

RATE_HZ = 44_100


def drawn(family: str, order: int, resampled: bool = False, cutoff_hz: int = 4_000) -> Drawn:
    return {"family": family, "order": order, "cutoff_hz": cutoff_hz, "ripple_db": 0.1, "stop_db": 60.0,
            "resampled": resampled}  # fmt: skip


def power(wave: np.ndarray, low_hz: float, high_hz: float) -> float:
    hz = np.fft.rfftfreq(wave.shape[1], 1 / RATE_HZ)
    return float(np.square(np.abs(np.fft.rfft(wave[0].astype(float))))[(low_hz <= hz) & (hz < high_hz)].sum())


@pytest.fixture(scope="module")
def white() -> np.ndarray:
    return np.random.default_rng(7).standard_normal((1, 131_072)).astype(np.float32)


# Twice the response of one pass: Butterworth has 3 dB at the cut-off, the ripples hold it there, a Bessel filter of
# order 2, normalised by phase, has 1 / sqrt(3).
@pytest.mark.parametrize(
    ("family", "order", "expected_db"),
    [("butterworth", 2, -6.02), ("butterworth", 10, -6.02), ("chebyshev1", 8, -0.2), ("elliptic", 6, -0.2),
     ("bessel", 2, -9.54)],
)  # fmt: skip
def test_attenuation_at_the_cut_off(family: str, order: int, expected_db: float) -> None:
    impulse = np.zeros((1, 131_072), np.float32)
    impulse[0, 65_536] = 1.0
    out = low_passed(impulse, RATE_HZ, drawn(family, order))
    at = round(4_000 * 131_072 / RATE_HZ)
    assert 20 * np.log10(np.abs(np.fft.rfft(out[0].astype(float)))[at]) == pytest.approx(expected_db, abs=0.05)
    assert out[0, 65_536:65_600] == pytest.approx(out[0, 65_536:65_472:-1], abs=1e-6)  # zero phase


def test_sections_have_the_ripples_drawn() -> None:
    steep = drawn("elliptic", 6) | {"ripple_db": 0.5, "stop_db": 40.0}
    hz, response = freqz_sos(_sections(RATE_HZ, steep), 8_192, fs=RATE_HZ)
    level_db = 20 * np.log10(np.abs(response) + 1e-12)
    assert level_db[hz < 4_000].min() == pytest.approx(-0.5, abs=0.02)
    assert level_db[hz > 5_000].max() == pytest.approx(-40.0, abs=0.05)


@pytest.mark.parametrize(
    ("family", "plain_db", "through_db"), [("butterworth", -13.0, -33.8), ("bessel", -14.8, -36.1)]
)
def test_resampling_makes_low_orders_sharp(white: np.ndarray, family: str, plain_db: float, through_db: float) -> None:
    """Energy of white noise above 1.05 of the cut-off, relative to all that is left."""
    for resampled, expected_db in ((False, plain_db), (True, through_db)):
        out = low_passed(white, RATE_HZ, drawn(family, 2, resampled))
        share = power(out, 4_200, 23_000) / power(out, 0, 23_000)
        assert out.shape == white.shape
        assert 10 * np.log10(share) == pytest.approx(expected_db, abs=0.3)


def test_draws_cover_families_orders_and_the_grid() -> None:
    rng = Key(3).numpy()
    draws = [RandomLowPass().draw(rng, 44_100, RATE_HZ, {}) for _ in range(400)]
    counts = {family: sum(one["family"] == family for one in draws) for family in RandomLowPass().families}
    assert all(70 <= count <= 130 for count in counts.values())
    assert {one["order"] for one in draws} == set(range(2, 11))
    cutoffs = [one["cutoff_hz"] for one in draws]
    assert all(cutoff % 50 == 0 for cutoff in cutoffs)
    assert 2_000 <= min(cutoffs) < 2_200
    assert 15_800 < max(cutoffs) <= 16_000
    assert max(RandomLowPass().draw(rng, 16_000, 16_000, {})["cutoff_hz"] for _ in range(200)) <= 7_550


def test_the_target_caps_the_cut_off_and_the_pair_says_so(clean: Clip) -> None:
    """At 0.94 of the target's roll-off; a floor holds for duller ones."""
    signal = Signal(clean.wave, clean.wave, clean.rate_hz)
    rolloff_hz = LAST_BELOW.of(clean.wave[0], 16_000).hz
    link = RandomLowPass(cutoff_hz=(7_400.0, 7_500.0))
    capped = RandomLowPass(cutoff_hz=(2_000.0, 8_000.0), below_rolloff=0.5)
    for one, expected_hz in ((link, 7_400), (capped, 0.5 * rolloff_hz)):
        found = one.settle(signal, drawn("butterworth", 2, cutoff_hz=7_500))
        assert found["cutoff_hz"] == pytest.approx(expected_hz, abs=25)
    heard, provenance = degrade(signal, [capped], Key(1), {})
    assert provenance[0] | {"type": 0} == capped.settle(signal, provenance[0]) | {"type": 0}
    assert np.array_equal(capped.apply(signal, provenance[0], {}).noisy, heard.noisy)
    assert np.array_equal(heard.clean, signal.clean)


def test_a_target_without_the_band_is_refused(corpus: Path, clean: Clip) -> None:
    narrow = low_passed(clean.wave, 16_000, drawn("butterworth", 8, resampled=True))
    with pytest.raises(Unusable, match="narrow target: its band ends at 3") as caught:
        degrade(Signal(narrow, narrow, 16_000), [RandomLowPass()], Key(1), {})
    assert caught.value.reason == "narrow target"
    speech = BankSpec(folder="speech")
    pair, skipped = fetch(Mixture(speech, (RandomLowPass(),), root=corpus, crop_s=1.0), Key(4), 0)
    assert pair is not None
    assert not skipped
    assert 2_000 <= pair.provenance[0]["cutoff_hz"] <= 7_550
    pair, skipped = fetch(Mixture(speech, (RandomLowPass(),), root=corpus, crop_s=1.0, rate_hz=48_000), Key(4), 0)
    assert pair is None
    assert set(skipped) == {"narrow target"}


def test_a_cut_off_beyond_the_rate_cuts_nothing(white: np.ndarray) -> None:
    assert low_passed(white, 16_000, drawn("elliptic", 4, True, cutoff_hz=8_000)) is white


@pytest.mark.parametrize(
    ("given", "message"),
    [({"families": ()}, "families is empty"), ({"order": (0, 4)}, "order begins at 0"),
     ({"cutoff_hz": (10.0, 4_000.0)}, "cutoff_hz begins at 10 Hz")],
)  # fmt: skip
def test_impossible_values_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        RandomLowPass(**given)  # type: ignore[arg-type]
