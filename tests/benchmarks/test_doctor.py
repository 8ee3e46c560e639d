"""The doctor's benchmark: its arithmetic, its labels, and that an injection does what its label says. No training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from auscult.audio.clip import Clip
from auscult.diagnose.causes import BY_ID
from auscult.diagnose.gather.history import read_curves
from benchmarks.doctor.cases import FOREIGN, FROZEN, SEEDS, faults, planned
from benchmarks.doctor.fault import Fault
from benchmarks.doctor.figures import Rate, false_alarms, named_right, precision, recall
from benchmarks.doctor.harm import permutation
from benchmarks.doctor.histories import WRITERS, foreign
from benchmarks.doctor.recorded import Recorded, generator, read_folder, write_tree
from benchmarks.doctor.runs import recipe_of
from benchmarks.doctor.spec import Training
from benchmarks.doctor.table import markdown
from benchmarks.doctor.verdict import Told, Verdict


@pytest.fixture
def pair(clean: Clip, noisy: Clip) -> Recorded:
    wave, heard = clean.wave[0, 16_000:64_000], noisy.wave[0, 16_000:64_000]
    return Recorded("a_0000", "a", wave, heard, 16_000, 16_000)


def injected(name: str, pair: Recorded, severity: float) -> Recorded:
    tree = faults()["data", name].inject({"data": [pair, replace(pair, name="b_0000")]}, generator(1), severity)
    return tree["data"][0]


def test_there_are_enough_kinds_and_healthy_cases_are_as_many_as_faulty_ones() -> None:
    assert len(faults()) >= 45
    assert sum(fault.unseen for fault in faults().values()) >= 10
    for split in SEEDS:
        cases = planned(split)
        assert len({case.id for case in cases}) == len(cases)
        healthy = sum(case.fault is None for case in cases)
        assert healthy >= len(cases) - healthy
        assert sum(case.fault is None for case in cases if case.material == "data") >= 100


def test_the_frozen_cases_are_those_that_are_planned() -> None:
    kept = json.loads(FROZEN.read_text())["cases"]
    assert kept == {split: sorted(case.id for case in planned(split)) for split in SEEDS}
    assert not set(kept["dev"]) & set(kept["test"])


def test_no_recipe_tells_its_label() -> None:
    for (material, name), fault in faults().items():
        if material in ("loader", "loss"):
            told = json.dumps(recipe_of("regression", fault.inject(fault.severities[0]), 0))
            assert name not in told
    plain = recipe_of("regression", Training(), 0)
    assert plain["data"]["type"] == "benchmarks.doctor.project.Handled"


def test_a_fault_knows_its_right_answers() -> None:
    lag = faults()["data", "lag"]
    assert lag.exact("lag")
    assert lag.right("varying-lag")
    assert not lag.right("swapped-sides")
    unseen = faults()["data", "swapped-bytes"]
    assert unseen.right("abnormal-run")
    assert unseen.right("duplicates")
    assert BY_ID["duplicates"].family == unseen.family
    with pytest.raises(ValueError, match="not causes: lagg"):
        Fault("x", "data", ("lagg",), (1,), lambda: None)


def test_injections_do_what_they_say(pair: Recorded) -> None:
    late = injected("lag", pair, 480)
    peak = np.argmax(np.correlate(late.noisy, pair.noisy[1000:20_000], "valid"))
    assert peak == 1480
    assert np.allclose(injected("polarity", pair, 1).noisy, -pair.noisy)
    quieter = injected("constant-gain", pair, -6).noisy
    assert np.linalg.norm(quieter) / np.linalg.norm(pair.noisy) == pytest.approx(10 ** (-6 / 20))
    assert injected("misread", pair, 3.0).clean.size == 3 * pair.clean.size
    upper = np.abs(np.fft.rfft(injected("low-passed", pair, 4000).clean))[-len(pair.clean) // 5 :]
    assert upper.max() < 1e-2 * np.abs(np.fft.rfft(pair.clean)).max()
    target = injected("noisy-target", pair, 15).clean
    added = target / (target @ pair.clean / (pair.clean @ pair.clean)) - pair.clean
    assert 10 * np.log10((pair.clean @ pair.clean) / (added @ added)) == pytest.approx(15, abs=1.0)


def test_folders_hold_what_was_recorded(pair: Recorded, tmp_path: Path) -> None:
    where = write_tree({"data": [pair]}, tmp_path)
    (found,) = read_folder(where["data"])
    assert found.rate_hz == 16_000
    assert np.allclose(found.noisy, pair.noisy, atol=1 / 32_768)


def test_wilson_and_precision_are_the_textbooks() -> None:
    low, high = Rate(0, 60).interval
    assert low == 0
    assert high == pytest.approx(0.0602, abs=1e-4)
    assert precision(Rate(2, 100), Rate(90, 100)) == pytest.approx(0.18 / (0.18 + 0.016))


def test_the_permutation_test_is_exact() -> None:
    assert permutation([5.0, 6.0, 7.0, 8.0], [1.0, 2.0]) == pytest.approx(1 / 15)
    assert permutation([1.0, 2.0], [5.0, 6.0]) == 1.0


def test_verdict_levels_are_counted_apart() -> None:
    well, ill = (next(c for c in planned("dev") if c.material == "data" and c.fault == name) for name in (None, "lag"))
    suspicion = Verdict("x", (Told("suspect", "pair-lag", ("lag", "polarity"), ""),))
    judged = [(well, Verdict("y")), (well, suspicion), (ill, suspicion)]
    assert (false_alarms(judged, False).hits, false_alarms(judged, True).hits) == (0, 1)
    assert (recall(judged, False).hits, recall(judged, True).hits) == (0, 1)
    assert named_right(judged, True, 1) == Rate(1, 1)


def history(path: Path, steps: int = 40) -> Path:
    rows: list[dict[str, object]] = []
    for at in range(5, steps + 1, 5):
        net = {"loss": 2.0 / at, "lr": 0.01, "grad_norm": 0.5 + at, "parts": {"magnitude": 1.0 / at, "si_sdr": 9.0}}
        rows.append({"kind": "step", "step": at, "turns": {"net": net, "discriminator": {"loss": 0.25}}})
        if at % 10 == 0:
            rows.append({"kind": "validation", "step": at, "means": {"pesq": 1.0 + at / 50, "si_sdr": float(at)}})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("way", WRITERS)
def test_a_run_is_the_same_in_every_format_of_others(way: str, tmp_path: Path) -> None:
    if way == "history-events":
        pytest.importorskip("tensorboard")
    told = foreign(way, history(tmp_path / "history.jsonl"), True, tmp_path)
    found = read_curves(told["history"], told.get("columns"))
    for name, values in {
        "train.loss": [2.0 / at for at in range(5, 41, 5)],
        "grad_norm": [0.5 + at for at in range(5, 41, 5)],
        "lr": [0.01] * 8,
        "valid.pesq": [1.2, 1.4, 1.6, 1.8],
        "valid.si_sdr": [10, 20, 30, 40],
    }.items():
        assert found.curves[name].values == pytest.approx(values, rel=1e-3)
    assert found.last == 40
    assert ("discriminator.loss" in found.curves) == (way != "history")
    assert found.starts == ((25.0,) if way in ("history-events", "history-log") else ())


def test_histories_are_given_of_what_they_can_show_and_counted_apart() -> None:
    for split in SEEDS:
        cases = [case for case in planned(split) if case.given in FOREIGN]
        assert {case.given for case in cases} == set(FOREIGN)
        assert all(faults()["run", case.fault].in_history for case in cases if case.fault)
        assert sum(case.fault is None for case in cases) > len(cases) / 2
        runs = {replace(case, given="run").id for case in cases}
        assert runs <= {case.id for case in planned(split)}
    well, ill = (next(c for c in planned("dev") if c.given in FOREIGN and (c.fault is None) == sound)
                 for sound in (True, False))  # fmt: skip
    text = markdown("dev", [(well, Verdict("a")), (ill, Verdict("b"))], {}, [])
    assert f"| {well.given} | fault | 0/1" in text
    assert "| any | fault | 0/1 = 0.0 % [0.0, 79.3] | shown | 0/1" in text
