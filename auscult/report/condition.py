"""The examination of a noise condition as tables, as data for programs, and as one page."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from auscult.diagnose.condition.embedding import Picture
from auscult.diagnose.condition.examination import Examination
from auscult.diagnose.condition.gap import Gap
from auscult.diagnose.condition.paired import Difference
from auscult.diagnose.condition.verdicts import verdicts
from auscult.errors import need
from auscult.evaluate.summary import Estimate
from auscult.report.page import media_uri, write_page
from auscult.report.plots import PAGE
from auscult.report.tables import figures, p_value
from auscult.units import count, duration

DPI = 130
COLOURS = ("#1e8449", "#7a4fc0", "#b07d12", "#0b7c8a", "#b03f7d", "#5f6b1f", "#c8503f", "#3f7fc4")
"""Of types of noise; more of them repeat colours with other marks."""
MARKS = "os^Dv"


@dataclass(frozen=True)
class Table:
    """What one instrument found, as text; ``words`` say how it is read."""

    title: str
    words: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def as_data(found: Examination, data: str) -> dict[str, Any]:
    """Numbers and verdicts for JSON."""
    return {"data": data, "verdicts": [asdict(one) for one in verdicts(found)], **asdict(found)}


def sections(found: Examination) -> tuple[Table, ...]:
    """A table for every instrument that was used."""
    return tuple(table for part in (_losses, _gaps, _embeddings, _gradients, _restorations) for table in part(found))


def write_condition(path: Path, found: Examination, data: str) -> None:
    """Write the page.

    Raises:
        MissingExtra: jinja2 or matplotlib is not installed. OutputError: the page cannot be written.
    """
    write_page(
        path,
        "condition.html",
        found=found,
        data=data,
        duration=duration(found.elapsed_s),
        verdicts=verdicts(found),
        tables=sections(found),
        pictures=[(words, media_uri(png, ".png")) for words, png in _pictures(found)],
    )


def _losses(found: Examination) -> Iterator[Table]:
    if found.exchange:
        own = f"Loss with another reference minus loss with the item's own, which is {_interval(found.exchange.own)}."
        yield _differences("The reference exchanged", own, found.exchange.differences)
    if found.origins:
        words = "Loss without a reference minus loss with one; 'over disjoint': disjoint minus the other."
        yield _differences("Origins of references", words, found.origins)
    if found.lengths:
        words = "Loss without a reference minus loss with its first seconds."
        yield _differences("Lengths of references", words, found.lengths)


def _gaps(found: Examination) -> Iterator[Table]:
    if found.gap:
        rows = tuple((f"{one.t:.3g}", _interval(one.of)) for one in found.gap)
        yield Table("The two answers of the net", "E |F_told − F_null| / E |F_null|.", ("t", "gap [95 %]"), rows)


def _embeddings(found: Examination) -> Iterator[Table]:
    rows: list[tuple[str, str]] = []
    if space := found.space:
        rows.append((f"effective rank of the {space.what}", f"{space.effective_rank:.1f} of {space.dimensions}"))
        rows.append(("dimensions that do not vary", str(space.dead)))
        rows.append(("share of its energy that varies", _interval(space.spread)))
    if alike := found.alike:
        rows.append(("cosine, two pieces of one recording", _interval(alike.same)))
        rows.append(("cosine, pieces of two items", _interval(alike.other)))
        rows.append(("their difference", f"{_interval(alike.difference.of)}, p {p_value(alike.difference.p)}"))
    if types := found.types:
        rows.append((f"silhouette of {types.kinds} types", f"{types.silhouette:.2f}, p {p_value(types.silhouette_p)}"))
        chance = f"by chance {types.chance:.2f}, p {p_value(types.accuracy_p)}"
        rows.append(("types told by a linear probe", f"{_interval(types.accuracy)}, {chance}"))
    if found.redundancy:
        rows.append(("R² from the noisy input", _interval(found.redundancy)))
    if rows:
        yield Table("The embedding", "", ("", "value [95 %]"), tuple(rows))


def _gradients(found: Examination) -> Iterator[Table]:
    if found.gradients:
        norms = tuple((one.part, count(one.parameters), figures(one.norm), figures(one.weights))
                      for one in found.gradients)  # fmt: skip
        yield Table("Gradients of one batch", "", ("part", "parameters", "gradient", "weights"), norms)
    if one := found.dropout:
        shares = (f"{one.asked:g}", _interval(one.realised), _interval(one.missing))
        yield Table("Drop-out in training", "", ("asked for", "realised [95 %]", "without reference [95 %]"), (shares,))


def _restorations(found: Examination) -> Iterator[Table]:
    if not (restored := found.restoration):
        return
    for metric, compared in restored.differences.items():
        own = f"Score minus that with the item's own reference, {_interval(restored.means[metric]['own'])}."
        yield _differences(f"Restored: {metric}", own, compared)


def _differences(title: str, words: str, found: Sequence[Difference]) -> Table:
    rows = tuple((one.name, str(one.of.items), _interval(one.of, sign=True), p_value(one.p_holm)) for one in found)
    return Table(title, words, ("reference", "items", "difference [95 %]", "p (Holm)"), rows)


def _interval(one: Estimate, sign: bool = False) -> str:
    """A mean and its interval, three digits each."""
    mean, low, high = (figures(value, 3, sign) for value in (one.mean, one.low, one.high))
    return f"{mean} [{low}, {high}]"


# Pictures


def _pictures(found: Examination) -> Iterator[tuple[str, bytes]]:
    if found.gap:
        yield "How far the two answers lie apart, over the time of the path", _gap_picture(found.gap)
    if found.lengths:
        yield "What a reference of each length saves in the loss", _lengths_picture(found.lengths)
    if found.picture:
        yield f"Embeddings of the references by type of noise ({found.picture.method})", _scatter(found.picture)


def _gap_picture(found: Sequence[Gap]) -> bytes:
    figure, axis = _figure()
    _line(axis, [one.t for one in found], [one.of for one in found])
    axis.set(xlabel="t", ylabel="gap")
    return _png(figure, axis)


def _lengths_picture(found: Sequence[Difference]) -> bytes:
    figure, axis = _figure()
    _line(axis, [float(one.name.split()[0]) for one in found], [one.of for one in found])
    axis.axhline(0, color=PAGE.ink, linewidth=0.6)
    axis.set(xlabel="length of the reference (s)", ylabel="loss saved")
    return _png(figure, axis)


def _line(axis: Any, x: Sequence[float], found: Iterable[Estimate]) -> None:
    means, lows, highs = np.array([(one.mean, one.low, one.high) for one in found]).T
    axis.plot(x, means, "o-", color=COLOURS[0], markersize=4, linewidth=1.4)
    axis.fill_between(x, lows, highs, color=COLOURS[0], alpha=0.2, linewidth=0)


def _scatter(found: Picture) -> bytes:
    figure, axis = _figure()
    for number, kind in enumerate(sorted({kind or "" for kind in found.kinds})):
        points = np.array([p for p, own in zip(found.points, found.kinds, strict=True) if (own or "") == kind])
        mark = MARKS[number // len(COLOURS) % len(MARKS)]
        colour = COLOURS[number % len(COLOURS)]
        axis.plot(*points.T, mark, color=colour, markersize=4, label=kind or "type unknown", linestyle="none")
    axis.set(xticks=[], yticks=[])
    axis.legend(fontsize=6, frameon=False, labelcolor=PAGE.ink, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return _png(figure, axis)


def _figure() -> tuple[Any, Any]:
    figure = need("matplotlib.figure", "a plot").Figure(figsize=(6.0, 3.0), facecolor="none", layout="constrained")
    return figure, figure.add_subplot()


def _png(figure: Any, axis: Any) -> bytes:
    axis.set_facecolor("none")
    axis.tick_params(colors=PAGE.ink, labelsize=8, length=2)
    for part in (axis.xaxis.label, axis.yaxis.label):
        part.set(color=PAGE.ink, fontsize=8)
    for name, spine in axis.spines.items():
        spine.set(visible=name in ("bottom", "left"), color=PAGE.ink, linewidth=0.5)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=DPI, facecolor="none", metadata={"Software": None})
    return out.getvalue()
