"""Pictures: size, colours, scale, and what is refused."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from auscult.audio.clip import Clip
from auscult.errors import AudioError
from auscult.evaluate.rows import Item
from auscult.report import plots
from auscult.report.highlights import Entry
from auscult.report.plots import Signal

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def signals(noisy: Clip, clean: Clip) -> list[Signal]:
    between = clean.with_wave((noisy.wave + clean.wave) / 2)
    return [
        Signal("noisy", "noisy", noisy),
        Signal("a", "enhanced", between),
        Signal("b", "enhanced", clean, 1),
        Signal("clean", "clean", clean),
    ]


def pixels(png: bytes) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGBA")).astype(int)


def covers(picture: np.ndarray, colour: str, reach: int = 12) -> int:
    """Pixels of about this colour."""
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return int((np.abs(picture[..., :3] - wanted).max(axis=-1) < reach).sum())


def test_waveforms_have_the_colours_of_their_roles(signals: list[Signal]) -> None:
    picture = pixels(plots.waveforms(signals))
    assert picture.shape[1] == 8 * 150
    assert len({signal.colour for signal in signals}) == 4
    for signal in signals:
        assert covers(picture, signal.colour) > 500, signal.label


def test_dpi_is_the_size(signals: list[Signal]) -> None:
    assert pixels(plots.spectrograms(signals, dpi=60)).shape[1] == 480


def test_on_a_page_the_paper_is_transparent(signals: list[Signal]) -> None:
    assert pixels(plots.waveforms(signals, 60, plots.PAGE))[0, 0, 3] == 0
    assert pixels(plots.waveforms(signals, 60))[0, 0].tolist() == [255, 255, 255, 255]


def test_a_page_has_a_small_palette_that_keeps_the_levels(signals: list[Signal]) -> None:
    small, whole = (plots.spectrograms(signals, 100, look) for look in (plots.PAGE, plots.PRINT))
    colours = np.unique(pixels(small).reshape(-1, 4), axis=0)
    assert 64 < len(colours) <= 224
    assert len(small) < len(whole) / 3
    inside = slice(20, 100), slice(100, 700), slice(0, 3)
    assert np.abs(pixels(small)[inside] - pixels(whole)[inside]).mean() < 4


def test_spectrograms_share_one_scale(signals: list[Signal], clean: Clip) -> None:
    """A signal 60 dB down is dark beside the loud one, and bright alone."""
    quiet = Signal("quiet", "clean", clean.with_wave(clean.wave * np.float32(1e-3)))
    alone = pixels(plots.spectrograms([quiet], 60))[5:60, 50:430, :3].mean()
    beside = pixels(plots.spectrograms([Signal("loud", "noisy", clean), quiet], 60))[90:140, 50:430, :3].mean()
    assert beside < alone / 2


def test_the_difference_of_equals_is_blank_and_signs_have_colours(signals: list[Signal], clean: Clip) -> None:
    def inside(factor: float) -> np.ndarray:
        louder = Signal("x", "enhanced", clean.with_wave(clean.wave * np.float32(factor)))
        return pixels(plots.difference(louder, signals[3], 60))[15:90, 80:420]

    assert inside(1.0)[..., :3].min() > 235
    more, less = inside(8.0), inside(0.125)
    assert (more[..., 0] - more[..., 2]).mean() > 20
    assert (less[..., 2] - less[..., 0]).mean() > 20


def test_a_difference_of_other_lengths_or_rates_is_refused(signals: list[Signal], clean: Clip) -> None:
    shorter = Signal("cut", "enhanced", clean.with_wave(clean.wave[:, :-1]))
    with pytest.raises(AudioError, match="cut has .* samples at 16000 Hz, clean has"):
        plots.difference(shorter, signals[3])


@pytest.mark.parametrize("samples", [1, 40, 700])
def test_very_short_and_silent_recordings_are_drawn(samples: int) -> None:
    silence = Clip(np.zeros((1, samples), np.float32), 16_000)
    tick = Clip(np.full((1, samples), 0.5, np.float32), 48_000)
    both = [Signal("silence", "noisy", silence), Signal("tick", "clean", tick)]
    assert plots.waveforms(both, 50).startswith(b"\x89PNG")
    assert plots.spectrograms(both, 50).startswith(b"\x89PNG")


def test_long_recordings_stay_small(rng: np.random.Generator) -> None:
    wave = rng.standard_normal((2, 16_000 * 300)).astype(np.float32) * 0.1
    long = [Signal("long", "enhanced", Clip(wave, 16_000))]
    assert len(plots.waveforms(long)) < 400_000
    assert len(plots.spectrograms(long, 100, plots.PAGE)) < 400_000


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    here = Path(__file__).parents[2] / "examples" / "clean" / "walk.flac"
    entry = Entry(Item("d", "x", here, tmp_path / "gone.wav"), estimates={"a": tmp_path / "away.wav"})
    found, missing = plots.signals_of(entry, ["noisy", "a", "b"])
    assert [signal.label for signal in found] == ["clean"]
    assert [words.split(":")[0] for words in missing] == ["noisy", "a"]
    assert "gone.wav" in missing[0]


def test_what_a_difference_is_drawn_of(signals: list[Signal]) -> None:
    noisy, a, b, clean = signals
    assert plots.pair_of(signals, "a") == (a, clean)
    assert plots.pair_of([noisy, b], "b") == (b, noisy)
    assert plots.pair_of(signals, "c") is None
    assert plots.pair_of([noisy], "noisy") is None


def test_no_global_state_of_matplotlib() -> None:
    code = (
        "import sys, numpy as np; from auscult.audio.clip import Clip; from auscult.report import plots;"
        "plots.spectrograms([plots.Signal('x', 'clean', Clip(np.ones((1, 999), np.float32), 16000))]);"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], check=False).returncode == 0
