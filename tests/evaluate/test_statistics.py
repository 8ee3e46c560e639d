"""Statistics against closed forms, exact enumerations and simulations with known truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from auscult.evaluate.statistics import (
    Units,
    components,
    effect_size,
    holm,
    interval,
    items_needed,
    seed_error,
    seeds_needed,
    sign_flip,
    widened,
)


def test_units_of_clusters() -> None:
    units = Units.of(np.array([1.0, 2.0, 4.0, 6.0]), np.array([3, 3, 7, 7]))
    assert units.sums.tolist() == [3.0, 10.0]
    assert units.mean == 3.25
    items = Units.of(np.array([1.0, 2.0, 4.0, 6.0]))
    assert items.standard_error == pytest.approx(stats.sem([1.0, 2.0, 4.0, 6.0]))


def test_the_interval_of_a_large_normal_sample_is_the_textbook_one(rng: np.random.Generator) -> None:
    values = rng.normal(2.0, 0.5, 800)
    low, high = interval(values)
    half = stats.t.ppf(0.975, 799) * stats.sem(values)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)
    assert interval(values) == (low, high)


def test_intervals_do_not_care_for_the_scale(rng: np.random.Generator) -> None:
    values = rng.gamma(2.0, size=40)
    low, high = interval(values)
    assert interval(1e6 + 1e-3 * values) == pytest.approx((1e6 + 1e-3 * low, 1e6 + 1e-3 * high), rel=1e-9)


def test_a_handful_of_items_gets_students_t() -> None:
    values = np.array([1.0, 2.0, 4.0, 5.0])
    half = stats.t.ppf(0.975, 3) * stats.sem(values)
    assert interval(values) == pytest.approx((3 - half, 3 + half))


def test_intervals_without_spread_or_items() -> None:
    assert interval(np.full(20, 1.5)) == (1.5, 1.5)
    assert all(math.isnan(bound) for bound in interval(np.array([1.0])))


@pytest.mark.parametrize(("speakers", "items"), [(None, 40), (12, 120)])
def test_intervals_hold_the_truth_as_often_as_they_say(speakers: int | None, items: int) -> None:
    """300 simulated evaluations of skewed scores; five binomial standard errors below 95 % is 88.7 %."""
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(300):
        values, labels = rng.gamma(2.0, size=items) - 2.0, None
        if speakers is not None:
            labels = np.arange(items) % speakers
            values = values + rng.normal(size=speakers)[labels]
        low, high = interval(values, labels)
        hits += low <= 0 <= high
    assert 0.887 < hits / 300 <= 1.0


def test_ignoring_speakers_makes_intervals_too_short(rng: np.random.Generator) -> None:
    labels = np.repeat(np.arange(12), 20)
    values = rng.normal(size=12)[labels] + 0.3 * rng.normal(size=240)
    wide, narrow = (np.diff(interval(values, given))[0] for given in (labels, None))
    assert wide > 3 * narrow


def test_sign_flips_of_few_units_are_exact() -> None:
    """Four positive differences: 2 of 16 flips are as far out."""
    assert sign_flip(np.array([1.0, 2.0, 3.0, 4.0])) == 2 / 16
    assert sign_flip(np.array([1.0, -1.0])) == 1.0
    assert sign_flip(np.zeros(5)) == 1.0
    clusters = np.array([0, 0, 1, 1, 2, 2])
    assert sign_flip(np.ones(6), clusters) == 2 / 8


def test_sign_flips_of_many_units_agree_with_the_t_test(rng: np.random.Generator) -> None:
    values = rng.normal(0.25, 1.0, 60)
    assert sign_flip(values) == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.015)


def test_overwhelming_differences_have_tiny_p() -> None:
    """All 60 differences equal: the exact p is 2 / 2^60, Hoeffding's bound 2 exp(-30)."""
    assert 2 / 2**60 < sign_flip(np.ones(60)) == pytest.approx(2 * math.exp(-30))


def test_holm_by_hand() -> None:
    """Sorted .01 .03 .04 times 3, 2, 1, never falling; NaN is no comparison."""
    assert holm([0.01, 0.04, math.nan, 0.03])[:2] == pytest.approx([0.03, 0.06])
    assert holm([0.01, 0.04, math.nan, 0.03])[3] == pytest.approx(0.06)
    assert math.isnan(holm([0.01, math.nan])[1])
    assert holm([0.6, 0.7]) == [1.0, 1.0]


def test_effect_size() -> None:
    assert effect_size(np.array([1.0, 2.0, 3.0])) == pytest.approx(2.0)
    assert math.isnan(effect_size(np.ones(3)))


def test_items_needed_give_the_power_they_promise() -> None:
    """Simulated: with the number said, four of five studies of a true 0.2 find it."""
    rng = np.random.default_rng(1)
    needed = items_needed(rng.normal(0, 1, 4_000), 0.2)
    assert needed == pytest.approx((1.96 + 0.8416) ** 2 / 0.04, rel=0.06)
    found = [stats.ttest_1samp(rng.normal(0.2, 1, needed), 0).pvalue < 0.05 for _ in range(400)]
    assert 0.73 < np.mean(found) < 0.87


def test_clusters_need_more_items(rng: np.random.Generator) -> None:
    labels = np.repeat(np.arange(10), 20)
    values = rng.normal(size=10)[labels] + rng.normal(size=200)
    assert items_needed(values, 0.1, labels) > 4 * items_needed(values, 0.1)


def test_seeds_widen_intervals() -> None:
    means = np.array([1.0, 1.2, 1.4])
    error, freedom = seed_error([means, np.array([2.0])])
    assert (error, freedom) == (pytest.approx(0.2 / math.sqrt(3)), 2)
    # Items without spread: Student's t of three seeds. Items with far more: theirs alone, near enough.
    assert widened((1.0, 1.0), 1.0, [means]) == pytest.approx(
        (1 - stats.t.ppf(0.975, 2) * error, 1 + stats.t.ppf(0.975, 2) * error)
    )
    low, high = widened((1 - 3.0, 1 + 3.0), 1.0, [means])
    assert (1 - low, high - 1) == pytest.approx((3.02, 3.02), abs=0.02)
    assert widened((0.7, 1.5), 1.0, []) == (0.7, 1.5)
    assert seeds_needed([means, means], 0.2) == math.ceil((1.95996 + 0.84162) ** 2 / 0.04 * 0.08)


def test_components_of_a_simulated_table() -> None:
    """Items 0.5, seeds 0.2, rest 0.3: found again from 2 000 items and 200 seeds."""
    rng = np.random.default_rng(2)
    table = 0.5 * rng.normal(size=(2_000, 1)) + 0.2 * rng.normal(size=(1, 200)) + 0.3 * rng.normal(size=(2_000, 200))
    found = components(table)
    assert (found.items, found.seeds, found.rest) == pytest.approx((0.5, 0.2, 0.3), rel=0.12)
    with pytest.raises(ValueError, match="two items and two seeds"):
        components(table[:, :1])
