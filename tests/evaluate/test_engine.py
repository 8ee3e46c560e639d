"""The scorer: pairs by name, failures named and never dropped, the same numbers whatever the workers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from auscult.audio.clip import Clip
from auscult.audio.resample import resample
from auscult.audio.writer import write
from auscult.errors import DataError, RecipeError
from auscult.evaluate.score import default_metrics, mean, metrics_named, run, score_waves, tasks_of


@pytest.fixture
def folders(tmp_path: Path, clean: Clip, noisy: Clip) -> Path:
    for i in range(3):
        cut = slice(20_000 * i + 8_000, 20_000 * i + 40_000)
        for side, clip in (("clean", clean), ("noisy", noisy)):
            write(tmp_path / side / f"{i}.flac", clip.with_wave(clip.wave[:, cut]))
    return tmp_path


def test_rows_name_systems_items_and_scores(folders: Path) -> None:
    tasks = tasks_of(folders / "clean", {"noisy": folders / "noisy", "oracle": folders / "clean"})
    alone, together = (list(run(tasks, default_metrics(), workers)) for workers in (1, 2))
    for one, two in zip(alone, together, strict=True):
        assert (one.system, one.item, one.failures) == (two.system, two.item, two.failures)
        assert one.scores == pytest.approx(two.scores, rel=1e-9)
    assert [(row.system, row.item) for row in alone] == [(s, str(i)) for s in ("noisy", "oracle") for i in range(3)]
    oracle = [row for row in alone if row.system == "oracle"]
    assert mean(oracle, "pesq") > 4.6
    assert mean(oracle, "estoi") > 0.999
    assert mean([row for row in alone if row.system == "noisy"], "pesq") < 2.0


def test_a_failed_metric_is_named_and_left_out_of_the_mean(folders: Path) -> None:
    write(folders / "noisy" / "1.flac", Clip(np.zeros((1, 32_000), np.float32), 16_000))
    rows = list(run(tasks_of(folders / "clean", {"noisy": folders / "noisy"}), ["pesq", "si_sdr"], 1))
    assert rows[1].failures == {"pesq": "estimate is digital silence", "si_sdr": "estimate is digital silence"}
    assert mean(rows, "pesq") == pytest.approx((rows[0].scores["pesq"] + rows[2].scores["pesq"]) / 2)
    assert math.isnan(mean(rows[1:2], "pesq"))


def test_folders_that_do_not_match(folders: Path) -> None:
    (folders / "noisy" / "2.flac").rename(folders / "noisy" / "9.flac")
    with pytest.raises(DataError, match=r"base .*1 only in clean \(2\), 1 only in base \(9\)"):
        tasks_of(folders / "clean", {"base": folders / "noisy"})
    with pytest.raises(DataError, match="no such folder"):
        tasks_of(folders / "clean", {"x": folders / "none"})
    (folders / "void").mkdir()
    with pytest.raises(DataError, match="no audio file in it"):
        tasks_of(folders / "void", {"x": folders / "void"})


@pytest.mark.parametrize("change", ["length", "rate"])
def test_pairs_that_differ_are_not_cut_silently(folders: Path, clean: Clip, change: str) -> None:
    wave = clean.wave[:, 8_000:40_000]
    other = Clip(wave[:, :-1], 16_000) if change == "length" else Clip(resample(wave, 16_000, 8_000), 8_000)
    write(folders / "noisy" / "0.flac", other)
    with pytest.raises(DataError, match=r"noisy/0: .*nothing is cut or resampled silently"):
        tasks_of(folders / "clean", {"noisy": folders / "noisy"})


def test_a_file_that_cannot_be_decoded_is_a_failed_row(folders: Path) -> None:
    path = folders / "noisy" / "1.flac"
    path.write_bytes(path.read_bytes()[:-3_000])
    rows = list(run(tasks_of(folders / "clean", {"noisy": folders / "noisy"}), ["si_sdr"], 1))
    assert [row.item for row in rows if row.failures] == ["1"]
    assert "truncated" in rows[1].failures["si_sdr"]


def test_estoi_needs_speech(clean: Clip) -> None:
    """A third of a second of speech is left after silent frames go: too little, and said so."""
    wave = np.zeros((1, 80_000), np.float32)
    wave[:, :5_000] = clean.wave[:, 20_000:25_000]
    _, failures = score_waves(metrics_named(["estoi"]), wave, wave + 1e-5, 16_000)
    assert failures == {"estoi": "too little speech for ESTOI after silent frames are left out"}


def test_metrics_at_another_rate_are_resampled(clean: Clip, noisy: Clip) -> None:
    """PESQ of the same pair at 48 kHz is that at 16 kHz, up to the resampler."""
    cut = slice(8_000, 72_000)
    pair = clean.wave[:, cut], noisy.wave[:, cut]
    metrics = metrics_named(["pesq", "si_sdr"])
    at_16, _ = score_waves(metrics, *pair, 16_000)
    at_48, _ = score_waves(metrics, *(resample(wave, 16_000, 48_000) for wave in pair), 48_000)
    assert at_48["pesq"] == pytest.approx(at_16["pesq"], abs=0.01)
    assert at_48["si_sdr"] == pytest.approx(at_16["si_sdr"], abs=0.01)


def test_channels_are_scored_one_by_one(clean: Clip, noisy: Clip) -> None:
    metrics = metrics_named(["si_sdr"])
    mono, _ = score_waves(metrics, clean.wave, noisy.wave, 16_000)
    stereo, _ = score_waves(metrics, np.tile(clean.wave, (2, 1)), np.concatenate([noisy.wave, clean.wave]), 16_000)
    assert stereo["si_sdr"] > mono["si_sdr"]
    _, failures = score_waves(metrics, clean.wave, np.tile(noisy.wave, (2, 1)), 16_000)
    assert failures == {"si_sdr": "channels differ: clean 1, estimate 2"}


def test_unknown_metrics_are_named_before_anything_runs(folders: Path) -> None:
    with pytest.raises(RecipeError, match="'pesk' is not in the catalogue .did you mean 'pesq'"):
        next(run(tasks_of(folders / "clean", {"noisy": folders / "noisy"}), ["pesk"], 2))


def test_the_published_noisy_scores_of_the_40_pairs(data: Path) -> None:
    folder = data / "vbdmd_p257"
    rows = list(run(tasks_of(folder / "clean", {"noisy": folder / "noisy"}), default_metrics(), 2))
    assert len(rows) == 40
    assert mean(rows, "pesq") == pytest.approx(1.539, abs=0.001)
    assert mean(rows, "estoi") == pytest.approx(0.701, abs=0.001)
    assert mean(rows, "si_sdr") == pytest.approx(5.84, abs=0.01)
