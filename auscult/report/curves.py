"""The charts of a page of runs: which there are, and the points they are drawn from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from auscult.diagnose.reference import Band, Reference, load
from auscult.report.runfolder import Run, direction
from auscult.report.tables import digits_of
from auscult.train.history import Series, smoothed, thinned

STYLES = 6
"""Hues of the page's style sheet; more runs repeat them with another dash."""

_RAW, _SMOOTH = 320, 200
"""Points of a curve, as recorded and smoothed."""
_SMOOTHING = 30
"""A running mean covers the run's length over this."""


@dataclass(frozen=True)
class Quantity:
    """One chart: where its numbers lie in a row, and how it is drawn."""

    group: str
    title: str
    path: tuple[str, ...]
    faint: tuple[str, ...] | None = None
    """Where the faint line lies, if not at ``path``."""
    scale: Literal["linear", "log", "choice"] = "linear"
    factor: float = 1.0
    limit: bool = False
    noisy: bool = True
    """Whether it is worth smoothing."""


def quantities_of(runs: Sequence[Run]) -> Iterator[Quantity]:
    """The charts of all runs, turn by turn."""
    turns = dict.fromkeys(turn for run in runs for turn in run.history.turns)
    for turn in turns:
        of = f" of {turn}" if len(turns) > 1 else ""
        at = ("turns", turn)
        yield Quantity("Loss", f"loss{of}", (*at, "loss"), scale="choice")
        parts = dict.fromkeys(part for run in runs for part in run.history.parts(turn))
        if max(len(run.history.parts(turn)) for run in runs) > 1:
            for part in parts:
                yield Quantity("Loss", f"{part}{of}, without weight", (*at, "parts", part), scale="choice")
        norm = (*at, "grad_norm_mean")
        title = f"gradient norm{of} before clipping (faint: largest)"
        yield Quantity("Optimiser", title, norm, (*at, "grad_norm"), "log", limit=True)
        yield Quantity("Optimiser", f"clipped steps{of} (%)", (*at, "clipped_share"), factor=100)
        yield Quantity("Optimiser", f"learning rate{of}", (*at, "lr"), noisy=False)
        yield Quantity("Optimiser", f"distance of the averaged weights{of}", (*at, "ema_distance"), noisy=False)
        for pair in dict.fromkeys(pair for run in runs for pair in run.history.named(turn, "gradient_cosine")):
            title = f"cosine of {' and '.join(pair.split('|'))}{of}, at the estimate"
            yield Quantity("Gradients", title, (*at, "gradient_cosine", pair))
        for note in dict.fromkeys(note for run in runs for note in run.history.named(turn, "notes")):
            yield Quantity("Watched", f"{note.replace('_', ' ')}{of}", (*at, "notes", note))
    yield Quantity("Machine", "items per second", ("items_per_s",))
    yield Quantity("Machine", "waiting for the loader (% of time)", ("loader_wait_share",), factor=100)
    yield Quantity("Machine", "peak memory (MiB)", ("peak_memory_mib",), noisy=False)


def curves_of(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Every chart that at least one run has numbers for."""
    drawn = [_curve(quantity, runs) for quantity in quantities_of(runs)]
    losses, others = ([one for one in drawn if (one["group"] == "Loss") == wanted] for wanted in (True, False))
    metrics = dict.fromkeys(metric for run in runs for metric in run.history.metrics)
    validations = [_validation_curve(metric, runs) for metric in metrics]
    drawn = [*losses, *_share_curves(runs), *validations, *_calibration_curves(runs), *others]
    return _before_healthy([one for one in drawn if one["lines"]], runs)


def _before_healthy(drawn: Sequence[dict[str, Any]], runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Charts with the band of healthy runs behind them, where all runs are of one recipe that has a reference."""
    names = {str(run.recipe.get("name", "")) for run in runs}
    known = load(next(iter(names))) if len(names) == 1 else None
    if known is None:
        return list(drawn)
    bands = {_band_title(name): band for name, band in known.curves.items()}
    return [
        one | {"band": _drawn_band(known, bands[title])} if (title := _bare_title(one)) in bands else one
        for one in drawn
    ]


def _band_title(curve: str) -> str:
    """The title of the chart that shows a curve of a reference."""
    return "loss" if curve == "train.loss" else curve.removeprefix("valid.")


def _bare_title(curve: Mapping[str, Any]) -> str:
    """Without what is said of turns and directions: the first turn's loss is that of the net."""
    title = str(curve["title"]).partition(",")[0]
    return "loss" if title in ("loss", "loss of net") else title if curve["kind"] == "validation" else ""


def _drawn_band(known: Reference, band: Band) -> dict[str, Any]:
    words = f"grey: where 95 % of further healthy runs lie ({known.runs} seeds)"
    return {"steps": list(band.at), "low": [*map(brief, band.low)], "high": [*map(brief, band.high)], "words": words}


def _curve(quantity: Quantity, runs: Sequence[Run]) -> dict[str, Any]:
    lines, gaps = [], []
    for i, run in enumerate(runs):
        series = run.history.series(*quantity.path)
        if not series.steps.size:
            continue
        window = max(1, series.steps.size // _SMOOTHING) if quantity.noisy else 1
        firm = smoothed(series, window, geometric=quantity.scale == "log")
        line = {"run": i, "line": _points(thinned(firm, _SMOOTH), quantity.factor)}
        if window > 1 or quantity.faint:
            faint = run.history.series(*quantity.faint) if quantity.faint else series
            line["faint"] = _points(thinned(faint, _RAW), quantity.factor)
        clip = run.recipe["training"].get("clip_norm") if quantity.limit else None
        lines.append(line | ({"limit": clip} if clip is not None else {}))
        gaps.append((run.name, series.gaps))
    return {
        "kind": "line",
        "group": quantity.group,
        "title": quantity.title,
        "scale": quantity.scale,
        "lines": lines,
        "note": _gap_words(gaps),
    }


def _gap_words(gaps: Sequence[tuple[str, Any]]) -> str:
    told = [
        f"{f'{name}: ' if len(gaps) > 1 else ''}{steps.size} not finite, from step {steps[0]}"
        for name, steps in gaps
        if steps.size
    ]
    return "; ".join(told)


def _points(series: Series, factor: float = 1.0) -> list[list[Any]]:
    return [series.steps.tolist(), [brief(factor * value) for value in series.values]]


def brief(value: float) -> float | None:
    """Five digits; what is not finite is missing."""
    return float(f"{value:.5g}") if math.isfinite(value) else None


def _validation_curve(metric: str, runs: Sequence[Run]) -> dict[str, Any]:
    """Means with intervals; steps at which nothing was scored are gaps."""
    lines, gaps = [], []
    for i, run in enumerate(runs):
        own = [one for one in run.history.validations if metric in one.means]
        found = [one.estimate(metric) for one in own]
        rows = [
            [one.step, *map(brief, (e.mean, e.low, e.high)), e.items, one is run.best]
            for one, e in zip(own, found, strict=True)
        ]
        if rows:
            lines.append({"run": i, "rows": rows, "digits": digits_of(found)})
            gaps.append((run.name, np.array([row[0] for row in rows if row[1] is None])))
    arrow = {True: ", higher is better", False: ", lower is better", None: ""}[direction(metric)]
    return {
        "kind": "validation",
        "group": "Validation",
        "title": f"{metric}{arrow}",
        "scale": "linear",
        "lines": lines,
        "note": _gap_words(gaps),
    }


def _calibration_curves(runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    """How well a discriminator foresees its metric, at every validation."""
    for name in dict.fromkeys(name for run in runs for name in run.history.calibrations):
        series = [(i, run.history.calibration(name)) for i, run in enumerate(runs)]
        yield {
            "kind": "line",
            "group": "Discriminator on the validation items",
            "title": name.replace("_", " "),
            "scale": "linear",
            "lines": [{"run": i, "line": _points(one)} for i, one in series if one.steps.size],
            "note": "",
        }


def _share_curves(runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    """What each part contributes to a loss, and to the gradient at the estimate, for losses of several parts."""
    for i, run in enumerate(runs):
        for turn in run.history.turns:
            of = [turn] * (len(run.history.turns) > 1) + [run.name] * (len(runs) > 1)
            named = " ".join(f"of {name}" for name in of)
            for group, title, shares in (
                ("Loss", "share of each part, weight × value (%)", run.history.shares(turn)),
                ("Gradients", "share of each part in the gradient at the estimate (%)", run.history.pulls(turn)),
            ):
                if len(shares) > 1:
                    yield _shares_curve(group, f"{title} {named}".strip(), i, shares)


def _shares_curve(group: str, title: str, run: int, shares: Mapping[str, Series]) -> dict[str, Any]:
    count = next(iter(shares.values())).steps.size
    window = max(1, count // _SMOOTHING)
    drawn = {part: smoothed(series, window) for part, series in shares.items()}
    kept = np.unique(np.linspace(0, count - 1, _SMOOTH).astype(int))
    values = [_points(Series(one.steps[kept], one.values[kept]), 100)[1] for one in drawn.values()]
    steps = next(iter(drawn.values())).steps[kept].tolist()
    return {
        "kind": "shares",
        "group": group,
        "title": title,
        "scale": "linear",
        "lines": [{"run": run, "steps": steps, "parts": list(shares), "values": values}],
        "note": "",
    }


def grouped(curves: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[tuple[int, Mapping[str, Any]]]]]:
    """Charts by group, with their numbers in the payload."""
    groups: dict[str, list[tuple[int, Mapping[str, Any]]]] = {}
    for number, curve in enumerate(curves):
        groups.setdefault(curve["group"], []).append((number, curve))
    return list(groups.items())
