"""The choice of items."""

from __future__ import annotations

from dataclasses import replace

import pytest

from auscult.evaluate.rows import Evaluation, Item, Row
from auscult.evaluate.summary import Summary, summarise
from auscult.report.highlights import decimals, entries, facts_in_words, gain, highlights, main_system, systems_of
from tests.report import study

EMPTY = Summary((), (), (), ())


def of(*rows: tuple[str, str, float, float]) -> Evaluation:
    """Rows of (item, system, pesq, estoi)."""
    names = dict.fromkeys(row[0] for row in rows)
    made = tuple(Row("d", system, item, {"pesq": a, "estoi": b}) for item, system, a, b in rows)
    return Evaluation(tuple(Item("d", name) for name in names), made, study.METRICS[:2], {}, {}, "f")


def test_best_and_worst_are_by_gain_not_by_score() -> None:
    drawn = of(*(row for i in range(12) for row in ((f"i{i}", "noisy", 4.0 - i / 4, 0.5), (f"i{i}", "a", 4.0, 0.5))))
    chosen = highlights(drawn, EMPTY)
    assert [pick.entry.item.name for pick in chosen.best] == ["i11", "i10", "i9", "i8", "i7"]
    assert [pick.entry.item.name for pick in chosen.worst] == ["i0", "i1", "i2", "i3", "i4"]
    assert chosen.best[0].why == "pesq 1.25 to 4.00 (+2.75): the best of a"
    assert chosen.worst[1].why == "pesq 3.75 to 4.00 (+0.25): the second worst of a"


def test_lower_is_better_turns_the_order() -> None:
    drawn = study.make(metrics=study.METRICS[2:])
    chosen = highlights(drawn, summarise(drawn))
    lsd = chosen.metric
    gains = [gain(pick.entry, chosen.system, lsd) for pick in (*chosen.worst, *reversed(chosen.best))]
    assert gains == sorted(gains)
    assert chosen.system == "right"


def test_without_noisy_the_score_itself_counts() -> None:
    chosen = highlights(of(("x", "a", 1.0, 0.5), ("y", "a", 3.0, 0.6), ("z", "a", 2.0, 0.6)), EMPTY)
    assert chosen.best[0].why == "pesq 3.00: the best of a"
    assert chosen.worst[0].entry.item.name == "x"
    assert chosen.listen[-1].entry.item.name == "z"


def test_an_item_whose_noisy_score_failed_is_not_ranked() -> None:
    drawn = of(("x", "noisy", 1.0, 0.5), ("x", "a", 2.0, 0.5), ("y", "noisy", 1.0, 0.5), ("y", "a", 9.0, 0.5))
    failed = replace(drawn.rows[2], scores={}, failures={"pesq": "silence"})
    chosen = highlights(replace(drawn, rows=(*drawn.rows[:2], failed, drawn.rows[3])), EMPTY)
    assert {pick.entry.item.name for pick in chosen.picks} == {"x"}


def test_systems_that_differ_and_metrics_that_disagree() -> None:
    rows = []
    for i in range(9):
        rows += [(f"i{i}", "noisy", 1.0, 0.5), (f"i{i}", "a", 2.0 + i / 100, 0.6), (f"i{i}", "b", 1.9 + i / 100, 0.6)]
    rows[9:12] = [("i3", "noisy", 1.0, 0.5), ("i3", "a", 2.5, 0.3), ("i3", "b", 1.9, 0.6)]
    rows[18:21] = [("i6", "noisy", 1.0, 0.5), ("i6", "a", 2.0, 0.6), ("i6", "b", 1.1, 0.6)]
    chosen = highlights(of(*rows), EMPTY, system="a")
    by_kind = {pick.kind: pick for pick in chosen.listen}
    assert by_kind["systems differ"].entry.item.name == "i6"
    assert by_kind["systems differ"].why == "pesq 2.00 from a, 1.10 from b: where the systems are furthest apart"
    assert by_kind["metrics differ"].entry.item.name == "i3"
    assert (
        by_kind["metrics differ"].why
        == "pesq 1.00 to 2.50 (+1.50), but estoi 0.500 to 0.300 (-0.200): metrics disagree about a"
    )
    assert set(by_kind) == {"worst", "best", "systems differ", "metrics differ", "typical"}


def test_picks_are_unique_and_keep_every_reason() -> None:
    drawn = study.make(items=40)
    chosen = highlights(drawn, summarise(drawn))
    names = [pick.entry.item.name for pick in chosen.picks]
    assert len(names) == len(set(names)) <= 13
    reasons = " ".join(pick.why for pick in chosen.picks)
    assert all(pick.why in reasons for pick in (*chosen.listen, *chosen.best, *chosen.worst))


@pytest.mark.parametrize("items", [1, 2, 3])
def test_few_items(items: int) -> None:
    drawn = study.make(items=items)
    chosen = highlights(drawn, summarise(drawn))
    assert not {id(p.entry) for p in chosen.best} & {id(p.entry) for p in chosen.worst}
    assert chosen.picks


def test_nothing_scored_is_nothing_chosen() -> None:
    drawn = study.make(items=2)
    drawn = replace(drawn, rows=tuple(replace(row, scores={}, failures={"pesq": "no"}) for row in drawn.rows))
    chosen = highlights(drawn, EMPTY)
    assert chosen.picks == ()
    assert chosen.metric.name == "pesq"


def test_noisy_alone_is_ranked_by_score() -> None:
    chosen = highlights(of(("x", "noisy", 1.0, 0.5), ("y", "noisy", 3.0, 0.6)), EMPTY)
    assert (chosen.system, chosen.best[0].entry.item.name) == ("noisy", "y")


def test_seeds_are_averaged_and_the_first_file_is_kept() -> None:
    drawn = study.make(seeds=(3, 4), items=1)
    (entry,) = entries(drawn)
    left = [row.scores["pesq"] for row in drawn.rows if row.system == "left"]
    assert entry.score("left", "pesq") == pytest.approx(sum(left) / 2)


def test_systems_and_main_system() -> None:
    drawn = study.make(systems=("b", "a"))
    assert systems_of(drawn) == ["noisy", "b", "a"]
    assert main_system(drawn, summarise(drawn), study.METRICS[2]) == "a"
    assert main_system(drawn, EMPTY, study.METRICS[0]) == "b"


def test_words() -> None:
    assert facts_in_words({"noise_type": "bus", "snr_db": 2.5}) == "noise_type bus, snr_db 2.5"
    assert [decimals(v) for v in ([1.0, 1.4], [0.0, 20.0], [0.0, 2_000.0], [1.0], [])] == [3, 1, 0, 2, 2]
