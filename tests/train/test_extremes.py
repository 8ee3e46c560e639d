"""Best and worst items of a validation: the right ones, whole, and never a mixture of two validations."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from auscult.audio.clip import read
from auscult.data.pairs import Pair
from auscult.evaluate.rows import Row
from auscult.train.extremes import Heard, Judged, extremes, thinned, write_extremes
from auscult.train.settings import Options, Validation
from auscult.train.setup import plan_run
from tests.processes import Run
from tests.train.runs import VALIDATION, arguments, only_run, recipe, write_recipe

NAN, LOST = math.nan, -math.inf


def judged(gain: float, number: int = 0, level: float = 0.1) -> Judged:
    wave = np.full((1, 1_600), level, np.float32)
    pair = Pair(wave, wave / 2, 16_000, f"i{number}.wav", 0, 1_600, ({"type": "AddNoise", "snr_db": 3.0},))
    failures = {"si_sdr": "silent"} if gain == LOST else {}
    scores = {} if gain == LOST else {"si_sdr": 5.0 + gain}
    return Judged(Row("validation", "net", pair.name, scores, failures), {}, gain, Heard(pair, wave, {"si_sdr": 5.0}))


def several(*gains: float) -> list[Judged]:
    return [judged(gain, number) for number, gain in enumerate(gains)]


@pytest.mark.parametrize(
    ("gains", "count", "worst", "best"),
    [
        ((1.0, -2.0, 4.0, 0.0, 3.0, 2.0), 2, [-2.0, 0.0], [4.0, 3.0]),
        ((1.0, LOST, NAN, 2.0), 1, [LOST], [2.0]),  # an item that the net lost is its worst
        ((1.0, 2.0, 3.0), 3, [1.0, 2.0], [3.0]),  # none is both
        ((1.0,), 3, [1.0], []),
        ((NAN, NAN), 3, [], []),
        ((1.0, 2.0), 0, [], []),
    ],
)
def test_who_is_worst_and_best(gains: tuple[float, ...], count: int, worst: list[float], best: list[float]) -> None:
    chosen = extremes(several(*gains), count)
    assert [chosen[f"worst-{i}"].gain for i in range(1, 1 + len(worst))] == worst
    assert [chosen[f"best-{i}"].gain for i in range(1, 1 + len(best))] == best
    assert len(chosen) == len(worst) + len(best)


def test_processes_that_keep_their_own_extremes_find_those_of_all() -> None:
    """Two processes thin as they go; what is chosen of both together is what is chosen without thinning."""
    gains = [float(gain) for gain in np.random.default_rng(0).permutation(40)]
    parts = [several(*gains[rank::2]) for rank in range(2)]
    kept: list[list[Judged]] = [[], []]
    for part, own in zip(parts, kept, strict=True):
        for one in part:
            own[:] = thinned([*own, one], 3)
            assert sum(item.heard is not None for item in own) <= 6
    assert [one.row for own in kept for one in own] == [one.row for part in parts for one in part]
    chosen = extremes([*kept[0], *kept[1]], 3)
    assert [one.gain for one in chosen.values()] == [0.0, 1.0, 2.0, 39.0, 38.0, 37.0]
    assert all(one.heard is not None for one in chosen.values())


def test_gain_follows_the_metrics_direction(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from auscult.metrics.energy import SiSdr

    validation = plan_run(recipe(validation=VALIDATION), Options(), corpus).validation
    assert isinstance(validation, Validation)
    assert validation.gain({"si_sdr": 7.0}, {"si_sdr": 5.0}) == 2.0
    assert validation.gain({}, {"si_sdr": 5.0}) == LOST
    assert math.isnan(validation.gain({"si_sdr": 7.0}, {}))
    monkeypatch.setattr(SiSdr, "higher_is_better", False)
    assert validation.gain({"si_sdr": 7.0}, {"si_sdr": 5.0}) == -2.0


def test_files_and_scores(tmp_path: Path) -> None:
    write_extremes(tmp_path, several(1.0, LOST), 3, "si_sdr", 100)
    (folder,) = tmp_path.iterdir()
    assert folder.name == "extremes-00000100"
    roles = [f"{place}-{role}.flac" for place in ("best-1", "worst-1") for role in ("clean", "noisy", "restored")]
    assert sorted(path.name for path in folder.iterdir()) == sorted([*roles, "scores.json"])
    assert read(folder / "worst-1-noisy.flac").wave == pytest.approx(np.full((1, 1_600), 0.05), abs=2**-15)
    table = json.loads((folder / "scores.json").read_text())
    assert (table["step"], table["metric"]) == (100, "si_sdr")
    assert table["items"] == [
        {"place": "worst-1", "item": "i1.wav", "gain": None, "noisy": {"si_sdr": 5.0}, "restored": {},
         "failed": {"si_sdr": "silent"}, "drawn": [{"type": "AddNoise", "snr_db": 3.0}]},
        {"place": "best-1", "item": "i0.wav", "gain": 1.0, "noisy": {"si_sdr": 5.0}, "restored": {"si_sdr": 6.0},
         "failed": {}, "drawn": [{"type": "AddNoise", "snr_db": 3.0}]},
    ]  # fmt: skip


class Killed(BaseException):
    pass


@pytest.mark.parametrize("step", [200, 300])
def test_a_writer_killed_anywhere_leaves_a_whole_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Killed at each of its renames in turn, and done at last: what readers find is all old or all new."""
    write_extremes(tmp_path, [judged(1.0), judged(2.0)], 1, "si_sdr", 200)
    real = os.replace
    for nth in range(7):
        calls = [0]

        def dying(source: Path, to: Path, nth: int = nth, calls: list[int] = calls) -> None:
            if calls[0] == nth:
                raise Killed
            calls[0] += 1
            real(source, to)

        with monkeypatch.context() as there:
            there.setattr(os, "replace", dying)
            with pytest.raises(Killed):
                write_extremes(tmp_path, [judged(3.0, 1, 0.2), judged(4.0, 2, 0.2)], 1, "si_sdr", step)
        (folder,) = tmp_path.glob("extremes-*")
        assert folder.name == "extremes-00000200"
        assert len(list(folder.iterdir())) == 7
        assert {item["gain"] for item in json.loads((folder / "scores.json").read_text())["items"]} == {1.0, 2.0}
    write_extremes(tmp_path, [judged(3.0, 1, 0.2), judged(4.0, 2, 0.2)], 1, "si_sdr", step)
    (folder,) = tmp_path.iterdir()
    assert folder.name == f"extremes-{step:08d}"
    assert {item["gain"] for item in json.loads((folder / "scores.json").read_text())["items"]} == {3.0, 4.0}


def test_a_run_keeps_those_of_its_last_validation(auscult: Run, corpus: Path, tmp_path: Path) -> None:
    from accelerate.state import AcceleratorState

    from auscult.metrics.base import Signals
    from auscult.metrics.energy import SiSdr

    AcceleratorState._reset_state(reset_partial_state=True)
    path = write_recipe(tmp_path, recipe(validation=VALIDATION))
    assert auscult(*arguments(path, corpus, tmp_path / "runs"))[0] == 0
    (folder,) = only_run(tmp_path / "runs").glob("samples/extremes-*")
    assert folder.name == "extremes-00000006"
    items = json.loads((folder / "scores.json").read_text())["items"]
    assert [item["place"] for item in items] == ["worst-1", "best-1"]
    assert items[0]["gain"] < items[1]["gain"]
    for item in items:
        waves = {role: read(folder / f"{item['place']}-{role}.flac").wave for role in ("noisy", "restored", "clean")}
        for role in ("noisy", "restored"):
            found = SiSdr()(Signals(waves[role][0], 16_000, waves["clean"][0]))
            assert found == pytest.approx(item[role]["si_sdr"], abs=0.05)
        assert item["gain"] == pytest.approx(item["restored"]["si_sdr"] - item["noisy"]["si_sdr"])
