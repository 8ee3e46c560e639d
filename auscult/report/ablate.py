"""A ladder as one page: a verdict for every factor, the arms, curves on common axes, tables, listening pages."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from auscult.ablate.contrasts import EFFECT, FEW, INCOMPLETE, NONE, Answer
from auscult.ablate.findings import ArmFinding
from auscult.ablate.record import ArmRecord, commits
from auscult.ablate.results import Results
from auscult.errors import AuscultError
from auscult.evaluate.rows import Evaluation
from auscult.evaluate.score import NOISY
from auscult.evaluate.summary import Comparison, Summary, estimate, summarise
from auscult.files import write_bytes
from auscult.plain import without_gaps
from auscult.report import tables
from auscult.report.curves import STYLES, curves_of, grouped
from auscult.report.listen import Request, build
from auscult.report.listen import write as write_listening
from auscult.report.page import write_page
from auscult.report.runfolder import Run, read_run
from auscult.report.tables import MINUS, arrow, bounds, digits_of, figures, number, p_value
from auscult.units import count

PAGE, LISTEN = "report.html", "listen"
LISTENED = 15
"""Items of a listening page."""
STYLE = {NONE: "open", FEW: "open", INCOMPLETE: "worse"}


def write_ablation(results: Results, listen: bool, findings: Sequence[ArmFinding] = ()) -> list[str]:
    """Write page, tables and listening pages into the ladder's folder; their names.

    Args:
        listen: write listening pages.
        findings: of the arms' trainings.

    Raises:
        MissingExtra: jinja2 or pyloudnorm is not installed. OutputError: the folder cannot be written.
    """
    evaluation = results.whole
    summary = replace(summarise(evaluation), comparisons=tuple(map(_comparison, _complete(results))))
    texts = {
        "scores.csv": tables.csv_text(results.evaluation),
        "table.md": tables.markdown(evaluation, summary),
        "table.tex": tables.latex(evaluation, summary),
        "answers.json": json.dumps(without_gaps(_plain(results, findings)), indent=1),
    }
    for name, text in texts.items():
        write_bytes(results.folder / name, text.encode())
    pages, notes = _listening(results) if listen else ({}, [])
    runs = _runs(results)
    curves = [one for one in curves_of([run for run, _ in runs]) if one["kind"] != "shares"] if runs else []
    write_page(
        results.folder / PAGE,
        "ablate.html",
        ladder=results.record.ladder,
        factors=_factors(results),
        arms=[_arm(arm, results, summary) for arm in results.arms],
        findings=findings,
        metrics=[" ".join(filter(None, [one.name, arrow(one), one.unit])) for one in evaluation.metrics],
        exploratory=[_row(one) for one in results.exploratory],
        notes=[*_notes(results), *summary.notes, *notes],
        pages=pages,
        inputs=_cells(summary, evaluation, NOISY),
        groups=grouped(curves),
        payload={
            "runs": [style | {"name": run.name, "last": run.history.last} for run, style in runs],
            "curves": curves,
        },
        fingerprint=evaluation.fingerprint,
        items=len(evaluation.items),
    )
    return [PAGE, *texts, *(f"{LISTEN}/{name}" for name in pages.values())]


def _every(results: Results) -> list[Answer]:
    return [*results.answers, *results.exploratory]


def _plain(results: Results, findings: Sequence[ArmFinding]) -> dict[str, Any]:
    """Answers and findings for programs."""
    return {"answers": [asdict(one) for one in _every(results)], "findings": [asdict(one) for one in findings]}


def _complete(results: Results) -> list[Answer]:
    return [one for one in _every(results) if one.difference is not None]


def _comparison(answer: Answer) -> Comparison:
    """An answer as the tables of an evaluation show it."""
    question, difference = answer.question, answer.difference
    assert difference is not None
    return Comparison(
        "items",
        question.metric,
        question.arm,
        question.against,
        difference,
        answer.p,
        answer.p_holm,
        answer.effect,
        answer.win_share,
        answer.verdict,
        answer.words,
    )


# Factors


def _factors(results: Results) -> list[dict[str, Any]]:
    """Every declared or added contrast, with where its interval lies on the axis that all share."""
    answers = results.answers
    known = [one.difference for one in answers if one.difference is not None]
    margins = [one.question.margin or 0.0 for one in answers]
    reach = 1.05 * max([*(abs(v) for d in known for v in (d.low, d.high) if math.isfinite(v)), *margins])

    def place(value: float) -> float:
        return round(50 + 50 * value / reach, 1)

    rows = []
    for one in answers:
        words = results.record.ladder.factors[one.question.factor].words
        row = _row(one) | {"words": words, "seeds": [figures(value, 3, True) for value in one.by_seed]}
        if one.difference is not None and one.question.margin is not None:
            d, margin = one.difference, one.question.margin
            row |= {"at": place(d.mean), "left": place(d.low), "width": round(place(d.high) - place(d.low), 1)}
            row |= {"band": place(-margin), "band_width": round(place(margin) - place(-margin), 1)}
        rows.append(row)
    return rows


def _row(answer: Answer) -> dict[str, Any]:
    """One answer as text."""
    d, q = answer.difference, answer.question
    p = p_value(answer.p_holm) if q.declared else p_value(answer.p)
    shown = "–" if d is None else figures(d.mean, 3, True)
    interval = "" if d is None else f"[{figures(d.low, 3, True)}, {figures(d.high, 3, True)}]"
    return {"of": answer, "style": _style(answer), "mean": shown, "interval": interval, "p": p}


def _style(answer: Answer) -> str:
    if answer.verdict != EFFECT or answer.difference is None:
        return STYLE[answer.verdict]
    return "better" if (answer.difference.mean > 0) == answer.question.higher_is_better else "worse"


# Arms


def _arm(arm: ArmRecord, results: Results, summary: Summary) -> dict[str, Any]:
    missing = results.incomplete.get(arm.name, [])
    failures = [f"seed {one.seed}: {one.failure}" for one in arm.trainings if one.failure]
    cells = _cells(summary, results.whole, arm.name)
    return {"arm": arm, "parameters": count(arm.parameters), "missing": missing, "failures": failures, "cells": cells}


def _cells(summary: Summary, evaluation: Evaluation, system: str) -> list[tuple[str, str]]:
    """Mean and interval in every metric; dashes for what is incomplete."""
    cells = []
    for metric in evaluation.metrics:
        column = tables.column_of(summary, "items", metric.name)
        digits = digits_of(standing.estimate for standing in column.values())
        one = column[system].estimate if system in column else estimate([])
        cells.append((number(one.mean, digits).replace("-", MINUS), bounds(one, digits).replace("-", MINUS)))
    return cells


def _notes(results: Results) -> Iterator[str]:
    """What must be known beside the numbers."""
    ladder = results.record.ladder
    for name, seeds in results.incomplete.items():
        these = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
        yield f"{name} is incomplete, {these} missing: it is in no mean and no contrast"
    if len(ladder.seeds) == 1:
        yield "One training seed: differences between trainings are not generalisable"
    late = [name for name in ladder.factors if name not in results.record.declared.contrasts]
    if late:
        yield f"Added after the first scores, so exploratory and uncorrected: {', '.join(late)}"
    if lost := max((one.lost for one in results.answers), default=0):
        yield f"Up to {lost} items lack a score in an arm of a contrast; they are in neither of its arms"
    found = {commit for arm in results.arms for one in arm.trainings for commit in commits(Path(one.run))}
    if len(found) > 1:
        yield f"Arms were trained at {len(found)} commits: {', '.join(sorted(one[:8] for one in found))}"


# Curves


def _runs(results: Results) -> list[tuple[Run, dict[str, int]]]:
    """Each run once, named by the first arm that trained it: a hue an arm, a dash a seed."""
    found: dict[str, tuple[Run, dict[str, int]]] = {}
    hues = 0
    for arm in results.arms:
        own = [one for one in arm.trainings if one.scores and one.run not in found]
        for place, one in enumerate(own):
            style = {"hue": hues % STYLES, "dash": (place + hues // STYLES) % STYLES}
            found[one.run] = read_run(Path(one.run), f"{arm.name} seed {one.seed}"), style
        hues += bool(own)
    return list(found.values())


# Listening


def _listening(results: Results) -> tuple[dict[str, str], list[str]]:
    """A blind page a complete contrast, with the first seed's restorations; and why one is missing."""
    pages, notes = {}, []
    for one in results.answers:
        if one.difference is None:
            continue
        name = "".join(c if c.isalnum() else "-" for c in one.question.factor) + ".html"
        seed = results.record.ladder.seeds[0]
        systems = {side: _folder(results.evaluation, side, seed) for side in (one.question.arm, one.question.against)}
        title = f"{results.record.ladder.name}: {one.question.factor}"
        try:
            built = build(Request(systems, kind="ab", items=LISTENED, title=title))
        except AuscultError as error:
            notes.append(f"No listening page for {one.question.factor}: {error}")
            continue
        write_listening(results.folder / LISTEN / name, built)
        pages[one.question.factor] = name
    return pages, notes


def _folder(evaluation: Evaluation, arm: str, seed: int) -> Path:
    """Where an arm's restorations lie: the file of an item, less the item's name."""
    row = next(row for row in evaluation.rows if (row.system, row.seed) == (arm, seed) and row.estimate is not None)
    assert row.estimate is not None
    return row.estimate.parents[len(Path(row.item).parts) - 1]
