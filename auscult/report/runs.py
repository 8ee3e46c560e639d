"""Training runs as one page: what happened, curves, stages, items, samples; several runs compared."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from auscult.errors import DataError
from auscult.evaluate.summary import Estimate
from auscult.hub.runs import HISTORY, RECIPE
from auscult.report.curves import STYLES, brief, curves_of, grouped, quantities_of
from auscult.report.evaluation import Audio
from auscult.report.page import write_page
from auscult.report.runfolder import Run, direction, read_run
from auscult.report.samples import cards, extreme_cards
from auscult.report.tables import MINUS, bounds, digits_of, figures
from auscult.report.tables import number as decimal
from auscult.train.history import History, Series, Validation, last_third, paired, stages, unlike
from auscult.units import count, duration


def write_runs(path: Path, folders: Sequence[Path], audio: Audio = "embed") -> None:
    """Write the page of one run, or of several compared with the first.

    ``audio``: samples inside the page, in the folder ``report-audio`` beside it, or none.

    Raises:
        DataError: a folder is no run or given twice. MissingExtra: jinja2 or matplotlib is not installed.
        OutputError: the page cannot be written.
    """
    runs = [read_run(folder, name) for folder, name in zip(folders, _names(folders), strict=True)]
    curves = curves_of(runs)
    write_page(
        path,
        "runs.html",
        runs=[_told(run, i) for i, run in enumerate(runs)],
        notes=[note for run in runs for note in _notes(run, len(runs) > 1)],
        comparison=_comparison(runs) if len(runs) > 1 else None,
        groups=grouped(curves),
        cards=cards(runs, path.parent, audio),
        extremes=extreme_cards(runs[0], path.parent, audio) if len(runs) == 1 else [],
        payload={
            "runs": [{"name": run.name, "last": run.history.last, **_style(i)} for i, run in enumerate(runs)],
            "curves": curves,
        },
    )


def _names(folders: Sequence[Path]) -> list[str]:
    """Folder names, with their parents where two are called alike."""
    paths = [folder.resolve() for folder in folders]
    if twice := [folder for i, folder in enumerate(folders) if paths[i] in paths[:i]]:
        raise DataError(f"{twice[0]}: given twice")
    short = [path.name for path in paths]
    return [f"{path.parent.name}/{path.name}" if short.count(path.name) > 1 else path.name for path in paths]


# In words


def _told(run: Run, index: int) -> dict[str, Any]:
    """What the template shows of one run."""
    return {
        "run": run,
        "style": _style(index),
        "header": _header(run),
        "words": list(_words(run)),
        "stages": _stage_table(run),
        "items": _items(run),
        "environment": json.dumps(run.starts, indent=1),
    }


def _style(index: int) -> dict[str, Any]:
    return {"hue": index % STYLES, "dash": (index + index // STYLES) % STYLES}


def _header(run: Run) -> list[tuple[str, str]]:
    start = run.starts[-1] if run.starts else {}
    versions = " · ".join(f"{name} {version}" for name, version in start.get("versions", {}).items())
    device = " · ".join(str(part) for part in (start.get("device"), _cpus(start)) if part)
    sizes = ", ".join(f"{name} {count(size)}" if len(run.parameters) > 1 else count(size)
                      for name, size in run.parameters.items())  # fmt: skip
    facts = {
        "recipe": str(run.recipe.get("name", "")),
        "hash": run.hash,
        "steps": f"{run.history.last} of {run.steps}, {_state(run)}",
        "learning": duration(run.history.learning_s),
        "parameters": sizes,
        "device": device,
        "versions": versions,
        "files written": _dates(run.path),
        "starts": str(len(run.starts)) if len(run.starts) > 1 else "",
    }
    return [(name, value) for name, value in facts.items() if value]


def _cpus(start: Mapping[str, Any]) -> str:
    return f"CPUs {start['cpus']}, threads {start.get('threads', '?')}" if start.get("cpus") else ""


def _dates(path: Path) -> str:
    """When the first and the last file of the run were written; histories hold no times."""
    first, last = (datetime.fromtimestamp((path / name).stat().st_mtime) for name in (RECIPE, HISTORY))
    form = "%d %b %Y %H:%M"
    return f"{first:{form}} to {last:{form if first.date() != last.date() else '%H:%M'}}"


def _state(run: Run) -> str:
    if run.history.last >= run.steps:
        return "finished"
    patience, best = (run.recipe.get("validation") or {}).get("patience"), run.best
    if patience and best and sum(one.step > best.step for one in run.history.validations) >= patience:
        return f"ended early: {patience} validations without a new best"
    return "not finished (stopped, or still learning)"


def _words(run: Run) -> Iterator[str]:
    """What happened, as sentences."""
    history = run.history
    yield f"{history.last} of {run.steps} steps in {duration(history.learning_s)} of learning."
    if run.best is not None and run.metric is not None:
        yield _best_words(run, run.best, run.metric)
        yield from _last_third_words(run, run.metric)
    else:
        loss = history.series("turns", history.turns[0], "loss").within(history.last * 2 / 3, history.last)
        moved = figures(loss.trend, 2, True)
        yield f"It was not validated; over the last third the loss moved by {moved} in 1000 steps."
    yield from _gradient_words(run)
    yield _skipped_words(history)


def _best_words(run: Run, best: Validation, metric: str) -> str:
    one, among = best.estimate(metric), len(run.history.validations)
    shown = _signed(one, digits_of([one]))
    return f"The best of {among} validations by {metric} was at step {best.step}: {shown} over {one.items} items."


def _signed(one: Estimate, digits: int, sign: bool = False) -> str:
    """Mean and interval, with the minus of mathematics."""
    return f"{decimal(one.mean, digits, sign)} {bounds(one, digits, sign)}".strip().replace("-", MINUS)


def _last_third_words(run: Run, metric: str) -> Iterator[str]:
    """Whether the last third still improved: the last validation against the one it began with, item by item."""
    found = last_third(run.history, metric)
    if found is None or not math.isfinite(found[2].low):
        yield "There are too few validations to say whether the last third still improved."
        return
    last, before, change = found
    digits = digits_of([change])
    better = change.low > 0 if direction(metric) is not False else change.high < 0
    worse = change.high < 0 if direction(metric) is not False else change.low > 0
    verdict = (
        "still improved" if better else "made it worse" if worse else "changed nothing that these items could show"
    )
    shown = _signed(change, digits, sign=True)
    yield f"The last third {verdict}: {metric} {shown} from step {before.step} to step {last.step}, item by item."


def _gradient_words(run: Run) -> Iterator[str]:
    limit = run.recipe["training"].get("clip_norm")
    several = len(run.history.turns) > 1
    for turn in run.history.turns:
        of = f" of {turn}" if several else ""
        if limit is not None:
            share = _percent(run.history.clipped_share(turn))
            yield f"The gradient{of} was clipped at norm {limit:g} in {share} of the steps."
        if unstepped := run.history.unstepped(turn):
            yield f"{unstepped} steps{of} were left out, for want of items or for a gradient that was not finite."
    if limit is None:
        yield "Gradients were not clipped."


def _skipped_words(history: History) -> str:
    skipped = history.skipped
    total = sum(skipped.values())
    if not total:
        return "No draw was skipped."
    causes = ", ".join(f"{cause} {number}" for cause, number in skipped.most_common())
    return f"{total} draws were skipped, {_percent(total / (total + history.items))} of all: {causes}."


def _percent(share: float) -> str:
    """``0 %``, ``0.04 %``, ``12 %``."""
    return f"{figures(100 * share, 2)} %" if 0 < share < 0.995 else f"{100 * share:.0f} %"


def _notes(run: Run, several: bool) -> Iterator[str]:
    """What must be known beside the numbers."""
    of = f"{run.name}: " if several else ""
    history = run.history
    gaps = sorted({int(step) for turn in history.turns for name in ("loss", "grad_norm") for step in
                   history.series("turns", turn, name).gaps})  # fmt: skip
    if gaps:
        rows = f"{len(gaps)} of {len(history.rows)} rows"
        yield f"{of}{rows} hold numbers that are not finite, the first at step {gaps[0]}: gaps in the curves"
    for metric in history.metrics:
        if lost := {one.step: one.lost[metric] for one in history.validations if one.lost.get(metric)}:
            yield (
                f"{of}{metric} was lost on up to {max(lost.values())} items in {len(lost)} validations; means are over "
                "the others, ranks count a lost item as left as it was"
            )
    if run.metric is not None and direction(run.metric) is None:
        yield f"{of}which direction of {run.metric} is better is not known here; higher is taken to be"
    yield from (f"{of}{words}" for words in run.unreadable)


# Tables


def _stage_table(run: Run) -> dict[str, Any]:
    """Mean and trend of every quantity in each third of the run, and the best validations that fell into it."""
    history = run.history
    thirds = stages(history.last)
    rows = []
    for quantity in quantities_of([run]):
        series = history.series(*quantity.path)
        if series.steps.size and quantity.path[-1] != "lr":
            scaled = Series(series.steps, quantity.factor * series.values)
            title = quantity.title.partition(" (faint")[0]
            rows.append((title, [_cell(scaled.within(one.low, one.high)) for one in thirds]))
    validated = [(metric, history.means(metric)) for metric in history.metrics]
    rows += [(metric, [_cell(means.within(one.low, one.high)) for one in thirds]) for metric, means in validated]
    keep = (run.recipe.get("validation") or {}).get("keep_best") or 1
    best = [[one for one, _ in run.ranking if third.low < one.step <= third.high][:keep] for third in thirds]
    heads = [(third.name, f"{math.floor(third.low) + 1} to {math.floor(third.high)}") for third in thirds]
    shown = [[(one.step, figures(one.means[run.metric], 4), one is run.best) for one in own] for own in best
             ] if run.metric else []  # fmt: skip
    return {"heads": heads, "rows": rows, "best": shown, "metric": run.metric, "keep": keep}


def _cell(series: Series) -> tuple[str, str]:
    return figures(series.mean), figures(series.trend, 2, True)


def _items(run: Run) -> dict[str, Any] | None:
    """Every item of the best validation, the worst first, with what it gained since the first validation."""
    best, metric = run.best, run.metric
    if best is None or metric is None:
        return None
    first, metrics = run.history.validations[0], run.history.metrics
    sign = -1.0 if direction(metric) is False else 1.0
    digits = {name: digits_of([best.estimate(name)]) + 1 for name in metrics}

    def worst_first(item: str) -> float:
        return sign * best.scores[item].get(metric, -sign * math.inf)

    rows = []
    for item in sorted(best.scores, key=worst_first):
        failed = "; ".join(f"{name}: {why}" for name, why in best.failures[item].items())
        rows.append({"item": item, "cells": [_item_cell(best, first, item, m, digits[m]) for m in metrics],
                     "failed": failed})  # fmt: skip
    return {
        "step": best.step,
        "first": first.step if first is not best else None,
        "metrics": metrics,
        "metric": metric,
        "rows": rows,
        "failed": sum(bool(row["failed"]) for row in rows),
    }


def _item_cell(best: Validation, first: Validation, item: str, metric: str, digits: int) -> dict[str, Any]:
    """Score and gain, as text and as a number to sort by; a loss is marked."""
    value = best.scores[item].get(metric, math.nan)
    gain = value - first.scores.get(item, {}).get(metric, math.nan)
    higher = direction(metric)
    worse = higher is not None and (gain < 0 if higher else gain > 0)
    return {
        "value": decimal(value, digits).replace("-", MINUS),
        "gain": decimal(gain, digits, True).replace("-", MINUS),
        "sort": (brief(value), brief(gain)),
        "worse": worse,
    }


# Comparison


def _comparison(runs: Sequence[Run]) -> dict[str, Any]:
    """The runs at their best validations, with paired differences to the first run."""
    metrics = list(dict.fromkeys(metric for run in runs for metric in run.history.metrics))
    cells = {metric: [_standing(runs[0], run, metric) for run in runs] for metric in metrics}
    rows = [{"facts": _facts(run), "cells": [cells[metric][i] for metric in metrics]} for i, run in enumerate(runs)]
    notes = [note for run in runs[1:] if (note := _unlike_conditions(runs[0], run))]
    if len({run.metric for run in runs if run.metric}) > 1:
        chosen = ", ".join(f"{run.name} by {run.metric}" for run in runs if run.metric)
        notes.append(f"The best validation was chosen by different metrics: {chosen}.")
    arrows = {True: "↑", False: "↓", None: ""}
    return {
        "metrics": [f"{metric} {arrows[direction(metric)]}".strip() for metric in metrics],
        "rows": rows,
        "notes": notes,
        "recipes": [(name, [_leaf(value) for value in values]) for name, values in unlike([r.recipe for r in runs])],
    }


def _facts(run: Run) -> list[tuple[str, str]]:
    history, best = run.history, run.best
    audio = history.series("audio_per_s")
    speed = history.series("items_per_s")
    return [
        ("steps", f"{history.last} of {run.steps}"),
        ("best at step", str(best.step) if best else "–"),
        ("parameters", count(sum(run.parameters.values())) if run.parameters else "–"),
        ("learning", duration(history.learning_s)),
        ("items/s", figures(float(np.nanmedian(speed.values)) if np.isfinite(speed.values).any() else math.nan)),
        ("audio s/s", figures(audio.mean)),
    ]


def _standing(reference: Run, run: Run, metric: str) -> dict[str, str] | None:
    """A run's best validation in one metric, and how it differs from the reference's, item by item."""
    if run.best is None or metric not in run.best.means:
        return None
    one = run.best.estimate(metric)
    digits = digits_of([one])
    shown, _, around = _signed(one, digits).partition(" ")
    cell = {"mean": shown, "interval": around, "difference": "", "on": "", "style": ""}
    if run is not reference and reference.best is not None:
        cell |= _difference(paired(run.best, reference.best, metric), metric, bool(_conditions(reference, run)))
    return cell


def _difference(change: Estimate, metric: str, unlike_conditions: bool) -> dict[str, str]:
    if not change.items:
        return {"difference": "no common items", "on": "", "style": "open"}
    digits, higher = digits_of([change]), direction(metric)
    text = _signed(change, digits, sign=True) + ("†" if unlike_conditions else "")
    up, down = change.low > 0, change.high < 0
    known = higher is not None and not unlike_conditions and (up or down)
    style = ("better" if up == higher else "worse") if known else "open"
    return {"difference": text, "on": f"{change.items} common items", "style": style}


def _conditions(a: Run, b: Run) -> list[str]:
    """What makes validation items of one name unlike: other mixtures, or other recordings."""
    sections = [
        {
            "seed": run.recipe.get("seed"),
            "validation": {"data": (run.recipe.get("validation") or {}).get("data")},
            "recordings": (run.starts[-1] if run.starts else {}).get("recordings", {}).get("validation"),
        }
        for run in (a, b)
    ]
    return [name for name, _ in unlike(sections)]


def _unlike_conditions(a: Run, b: Run) -> str:
    names = _conditions(a, b)
    if not names:
        return ""
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return (
        f"† {b.name} was validated on other mixtures than {a.name} ({shown} differ): their difference is also that of "
        "the data. Evaluate both on the same pairs to compare them."
    )


def _leaf(value: Any) -> str:
    return "–" if value is None else str(value) if isinstance(value, str) else json.dumps(value, default=str)
