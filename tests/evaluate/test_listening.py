"""Answers of a listening test: exact figures, refusals, post-screening, words."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from auscult.cli import app
from auscult.errors import DataError
from auscult.evaluate.abx import analyse_abx
from auscult.evaluate.answers import read_results
from auscult.evaluate.listeners import abx_power, binomial_p, clopper_pearson, hits_needed
from auscult.evaluate.listening import analyse
from auscult.evaluate.mushra import MushraReport, analyse_mushra, wilcoxon_p
from auscult.evaluate.preference import AbReport, analyse_ab
from tests.conftest import ROOT

Save = Callable[..., Path]


def abx_trial(right: bool, item: str = "i0") -> dict[str, Any]:
    return {"item": item, "truth": {"A": "old", "B": "new", "X": "old"}, "answer": "A" if right else "B"}


def ab_trial(wins: str | None, item: str = "i0", pair: tuple[str, str] = ("old", "new")) -> dict[str, Any]:
    answer = "none" if wins is None else "AB"[pair.index(wins)]
    return {"item": item, "truth": {"A": pair[0], "B": pair[1]}, "answer": answer}


def mushra_trial(item: str, **ratings: float) -> dict[str, Any]:
    labels = {str(i + 1): name for i, name in enumerate(ratings)}
    return {"item": item, "truth": labels, "answer": {label: ratings[name] for label, name in labels.items()}}


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def saved(kind: str, listener: str, trials: Sequence[dict[str, Any]], /, **changes: Any) -> Path:
        found = {
            "schema": "auscult-listening-results",
            "version": 1,
            "page": "0123",
            "kind": kind,
            "systems": ["old", "new"],
            "listener": listener,
            "session": f"s-{listener}",
            "trials": list(trials),
            **changes,
        }
        path = tmp_path / f"results-{kind}-{listener}{len(list(tmp_path.iterdir()))}.json"
        path.write_text(json.dumps(found))
        return path

    return saved


# --- exact figures


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"), [(8, 10, 0.4439, 0.9748), (0, 10, 0.0, 0.3085), (10, 10, 0.6915, 1.0)]
)
def test_clopper_pearson(hits: int, trials: int, low: float, high: float) -> None:
    assert clopper_pearson(hits, trials) == pytest.approx((low, high), abs=5e-5)


def test_binomial_p_is_exact() -> None:
    assert binomial_p(12, 16) == pytest.approx(2_517 / 65_536)
    assert binomial_p(16, 16) == pytest.approx(1 / 65_536)
    assert binomial_p(9, 10, two_sided=True) == pytest.approx(22 / 1_024)
    assert binomial_p(0, 0) == 1.0


def test_hits_needed_and_power() -> None:
    assert [hits_needed(n) for n in (4, 5, 8, 10, 16, 20)] == [None, 5, 7, 9, 12, 15]
    assert abx_power(5, 0.9) == pytest.approx(0.9**5)
    assert abx_power(10, 0.8) == pytest.approx(10 * 0.8**9 * 0.2 + 0.8**10)
    assert abx_power(4, 1.0) == 0.0


def test_the_table_in_the_documentation_is_what_is_computed() -> None:
    text = (ROOT / "docs" / "listening.md").read_text()
    for trials in (8, 12, 16, 24, 32, 48):
        powers = " | ".join(f"{100 * abx_power(trials, share):.0f} %" for share in (0.6, 0.7, 0.8, 0.9))
        assert f"| {trials} | {hits_needed(trials)} | {powers} |" in text


def test_wilcoxon_is_scipys_without_ties() -> None:
    rng = np.random.default_rng(0)
    differences = rng.normal(3, 10, 30)
    assert wilcoxon_p(differences) == stats.wilcoxon(differences).pvalue
    assert wilcoxon_p(np.append(differences, np.zeros(9))) == wilcoxon_p(differences)
    assert wilcoxon_p(np.array([1.0, 2.0, 3.0, 4.0, 5.0])) == pytest.approx(2 / 32)
    assert wilcoxon_p(np.zeros(4)) == 1.0


# --- ABX


def test_abx_per_listener_and_pooled(save: Save) -> None:
    files = [save("abx", "anna", [abx_trial(i < 15, f"i{i % 4}") for i in range(16)])]
    files.append(save("abx", "ben", [abx_trial(i < 9, f"i{i % 4}") for i in range(16)]))
    report = analyse_abx(read_results(files))
    anna, ben = report.listeners
    assert (anna.hits, ben.hits, report.pooled.hits, report.pooled.trials) == (15, 9, 24, 32)
    assert anna.p == pytest.approx(17 / 65_536)
    assert (anna.low, anna.high) == clopper_pearson(15, 16)
    assert anna.p_holm == pytest.approx(2 * anna.p)  # Holm: the smaller of two p is doubled, the larger kept
    assert ben.p_holm == pytest.approx(ben.p)
    assert report.items == {"i0": (7, 8), "i1": (6, 8), "i2": (6, 8), "i3": (5, 8)}
    assert "was heard" in report.verdicts[0]
    assert "no difference" in report.verdicts[1]
    assert any("independent" in note for note in report.notes)


def test_too_few_abx_trials_say_so(save: Save) -> None:
    report = analyse_abx(read_results([save("abx", "anna", [abx_trial(True)] * 4)]))
    assert "too few" in report.verdicts[0]


# --- preference


def test_preference_counts_ties_and_items(save: Save) -> None:
    trials = [ab_trial("new", "i0")] * 7 + [ab_trial("old", "i1")] * 2 + [ab_trial(None, "i1")] * 3
    (pair,) = analyse_ab(read_results([save("ab", "anna", trials)])).pairs
    assert (pair.wins_a, pair.wins_b, pair.ties) == (2, 7, 3)
    assert pair.share == pytest.approx(3.5 / 12)
    assert pair.low < pair.share < pair.high
    assert pair.p == pytest.approx(stats.binomtest(2, 9).pvalue)
    assert [(item.item, item.wins_a, item.wins_b, item.ties) for item in pair.items] == [
        ("i0", 0, 7, 0),
        ("i1", 2, 0, 3),
    ]


def test_intervals_draw_listeners_where_there_are_enough(save: Save) -> None:
    """Eight listeners of one mind each: answers as units would give far too narrow an interval."""
    files = [save("ab", f"l{i}", [ab_trial("new" if i < 6 else "old")] * 20) for i in range(8)]
    report = analyse_ab(read_results(files))
    (pair,) = report.pairs
    assert pair.p < 0.001
    assert (pair.low, pair.high) == (0.0, pytest.approx(0.625, abs=0.13))  # 2 of 8 by percentiles, not 40 of 160
    assert "listeners differ too much" in report.verdicts[0]
    few = analyse_ab(read_results(files[:5]))
    assert any("5 listeners" in note for note in few.notes)


def test_unanimous_answers_have_an_interval_too(save: Save) -> None:
    files = [save("ab", f"l{i}", [ab_trial("old")] * 4) for i in range(8)]
    report = analyse_ab(read_results(files))
    (pair,) = report.pairs
    assert (pair.low, pair.high) == clopper_pearson(8, 8)
    assert report.verdicts[0].startswith("old is preferred to new")
    undecided = analyse_ab(read_results([save("ab", "x", [ab_trial(None)] * 4)]))
    assert (undecided.pairs[0].p, undecided.pairs[0].low, undecided.pairs[0].high) == (1.0, 0.0, 1.0)


def test_three_systems_are_compared_in_pairs_with_holm(save: Save) -> None:
    trials = [ab_trial("new")] * 9 + [ab_trial("third", pair=("third", "old"))] * 8
    trials += [ab_trial("new", pair=("new", "third")), ab_trial("third", pair=("new", "third"))]
    report = analyse(read_results([save("ab", "anna", trials, systems=["old", "new", "third"])]))
    assert isinstance(report, AbReport)
    assert [(pair.a, pair.b, pair.wins_a, pair.wins_b) for pair in report.pairs] == [
        ("old", "new", 0, 9),
        ("old", "third", 0, 8),
        ("new", "third", 1, 1),
    ]
    p = [2 / 512, 2 / 256, 1.0]
    assert [pair.p_holm for pair in report.pairs] == pytest.approx([3 * p[0], 2 * p[1], 1.0])


# --- MUSHRA


def panel(save: Save, listeners: int = 8, better: float = 10.0) -> list[Path]:
    rng = np.random.default_rng(1)
    files = []
    for who in range(listeners):
        offset = rng.normal(0, 5)
        trials = []
        for item in range(6):
            old = float(np.clip(50 + offset + rng.normal(0, 4), 0, 100).round())
            new = float(np.clip(old + better + rng.normal(0, 4), 0, 100).round())
            trials.append(mushra_trial(f"i{item}", new=new, reference=100, anchor=20, old=old))
        files.append(save("mushra", f"l{who}", trials))
    return files


def test_mushra_means_and_comparison(save: Save) -> None:
    answers = read_results(panel(save))
    report = analyse_mushra(answers)
    ratings = {name: np.array([trial.ratings[name] for _, trial in answers.trials()]) for name in ("old", "new")}
    lines = {line.system: line for line in report.systems}
    assert list(lines) == ["reference", "old", "new", "anchor"]
    assert lines["old"].mean == pytest.approx(ratings["old"].mean())
    assert lines["old"].low < lines["old"].mean < lines["old"].high
    assert (lines["reference"].mean, lines["anchor"].mean) == (100, 20)
    (comparison,) = report.comparisons
    differences = ratings["old"] - ratings["new"]
    assert comparison.p == wilcoxon_p(differences)
    assert comparison.difference == pytest.approx(differences.mean())
    assert report.verdicts[0].startswith("new is rated higher than old by")
    # Offsets of listeners make the means uncertain, not the difference within their trials.
    assert comparison.high - comparison.low < lines["old"].high - lines["old"].low
    assert report.items["i0"]["anchor"] == 20


def test_no_difference_is_not_called_one(save: Save) -> None:
    report = analyse_mushra(read_results(panel(save, better=0.0)))
    assert report.verdicts[0].startswith("no difference shown between old and new")


def test_a_single_system_is_compared_with_reference_and_anchor(save: Save) -> None:
    trials = [mushra_trial(f"i{i}", old=60 + i, reference=100, anchor=30) for i in range(8)]
    report = analyse(read_results([save("mushra", "anna", trials, systems=["old"])]))
    assert isinstance(report, MushraReport)
    assert [(one.a, one.b) for one in report.comparisons] == [("old", "reference"), ("old", "anchor")]
    assert [one.p_holm for one in report.comparisons] == pytest.approx([2 * 2 / 256] * 2)


@pytest.mark.parametrize(("misses", "excluded"), [(1, False), (2, True)])
def test_who_misses_the_hidden_reference_is_left_out_and_named(save: Save, misses: int, excluded: bool) -> None:
    """15 % of ten trials is one and a half: one miss is allowed, two are not."""
    trials = [mushra_trial(f"i{i}", old=50, new=60, reference=89 if i < misses else 90, anchor=10) for i in range(10)]
    files = [*panel(save), save("mushra", "deaf", trials)]
    report = analyse_mushra(read_results(files))
    assert ("deaf" in report.excluded) == excluded
    assert ("deaf" not in report.listeners) == excluded
    assert any("deaf is left out" in note for note in report.notes) == excluded
    assert "deaf" in analyse_mushra(read_results(files), screening=False).listeners


def test_screening_that_leaves_nobody_is_an_error(save: Save) -> None:
    trials = [mushra_trial("i0", old=50, new=60, reference=20, anchor=10)]
    with pytest.raises(DataError, match=r"leaves nobody: anna did not find .* --no-screening"):
        analyse_mushra(read_results([save("mushra", "anna", trials)]))


# --- refusals


def test_other_pages_and_kinds_are_refused(save: Save) -> None:
    one = save("abx", "anna", [abx_trial(True)])
    with pytest.raises(DataError, match=r"answers another page \(9999\)"):
        read_results([one, save("abx", "ben", [abx_trial(True)], page="9999")])
    with pytest.raises(DataError, match=r"answers another kind \(ab\)"):
        read_results([one, save("ab", "ben", [ab_trial("old")])])


def test_a_session_given_twice_counts_once_and_is_named(save: Save) -> None:
    first, again = (save("abx", "anna", [abx_trial(True)] * 5) for _ in range(2))
    answers = read_results([first, again])
    assert len(answers.sessions) == 1
    assert f"{again} is the same session as {first} (anna)" in answers.notes[0]
    with pytest.raises(DataError, match="with other answers"):
        read_results([first, save("abx", "anna", [abx_trial(False)] * 5)])


def test_two_sessions_of_a_listener_are_one_listener(save: Save) -> None:
    files = [save("abx", "anna", [abx_trial(True)] * 5, session=name) for name in ("s1", "s2")]
    (line,) = analyse_abx(read_results(files)).listeners
    assert (line.hits, line.trials) == (10, 10)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "damaged or not JSON"),
        ("[]", "not a result of a listening test"),
        ('{"schema": "other"}', "not a result of a listening test"),
        ('{"schema": "auscult-listening-results", "version": 2}', "reads version 1"),
        ('{"schema": "auscult-listening-results", "version": 1}', "damaged"),
        (b"\xff\xfe\x00", "damaged or not JSON"),
    ],
)
def test_foreign_and_damaged_files_are_named(tmp_path: Path, text: str | bytes, words: str) -> None:
    path = tmp_path / "results.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=words) as error:
        read_results([path])
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "best"},
        {"listener": 3},
        {"trials": []},
        {"trials": [{}]},
        {"trials": [7]},
        {"trials": [{**abx_trial(True), "answer": "X"}]},
        {"trials": [{**abx_trial(True), "truth": {"A": "old", "B": "old", "X": "old"}}]},
        {"trials": [{**abx_trial(True), "truth": {"A": "old", "B": "other", "X": "old"}}]},
        {"kind": "mushra", "trials": [mushra_trial("i", old=50, new=60, reference=100)]},
        {"kind": "mushra", "trials": [mushra_trial("i", old=50, new=160, reference=100, anchor=1)]},
        {"kind": "mushra", "trials": [mushra_trial("i", old=50, new="60", reference=100, anchor=1)]},
    ],
)
def test_damaged_contents_are_named(save: Save, change: dict[str, Any]) -> None:
    path = save("abx", "anna", [abx_trial(True)], **change)
    with pytest.raises(DataError, match="damaged") as error:
        read_results([path])
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_and_no_files() -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_results([Path("/nowhere/results.json")])
    with pytest.raises(DataError, match="no results"):
        read_results([])


# --- the command


def test_the_command_prints_tables_and_json(save: Save) -> None:
    files = list(map(str, panel(save)))
    text = CliRunner().invoke(app, ["listen", "score", *files]).output
    assert "new is rated higher than old" in text
    assert "old - new" in text
    found = json.loads(CliRunner().invoke(app, ["listen", "score", "--json", *files]).stdout)
    assert (found["kind"], found["page"], len(found["listeners"])) == ("mushra", "0123", 8)
    ab = str(save("ab", "anna", [ab_trial("old")] * 3 + [ab_trial(None)]))
    assert "share of the first" in CliRunner().invoke(app, ["listen", "score", ab]).output
