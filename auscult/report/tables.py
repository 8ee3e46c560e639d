"""An evaluation as text: CSV and Parquet of every row, Markdown and LaTeX (booktabs) tables of the summary."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean

from auscult.errors import need
from auscult.evaluate.rows import Evaluation, MetricFacts, Row
from auscult.evaluate.summary import Comparison, Estimate, Standing, Summary
from auscult.files import aside
from auscult.report.highlights import systems_of

Cell = str | float | int | None
SHORT = 12
"""Digits of a fingerprint where there is little room."""
MINUS = "\N{MINUS SIGN}"
_FIXED = ("data", "system", "seed", "item")
_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}"}
_LATEX |= {">": r"\textgreater{}", "|": r"\textbar{}", "[": "{[}", "]": "{]}"}
_LATEX |= {character: "\\" + character for character in "&%$#_{}"}
_MARKDOWN = str.maketrans({character: "\\" + character for character in "\\`*_[]|<>"})


def csv_rows(evaluation: Evaluation) -> tuple[list[str], list[list[Cell]]]:
    """Header and rows, one an item, system and seed: data, system, seed, item, facts, scores, failed, protocol.

    A fact that is called like another column gets the prefix ``fact.``; ``failed`` holds ``metric: why``; ``protocol``
    is the fingerprint of how the row was measured.
    """
    scores = [metric.name for metric in evaluation.metrics]
    facts = list(dict.fromkeys(key for item in evaluation.items for key in item.facts))
    known = {(item.data, item.name): item.facts for item in evaluation.items}
    taken = {*_FIXED, *scores, "failed", "protocol"}
    header = [*_FIXED, *(f"fact.{key}" if key in taken else key for key in facts), *scores, "failed", "protocol"]
    rows: list[list[Cell]] = []
    for row in evaluation.rows:
        of_item = known.get((row.data, row.item), {})
        failed = "; ".join(f"{name}: {why}" for name, why in row.failures.items()) or None
        own = [row.scores.get(name) for name in scores]
        rows.append(
            [
                row.data,
                row.system,
                row.seed,
                row.item,
                *(of_item.get(key) for key in facts),
                *own,
                failed,
                _protocol(evaluation, row),
            ]
        )
    return header, rows


def _protocol(evaluation: Evaluation, row: Row) -> str:
    """The fingerprint of a row's measuring: its system's own, where it came from an evaluation by another protocol."""
    return str(evaluation.systems.get(row.system, {}).get("protocol", evaluation.fingerprint))


def csv_text(evaluation: Evaluation) -> str:
    """:func:`csv_rows` as the text of a CSV file; what is missing is empty."""
    header, rows = csv_rows(evaluation)
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([header, *rows])
    return out.getvalue()


def write_parquet(path: Path, evaluation: Evaluation) -> None:
    """The rows as Parquet, typed, with the fingerprint in the file's metadata.

    Raises:
        MissingExtra: pyarrow is not installed. OutputError: the file cannot be written.
    """
    arrow, parquet = need("pyarrow", "a Parquet file"), need("pyarrow.parquet", "a Parquet file")
    header, rows = csv_rows(evaluation)
    columns = {name: [row[i] for row in rows] for i, name in enumerate(header)}
    scores = {metric.name for metric in evaluation.metrics}
    arrays = {
        name: arrow.array(_uniform(cells), _arrow_type(arrow, name, cells, scores)) for name, cells in columns.items()
    }
    table = arrow.table(arrays).replace_schema_metadata({"auscult.fingerprint": evaluation.fingerprint})
    with aside(path) as part:
        parquet.write_table(table, part)


def markdown(evaluation: Evaluation, summary: Summary) -> str:
    """One table of means a data set and one of comparisons, the notes below."""
    parts = []
    for data in data_sets(summary):
        parts += [f"### {escaped(data)}", _markdown_means(evaluation, summary, data)]
        if compared := _of_data(summary, data):
            parts.append(_markdown_comparisons(compared))
    parts += [f"- {escaped(note)}" for note in summary.notes]
    parts.append(
        f"Means with 95 % intervals; bold: better than every other system. Fingerprint `{evaluation.fingerprint}`."
    )
    return "\n\n".join(parts) + "\n"


def latex(evaluation: Evaluation, summary: Summary) -> str:
    r"""The same as ``table`` environments for ``\usepackage{booktabs}``; names escaped."""
    parts = ["% needs \\usepackage{booktabs}"]
    for data in data_sets(summary):
        parts.append(_latex_means(evaluation, summary, data))
        if compared := _of_data(summary, data):
            parts.append(_latex_comparisons(evaluation, data, compared))
    return "\n\n".join(parts) + "\n"


def data_sets(summary: Summary) -> list[str]:
    """Data sets in the order of the standings."""
    return list(dict.fromkeys(standing.data for standing in summary.standings))


def digits_of(estimates: Iterable[Estimate]) -> int:
    """Decimals that show two digits of the intervals' mean half-width; 3 where there is no width."""
    widths = [(one.high - one.low) / 2 for one in estimates]
    widths = [width for width in widths if math.isfinite(width) and width > 0]
    return min(4, max(0, 1 - math.floor(math.log10(fmean(widths))))) if widths else 3


def number(value: float, digits: int, sign: bool = False) -> str:
    """A number, or a dash for one that does not exist; never minus zero."""
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "∞" if value > 0 else "-∞"
    text = f"{value:{'+' if sign else ''}.{digits}f}"
    return text.replace("-", "", 1) if text.startswith("-") and float(text) == 0 else text


def bounds(one: Estimate, digits: int, sign: bool = False) -> str:
    """``[1.20, 2.40]``, or nothing where there is no interval."""
    if not (math.isfinite(one.low) and math.isfinite(one.high)):
        return ""
    return f"[{number(one.low, digits, sign)}, {number(one.high, digits, sign)}]"


def figures(value: float, digits: int = 3, sign: bool = False) -> str:
    """A number with so many digits that count: ``0.0123``, ``1434``, ``2.1e-07``."""
    if not math.isfinite(value):
        return "–"
    magnitude = math.floor(math.log10(abs(value))) if value else 0
    form = f".{max(0, digits - 1 - magnitude)}f" if -4 <= magnitude < 7 else f".{digits - 1}e"
    return f"{value:{'+' if sign and value else ''}{form}}".replace("-", MINUS)


def differences(compared: Sequence[Comparison]) -> list[tuple[str, str]]:
    """Difference and interval of each comparison, with as many digits as its metric's intervals need."""
    return [_difference(one, [other for other in compared if other.metric == one.metric]) for one in compared]


def _difference(one: Comparison, same: Sequence[Comparison]) -> tuple[str, str]:
    digits = digits_of(other.difference for other in same)
    return number(one.difference.mean, digits, sign=True), bounds(one.difference, digits, sign=True)


def p_value(p: float) -> str:
    """``0.034``, ``< 0.001``."""
    if not math.isfinite(p):
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def arrow(metric: MetricFacts) -> str:
    """The direction that is better."""
    return {True: "↑", False: "↓", None: ""}[metric.higher_is_better]


def column_title(metric: MetricFacts) -> str:
    """``pesq ↑ (MOS-LQO)``."""
    return " ".join(filter(None, [metric.name, arrow(metric), f"({metric.unit})" if metric.unit else ""]))


def winner(summary: Summary, data: str, metric: MetricFacts) -> str | None:
    """The best system of a column, if the comparisons show it to be better than every other system."""
    column = column_of(summary, data, metric.name)
    means = {s.system: s.estimate.mean for s in column.values() if math.isfinite(s.estimate.mean)}
    if metric.higher_is_better is None or len(means) < 2:
        return None
    best = (max if metric.higher_is_better else min)(means, key=means.__getitem__)
    beaten = set()
    for one in summary.comparisons:
        if (one.data, one.metric) == (data, metric.name):
            beaten |= {one.b} if (one.a, one.verdict) == (best, "better") else set()
            beaten |= {one.a} if (one.b, one.verdict) == (best, "worse") else set()
    return best if beaten >= means.keys() - {best} else None


def column_of(summary: Summary, data: str, metric: str) -> dict[str, Standing]:
    """The standings of one metric on one data set, by system."""
    return {s.system: s for s in summary.standings if (s.data, s.metric) == (data, metric)}


def _uniform(cells: Sequence[Cell]) -> list[Cell]:
    """Facts that are words for some items and numbers for others become words."""
    kept = list(cells)
    if any(isinstance(cell, str) for cell in kept):
        kept = [cell if cell is None else str(cell) for cell in kept]
    return kept


def _arrow_type(arrow: object, name: str, cells: Sequence[Cell], scores: set[str]) -> object:
    present = [cell for cell in cells if cell is not None]
    if name == "seed":
        return arrow.int64()  # type: ignore[attr-defined]
    if name in scores or (present and not any(isinstance(cell, str) for cell in present)):
        return arrow.float64()  # type: ignore[attr-defined]
    return arrow.string()  # type: ignore[attr-defined]


def _of_data(summary: Summary, data: str) -> list[Comparison]:
    return [one for one in summary.comparisons if one.data == data]


def _means(
    evaluation: Evaluation, summary: Summary, data: str, show: Callable[[Estimate, int, bool], str]
) -> list[list[str]]:
    """A row a system: its name, then a cell a metric."""
    rows = {name: [name] for name in systems_of(evaluation)}
    for metric in evaluation.metrics:
        column = column_of(summary, data, metric.name)
        digits, best = digits_of(s.estimate for s in column.values()), winner(summary, data, metric)
        for name, cells in rows.items():
            cells.append(show(column[name].estimate, digits, name == best) if name in column else "–")
    return [cells for cells in rows.values() if any(cell != "–" for cell in cells[1:])]


def _items_in_words(summary: Summary, data: str) -> str:
    """``40 items; failed: pesq of default 2``."""
    of_data = [standing for standing in summary.standings if standing.data == data]
    failed = ", ".join(f"{s.metric} of {s.system} {s.failed}" for s in of_data if s.failed)
    count = max((s.estimate.items + s.failed for s in of_data), default=0)
    return f"{count} items" + (f"; failed: {failed}" if failed else "")


def escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    return text.translate(_MARKDOWN)


def _markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], columns: str) -> str:
    """``columns`` as in LaTeX: l is text, r is a number."""
    rule = ["---:" if column == "r" else "---" for column in columns]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, rule, *rows))


def _markdown_means(evaluation: Evaluation, summary: Summary, data: str) -> str:
    def show(one: Estimate, digits: int, bold: bool) -> str:
        mark = "**" if bold else ""
        return f"{mark}{number(one.mean, digits)}{mark} {bounds(one, digits)}".rstrip()

    header = ["system", *(escaped(column_title(metric)) for metric in evaluation.metrics)]
    rows = [[escaped(row[0]), *row[1:]] for row in _means(evaluation, summary, data, show)]
    table = _markdown_table(header, rows, "l" + "r" * len(evaluation.metrics))
    return f"{escaped(_items_in_words(summary, data))}.\n\n{table}"


def _markdown_comparisons(compared: Sequence[Comparison]) -> str:
    header = ["metric", "system", "against", "difference", "95 % interval", "p (Holm)", "verdict"]
    rows = [
        [*map(escaped, (c.metric, c.a, c.b)), *shown, escaped(p_value(c.p_holm)), c.verdict]
        for c, shown in zip(compared, differences(compared), strict=True)
    ]
    return _markdown_table(header, rows, "lllrrrl")


def _tex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def _tex_number(text: str) -> str:
    """Minus signs and comparisons are mathematics."""
    return "--" if text == "–" else f"${text}$".replace("∞", r"\infty")


def _latex_table(caption: str, columns: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = [" & ".join(header) + r" \\", r"\midrule", *(" & ".join(row) + r" \\" for row in rows)]
    begin = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{caption}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
    ]
    return "\n".join([*begin, *body, r"\bottomrule", r"\end{tabular}", r"\end{table}"])


def _latex_means(evaluation: Evaluation, summary: Summary, data: str) -> str:
    def show(one: Estimate, digits: int, bold: bool) -> str:
        mean, around = number(one.mean, digits), bounds(one, digits)
        shown = _tex_number(rf"\mathbf{{{mean}}}" if bold else mean)
        return rf"{shown} {{\scriptsize ${around}$}}" if around else shown

    header = ["System", *(_latex_header(metric) for metric in evaluation.metrics)]
    rows = [
        [_tex(row[0]), *("--" if cell == "–" else cell for cell in row[1:])]
        for row in _means(evaluation, summary, data, show)
    ]
    words = (
        f"{data}: means with 95 % intervals, {_items_in_words(summary, data)}. "
        f"Fingerprint {evaluation.fingerprint[:SHORT]}."
    )
    return _latex_table(_tex(words), "l" + "r" * len(evaluation.metrics), header, rows)


def _latex_header(metric: MetricFacts) -> str:
    direction = {True: r" $\uparrow$", False: r" $\downarrow$", None: ""}[metric.higher_is_better]
    return _tex(metric.name) + direction + (f" ({_tex(metric.unit)})" if metric.unit else "")


def _latex_comparisons(evaluation: Evaluation, data: str, compared: Sequence[Comparison]) -> str:
    header = ["Metric", "System", "against", "Difference", r"95 \% interval", "$p$ (Holm)", "Verdict"]
    rows = []
    for one, (mean, interval) in zip(compared, differences(compared), strict=True):
        cells = _tex_number(mean), _tex_number(interval or "–"), _tex_number(p_value(one.p_holm))
        rows.append([*map(_tex, (one.metric, one.a, one.b)), *cells, _tex(one.verdict)])
    most = max(one.difference.items for one in compared)
    words = (
        f"{data}: paired differences with 95 % intervals, {most} items. Fingerprint {evaluation.fingerprint[:SHORT]}."
    )
    return _latex_table(_tex(words), "lllrrrl", header, rows)
