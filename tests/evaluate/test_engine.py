"""The scorer: failures named and never dropped, the same numbers whatever the workers, finished work never redone."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from auscult.audio.clip import Clip
from auscult.audio.resample import resample
from auscult.audio.writer import write
from auscult.errors import EvaluationError, RecipeError
from auscult.evaluate.datasets import DataSet
from auscult.evaluate.rows import Row
from auscult.evaluate.score import STANDARD, Task, Waves, mean, metrics_named, run, score_waves
from auscult.evaluate.sources import File, Opening, Restored
from auscult.evaluate.study import Study, System, plan


def rows_of(folder: Path, metrics: tuple[str, ...] = ("si_sdr",), workers: int = 1, **systems: Path) -> list[Row]:
    study = Study(
        {"test": DataSet(folder)}, {name: System(folder=str(path)) for name, path in systems.items()}, metrics=metrics
    )
    planned = plan(study, folder / "out")
    return sorted(run(planned.tasks, planned.metrics, workers), key=lambda row: (row.system, row.item))


def test_rows_name_systems_items_and_scores(folders: Path) -> None:
    alone, together = (rows_of(folders, STANDARD, workers, oracle=folders / "clean") for workers in (1, 2))
    for one, two in zip(alone, together, strict=True):
        assert (one.system, one.item, one.failures) == (two.system, two.item, two.failures)
        assert one.scores == two.scores
    assert [(row.system, row.item) for row in alone] == [(s, str(i)) for s in ("noisy", "oracle") for i in range(3)]
    oracle = [row for row in alone if row.system == "oracle"]
    assert mean(oracle, "pesq") > 4.6
    assert mean(oracle, "estoi") > 0.999
    assert mean([row for row in alone if row.system == "noisy"], "pesq") < 2.0


def test_noisy_rows_measure_the_input_snr(folders: Path, clean: Clip, noisy: Clip) -> None:
    row = rows_of(folders)[0]
    cut = slice(8_000, 40_000)
    signal, noise = clean.wave[:, cut], (noisy.wave - clean.wave)[:, cut]
    truth = 10 * np.log10(np.square(signal, dtype=float).sum() / np.square(noise, dtype=float).sum())
    assert row.facts["snr_db"] == pytest.approx(truth, abs=0.02)


def test_a_failed_metric_is_named_and_left_out_of_the_mean(folders: Path) -> None:
    write(folders / "noisy" / "1.flac", Clip(np.zeros((1, 32_000), np.float32), 16_000))
    rows = rows_of(folders, ("pesq", "si_sdr"))
    assert rows[1].failures == {"pesq": "estimate is digital silence", "si_sdr": "estimate is digital silence"}
    assert mean(rows, "pesq") == pytest.approx((rows[0].scores["pesq"] + rows[2].scores["pesq"]) / 2)
    assert math.isnan(mean(rows[1:2], "pesq"))


def test_silent_references_fail_by_name_and_stop_nothing(folders: Path) -> None:
    write(folders / "clean" / "0.flac", Clip(np.zeros((1, 32_000), np.float32), 16_000))
    rows = rows_of(folders, ("si_sdr",))
    assert rows[0].failures == {"si_sdr": "clean is digital silence"}
    assert rows[1].scores["si_sdr"] < 20


def test_a_file_that_cannot_be_decoded_is_a_failed_row(folders: Path) -> None:
    path = folders / "noisy" / "1.flac"
    path.write_bytes(path.read_bytes()[:-3_000])
    rows = rows_of(folders)
    assert [row.item for row in rows if row.failures] == ["1"]
    assert "truncated" in rows[1].failures["si_sdr"]


def test_metrics_at_another_rate_are_resampled(clean: Clip, noisy: Clip) -> None:
    """PESQ of the same pair at 48 kHz is that at 16 kHz, up to the resampler."""
    cut = slice(8_000, 72_000)
    pair = noisy.wave[:, cut], clean.wave[:, cut]
    metrics = metrics_named(["pesq", "si_sdr"])
    at_16 = score_waves(metrics, Waves(pair[0], 16_000, pair[1])).scores
    up = [resample(wave, 16_000, 48_000) for wave in pair]
    at_48 = score_waves(metrics, Waves(up[0], 48_000, up[1])).scores
    assert at_48["pesq"] == pytest.approx(at_16["pesq"], abs=0.01)
    assert at_48["si_sdr"] == pytest.approx(at_16["si_sdr"], abs=0.01)


def test_channels_are_scored_one_by_one(clean: Clip, noisy: Clip) -> None:
    metrics = metrics_named(["si_sdr"])
    mono = score_waves(metrics, Waves(noisy.wave, 16_000, clean.wave)).scores["si_sdr"]
    two = np.tile(clean.wave, (2, 1)), np.concatenate([noisy.wave, noisy.wave + 0.1 * clean.wave])
    stereo = score_waves(metrics, Waves(two[1], 16_000, two[0])).scores["si_sdr"]
    assert mono < stereo
    found = score_waves(metrics, Waves(np.tile(noisy.wave, (2, 1)), 16_000, clean.wave))
    assert found.failures == {"si_sdr": "channels differ: clean 1, estimate 2"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("pesk", "'pesk' is not in the catalogue .did you mean 'pesq'"),
        ("BandGRU", "'BandGRU' is not a metric; allowed: pesq"),
        ("pesq:4", "metric pesq takes no parameter"),
        ("lsd_high:high", "lsd_high cannot take 'high'; give numbers after a colon"),
    ],
)
def test_metrics_that_cannot_be(given: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        metrics_named([given])


def test_parameters_of_metrics_are_in_their_labels(clean: Clip, noisy: Clip) -> None:
    metric = metrics_named(["lsd_high:4000"])[0]
    assert metric.label == "lsd_high:4000"
    assert list(score_waves([metric], Waves(noisy.wave, 16_000, clean.wave)).scores) == ["lsd_high:4000"]


def test_what_a_model_restores_is_kept_and_reused(folders: Path) -> None:
    """The kept file is what was scored, to the last bit; it is not restored a second time."""
    item = DataSet(folders).contents("test", {}).items[0]
    source = Restored(Opening(), folders / "kept" / "0.wav")
    first = source.hear(item, "cpu")
    again = source.hear(item, "cpu")
    assert first.speed is not None
    assert again.speed is None
    np.testing.assert_array_equal(first.clip.wave, again.clip.wave)
    assert again.clip.rate_hz == 16_000


def test_a_dead_worker_is_an_error_that_says_what_to_do(folders: Path) -> None:
    item = DataSet(folders).contents("test", {}).items[0]
    with pytest.raises(
        EvaluationError, match="a worker process died.*run the same command again, with fewer --workers"
    ):
        list(run([Task(item, "killer", Killer(folders)) for _ in range(2)], ["si_sdr"], 2))


class Killer(File):
    """A source that takes its process down, as the kernel does for want of memory."""

    def hear(self, item: object, device: str) -> object:  # type: ignore[override]
        import os

        os._exit(9)
