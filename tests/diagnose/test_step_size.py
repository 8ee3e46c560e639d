"""Steps of an ordinary loop from where a run ended: too small, bounded, uphill, or as they should be; its average."""

from __future__ import annotations

from pathlib import Path

import pytest

from auscult.diagnose.checks.average_loss import AVERAGE_LOSS
from auscult.diagnose.checks.step_size import STEP_SIZE
from tests.diagnose.made_curves import findings, only
from tests.diagnose.made_practice import trained


@pytest.mark.parametrize("settings", [{}, {"lr": 0.02}, {"algorithm": "sgd", "lr": 5.0}, {"clip": 0.5}, {"steps": 60}])
def test_a_run_whose_steps_have_a_sensible_size(tmp_path: Path, settings: dict[str, float]) -> None:
    one = only(STEP_SIZE, trained(tmp_path, **settings))  # type: ignore[arg-type]
    assert (one.verdict, one.causes) == ("healthy", ("rate-too-low", "clipped-always", "loss-sign"))
    assert only(AVERAGE_LOSS, trained(tmp_path, **settings)).verdict == "healthy"  # type: ignore[arg-type]


@pytest.mark.parametrize("lr", [1e-4, 1e-6])
def test_a_rate_that_is_too_low(tmp_path: Path, lr: float) -> None:
    one = only(STEP_SIZE, trained(tmp_path, lr))
    assert (one.verdict, one.causes[0]) == ("fault", "rate-too-low")
    assert "times the rate lower the held-out loss" in one.says


def test_a_bound_that_leaves_nothing_of_the_steps(tmp_path: Path) -> None:
    one = only(STEP_SIZE, trained(tmp_path, 5.0, clip=1e-5, algorithm="sgd"))
    assert (one.verdict, one.causes[0]) == ("fault", "clipped-always")
    assert "without the bound of the gradient norm" in one.says


def test_a_run_that_climbs(tmp_path: Path) -> None:
    one = only(STEP_SIZE, trained(tmp_path, sign=-1.0))
    assert (one.verdict, one.causes[0]) == ("fault", "loss-sign")


def test_a_rate_that_throws_every_loop_off_is_no_wrong_sign(tmp_path: Path) -> None:
    found = findings(STEP_SIZE, trained(tmp_path, 500.0, algorithm="sgd", steps=4))
    assert not [one for one in found if one.causes[0] == "loss-sign"]


def test_runs_that_cannot_be_asked(tmp_path: Path) -> None:
    assert not findings(STEP_SIZE, trained(tmp_path, 1e-6, init_from="another run"))
    assert not findings(AVERAGE_LOSS, trained(tmp_path, decay=0.9999, init_from="another run"))


def test_an_average_that_is_still_what_the_net_was_born_as(tmp_path: Path) -> None:
    one = only(AVERAGE_LOSS, trained(tmp_path, decay=0.9999))
    assert (one.verdict, one.causes) == ("fault", ("ema-too-slow", "ema-frozen"))
    nothing_learned = findings(AVERAGE_LOSS, trained(tmp_path, 1e-7, decay=0.9999))
    assert not nothing_learned
