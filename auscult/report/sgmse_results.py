"""The files that SGMSE's ``calc_metrics.py`` leaves, from an evaluation: same names, columns, order and rounding."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from auscult.errors import EvaluationError
from auscult.evaluate.rows import Evaluation, Row
from auscult.evaluate.score import NOISY
from auscult.files import write_bytes

METRICS = ("pesq", "estoi", "si_sdr", "si_sir", "si_sar")
_LINES = {"PESQ": "pesq", "ESTOI": "estoi", "SI-SDR": "si_sdr", "SI-SIR": "si_sir", "SI-SAR": "si_sar"}
_DECIMALS = {"pesq": (2, 2), "estoi": (2, 2), "si_sdr": (1, 2), "si_sir": (1, 1), "si_sar": (1, 1)}
"""Of the mean and of the deviation in the averages, as published."""


def write_results(folder: Path, evaluation: Evaluation) -> list[str]:
    """Write ``_results.csv`` and ``_avg_results.txt``; with several systems or seeds each pair begins with its name.

    Returns the names of the files.

    Raises:
        EvaluationError: one of the five metrics was not scored.
    """
    if missing := set(METRICS) - {metric.name for metric in evaluation.metrics}:
        raise EvaluationError(
            f"SGMSE's results need the metrics {', '.join(METRICS)}; not scored: {', '.join(missing)}"
        )
    groups: dict[tuple[str, str, int | None], list[Row]] = {}
    for row in evaluation.rows:
        if row.system != NOISY:
            groups.setdefault((row.data, row.system, row.seed), []).append(row)
    names = {(item.data, item.name): (item.noisy or item.clean or Path(item.name)).name for item in evaluation.items}
    written = []
    for key, rows in groups.items():
        prefix = "-".join(str(part) for part in key if part is not None).replace("/", "_") if len(groups) > 1 else ""
        for name, text in (("_results.csv", _table(rows, names)), ("_avg_results.txt", _averages(rows))):
            write_bytes(folder / f"{prefix}{name}", text.encode())
            written.append(f"{prefix}{name}")
    return written


def _table(rows: Sequence[Row], names: dict[tuple[str, str], str]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["filename", *METRICS])
    for row in rows:
        writer.writerow([names[row.data, row.item], *(row.scores.get(name, math.nan) for name in METRICS)])
    return out.getvalue()


def _averages(rows: Sequence[Row]) -> str:
    lines = []
    for title, name in _LINES.items():
        values = np.array([row.scores[name] for row in rows if name in row.scores] or [math.nan])
        mean, deviation = _DECIMALS[name]
        lines.append(f"{title}: {values.mean():.{mean}f} ± {values.std():.{deviation}f}\n")
    return "".join(lines)
