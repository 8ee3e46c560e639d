"""Conditions that work, are ignored or collapsed, and drop-out as it was logged, as findings."""

import json
from pathlib import Path

import pytest

from auscult.diagnose.case import Case, Given
from auscult.diagnose.checks.conditioning import CONDITION, DROP, examined, judged
from auscult.diagnose.clock import Clock
from auscult.diagnose.evidence import Model
from auscult.diagnose.finding import Finding
from auscult.rng import Key
from tests.diagnose import planted


def findings(subject: object, items: int = 20, seconds: float = 60.0) -> dict[str, Finding]:
    found = examined(subject, planted.items(items), Key(0), Clock.lasting(seconds))
    return {one.check: one for one in judged(found)}


def test_a_condition_that_works():
    found = findings(planted.wiener())
    assert (found["condition-use"].verdict, found["condition-use"].causes) == ("healthy", ("condition-ignored",))
    assert {one.verdict for one in found.values()} <= {"healthy", "cannot tell"}
    assert any("t = " in one.what and one.low > 1 for one in found["condition-use"].measured)


def test_a_condition_that_is_ignored():
    found = findings(planted.wiener(strength=0.0))["condition-use"]
    assert (found.verdict, found.causes) == ("fault", ("condition-ignored",))
    assert "at most 0.00%" in found.says


def test_an_encoder_that_says_one_thing_of_everything():
    found = findings(planted.collapsed(), 8, 0.0)["condition-collapse"]
    assert (found.verdict, found.causes) == ("fault", ("condition-collapsed",))
    assert found.measured[0].high < 1.0


def test_a_net_whose_injections_are_still_zero_is_ignored_and_not_collapsed():
    found = findings(planted.untrained(), 8, 0.0)
    assert found["condition-use"].verdict == "fault"
    assert found["condition-collapse"].verdict == "healthy"


def run_folder(folder: Path, drop: float, logged: list[float]) -> Case:
    folder.mkdir()
    (folder / "recipe.yaml").write_text(f"method: {{type: ScoreModel, conditioning: {{drop: {drop}}}}}\n")
    rows = [{"step": i, "turns": {"net": {"notes": {"dropped": value, "no_reference": 0.0}}}}
            for i, value in enumerate(logged)]  # fmt: skip
    (folder / "history.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return Case(Given(run=folder), Clock.lasting(9))


@pytest.mark.parametrize(
    ("drop", "logged", "verdict", "cause"),
    [
        (0.1, [0.125, 0.0, 0.25, 0.125, 0.0, 0.125, 0.0, 0.25, 0.0, 0.125], "healthy", "drop-out-off"),
        (0.3, [0.25, 0.375, 0.25, 0.375, 0.25, 0.25, 0.375, 0.25], "healthy", "drop-out-off"),
        (0.15, [0.0] * 12, "fault", "drop-out-off"),
        (0.1, [0.5, 0.375, 0.625, 0.5, 0.5, 0.375, 0.625, 0.5], "fault", "drop-out-off"),
    ],
)
def test_drop_out_as_it_was_drawn(tmp_path, drop, logged, verdict, cause):
    found = DROP.run(run_folder(tmp_path / "run", drop, logged))
    assert (found.verdict, found.causes[0]) == (verdict, cause)
    assert ("null-untrained" in found.causes) == (verdict == "healthy" or not any(logged))


def test_without_a_condition_nothing_is_asked(tmp_path):
    of = Case(Given(), Clock.lasting(9))
    subject = planted.wiener()
    of.__dict__["model"] = Model(tmp_path / "m", subject.method, {"net": subject.net}, None, 1, {"conditioning": None})
    assert list(CONDITION.run(of)) == []
    assert DROP.run(run_folder(tmp_path / "run", 0.1, [0.1] * 3)) is None
