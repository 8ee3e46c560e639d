"""Carrying out a plan: rows as they come, anchors as soon as they can be checked, and the end of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from auscult.errors import EvaluationError
from auscult.evaluate.anchors import Checked, calibration, check_inputs, known, likely_reason, recognised
from auscult.evaluate.rows import Row
from auscult.evaluate.score import NOISY, run
from auscult.evaluate.store import Store
from auscult.evaluate.study import Plan


@dataclass(frozen=True)
class Conduct:
    """How an evaluation is carried out; changes no number.

    ``anchored`` False goes on where noisy files do not have their known scores.
    """

    workers: int = 1
    devices: Sequence[str] = ("auto",)
    anchored: bool = True


def carry_out(plan: Plan, store: Store, conduct: Conduct, on_row: Callable[[Row], None]) -> list[Checked]:
    """Score what is not scored yet; returns the known numbers beside the measured ones.

    Raises:
        EvaluationError: noisy files do not have their known scores (what is measured is kept), or a worker died.
    """
    done = {(row.data, row.system, row.seed, row.item) for row in store.rows}
    waiting = [task for task in plan.tasks if task.key not in done]
    inputs_left = sum(task.system == NOISY for task in waiting)
    checked = _check_anchors(store, conduct.anchored) if inputs_left == 0 else []
    for row in run(waiting, plan.metrics, conduct.workers, conduct.devices):
        store.add(row)
        on_row(row)
        if row.system == NOISY:
            inputs_left -= 1
            if inputs_left == 0:
                checked = _check_anchors(store, conduct.anchored)
    return [*checked, *calibration(store.evaluation())]


def _check_anchors(store: Store, anchored: bool) -> list[Checked]:
    """Compare with what is known of the noisy files, and stop at a mismatch.

    Raises:
        EvaluationError: a certain anchor is not met; with the likely reason.
    """
    evaluation = store.evaluation()
    checked: list[Checked] = []
    for data in dict.fromkeys(item.data for item in evaluation.items):
        found = check_inputs(evaluation, data)
        wrong = [one for one in found if not one.agrees and not one.quoted]
        if wrong and anchored:
            items = [item for item in evaluation.items if item.data == data]
            anchor = known().anchors[recognised(items) or ""]
            scores = ", ".join(map(str, wrong))
            raise EvaluationError(
                f"{data} is {recognised(items)}, but its noisy files score {scores}. "
                f"Likely: {likely_reason(items, anchor.rate_hz)}. "
                "Every other number would be off too; --no-anchors goes on all the same"
            )
        checked += found
    return checked
