"""What rows say, checked on rows whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from auscult.evaluate.grouping import groupings
from auscult.evaluate.rows import Evaluation, Fact, Item, MetricFacts, Row
from auscult.evaluate.summary import Comparison, Summary, summarise

PESQ = MetricFacts("pesq", "MOS-LQO", True, "P.862.2", "pesq 0", 0.05)
LSD = MetricFacts("lsd", "", False, "here", "auscult 0", 0.02)
LOUD = MetricFacts("loudness", "LUFS", None, "BS.1770", "x 0", None)


def evaluation(
    scores: dict[str, np.ndarray], metric: MetricFacts = PESQ, facts: list[dict[str, Fact]] | None = None
) -> Evaluation:
    """Systems with (items,) or (items, seeds) scores; NaN is a failure."""
    count = len(next(iter(scores.values())))
    items = tuple(Item("test", f"i{i}", facts=(facts or [{}] * count)[i]) for i in range(count))
    rows = []
    for system, table in scores.items():
        seeds = [None] if table.ndim == 1 else list(range(table.shape[1]))
        for j, seed in enumerate(seeds):
            for item, value in zip(items, table if table.ndim == 1 else table[:, j], strict=True):
                known = {} if math.isnan(value) else {metric.name: float(value)}
                failures = {metric.name: "too short"} if math.isnan(value) else {}
                rows.append(Row("test", system, item.name, known, failures, seed))
    return Evaluation(items, tuple(rows), (metric,), {name: {} for name in scores}, {}, "f")


def only(summary: Summary) -> Comparison:
    (comparison,) = summary.comparisons
    return comparison


def test_a_real_difference_is_shown_and_named(rng: np.random.Generator) -> None:
    base = rng.normal(2.0, 0.5, 60)
    found = only(summarise(evaluation({"noisy": base, "net": base + 0.3 + rng.normal(0, 0.1, 60)})))
    assert (found.a, found.b, found.verdict) == ("net", "noisy", "better")
    assert found.difference.low < 0.3 < found.difference.high
    assert found.effect == pytest.approx(3.0, rel=0.3)
    assert found.win_share == 1.0
    assert found.words.startswith("net against noisy in pesq: better, +0.")


@pytest.mark.parametrize(
    ("metric", "shift", "verdict"),
    [(PESQ, -0.3, "worse"), (LSD, -0.3, "better"), (LSD, 0.3, "worse"), (LOUD, 0.3, "higher"), (LOUD, -0.3, "lower")],
)
def test_directions(rng: np.random.Generator, metric: MetricFacts, shift: float, verdict: str) -> None:
    base = rng.normal(2.0, 0.5, 60)
    found = only(summarise(evaluation({"a": base, "b": base + shift + rng.normal(0, 0.1, 60)}, metric)))
    assert found.verdict == verdict


def test_equality_is_a_result_of_its_own(rng: np.random.Generator) -> None:
    base = rng.normal(2.0, 0.5, 200)
    found = only(summarise(evaluation({"a": base, "b": base + rng.normal(0, 0.05, 200)})))
    assert found.verdict == "equal"
    assert "equal within 0.05 MOS-LQO" in found.words


def test_nothing_shown_says_what_it_would_take(rng: np.random.Generator) -> None:
    base = rng.normal(2.0, 0.5, 20)
    noise = rng.normal(0, 0.4, 20)
    found = only(summarise(evaluation({"a": base, "b": base + noise - noise.mean() + 0.03})))
    assert found.verdict == "no difference shown"
    needed = int(found.words.rpartition(", ")[2].split()[0])
    assert needed == pytest.approx((2.8 * found.difference.sd / 0.05) ** 2 - 20, rel=0.1)


def test_small_but_certain_differences_are_called_small(rng: np.random.Generator) -> None:
    base = rng.normal(2.0, 0.5, 400)
    found = only(summarise(evaluation({"a": base, "b": base + 0.02 + rng.normal(0, 0.02, 400)})))
    assert found.verdict == "better"
    assert found.words.endswith("less than the 0.05 that matters")


def test_many_comparisons_pay_for_themselves(rng: np.random.Generator) -> None:
    """Holm over all ten comparisons of five systems."""
    systems = {name: rng.normal(2.0, 0.5, 30) for name in "abcde"}
    found = summarise(evaluation(systems)).comparisons
    assert len(found) == 10
    smallest = min(found, key=lambda one: one.p)
    assert smallest.p_holm == pytest.approx(min(1.0, 10 * smallest.p))


def test_failures_are_counted_named_and_in_no_mean(rng: np.random.Generator) -> None:
    base = rng.normal(2.0, 0.5, 30)
    net = base + 1.0
    net[:3] = math.nan
    summary = summarise(evaluation({"noisy": base, "net": net}))
    standing = summary.standings[1]
    assert (standing.failed, standing.estimate.items) == (3, 27)
    assert standing.estimate.mean == pytest.approx(net[3:].mean())
    assert only(summary).difference.items == 27
    assert "test: pesq failed on 3 of net's rows, first i0: too short" in summary.notes


def test_a_system_that_fails_everywhere(rng: np.random.Generator) -> None:
    summary = summarise(evaluation({"noisy": rng.normal(size=5), "net": np.full(5, math.nan)}))
    assert summary.standings[1].estimate.items == 0
    assert math.isnan(summary.standings[1].estimate.mean)
    assert summary.comparisons == ()


def test_perfect_scores_have_no_interval() -> None:
    summary = summarise(evaluation({"noisy": np.arange(5.0), "oracle": np.full(5, math.inf)}))
    assert summary.standings[1].estimate.mean == math.inf
    assert summary.comparisons == ()


def test_speakers_are_the_units_where_there_are_enough(rng: np.random.Generator) -> None:
    speakers = np.repeat(np.arange(12), 10)
    scores = {"noisy": rng.normal(size=12)[speakers] + 0.2 * rng.normal(size=120)}
    known = summarise(evaluation(scores, facts=[{"speaker": f"s{s}"} for s in speakers]))
    unknown = summarise(evaluation(scores))
    few = summarise(evaluation(scores, facts=[{"speaker": f"s{s % 3}"} for s in speakers]))
    widths = [s.standings[0].estimate.high - s.standings[0].estimate.low for s in (known, unknown, few)]
    assert widths[0] > 2 * widths[1]
    assert widths[1] == widths[2]
    assert known.notes == ("test: intervals and tests are over 12 speakers, not over single items",)
    assert few.notes == ("test: 3 speakers are too few to speak of others; intervals and tests are over items",)
    assert unknown.notes == ("test: speakers are not known; intervals and tests take items as independent",)


def test_seeds_are_a_factor(rng: np.random.Generator) -> None:
    items, seeds = rng.normal(2, 0.5, (100, 1)), np.array([-0.2, 0.0, 0.2])
    net = items + 0.1 + seeds + rng.normal(0, 0.05, (100, 3))
    summary = summarise(evaluation({"noisy": items[:, 0], "net": net}))
    standing = summary.standings[1]
    assert standing.seeds == 3
    assert standing.seed_sd == pytest.approx(0.2, abs=0.01)
    assert standing.split is not None
    assert (standing.split.items, standing.split.seeds) == pytest.approx((items.std(ddof=1), 0.2), abs=0.03)
    found = only(summary)  # 100 items alone would be certain of 0.1; three seeds that differ by 0.2 are not
    assert found.verdict == "no difference shown"
    assert found.words.endswith("seeds a system are needed")


def test_groups_of_categories_numbers_and_bins(rng: np.random.Generator) -> None:
    facts: list[dict[str, Fact]] = [
        {"noise_type": "bus" if i % 2 else "cafe", "level": float(i % 4), "snr_db": i - 7.5, "gain": rng.random()}
        for i in range(40)
    ]
    found = {one.name: one for one in groupings([Item("test", str(i), facts=f) for i, f in enumerate(facts)])}
    assert found["noise_type"].values == ("bus", "cafe")
    assert found["level"].values == ("0", "1", "2", "3")
    assert found["snr_db"].values == tuple(f"{low} to {low + 5}" for low in range(-10, 35, 5))
    assert len(found["gain"].values) == 4
    assert [found["gain"].labels.count(value) for value in found["gain"].values] == [10] * 4
    summary = summarise(evaluation({"noisy": np.arange(40.0)}, facts=facts))
    buses = [one for one in summary.groups if one.value == "bus"]
    assert (buses[0].estimate.items, buses[0].estimate.mean) == (20, 20.0)


def test_facts_that_divide_nothing_are_no_groups() -> None:
    items = [Item("test", str(i), facts={"speaker": "p257", "name": f"n{i}"}) for i in range(40)]
    assert list(groupings(items)) == []
