"""Checks on how a run was carried out: processes, batches, order, resumes, the loader."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from auscult.diagnose.check import Check
from auscult.diagnose.checks import curve_reading as reading
from auscult.diagnose.evidence import Curve
from auscult.diagnose.finding import Finding, Measured, Verdict
from auscult.diagnose.measure import trend
from auscult.diagnose.measure.trend import Change

if TYPE_CHECKING:
    from auscult.diagnose.case import Case


def _by_step(case: Case) -> list[list[Mapping[str, Any]]]:
    """What processes said at the same step, where more than one did."""
    found: dict[Any, dict[Any, Mapping[str, Any]]] = defaultdict(dict)
    for row in case.curves.ranks:
        found[row.get("step")][row.get("rank")] = row
    return [list(rows.values()) for _, rows in sorted(found.items()) if len(rows) > 1]


def ranks(case: Case) -> list[Finding]:
    """Whether processes hold the same weights and see other items."""
    together = _by_step(case)
    if not together:
        return []
    apart = [rows for rows in together if _differ(rows, "parameters")]
    alike = [rows for rows in together if _same(rows, "positions") or _same(rows, "seen")]
    count, total = len(together[0]), len(together)
    found = []
    if any("parameters" in row for rows in together for row in rows):
        says = f"{count} processes hold different weights in {len(apart)} of {total} rows"
        found.append(_of_ranks("ranks-diverged", says, len(apart), total, min(2, total)))
    if any("positions" in row or "seen" in row for rows in together for row in rows):
        says = f"{count} processes saw the same items in {len(alike)} of {total} rows"
        found.append(_of_ranks("same-shard", says, len(alike), total, min(max(2, total / 2), total)))
    return found


def _of_ranks(cause: str, says: str, bad: int, total: int, most: float) -> Finding:
    verdict: Verdict = "fault" if bad >= most else "suspect" if bad else "healthy"
    measured = [Measured("rows in which that is so", bad, f"of {total}", "0")]
    return Finding("ranks", verdict, (cause,), says, measured, certain=bad > 0)


def _differ(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    known = [row[name] for row in rows if name in row]
    return len(known) > 1 and any(one != known[0] for one in known)


def _same(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    known = [row[name] for row in rows if row.get(name)]
    return len(known) > 1 and any(one == other for i, one in enumerate(known) for other in known[:i])


RANKS = Check(
    "ranks", "optimisation", "Do processes hold the same weights and see different items?", ("curves",), 0.1,
    "fault: weights differ, or items are the same, in two rows and (items) half of all; suspect: in one row.",
    "Definition: digests of parameters and items of each process", ranks,
)  # fmt: skip


def order(case: Case) -> Finding | None:
    """Whether batches come again in the same order, epoch after epoch."""
    if (counted := _came_again(case)) is not None:
        return counted
    rows = [row for row in case.curves.ranks if row.get("rank") == 0 and row.get("seen")]
    digests = [digest for row in rows for digest in row["seen"]]  # type: ignore[attr-defined]
    if len(digests) < 8:
        return None
    first: dict[str, int] = {}
    gaps = [i - first.setdefault(digest, i) for i, digest in enumerate(digests)]
    again = [gap for gap in gaps if gap]
    share = len(again) / len(digests)
    measured = [Measured("steps whose batch was seen before, item by item", share, "", "0")]
    if share > 0.3 and len(first) > 2:
        period = min(again)
        says = f"batches repeat item by item after {period} steps ({100 * share:.0f} % of the steps)"
        return Finding("order", "fault", ("same-order",), says, measured, certain=True)
    says = f"no batch of {len(digests)} steps came again in the same order"
    return Finding("order", "healthy", ("same-order",), says, measured) if not again else None


def _came_again(case: Case) -> Finding | None:
    """From our histories, which count items that come after the same fifteen as before; None of others."""
    rows = [row for row in case.curves.ranks if "again" in row]
    items = case.curves.curves.get("items")
    total = float(np.nansum(items.values)) if items is not None else 0.0
    if not rows or total < 64:
        return None
    again = sum(int(str(row["again"])) for row in rows)
    share = again / total
    measured = [Measured("items that come after the same fifteen as before", 100 * share, "%", "0")]
    if share > 0.3:
        says = f"{100 * share:.0f} % of {total:.0f} items come again in the same order, sample by sample"
        return Finding("order", "fault", ("same-order", "repeated-noise"), says, measured, certain=True)
    says = f"{again} of {total:.0f} items come again in the same order"
    return Finding("order", "healthy", ("same-order",), says, measured) if share < 0.05 else None


ORDER = Check(
    "order", "optimisation", "Is every epoch in another order?", ("curves",), 0.1,
    "fault: 30 % of the items come, sample by sample, after the same fifteen as before, or 30 % of the steps have a "
    "batch that was seen before, item by item. Shuffled epochs: none.",
    "Definition: digests of the items of each step", order,
)  # fmt: skip


def batch_size(case: Case) -> Finding | None:
    """Items that a step learned from, counted, against what is said of batch, accumulation and processes."""
    items = case.curves.curves.get("items")
    if items is None or items.values.size < 4 or "batch" not in case.facts:
        return None
    stated = float(case.facts.value("batch")) * case.facts.value("accumulate", 1) * case.facts.value("processes", 1)
    a_step = float(np.median(items.values[1:] / np.diff(items.at)))
    measured = [Measured("items a step", a_step, "", f"{stated:g} as {case.facts['batch'].source} says")]
    says = f"a step learns from {a_step:.3g} items, {stated:g} are asked for"
    if a_step < 0.75 * stated:
        return Finding("batch", "fault", ("batch-too-small", "silent-items"), says, measured, certain=True)
    return Finding("batch", "healthy", ("batch-too-small",), says, measured)


BATCH = Check(
    "batch", "optimisation", "Do steps learn from as many items as asked for?", ("curves",), 0.05,
    "fault: less than 0.75 of batch x accumulation x processes in the median row. Healthy runs: as stated (9 runs).",
    "Definition: the items that a step learned from, counted", batch_size,
)  # fmt: skip


def resumes(case: Case) -> list[Finding]:
    """What a start in the middle of a run did to loss, learning rate and average."""
    loss = reading.training(case)
    found = []
    inner = [start for start in case.curves.starts if loss is not None and loss.curve.at[0] < start < case.curves.last]
    for start in inner:
        assert loss is not None
        jump = _jump(loss.oriented, start)
        lost = _average_restarted(case, start)
        if jump is None:
            continue
        before, after = -jump.before.mean, -jump.after.mean
        measured = [Measured("jump of the training loss", after - before, "", "within noise")]
        where = f"at the restart at {case.curves.unit} {start:.0f}"
        noise = trend.scatter(trend.within(loss.curve, -np.inf, start).values)
        if lost or (-jump.z > 6 and after - before > 4 * noise):
            says = f"{where} the training loss goes from {before:.4g} to {after:.4g}" + (f"; {lost}" if lost else "")
            found.append(Finding("resume", "fault" if lost else "suspect", ("lost-state", "loss-jump"), says, measured))
        else:
            says = f"{where} the training loss stays ({before:.4g}, then {after:.4g})"
            found.append(Finding("resume", "healthy", ("lost-state", "loss-jump"), says, measured))
    return _worst(found)


def _worst(found: list[Finding]) -> list[Finding]:
    """One finding for all restarts: the faults, else the suspicions, else the first that is healthy."""
    for verdict in ("fault", "suspect"):
        if some := [one for one in found if one.verdict == verdict]:
            return some[:1]
    return found[:1]


def _jump(better: Curve, start: float, width: int = 10) -> Change | None:
    before, after = better.values[better.at < start][-width:], better.values[better.at >= start][:width]
    return Change(trend.level(before), trend.level(after[:5])) if before.size >= 5 and after.size >= 3 else None


def _average_restarted(case: Case, start: float) -> str:
    """Words for an average that begins its count of updates anew; empty otherwise."""
    updates = case.curves.curves.get("ema_updates")
    if updates is None:
        return ""
    before, after = updates.values[updates.at < start], updates.values[updates.at >= start]
    if before.size and after.size and after[0] < 0.5 * before[-1]:
        return f"the average counts {after[0]:.0f} updates after {before[-1]:.0f}"
    return ""


RESUME = Check(
    "resume", "optimisation", "Does a resume go on where the run was?", ("curves",), 0.1,
    "fault: the average counts its updates anew; suspect: the loss jumps by 6 standard errors and 4 times its scatter",
    "Definition: a jump at a start against the scatter around it", resumes,
)  # fmt: skip


def loader(case: Case) -> Finding | None:
    """Share of the time that training waits for data."""
    waits = case.curves.curves.get("loader_wait")
    if waits is None or waits.values.size < 6:
        return None
    share = float(np.nanmedian(waits.values[1:]))
    measured = [Measured("share of the time spent waiting for data", share, "", "below 0.2")]
    says = f"training waits for data {100 * share:.0f} % of the time"
    if share > 0.7:
        return Finding("loader-wait", "suspect", ("loader-bound",), says, measured)
    return Finding("loader-wait", "healthy", ("loader-bound",), says, measured) if share < 0.3 else None


LOADER = Check(
    "loader-wait", "optimisation", "Does training wait for its data?", ("curves",), 0.05,
    "suspect: 70 % of the time in the median row; it costs time, not quality. Healthy runs wait at most 7 % (17 runs).",
    "Definition: time spent waiting over time passed", loader,
)  # fmt: skip
