"""Runs with a discriminator, healthy ones and ones with faults; the healthy numbers are those of small metric GANs."""

import json

import numpy as np
import pytest

from auscult.diagnose.case import Case, Given
from auscult.diagnose.checks.adversarial import check_calibration, check_labels, check_skipped, check_weight
from auscult.diagnose.clock import Clock
from auscult.diagnose.evidence import Curve, Curves

STEPS = np.arange(10, 1210, 10)
LOSS = 0.012 + 0.4 * np.exp(-STEPS / 60)
SPREAD = np.full(STEPS.size, 0.09)


def case(unit: str = "step", **values: np.ndarray) -> Case:
    """A run with these curves, evenly spaced over 1 200 steps."""
    curves = {
        name.replace("__", "."): Curve(np.linspace(1200 / len(one), 1200, len(one)), np.asarray(one, float))
        for name, one in values.items()
    }
    found = Case(Given(), Clock.lasting(10.0))
    found.curves = Curves(curves, unit, "test")
    return found


@pytest.mark.parametrize(("zero", "verdict"), [(0.0, "healthy"), (0.01, "healthy"), (0.08, "suspect"), (0.56, "fault")])
def test_steps_in_which_the_discriminator_was_left_out_are_counted(zero, verdict):
    losses = LOSS.copy()
    losses[: round(zero * losses.size)] = 0.0
    found = check_skipped(case(discriminator__loss=losses))
    assert (found.verdict, found.causes[0]) == (verdict, "discriminator-skipped")
    assert found.measured[0].value == pytest.approx(100 * round(zero * losses.size) / losses.size)


def test_a_small_discriminator_loss_is_no_skipped_step():
    assert check_skipped(case(discriminator__loss=np.full(50, 4e-6))).verdict == "healthy"


def test_runs_without_discriminator_are_not_asked():
    without = case(train__loss=LOSS)
    assert [check(without) for check in (check_skipped, check_labels, check_calibration, check_weight)] == [None] * 4


@pytest.mark.parametrize(
    ("failed", "verdict"), [(0.0, "healthy"), (0.011, "healthy"), (0.1, "suspect"), (0.5, "fault")]
)
def test_failed_labels_are_counted_by_cause_against_all_items(failed, verdict):
    items = np.full(STEPS.size, 40.0)
    curves = {"dropped.No utterances detected": failed * items, "dropped.silent speech": items}
    (found,) = check_labels(case(discriminator__loss=LOSS, items=items, **curves))
    assert (found.verdict, found.causes[0]) == (verdict, "labels-failed")
    assert found.measured[0].value == pytest.approx(failed * items.sum())
    assert len(found.measured) == 1


def run_folder(path, spread, batch=4) -> Case:
    (path / "recipe.yaml").write_text(f"name: test\ntraining: {{batch: {batch}}}\n")
    rows = [
        {
            "kind": "step",
            "step": int(step),
            "turns": {
                "net": {"loss": 0.2, "lr": 1e-3},
                "discriminator": {"loss": float(loss), "notes": {"label_sd": float(sd), "skipped": 0.0}},
            },
            "items": 10 * batch,
            "skipped": {},
        }
        for step, loss, sd in zip(STEPS, LOSS, spread, strict=True)
    ]
    (path / "history.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return Case(Given(run=path), Clock.lasting(10.0))


@pytest.mark.parametrize(("spread", "verdict"), [(SPREAD, "healthy"), (0 * SPREAD, "fault")])
def test_labels_that_a_batch_shares_are_seen_in_a_run_folder(tmp_path, spread, verdict):
    found = {one.causes[0]: one for one in check_labels(run_folder(tmp_path, spread))}
    assert found["labels-averaged"].verdict == verdict
    assert found["labels-failed"].verdict == "healthy"


def test_labels_of_batches_of_one_item_have_no_spread_to_judge(tmp_path):
    assert [one.causes[0] for one in check_labels(run_folder(tmp_path, 0 * SPREAD, batch=1))] == ["labels-failed"]


HEALTHY = {
    "pearson": [0.73, 0.84, 0.86, 0.87, 0.85, 0.86],
    "slope": [0.83, 0.72, 0.65, 0.62, 0.6, 0.6],
    "of_clean": [0.995, 0.998, 0.997, 0.999, 0.999, 0.999],
    "optimism": [0.128, -0.06, -0.02, -0.07, -0.05, -0.02],
    "candidates": [80.0] * 6,
}


def calibration(**changed):
    return check_calibration(case(**{f"calibration__{k}": v for k, v in (HEALTHY | changed).items()}))


@pytest.mark.parametrize(
    ("changed", "verdict", "cause"),
    [
        ({}, "healthy", "discriminator-uncalibrated"),
        ({"pearson": [0.05, 0.1, 0.4, 0.6, 0.7, 0.75]}, "healthy", "discriminator-uncalibrated"),
        ({"pearson": [0.1, 0.0, 0.1, -0.1, 0.05, 0.1]}, "fault", "discriminator-uncalibrated"),
        ({"pearson": [0.0] * 6, "slope": [0.0] * 6}, "fault", "discriminator-collapsed"),
        ({"pearson": [0.7, 0.8, 0.7, 0.6, 0.5, 0.4]}, "suspect", "discriminator-uncalibrated"),
        ({"of_clean": [0.99, 0.9, 0.8, 0.8, 0.7, 0.7]}, "suspect", "discriminator-uncalibrated"),
        ({"optimism": [0.1, 0.15, 0.2, 0.3, 0.4, 0.5]}, "suspect", "discriminator-uncalibrated"),
    ],
)
def test_what_the_discriminator_knows_is_judged_late_in_the_run(changed, verdict, cause):
    found = calibration(**changed)
    assert (found.verdict, found.causes[0]) == (verdict, cause)


def test_too_few_candidates_prove_nothing():
    assert calibration(pearson=[0.1] * 6, candidates=[5.0] * 6).verdict == "suspect"


def test_early_in_training_a_discriminator_need_not_know_anything():
    early = case(calibration__pearson=[0.0])
    early.curves.curves["calibration.pearson"].at[:] = 100
    assert check_calibration(early).verdict == "cannot tell"


@pytest.mark.parametrize(
    ("share", "verdict"), [(0.29, "healthy"), (0.02, "healthy"), (1e-5, "suspect"), (0.995, "suspect")]
)
def test_an_adversarial_term_that_does_not_matter_or_drowns_all_else_is_suspected(share, verdict):
    shares = np.concatenate([np.full(60, 0.5), np.full(60, share)])
    found = check_weight(case(share__adversarial=shares))
    assert (found.verdict, found.causes) == (verdict, ("gan-weight",))
