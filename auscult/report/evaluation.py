"""An evaluation as one page: what was found, how sure it is, where it fails, and what that sounds like."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np

from auscult.errors import AudioError
from auscult.evaluate.rows import Evaluation
from auscult.evaluate.summary import Comparison, Summary
from auscult.files import write_bytes
from auscult.plain import leaves
from auscult.report import plots
from auscult.report.highlights import (
    NOISY,
    Entry,
    Highlights,
    Pick,
    entries,
    facts_in_words,
    highlights,
    metric_decimals,
    systems_of,
)
from auscult.report.page import flac, media_uri, write_page
from auscult.report.plots import PAGE, Signal
from auscult.report.tables import arrow, bounds, column_of, data_sets, differences, digits_of, number, p_value, winner

Audio = Literal["embed", "beside", "none"]
AUDIO_FOLDER = "report-audio"
_DPI = 110


def write_report(
    path: Path,
    evaluation: Evaluation,
    summary: Summary,
    audio: Audio = "embed",
    metric: str | None = None,
    system: str | None = None,
) -> None:
    """Write ``report.html``; ``metric`` and ``system`` choose what highlights are about.

    ``audio``: inside the page, in the folder ``report-audio`` beside it, or none. Recordings that are gone are named
    on the page.

    Raises:
        MissingExtra: jinja2 or matplotlib is not installed. OutputError: the page cannot be written.
    """
    chosen = highlights(evaluation, summary, metric, system)
    all_entries = entries(evaluation)
    names, digits = systems_of(evaluation), metric_decimals(all_entries, evaluation.metrics)
    players = _Players(path.parent, audio)
    write_page(
        path,
        "report.html",
        evaluation=evaluation,
        summary=summary,
        chosen=chosen,
        systems=[_system(names, name) for name in names],
        sets=[_data_set(evaluation, summary, data, names) for data in data_sets(summary)],
        verdict=_verdict(summary, chosen),
        picks=[_card(pick, chosen, names, digits, players) for pick in chosen.picks],
        failures=_failures(all_entries),
        facts_in_words=facts_in_words,
        payload=_payload(evaluation, summary, chosen, all_entries, digits),
        protocol=_lines(evaluation.protocol),
        described={name: _lines(evaluation.systems.get(name, {})) for name in names},
    )


@dataclass(frozen=True)
class _Players:
    """Where the sound of players goes: an address for each recording."""

    folder: Path
    audio: Audio

    def address(self, signal: Signal, name: str) -> str | None:
        """The address of a recording, written beside the page or inside the address itself."""
        if self.audio == "none":
            return None
        if self.audio == "embed":
            return media_uri(flac(signal.clip), ".flac")
        write_bytes(self.folder / AUDIO_FOLDER / f"{name}.flac", flac(signal.clip))
        return f"{AUDIO_FOLDER}/{name}.flac"


def _system(names: Sequence[str], name: str) -> dict[str, Any]:
    """Name and style class: noisy, or the number of the enhanced system."""
    enhanced = [one for one in names if one != NOISY]
    return {"name": name, "style": "noisy" if name == NOISY else f"system{enhanced.index(name) % 6}"}


def _verdict(summary: Summary, chosen: Highlights) -> list[str]:
    """How the main system stands against the input and against its closest rival, in the main metric."""
    told, several = [], len(data_sets(summary)) > 1
    for data in data_sets(summary):
        column = column_of(summary, data, chosen.metric.name)
        distance = {
            name: abs(s.estimate.mean - column[chosen.system].estimate.mean)
            for name, s in column.items()
            if chosen.system in column and name not in (chosen.system, NOISY)
        }
        rivals = [NOISY, *sorted(distance, key=distance.__getitem__)[:1]]
        about = [one for one in summary.comparisons if (one.data, one.metric) == (data, chosen.metric.name)]
        about = [
            c for c in about if (c.a == chosen.system and c.b in rivals) or (c.b == chosen.system and c.a in rivals)
        ]
        told += [f"{f'On {data}, ' if several else ''}{one.words.rstrip('.')}." for one in about]
    return told


def _data_set(evaluation: Evaluation, summary: Summary, data: str, names: Sequence[str]) -> dict[str, Any]:
    columns = [_column(summary, data, metric) for metric in evaluation.metrics]
    present = [name for name in names if any(name in column["cells"] for column in columns)]
    own = [one for one in summary.comparisons if one.data == data]
    compared = [_compared(one, *shown) for one, shown in zip(own, differences(own), strict=True)]
    found = {"name": data, "count": sum(item.data == data for item in evaluation.items), "columns": columns}
    return found | {"systems": present, "comparisons": compared, "speeds": _speeds(evaluation, data)}


def _speeds(evaluation: Evaluation, data: str) -> dict[str, str]:
    """Median speed of the systems that ran here, times real time."""
    speeds: dict[str, list[float]] = {}
    for row in evaluation.rows:
        if row.data == data and row.speed is not None:
            speeds.setdefault(row.system, []).append(row.speed)
    return {name: f"{median(values):.3g}" for name, values in speeds.items()}


def _column(summary: Summary, data: str, metric: Any) -> dict[str, Any]:
    """The cells of one metric, by system, with where each interval lies on the column's common axis."""
    column = column_of(summary, data, metric.name)
    digits, best = digits_of(s.estimate for s in column.values()), winner(summary, data, metric)
    ends = [v for s in column.values() for v in (s.estimate.low, s.estimate.high, s.estimate.mean) if math.isfinite(v)]
    low, width = (min(ends), (max(ends) - min(ends)) or 1.0) if ends else (0.0, 1.0)

    def place(value: float) -> float:
        return round(100 * (value - low) / width, 1) if math.isfinite(value) else 0.0

    cells = {}
    for name, standing in column.items():
        one = standing.estimate
        seeds = "" if standing.seed_sd is None else f"{standing.seeds} seeds, sd {number(standing.seed_sd, digits + 1)}"
        cells[name] = {
            "mean": number(one.mean, digits),
            "interval": bounds(one, digits),
            "best": name == best,
            "failed": standing.failed,
        }
        cells[name] |= {"seeds": seeds, "sd": number(one.sd, digits), "median": number(one.median, digits)}
        cells[name] |= {
            "left": place(one.low),
            "width": round(place(one.high) - place(one.low), 1),
            "at": place(one.mean),
        }
    return {"metric": metric, "arrow": arrow(metric), "cells": cells}


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")


def _compared(one: Comparison, mean: str, interval: str) -> dict[str, Any]:
    style = {"better": "better", "worse": "worse"}.get(one.verdict, "open")
    shown = {"mean": _minus(mean), "interval": _minus(interval), "p": p_value(one.p_holm), "style": style}
    wins = f"{100 * one.win_share:.0f} %" if math.isfinite(one.win_share) else "–"
    return {"of": one, **shown, "effect": _minus(number(one.effect, 2, sign=True)), "wins": wins}


def _card(
    pick: Pick, chosen: Highlights, names: Sequence[str], digits: Mapping[str, int], players: _Players
) -> dict[str, Any]:
    """One highlighted item: players, plots, scores."""
    signals, missing = plots.signals_of(pick.entry, names)
    number_of = chosen.picks.index(pick)
    tracks = []
    for i, signal in enumerate(signals):
        style = f"system{signal.number % 6}" if signal.role == "enhanced" else signal.role
        over = int((np.abs(signal.clip.wave) > 1.0).sum())
        address = players.address(signal, f"{number_of + 1:02d}-{i + 1}-{style}")
        tracks.append({"label": signal.label, "style": style, "address": address, "over": over})
    pictures = _pictures(signals, chosen.system, missing) if signals else []
    scores = [(metric, _scores(pick.entry, metric, names, digits[metric])) for metric in digits]
    return {"pick": pick, "tracks": tracks, "pictures": pictures, "missing": missing, "scores": scores}


def _scores(entry: Entry, metric: str, names: Sequence[str], digits: int) -> list[str]:
    values = [entry.score(name, metric) for name in names]
    return ["–" if value is None else _minus(number(value, digits)) for value in values]


def _pictures(signals: Sequence[Signal], system: str, missing: list[str]) -> list[tuple[str, str]]:
    """Description and address of each plot; a difference that is not defined is said among what is missing."""
    labels = ", ".join(signal.label for signal in signals)
    drawn = [(f"waveforms of {labels}", plots.waveforms(signals, _DPI, PAGE))]
    drawn.append((f"spectrograms of {labels}", plots.spectrograms(signals, _DPI, PAGE)))
    pair = plots.pair_of(signals, system)
    if pair is not None:
        try:
            words = f"level of {pair[0].label} minus level of {pair[1].label}: red is in excess, blue is lacking"
            drawn.append((words, plots.difference(*pair, _DPI, PAGE)))
        except AudioError as error:
            missing.append(str(error))
    return [(words, media_uri(png, ".png")) for words, png in drawn]


def _failures(all_entries: Iterable[Entry]) -> list[tuple[str, str, str, list[str]]]:
    """System, metric, why, and the items it happened to."""
    gathered: dict[tuple[str, str, str], list[str]] = {}
    for entry in all_entries:
        for system, by_metric in entry.failures.items():
            for metric, why in by_metric.items():
                gathered.setdefault((system, metric, why), []).append(f"{entry.item.data}/{entry.item.name}")
    return [(*key, names) for key, names in gathered.items()]


def _lines(value: Any) -> list[tuple[str, str]]:
    """Nested plain data as dotted names and words."""
    found = leaves(value)
    return [(name, ", ".join(map(str, one)) if isinstance(one, list | tuple) else str(one)) for name, one in found]


def _payload(
    evaluation: Evaluation,
    summary: Summary,
    chosen: Highlights,
    all_entries: Sequence[Entry],
    digits: Mapping[str, int],
) -> dict[str, Any]:
    """What charts and table are drawn from, by column; numbers to five digits."""
    names, metrics = systems_of(evaluation), [metric.name for metric in evaluation.metrics]
    sets = list(dict.fromkeys(entry.item.data for entry in all_entries))
    facts = list(dict.fromkeys(key for entry in all_entries for key in entry.item.facts))
    place = {(pick.entry.item.data, pick.entry.item.name): i for i, pick in enumerate(chosen.picks)}
    scores = [[[_short(e.score(name, metric)) for e in all_entries] for metric in metrics] for name in names]
    return {
        "main": metrics.index(chosen.metric.name),
        "system": names.index(chosen.system),
        "metrics": [
            {"name": m.name, "unit": m.unit, "up": m.higher_is_better, "digits": digits[m.name]}
            for m in evaluation.metrics
        ],
        "systems": [_system(names, name) for name in names],
        "sets": sets,
        "items": {
            "name": [entry.item.name for entry in all_entries],
            "set": [sets.index(entry.item.data) for entry in all_entries],
            "pick": [place.get((entry.item.data, entry.item.name)) for entry in all_entries],
            "facts": {key: [_short(entry.item.facts.get(key)) for entry in all_entries] for key in facts},
            "scores": scores,
        },
        "axis": plots.AXIS,
        "failed": _failed(all_entries, names, metrics),
        "standings": [
            [sets.index(s.data), names.index(s.system), metrics.index(s.metric), *_interval(s.estimate)]
            for s in summary.standings
        ],
        "groups": [
            [
                sets.index(g.data),
                g.group,
                g.value,
                names.index(g.system),
                metrics.index(g.metric),
                *_interval(g.estimate),
            ]
            for g in summary.groups
            if g.estimate.items
        ],
    }


def _interval(estimate: Any) -> list[float | int | str | None]:
    return [estimate.items, *map(_short, (estimate.mean, estimate.low, estimate.high))]


def _short(value: float | str | None) -> float | str | None:
    """Five digits; what is not finite is missing."""
    if isinstance(value, str) or value is None:
        return value
    return float(f"{value:.5g}") if math.isfinite(value) else None


def _failed(all_entries: Sequence[Entry], names: Sequence[str], metrics: Sequence[str]) -> list[list[Any]]:
    """Item, system, metric (by number) and why."""
    return [
        [i, names.index(system), metrics.index(metric), why]
        for i, entry in enumerate(all_entries)
        for system, by_metric in entry.failures.items()
        for metric, why in by_metric.items()
        if metric in metrics
    ]
