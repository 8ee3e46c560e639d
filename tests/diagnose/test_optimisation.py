"""Checks on curves: each fault is found by its effect, and runs that are well are left in peace."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from auscult.diagnose.causes import BY_ID
from auscult.diagnose.checks.generalisation import LOSS_AND_METRIC, OVERFITTING
from auscult.diagnose.checks.gradients import FINITE_LOSS, GRADIENTS, LEFT_OUT, LOSS_SCALE
from auscult.diagnose.checks.optimisation import BEST_EPOCH, LEARNED, RATE_DECAY
from auscult.diagnose.checks.processes import BATCH, LOADER, ORDER, RANKS, RESUME
from auscult.diagnose.checks.progress import RUN_LENGTH
from auscult.diagnose.checks.rates import LOSS_RISES, MOVEMENT
from auscult.diagnose.evidence import Curve
from auscult.diagnose.measure import trend
from tests.diagnose.made_curves import KINDS, case_of, correlated, curve, findings, healthy, only

OF_CURVES = [LEARNED, BEST_EPOCH, RATE_DECAY, LOSS_RISES, MOVEMENT, FINITE_LOSS, LOSS_SCALE, GRADIENTS, LEFT_OUT,
             LOSS_AND_METRIC, OVERFITTING, RANKS, ORDER, BATCH, RESUME, LOADER, RUN_LENGTH]  # fmt: skip


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rows", "validations"), [(20, 3), (60, 8), (300, 25)])
def test_healthy_runs_raise_no_alarm(kind: str, rows: int, validations: int) -> None:
    rng = np.random.default_rng(rows)
    for _ in range(2):
        case = case_of(healthy(kind, rng, rows, validations), facts={"clip_norm": 1.0, "ema_decay": 0.999})
        alarms = [one for check in OF_CURVES for one in findings(check, case) if one.verdict in ("fault", "suspect")]
        assert not alarms, [one.says for one in alarms]


def test_what_is_measured_and_normal_is_ruled_out(rng: np.random.Generator) -> None:
    case = case_of(healthy("regression", rng))
    ruled_out = {cause for check in OF_CURVES for one in findings(check, case) if one.verdict == "healthy"
                 for cause in one.causes}  # fmt: skip
    assert {"never-learned", "rate-decayed-out", "rate-too-high", "not-finite-loss", "exploding-gradients",
            "vanishing-gradients", "loss-metric-divergence", "early-best"} <= ruled_out  # fmt: skip


def test_unrelated_pairs_at_the_level_of_the_null_law(rng: np.random.Generator) -> None:
    """SI-SNR of signals with nothing in common: -5.5 - 10 log10(1000) = -35.5 dB, whatever is done."""
    found = {
        "train.loss": curve(75 + rng.standard_normal(60)),
        "valid.si_sdr": curve(-35.5 + 0.4 * rng.standard_normal(40)),
    }
    one = only(LEARNED, case_of(found))
    assert (one.verdict, one.causes[:2]) == ("fault", ("never-learned", "input-not-related"))
    assert "an SI-SDR of -35." in one.says


def test_the_published_run_that_converged_well(rng: np.random.Generator) -> None:
    """1 496 epochs at a loss of 34.2 (SE 0.82), best at epoch 100, rate halved every 101 epochs since."""
    loss = np.maximum(34.25 + 0.82 * rng.standard_normal(1496), 32.0)
    loss[99] = 32.0 - 0.1
    epochs = np.arange(1.0, 1497)
    lr = 5e-4 * 0.5 ** np.clip((epochs - 100) // 101, 0, 13)
    case = case_of({"valid.loss": Curve(epochs, loss), "lr": Curve(epochs, lr)}, "epoch")
    one = only(LEARNED, case)
    assert (one.verdict, one.causes[0]) == ("fault", "never-learned")
    chance = next(m for m in one.measured if "noise alone" in m.what)
    assert chance.value > 0.05
    decay = only(RATE_DECAY, case)
    assert (decay.verdict, decay.causes[0]) == ("fault", "rate-decayed-out")
    assert "13.0 halvings" in decay.says
    assert "the decay is a symptom" in decay.says
    assert "never-learned" in BY_ID
    assert "rate-decayed-out" in BY_ID["never-learned"].explains


def test_the_sign_of_a_db_loss_is_read_off_its_column(rng: np.random.Generator) -> None:
    found = {"valid.loss": Curve(np.arange(1.0, 41), 34.2 + 0.8 * rng.standard_normal(40))}
    one = only(LEARNED, case_of(found, "epoch", mapping={"valid.loss": "val_si_snr_loss"}))
    assert one.verdict == "fault"
    assert "SI-SDR of -33.9" in one.says


def test_flat_from_the_first_row_is_a_suspicion_unless_it_began_from_weights(rng: np.random.Generator) -> None:
    found = {"train.loss": curve(0.4 + 0.004 * rng.standard_normal(100))}
    one = only(LEARNED, case_of(found))
    assert (one.verdict, one.causes[0]) == ("suspect", "never-learned")
    assert only(LEARNED, case_of(found, recipe={"init_from": "abc"})).verdict == "cannot tell"


def test_extreme_values_of_noise() -> None:
    """Expectation of the largest of n standard normal draws: 1.539 for 10, 2.508 for 100, 3.241 for 1000 (tables)."""
    for count, expected in ((10, 1.539), (100, 2.508), (1000, 3.241)):
        assert trend.best_of_noise(count)[0] == pytest.approx(expected, abs=0.02)
    best, chance, probability = trend.best_by_chance(np.random.default_rng(0).standard_normal(1496), True)
    assert best == pytest.approx(chance, abs=0.8)
    assert 0.02 < probability < 0.98


def test_scatter_ignores_trends() -> None:
    ramp = np.linspace(0, 100, 500) + 0.3 * np.random.default_rng(1).standard_normal(500)
    assert trend.scatter(ramp) == pytest.approx(0.3, rel=0.1)


def test_a_loss_that_rises_above_its_beginning(rng: np.random.Generator) -> None:
    done = np.arange(1, 201) / 200
    rising = np.where(done < 0.3, 1 - done, 0.7 + 2 * (done - 0.3)) + 0.02 * rng.standard_normal(200)
    one = only(LOSS_RISES, case_of({"train.loss": curve(rising)}))
    assert (one.verdict, one.causes[0]) == ("fault", "rate-too-high")
    half = np.where(done < 0.3, 1 - 2 * done, 0.4 + 0.6 * (done - 0.3)) + 0.02 * rng.standard_normal(200)
    one = only(LOSS_RISES, case_of({"train.loss": curve(half)}))
    assert (one.verdict, one.causes[0]) == ("suspect", "rate-too-high")


def test_a_generators_loss_may_rise(rng: np.random.Generator) -> None:
    rising = curve(0.2 + 0.5 * np.arange(200) / 200 + 0.01 * rng.standard_normal(200))
    assert not findings(LOSS_RISES, case_of({"train.loss": rising, "discriminator.loss": rising}))


def test_a_score_that_rises_is_read_as_a_score(rng: np.random.Generator) -> None:
    rising = -5 + 15 * (1 - np.exp(-np.arange(100) / 20)) + 0.2 * rng.standard_normal(100)
    pesq = Curve(np.arange(1, 11) * 100.0, 1.5 + 0.1 * np.arange(10))
    case = case_of({"train.loss": curve(rising), "valid.pesq": pesq})
    assert only(LEARNED, case).verdict == "healthy"
    assert only(LOSS_RISES, case).verdict == "healthy"
    stated = case_of({"train.loss": curve(rising)}, facts={"loss_higher_is_better": True})
    assert only(LOSS_RISES, stated).verdict == "healthy"


def test_rate_that_dies_early_and_rates_that_do_not() -> None:
    done = np.arange(1, 401) / 400
    dead = curve(1e-3 * 0.5 ** (done // 0.02))
    one = only(RATE_DECAY, case_of({"lr": dead}))
    assert (one.verdict, one.causes[0]) == ("fault", "rate-decayed-out")
    for rate in (0.5 * (1 + np.cos(np.pi * done)), 0.5 ** (done // 0.25), np.minimum(done / 0.1, (0.1 / done) ** 0.5)):
        assert only(RATE_DECAY, case_of({"lr": curve(1e-3 * rate)})).verdict == "healthy"


def test_losses_that_are_not_finite(rng: np.random.Generator) -> None:
    values = 0.3 + 0.01 * rng.standard_normal(100)
    values[70:] = math.nan
    one = only(FINITE_LOSS, case_of({"train.loss": curve(values)}))
    assert (one.verdict, one.causes[0], one.certain) == ("fault", "not-finite-loss", True)
    values[71:] = 0.3
    assert only(FINITE_LOSS, case_of({"train.loss": curve(values)})).verdict == "suspect"


def test_loss_scale_that_collapses() -> None:
    falling = curve(2.0 ** np.linspace(16, -14, 60))
    one = only(LOSS_SCALE, case_of({"loss_scale": falling}))
    assert (one.verdict, one.causes[0]) == ("fault", "loss-scale-collapse")
    steady = curve(2.0 ** np.r_[16:10:20j, 11:12:40j])
    assert only(LOSS_SCALE, case_of({"loss_scale": steady})).verdict == "healthy"


def test_gradients_that_vanish_or_explode(rng: np.random.Generator) -> None:
    norms = np.exp(rng.standard_normal(100))
    never = only(GRADIENTS, case_of({"grad_norm": curve(0 * norms)}))
    assert (never.verdict, never.causes[0]) == ("fault", "vanishing-gradients")
    died = norms.copy()
    died[20:] = 0
    after = only(GRADIENTS, case_of({"grad_norm": curve(died)}))
    assert (after.verdict, after.causes[:2]) == ("fault", ("rate-too-high", "vanishing-gradients"))
    assert "was not at first" in after.says
    norms[[40, 60]] = 1.07e5
    one = only(GRADIENTS, case_of({"grad_norm": curve(norms)}))
    assert (one.verdict, one.causes[0]) == ("suspect", "exploding-gradients")


def test_always_clipped_counts_only_where_nothing_is_learned(rng: np.random.Generator) -> None:
    """A sum over bins makes norms of hundreds and losses of hundreds: Adam does not care."""
    norms, shares = curve(500 * np.exp(0.3 * rng.standard_normal(100))), curve(np.ones(100))
    flat = {"train.loss": curve(75 + rng.standard_normal(100)), "grad_norm": norms, "clipped_share": shares}
    one = only(GRADIENTS, case_of(flat, facts={"clip_norm": 0.5}))
    assert (one.verdict, one.causes[0]) == ("suspect", "clipped-always")
    learns = flat | {"train.loss": healthy("score", rng, 100)["train.loss"]}
    assert only(GRADIENTS, case_of(learns, facts={"clip_norm": 0.5})).verdict == "healthy"


def test_pesq_that_falls_while_the_loss_falls(rng: np.random.Generator) -> None:
    """CMGAN's published level defect: PESQ 2.45, 2.64, then down to 2.07, the loss falling slowly all along."""
    epochs = np.arange(1.0, 16)
    pesq = np.interp(epochs, [1, 3, 6, 8, 15], [2.45, 2.60, 2.64, 2.25, 2.07]) + 0.007 * rng.standard_normal(15)
    at = np.arange(1, 301) / 20
    loss = 0.121 + 0.041 * np.exp(-at / 6) + 0.001 * rng.standard_normal(300)
    case = case_of({"train.loss": Curve(at, loss), "valid.pesq": Curve(epochs, pesq)}, "epoch")
    one = only(LOSS_AND_METRIC, case)
    assert (one.verdict, one.causes[0]) == ("fault", "loss-metric-divergence")
    assert "2.6" in one.says
    assert "2.1" in one.says
    early = only(BEST_EPOCH, case_of({"valid.pesq": Curve(epochs[:12], pesq[3:])}, "epoch"))
    assert (early.verdict, early.causes[0]) == ("suspect", "early-best")


def test_learning_by_heart(rng: np.random.Generator) -> None:
    at = np.arange(1.0, 61)
    train = 1 / (1 + at / 8) + 0.003 * rng.standard_normal(60)
    valid = np.where(at < 15, 1 / (1 + at / 8), 1 / (1 + 15 / 8) + 0.02 * (at - 15)) + 0.005 * rng.standard_normal(60)
    found = {"train.loss": Curve(at, train), "valid.loss": Curve(at, valid)}
    one = only(OVERFITTING, case_of(found, "epoch"))
    assert (one.verdict, one.causes[0]) == ("fault", "overfitting")
    pesq = Curve(at, 1.5 + 0.01 * at + 0.02 * correlated(rng, 60))
    assert not findings(OVERFITTING, case_of(found | {"valid.pesq": pesq}, "epoch"))
    fell = Curve(at, np.where(at < 15, 1.5 + 0.05 * at, 2.25 - 0.015 * (at - 15)) + 0.01 * rng.standard_normal(60))
    one = only(LOSS_AND_METRIC, case_of({"train.loss": found["train.loss"], "valid.pesq": fell}, "epoch"))
    assert (one.verdict, one.causes[0]) == ("fault", "overfitting")


def test_weights_that_hardly_move(rng: np.random.Generator) -> None:
    found = {"train.loss": curve(1 - 0.4 * np.arange(120) / 120 + 0.002 * rng.standard_normal(120)),
             "update_ratio.all": curve(np.full(120, 2e-7))}  # fmt: skip
    one = only(MOVEMENT, case_of(found))
    assert (one.verdict, one.causes[0]) == ("suspect", "rate-too-low")
    wild = only(MOVEMENT, case_of({"update_ratio.all": curve(np.full(120, 0.3))}))
    assert (wild.verdict, wild.causes[0]) == ("suspect", "rate-too-high")
    assert only(MOVEMENT, case_of({"update_ratio.all": curve(np.full(120, 1e-3))})).verdict == "healthy"


def test_processes_that_differ_or_see_the_same() -> None:
    def rows(weights: tuple[str, str], items: tuple[list[int], list[int]]) -> list[dict[str, object]]:
        return [{"rank": r, "step": s, "parameters": {"net": weights[r]}, "positions": [s + p for p in items[r]]}
                for s in range(0, 1000, 100) for r in (0, 1)]  # fmt: skip

    found = {"train.loss": curve(np.ones(5))}
    well = findings(RANKS, case_of(found, ranks=rows(("a", "a"), ([0, 79], [4, 83]))))
    assert [(one.verdict, one.causes) for one in well] == [
        ("healthy", ("ranks-diverged",)),
        ("healthy", ("same-shard",)),
    ]
    ill = findings(RANKS, case_of(found, ranks=rows(("a", "b"), ([0, 79], [0, 79]))))
    assert [(one.verdict, one.causes) for one in ill] == [("fault", ("ranks-diverged",)), ("fault", ("same-shard",))]


def test_batches_in_the_same_order() -> None:
    def rows(digests: list[str]) -> list[dict[str, object]]:
        return [{"rank": 0, "step": 10 * i, "seen": digests[10 * i : 10 * i + 10]} for i in range(len(digests) // 10)]

    same, other = [str(i % 25) for i in range(100)], [f"{i % 25}-{i // 25}" for i in range(100)]
    one = only(ORDER, case_of({}, ranks=rows(same)))
    assert (one.verdict, one.causes, "after 25 steps" in one.says) == ("fault", ("same-order",), True)
    assert only(ORDER, case_of({}, ranks=rows(other))).verdict == "healthy"


def test_items_of_a_step_are_counted() -> None:
    facts = {"batch": 8, "accumulate": 4}
    one = only(BATCH, case_of({"items": curve(np.full(20, 80.0))}, facts=facts))
    assert (one.verdict, one.causes[0]) == ("fault", "batch-too-small")
    assert only(BATCH, case_of({"items": curve(np.full(20, 320.0))}, facts=facts)).verdict == "healthy"


def test_a_resume_that_lost_its_state(rng: np.random.Generator) -> None:
    loss = 0.3 + 0.7 * np.exp(-np.arange(200) / 30) + 0.01 * rng.standard_normal(200)
    jumped = loss.copy()
    jumped[120:] += 0.4 * np.exp(-np.arange(80) / 10)
    starts = (1210.0,)
    one = only(RESUME, case_of({"train.loss": curve(jumped)}, starts=starts))
    assert (one.verdict, one.causes[0]) == ("suspect", "lost-state")
    assert only(RESUME, case_of({"train.loss": curve(loss)}, starts=starts)).verdict == "healthy"
    updates = curve(np.r_[10.0 * np.arange(1, 121), 10.0 * np.arange(1, 81)])
    one = only(RESUME, case_of({"train.loss": curve(loss), "ema_updates": updates}, starts=starts))
    assert (one.verdict, one.causes[0]) == ("fault", "lost-state")


def test_steps_left_out_and_waiting() -> None:
    lost = only(LEFT_OUT, case_of({"unstepped": curve(np.full(50, 6.0))}))
    assert (lost.verdict, lost.causes[0]) == ("fault", "not-finite-loss")
    assert only(LEFT_OUT, case_of({"unstepped": curve(np.zeros(50))})).verdict == "healthy"
    assert only(LOADER, case_of({"loader_wait": curve(np.full(50, 0.8))})).causes == ("loader-bound",)
    assert only(LOADER, case_of({"loader_wait": curve(np.full(50, 0.05))})).verdict == "healthy"


def test_a_run_that_still_improves_is_no_alarm(rng: np.random.Generator) -> None:
    at = np.arange(1.0, 21)
    rising = only(
        RUN_LENGTH, case_of({"valid.pesq": Curve(at, 1.2 + 0.03 * at + 0.005 * rng.standard_normal(20))}, "epoch")
    )
    assert (rising.verdict, rising.causes) == ("cannot tell", ("run-too-short",))
    level = only(RUN_LENGTH, case_of({"valid.pesq": Curve(at, 2 + 0.01 * rng.standard_normal(20))}, "epoch"))
    assert replace(level, says="", measured=()).verdict == "healthy"
