"""A ladder of super-resolution on the CPU: captions come with the items, controls say others, splices cost nothing."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accelerate.state import AcceleratorState

from auscult.ablate import findings
from auscult.ablate import ladder as ladders
from auscult.ablate.arms import bind
from auscult.ablate.findings import findings_of
from auscult.ablate.items import listed
from auscult.ablate.plan import plan
from auscult.ablate.results import Results
from auscult.ablate.run import climb
from auscult.ablate.score import settings_of
from auscult.ablate.trainings import Conduct
from auscult.audio.clip import read
from auscult.data.manifest import read_rows
from auscult.diagnose.finding import Finding
from auscult.errors import AuscultError, RecipeError
from auscult.rng import Key
from tests.ablate.ladders import LADDER, TINY_FLOW, with_captions, write_ladder
from tests.processes import Run

UNTOLD = {"change": {"method.net.text": None}, "group": "the text tower"}
FLOW: dict[str, Any] = {
    **LADDER,
    "steps": 2,
    "seeds": [0],
    "metric": "lsd",
    "arms": {
        "untold": UNTOLD,
        "silent": {"settings": {"caption": "none"}},
        "hard": {"settings": {"splice": "hard"}},
        "raw": {"settings": {"splice": "none"}},
    },
    "controls": {
        "permuted": {"change": {"data.say": "exchanged"}, "settings": {"caption": "exchanged"}, "group": "captions"},
        "exchanged": {"settings": {"caption": "exchanged"}},
    },
    "contrasts": {
        "text": {"arm": "base", "against": "permuted"},
        "the right one": {"arm": "base", "against": "exchanged"},
    },
}


@pytest.fixture(scope="module")
def site(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ladder, recipe and captions, run once."""
    folder = tmp_path_factory.mktemp("flow")
    shutil.copy(with_captions(corpus) / "captions.jsonl", folder)
    AcceleratorState._reset_state(reset_partial_state=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        conduct = Conduct(devices=("cpu",), workers=0)
        ladder = ladders.read(write_ladder(folder, FLOW, TINY_FLOW))
        done = climb(ladder, corpus, folder / "runs", folder / "out", conduct, [].append)
    assert not done.failures
    return folder


def wave(results: Results, arm: str, item: str) -> np.ndarray:
    row = next(row for row in results.evaluation.rows if (row.system, row.item) == (arm, item))
    assert row.estimate is not None
    return read(row.estimate).wave


def test_items_keep_the_captions_of_their_recordings(site: Path) -> None:
    own = {row["path"]: row["caption"] for row in read_rows(site / "captions.jsonl")}
    rows = read_rows(site / "out" / "items" / "items.jsonl")
    assert len(rows) == 6
    for row in rows:
        speech = row["item"].rpartition("-")[0]
        assert row["caption"] == own[f"{speech}.wav"]


def test_arms_hear_what_they_are_told(site: Path) -> None:
    """Only trainings that differ are trained; a caption, another one and none give three answers, the rest is equal."""
    results = Results.of(site / "out")
    arms = results.record.arms
    runs = {name: arm.trainings[0].run for name, arm in arms.items() if name != "noisy"}
    assert len(set(runs.values())) == 3
    assert runs["base"] == runs["silent"] == runs["hard"] == runs["exchanged"] != runs["permuted"]
    item = results.evaluation.items[0].name
    answers = [wave(results, arm, item) for arm in ("base", "silent", "exchanged", "hard", "raw", "permuted")]
    assert all(not np.array_equal(a, b) for i, a in enumerate(answers) for b in answers[:i])


def test_the_permuted_arm_learns_the_same_items_in_the_same_order(site: Path, corpus: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(site)
        rungs = bind(ladders.read(site / "ladder.yaml"), corpus)
    base, permuted = (rungs[name].plan for name in ("base", "permuted"))
    for index in range(4):
        own, other = (one.data.pair(index, Key(0).child(index)) for one in (base, permuted))
        assert np.array_equal(own.noisy, other.noisy)
        assert not np.array_equal(own.conditions["text"], other.conditions["text"])
    assert rungs["permuted"].change == ["data.say: own -> exchanged", "restoration.caption: own -> exchanged"]
    assert rungs["hard"].change == ["restoration.splice: knee -> hard"]


@pytest.mark.parametrize(("arms", "base", "says"), [
    ({"a": {"parent": "untold", "settings": {"caption": "none"}}, "untold": UNTOLD}, {}, "no text encoder"),
    ({"a": {"settings": {"splice": "hrad"}}}, {}, "did you mean 'hard'"),
    ({"a": {"settings": {"rolloff": "max"}}}, {}, "a share of half the rate"),
    ({"a": {"settings": {"caption": "own"}}}, {}, "changes nothing"),
    ({"a": {"settings": {"caption": "exchanged"}}}, {"validation.data.captions": None}, "validation.data.captions too"),
    ({"a": {"settings": {"splice": "hard"}}}, {"validation.data.captions": None}, "validation.data.captions too"),
])  # fmt: skip
def test_what_could_not_be_told_is_refused_before_training(
    arms: dict[str, Any], base: dict[str, Any], says: str, site: Path, corpus: Path, tmp_path: Path
) -> None:
    content = {**FLOW, "arms": arms, "controls": {}, "contrasts": {}, "common": base}
    with pytest.MonkeyPatch.context() as patch, pytest.raises(AuscultError, match=says):
        patch.chdir(site)
        ladder = ladders.read(write_ladder(tmp_path, content, TINY_FLOW))
        rungs = bind(ladder, corpus)
        items = listed(ladder, corpus, tmp_path / "out", make=False)
        for rung in rungs.values():
            settings_of(rung, items)


def test_others_cannot_be_spliced(corpus: Path, tmp_path: Path) -> None:
    content = {**LADDER, "arms": {"a": {"settings": {"splice": "hard"}}}, "contrasts": {}}
    with pytest.raises(AuscultError, match="arm 'a': its model is no model of super-resolution: leave splice out"):
        bind(ladders.read(write_ladder(tmp_path, content)), corpus)


def test_the_plan_shows_how_conditions_reach_the_net(site: Path, corpus: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(site)
        planned = plan(ladders.read(site / "ladder.yaml"), corpus, tmp_path / "runs", tmp_path / "out")
    chains = {arm.rung.name: arm.rehearsal.chains for arm in planned.arms}
    assert chains["base"] == (
        "HashedWords 32, LearnedRolloff 2 x 32, vector 64 -> DiT of token_width 32 and global_width 64",
    )
    assert chains["untold"] == ("LearnedRolloff 2 x 32, vector 64 -> DiT of token_width 32 and global_width 64",)


def test_training_begins_with_the_chain(site: Path, corpus: Path, tmp_path: Path, auscult: Run) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(site)
        code, out, _ = auscult("train", site / "tiny.yaml", "--data", corpus, "--runs", tmp_path, "--device", "cpu",
                               "--workers", 0, "--force", "--set", "training.steps=1")  # fmt: skip
    assert code == 0
    assert "HashedWords 32, LearnedRolloff 2 x 32, vector 64 -> DiT" in out


def frozen(run: Path) -> None:
    """Give a run a history whose loss is not finite."""
    history = run / "history.jsonl"
    rows = [json.loads(line) for line in history.read_text().splitlines()]
    for row in rows:
        if row["kind"] == "step":
            row["turns"] = {turn: {**values, "loss": float("nan")} for turn, values in row["turns"].items()}
    history.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_findings_of_the_trainings_are_in_the_report(site: Path, tmp_path: Path, auscult: Run) -> None:
    folder = tmp_path / "site"
    shutil.copytree(site, folder)
    arms = folder / "out" / "arms.json"
    arms.write_text(arms.read_text().replace(str(site), str(folder)))
    before = {(one.arm, one.cause) for one in findings_of(Results.of(folder / "out"))}
    frozen(Path(Results.of(folder / "out").record.arms["untold"].trainings[0].run))
    found = findings_of(Results.of(folder / "out"))
    assert [(one.arm, one.cause, one.verdict, one.seeds) for one in found if (one.arm, one.cause) not in before] == [
        ("untold", "not-finite-loss", "fault", (0,))]  # fmt: skip
    code, out, _ = auscult("ablate", "report", folder / "out", "--no-listen")
    assert (code, "untold seed 0: fault: the loss became NaN or infinite" in out) == (0, True)
    data = json.loads((folder / "out" / "answers.json").read_text())
    assert {("untold", "not-finite-loss")} <= {(one["arm"], one["cause"]) for one in data["findings"]}
    assert "the loss became NaN or infinite" in (folder / "out" / "report.html").read_text()
    code, out, _ = auscult("ablate", "report", folder / "out", "--no-listen", "--no-findings")
    assert json.loads((folder / "out" / "answers.json").read_text())["findings"] == []
    shutil.rmtree(folder / "runs")
    assert findings_of(Results.of(folder / "out")) == []


def test_a_dead_condition_is_expected_of_a_control(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Finding("condition", "fault", ("condition-ignored",), "the answer is the same")
    found = [seen, replace(seen, causes=("rate-too-high",))]
    monkeypatch.setattr(findings, "_examined", lambda *_: found)
    told = {(one.arm, one.cause): one.expected for one in findings_of(Results.of(site / "out"))}
    assert told == {
        ("base", "condition-ignored"): False, ("base", "rate-too-high"): False,
        ("untold", "condition-ignored"): False, ("untold", "rate-too-high"): False,
        ("permuted", "condition-ignored"): True, ("permuted", "rate-too-high"): False,
    }  # fmt: skip


def test_captions_are_asked_for_where_they_were_learned(corpus: Path, site: Path, tmp_path: Path) -> None:
    """Recorded pairs without captions cannot judge arms that learned with them."""
    content = {**FLOW, "evaluation": {"pairs": {"folder": "pairs"}}}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(site)
        ladder = ladders.read(write_ladder(tmp_path, content, TINY_FLOW))
        rungs, items = bind(ladder, corpus), listed(ladder, corpus, tmp_path / "out")
        with pytest.raises(RecipeError, match="arm 'base' is told of captions, and the items have none"):
            settings_of(rungs["base"], items)
        assert settings_of(rungs["untold"], items) == {}
