"""Verdicts on drawn scores whose truth is known: coverage, effects, equivalence, what is missing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from auscult.ablate.contrasts import EFFECT, FEW, INCOMPLETE, NONE, Answer, Question, answers, detectable, drawn
from auscult.evaluate.rows import Item
from auscult.evaluate.statistics import Components

SEEDS = (0, 1, 2)
ITEMS = [Item("items", f"i{i}", facts={"speaker": f"s{i % 10}"}) for i in range(60)]
Drawn = dict[tuple[str, int], Mapping[str, float]]


def scores(shift: float, spread: float = 0.2, of_seeds: float = 0.0, seeds: tuple[int, ...] = SEEDS) -> Drawn:
    """Two arms: the same item effects, ``b`` higher by ``shift``, with noise of items and of seeds."""
    rng = np.random.default_rng(5)
    base = rng.normal(10, 3, len(ITEMS))
    found: Drawn = {}
    for seed in seeds:
        moved = base + shift + rng.normal(0, of_seeds) + rng.normal(0, spread, len(ITEMS))
        for arm, values in (("a", base), ("b", moved)):
            found[arm, seed] = {item.name: float(value) for item, value in zip(ITEMS, values, strict=True)}
    return found


def answered(found: Drawn, seeds: tuple[int, ...] = SEEDS, **changes: Any) -> Answer:
    question = Question(**{"factor": "f", "arm": "b", "against": "a", "metric": "si_sdr", "margin": 0.3,
                           "higher_is_better": True, "unit": "dB", **changes})  # fmt: skip
    return answers([question], {"si_sdr": found}, ITEMS, seeds)[0]


def test_an_effect_is_told_with_its_size_and_direction() -> None:
    up, down = answered(scores(1.0)), answered(scores(1.0), higher_is_better=False)
    assert up.verdict == down.verdict == EFFECT
    assert up.words.endswith("better")
    assert down.words.endswith("worse")
    assert up.difference is not None
    assert up.difference.low < 1.0 < up.difference.high
    assert up.p_holm < 0.001
    assert up.win_share == 1.0
    assert down.win_share == 0.0


def test_no_effect_is_a_result_where_the_interval_lies_within_the_margin() -> None:
    assert answered(scores(0.0)).verdict == NONE
    assert answered(scores(0.1, 0.01)).words.endswith("no effect larger than 0.3 dB, though it is not zero")


def test_equal_arms_differ_by_nothing() -> None:
    same = answered(scores(0.0, spread=0.0))
    assert same.difference is not None
    assert (same.difference.mean, same.difference.low, same.difference.high, same.p) == (0.0, 0.0, 0.0, 1.0)
    assert same.verdict == NONE


def test_too_few_runs_say_how_many_more_and_of_what() -> None:
    chance_of_seeds, chance_of_items = answered(scores(0.2, 0.01, of_seeds=0.5)), answered(scores(0.2, spread=4.0))
    assert chance_of_seeds.verdict == chance_of_items.verdict == FEW
    assert "more seeds an arm are needed" in chance_of_seeds.words
    assert "more items are needed" in chance_of_items.words


def test_one_seed_says_nothing_of_other_trainings_but_all_of_one_checkpoint() -> None:
    found = scores(1.0, seeds=(0,))
    trained, restored = answered(found, (0,)), answered(found, (0,), same_training=True)
    assert trained.verdict == FEW
    assert "not generalisable: 2 more seeds" in trained.words
    assert restored.verdict == EFFECT


def test_a_missing_seed_is_named_and_nothing_is_averaged() -> None:
    found = scores(1.0)
    del found["b", 1]
    missing = answered(found)
    assert (missing.verdict, missing.difference) == (INCOMPLETE, None)
    assert "b seed 1 missing" in missing.words


def test_an_item_without_a_score_is_in_neither_arm() -> None:
    found = scores(1.0)
    found["b", 2] = {name: value for name, value in found["b", 2].items() if name != "i7"}
    one = answered(found)
    assert one.difference is not None
    assert (one.lost, one.difference.items) == (1, 59)


def test_holm_corrects_over_declared_contrasts_only() -> None:
    found = scores(0.1, spread=0.5)
    declared = [Question(f"f{i}", "b", "a", "si_sdr", 0.01, True) for i in range(4)]
    late = Question("late", "b", "a", "si_sdr", 0.01, True, declared=False)
    *first, last = answers([*declared, late], {"si_sdr": found}, ITEMS, SEEDS)
    assert 0 < first[0].p < 0.25
    assert all(one.p_holm == pytest.approx(4 * one.p) for one in first)
    assert math.isnan(last.p_holm)


@pytest.mark.parametrize(
    ("items", "speakers", "seeds", "of_speakers", "of_seeds"),
    [(40, 0, 3, 0.0, 0.5), (80, 8, 3, 0.5, 0.0)],
)
def test_intervals_hold_their_level(items: int, speakers: int, seeds: int, of_speakers: float, of_seeds: float) -> None:
    rng, hits, trials = np.random.default_rng(1), 0, 100
    clusters = np.repeat(np.arange(speakers), items // speakers) if speakers else None
    for _ in range(trials):
        table = rng.normal(0, 1, (items, 1)) + rng.normal(0, of_seeds, (1, seeds)) + rng.normal(0, 0.3, (items, seeds))
        if clusters is not None:
            table += rng.normal(0, of_speakers, speakers)[clusters][:, None]
        low, high = np.quantile(drawn(table, clusters), [0.025, 0.975])
        hits += low <= 0 <= high
    # 95 % nominal; three standard errors of 100 trials below it are 88.5 %.
    assert hits / trials > 0.885


def test_the_detectable_difference_has_its_closed_form() -> None:
    # A pairing noise of 0.1 an arm and 100 items: 0.04 is seen with a power of 80 %.
    assert detectable(Components(0.1 * math.sqrt(2), 0.0, 0.0), 100, 3) == pytest.approx(0.0396, abs=1e-4)
    both = detectable(Components(1.0, 0.5, 0.0), 10_000, 3)
    # Seeds alone: (t_0.975 + t_0.8) of two degrees of freedom, (4.3027 + 1.0607) * 0.5 / sqrt(3).
    assert both == pytest.approx(5.3634 * 0.5 / math.sqrt(3), rel=0.01)
    assert detectable(Components(1.0, 0.5, 0.0), 100, 1) == math.inf
    assert detectable(Components(1.0, 0.0, 0.0), 100, 3, contrasts=5) > detectable(Components(1.0, 0.0, 0.0), 100, 3)
