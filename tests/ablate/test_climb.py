"""A whole ladder on the CPU: trained, stopped, resumed, used again, scored, reported; and what goes wrong with it."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accelerate.state import AcceleratorState

from auscult.ablate import ladder as ladders
from auscult.ablate.arms import bind
from auscult.ablate.contrasts import INCOMPLETE
from auscult.ablate.items import listed
from auscult.ablate.plan import plan
from auscult.ablate.results import Results
from auscult.ablate.run import Climbed, climb
from auscult.ablate.score import settings_of
from auscult.ablate.trainings import Conduct, jobs_of, train
from auscult.audio.clip import read
from auscult.data.loader import Loader, Share
from auscult.errors import EvaluationError, TrainingError
from auscult.hub.bundle import read_tensors
from auscult.methods.base import Batch
from auscult.rng import Draws, Key
from auscult.train.loop import Trainer
from auscult.train.run import RunFolder
from auscult.train.settings import Options
from auscult.train.setup import plan_run
from tests.ablate.ladders import LADDER, TINY_TOLD, write_ladder
from tests.processes import Run

HERE = Conduct(devices=("cpu",), workers=0, save_every=2)


@dataclass(frozen=True)
class Site:
    """A ladder that was run once."""

    folder: Path
    corpus: Path
    said: list[str]

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def climb(self, content: dict[str, Any] = LADDER, conduct: Conduct = HERE) -> tuple[Climbed, list[str]]:
        AcceleratorState._reset_state(reset_partial_state=True)
        said: list[str] = []
        ladder = ladders.read(write_ladder(self.folder, content))
        return climb(ladder, self.corpus, self.folder / "runs", self.out, conduct, said.append), said


@pytest.fixture(scope="module")
def climbed(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = Site(tmp_path_factory.mktemp("ladder"), corpus, [])
    done, said = site.climb()
    assert not done.failures
    return replace(site, said=said)


@pytest.fixture
def site(climbed: Site, tmp_path: Path) -> Site:
    """A copy that a test may change; runs are recorded relative to nothing, so the record is rewritten."""
    folder = tmp_path / "ladder"
    shutil.copytree(climbed.folder, folder)
    arms = folder / "out" / "arms.json"
    arms.write_text(arms.read_text().replace(str(climbed.folder), str(folder)))
    return replace(climbed, folder=folder)


def test_arms_that_only_restore_differently_train_nothing(climbed: Site) -> None:
    assert sum("training of 4" in line for line in climbed.said) == 4  # two arms, two seeds
    record = Results.of(climbed.out).record
    runs = {name: [one.run for one in arm.trainings] for name, arm in record.arms.items()}
    assert runs["raw"] == runs["base"] != runs["quick"]


def test_differences_are_those_of_the_scores_item_by_item(climbed: Site) -> None:
    results = Results.of(climbed.out)
    scores = results.scores("si_sdr")
    names = [item.name for item in results.evaluation.items]
    rate = next(one for one in results.answers if one.question.factor == "rate")
    by_seed = [np.mean([scores["quick", seed][name] - scores["base", seed][name] for name in names]) for seed in (0, 1)]
    assert len(names) == 6
    assert rate.difference is not None
    assert rate.difference.mean == pytest.approx(np.mean(by_seed))
    assert rate.by_seed == pytest.approx(by_seed)
    assert scores["raw", 0] != scores["base", 0]
    assert {item.facts["speaker"] for item in results.evaluation.items} == {float(i) for i in range(6)}


def test_what_is_there_is_used_again(site: Site) -> None:
    before = {path: path.stat().st_mtime_ns for path in (site.out / "restored").rglob("*.wav")}
    _, said = site.climb()
    assert sum(line.endswith("is there") for line in said) == 4
    after = {path: path.stat().st_mtime_ns for path in (site.out / "restored").rglob("*.wav")}
    assert {path: after[path] for path in before} == before


def test_a_died_run_is_resumed_and_ends_as_if_it_had_not_died(site: Site) -> None:
    scores = Results.of(site.out).scores("si_sdr")["quick", 1]
    run = Path(Results.of(site.out).record.arms["quick"].trainings[1].run)
    shutil.rmtree(run)
    rung = bind(ladders.read(site.folder / "ladder.yaml"), site.corpus)["quick"]

    def dies(row: Mapping[str, Any]) -> None:
        raise RuntimeError(f"at step {row['step']}")

    folder = RunFolder(run)
    options = Options(workers=0, save_every=2, log_every=3, device="cpu")
    with pytest.raises(RuntimeError, match="at step 3"):
        Trainer(plan_run(rung.seeded(1), options, site.corpus), folder, dies).fit()
    folder.close()
    _, said = site.climb()
    assert any(line.startswith("quick seed 1: resuming at step 2 of 4") for line in said)
    assert Results.of(site.out).scores("si_sdr")["quick", 1] == scores


def test_a_failed_training_is_named_and_the_others_go_on(site: Site, auscult: Run) -> None:
    run = Path(Results.of(site.out).record.arms["quick"].trainings[1].run)
    shutil.rmtree(run)
    held = RunFolder(run)
    held.open({}, {})
    try:
        code, out, err = auscult(
            "ablate", "run", site.folder / "ladder.yaml", "--data", site.corpus, "--runs", site.folder / "runs",
            "--out", site.out, "--force", "--device", "cpu", "--workers", 0,
        )  # fmt: skip
    finally:
        held.close()
    assert code == 1
    assert "failed: quick seed 1:" in err
    assert "another process is training" in err
    assert "quick: seeds 1 are missing; it is in no mean" in err
    assert "rate: " not in out
    answers = {one["question"]["factor"]: one for one in json.loads((site.out / "answers.json").read_text())["answers"]}
    assert answers["rate"]["verdict"] == INCOMPLETE
    assert "quick seed 1 missing" in answers["rate"]["words"]
    assert answers["averaging"]["difference"]["items"] == 6
    page = (site.out / "report.html").read_text()
    assert "quick is incomplete, seed 1 missing: it is in no mean and no contrast" in page
    assert "quick" not in (site.out / "table.tex").read_text()


def test_a_process_of_its_own_trains_what_this_process_trains(site: Site) -> None:
    rungs = {"quick": bind(ladders.read(site.folder / "ladder.yaml"), site.corpus)["quick"]}
    (job,) = jobs_of(rungs, (1,), site.corpus, site.folder / "elsewhere", site.out)
    (end,) = train([job], replace(HERE, jobs=2), [].append)
    assert end.reason == "finished", end.why
    checkpoint = Path("checkpoints/step-00000004.safetensors")
    here, there = (read_tensors(site.folder / runs / job.run.name / checkpoint) for runs in ("runs", "elsewhere"))
    assert all((here[name] == there[name]).all() for name in here)


def test_what_was_declared_stays(site: Site) -> None:
    for change, words in [
        ({"metric": "estoi"}, "metric si_sdr was declared, this is estoi"),
        ({"margin": 1.0}, "margin 0.5 was declared"),
        ({"contrasts": {"rate": {"arm": "quick"}}}, "the contrast 'averaging' .* was declared and is gone"),
        ({"evaluation": {"items": 5}}, "holds items of other data or another number"),
    ]:
        with pytest.raises(EvaluationError, match=words):
            site.climb({**LADDER, **change})


def test_a_contrast_that_comes_after_the_scores_is_exploratory(site: Site) -> None:
    site.climb({**LADDER, "contrasts": {**LADDER["contrasts"], "late": {"arm": "quick", "against": "raw"}}})
    late = Results.of(site.out).answers[-1]
    assert not late.question.declared
    assert np.isnan(late.p_holm)
    assert late.difference is not None


def test_runs_of_another_version_are_not_mixed_in(site: Site) -> None:
    run = Path(Results.of(site.out).record.arms["base"].trainings[0].run)
    starts = json.loads((run / "environment.json").read_text())
    starts[0]["versions"]["auscult"] = "0.0.1"
    (run / "environment.json").write_text(json.dumps(starts))
    with pytest.raises(TrainingError, match=r"trained by auscult 0\.0\.1"):
        site.climb()


def test_the_plan_knows_what_is_done_and_what_was_measured(climbed: Site) -> None:
    ladder = ladders.read(climbed.folder / "ladder.yaml")
    planned = plan(ladder, climbed.corpus, climbed.folder / "runs", climbed.out)
    arms = {arm.rung.name: arm for arm in planned.arms}
    assert arms["quick"].done == {0: 4, 1: 4}
    assert planned.shared == {"raw": "base"}
    assert arms["quick"].left_s(planned.shared) == 0.0
    assert arms["quick"].speed is not None
    assert planned.spread_from.startswith("measured on 2 contrasts")


def test_the_report_has_everything_beside_it(climbed: Site, auscult: Run) -> None:
    code, out, _ = auscult("ablate", "report", climbed.out, "--no-listen", "--json")
    assert code == 0
    assert json.loads(out)["written"] == ["report.html", "scores.csv", "table.md", "table.tex", "answers.json"]
    page = (climbed.out / "report.html").read_text()
    assert "Does a higher rate help?" in page
    assert "optimiser.net.lr: 0.003 -&gt; 0.3" in page
    assert page.count('data-run="') == 4
    assert r"\toprule" in (climbed.out / "table.tex").read_text()
    code, out, _ = auscult("ablate", "report", climbed.out)
    assert code == 0
    assert (climbed.out / "listen" / "rate.html").stat().st_size > 10_000


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_ray_is_asked_for_by_its_install_line(climbed: Site, auscult: Run) -> None:
    code, _, err = auscult("ablate", "run", climbed.folder / "ladder.yaml", "--data", climbed.corpus, "--ray")
    assert code == 2
    assert "pip install 'auscult[ray]'" in err


def test_a_folder_without_a_ladder_says_so(tmp_path: Path, auscult: Run) -> None:
    code, _, err = auscult("ablate", "report", tmp_path)
    assert code == 2
    assert "no ladder was run here" in err


UNTOLD = {"change": {"method.net.cond": None, "method.conditioning": None}, "group": "the condition"}
TOLD_LADDER = {
    **LADDER,
    "arms": {"untold": UNTOLD, "swapped": {"settings": {"noise_reference": "exchanged"}}},
    "contrasts": {},
}


def test_a_condition_switched_off_moves_no_other_draw(tmp_path: Path, corpus: Path) -> None:
    rungs = bind(ladders.read(write_ladder(tmp_path, TOLD_LADDER, TINY_TOLD)), corpus)
    told, untold = (rungs[name].plan for name in ("base", "untold"))
    ours, theirs = (plan.method().nets()["net"].state_dict() for plan in (told, untold))
    assert theirs.keys() < ours.keys()
    assert all((ours[name] == theirs[name]).all() for name in theirs)
    key = Key(told.seed).child("data")
    assert (told.data.pair(0, key).noisy == untold.data.pair(0, key).noisy).all()
    examples = []
    for one in (told, untold):
        method = one.method()
        (pairs,) = next(iter(Loader(one.data, key, Share(2, 1, 0, 1), 0).steps(0, 1)))
        draws = Draws.of(Key(one.seed).child("train", position) for position in pairs.positions)
        examples.append(method.forward(method.nets(), Batch.of(pairs, method.normalise), draws).example)
    assert (examples[0].x == examples[1].x).all()
    assert (examples[0].t == examples[1].t).all()


def test_told_arms_get_the_items_own_references_or_exchanged_ones(tmp_path: Path, corpus: Path) -> None:
    ladder = ladders.read(write_ladder(tmp_path, TOLD_LADDER, TINY_TOLD))
    rungs, items = bind(ladder, corpus), listed(ladder, corpus, tmp_path / "out")
    own = settings_of(rungs["base"], items)
    assert own == {"noise_reference": str(tmp_path / "out/items/reference"), "reference_duration_s": 0.2}
    assert settings_of(rungs["untold"], items) == {}
    swapped = Path(str(settings_of(rungs["swapped"], items)["noise_reference"]))
    names = sorted(path.relative_to(swapped) for path in swapped.rglob("*.wav"))
    assert len(names) == 6
    for name in names:
        mine, other = (read(folder / name).wave for folder in (tmp_path / "out/items/reference", swapped))
        assert not np.array_equal(mine, other)
        assert np.square(other).mean() == pytest.approx(np.square(mine).mean(), rel=1e-3)
