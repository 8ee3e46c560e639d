"""Averaged weights in the training step: is the average better than the weights, or what the net was born as?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from auscult.diagnose.check import Check
from auscult.diagnose.checks import curve_reading as reading
from auscult.diagnose.checks.step_size import track_of
from auscult.diagnose.finding import Finding, Measured, graded

if TYPE_CHECKING:
    from auscult.diagnose.case import Case
    from auscult.diagnose.measure.strides import Gain

BEHIND, MUCH = 0.3, 0.6
"""Shares of what the run learned that its average lacks."""
LEARNED = 0.02
"""Of the loss of fresh weights: what must have been learned before an average can lack it."""
Z = 2.0


def check_average_loss(case: Case) -> Finding | None:
    """The loss of averaged weights beside that of the weights and of fresh ones, on the same batches."""
    if reading.warm_started(case) or case.facts.value("ema_decay") is None:
        return None
    track = track_of(case)
    if track is None:
        return None
    from auscult.diagnose.measure.strides import Gain
    from auscult.hub.bundle import read_tensors

    path = case.run.checkpoints[-1]
    tensors = read_tensors(path)
    raw, averaged = track.of(tensors, "net", str(path)), track.of(tensors, "ema", str(path))
    if raw is None or averaged is None:
        return None
    born, own, mean = (track.losses(weights) for weights in (track.born, raw, averaged))
    return _judged(Gain.of(born, own), Gain.of(mean, own), float(own.mean()))


def _judged(learned: Gain, behind: Gain, level: float) -> Finding | None:
    if not learned.sure or learned.mean < LEARNED * abs(level + learned.mean):
        return None
    lacks = behind.mean / learned.mean
    says = (
        f"the loss of the averaged weights is {level + behind.mean:.4g}, of the weights {level:.4g}, of fresh ones "
        f"{level + learned.mean:.4g}: the average lacks {100 * max(lacks, 0):.0f} % of what was learned"
    )
    measured = [Measured("share of what was learned that the average lacks", lacks, "", f"below {BEHIND:g}")]
    if lacks >= BEHIND and behind.z > Z:
        return Finding("average-loss", graded(lacks, MUCH, BEHIND), ("ema-too-slow", "ema-frozen"), says, measured)
    return Finding("average-loss", "healthy", ("ema-too-slow", "ema-frozen"), says, measured) if lacks < 0.15 else None


AVERAGE_LOSS = Check(
    "average-loss", "averaging", "Has the average learned what the weights have?", ("run", "practice", "curves"), 4.0,
    f"fault: on held-out batches the average lacks {100 * MUCH:g} % of what the weights learned over fresh ones, by "
    f"{Z:g} standard errors; suspect: {100 * BEHIND:g} %. Not of runs that went on from other weights.",
    "Definition: the loss of both on the same batches, with the same draws", check_average_loss,
)  # fmt: skip
