"""What steps of an ordinary loop do from where a run began and ended: too small, bounded to nothing, or uphill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from auscult.diagnose.check import Check
from auscult.diagnose.checks import curve_reading as reading
from auscult.diagnose.clock import Clock
from auscult.diagnose.finding import Finding, Measured, Verdict

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from auscult.diagnose.case import Case
    from auscult.diagnose.measure.strides import Build, Gain, Track, Weights

SECONDS = 25.0
LARGEST = 5_000_000
"""Parameters of a net that takes a few dozen steps in seconds, on a CPU."""
TENFOLD, MOST = 10.0, 6
"""Rates are tried from ten times the run's on, each ten times the one before, as long as the gain grows."""
WORTH = 0.03
"""Of the loss: what fifteen steps must gain, or a run lose, to be worth a word."""


@dataclass(frozen=True)
class Asked:
    """Gains on held-out batches: of the run, of longer or unbounded steps at its end, of an ordinary loop at its start.

    ``level`` is the loss at the end of the run; ``ordinary`` is asked where the run climbed.
    """

    run: Gain
    longer: Mapping[float, Gain]
    unbounded: Gain | None
    ordinary: Gain | None
    level: float


def check_step_size(case: Case) -> Finding | None:
    """Whether steps of another size, or in the other direction, go where the run did not."""
    if reading.adversarial(case) or reading.warm_started(case):
        return None
    track = track_of(case)
    if track is None:
        return None
    return _judged(_asked(case, track))


def track_of(case: Case) -> Track | None:
    """The run's training step, to be walked; None of runs without checkpoint or data, and of large nets."""
    from auscult.diagnose.measure.strides import Track

    size = sum(p.numel() for net in case.practice.nets().values() for p in net.parameters())
    if not case.run.checkpoints or not 0 < size <= LARGEST:
        return None
    clip = case.facts.value("clip_norm")
    track = Track(case.practice, builder(case), float(clip) if clip else None)
    return track if track.walkable else None


def builder(case: Case) -> Build:
    """The run's optimisers at a multiple of their rates."""
    from auscult import recipe
    from auscult.train.settings import Optimiser

    section: Any = case.run.recipe.get("optimiser", {})

    def build(name: str, net: nn.Module, multiple: float) -> Optimizer:
        node = section.get(name, section if "lr" in section else {})
        own: Optimiser = recipe.plan(node, Optimiser, "optimiser").build()
        return replace(own, lr=multiple * own.lr).build(net)

    return build


def _asked(case: Case, track: Track) -> Asked:
    from auscult.diagnose.measure.strides import Gain
    from auscult.hub.bundle import read_tensors

    clock, path = Clock.lasting(min(SECONDS, 0.8 * case.clock.left)), case.run.checkpoints[-1]
    weights = track.of(read_tensors(path), "net", str(path))
    assert weights is not None, "every checkpoint holds the nets' own weights"
    began, ended = track.losses(track.born), track.losses(weights)
    run, level = Gain.of(began, ended), float(np.mean(ended))
    if _climbs(run, level):
        walked = track.walk(track.born, 1.0, True, clock)
        return Asked(run, {}, None, Gain.of(began, walked) if walked is not None else None, level)
    unbounded = track.walk(weights, 1.0, False, clock) if _mostly_clipped(case) else None
    longer = _longer(track, weights, ended, clock)
    return Asked(run, longer, Gain.of(ended, unbounded) if unbounded is not None else None, None, level)


def _longer(track: Track, weights: Weights, ended: np.ndarray, clock: Clock) -> dict[float, Gain]:
    """Gains at ever higher rates, until they no longer grow."""
    from auscult.diagnose.measure.strides import Gain

    found: dict[float, Gain] = {}
    for power in range(1, MOST + 1):
        walked = track.walk(weights, TENFOLD**power, True, clock)
        if walked is None:
            break
        before = max((gain.mean for gain in found.values()), default=0.0)
        found[TENFOLD**power] = gain = Gain.of(ended, walked)
        if gain.mean <= before:
            break
    return found


def _climbs(run: Gain, level: float) -> bool:
    return run.sure and run.mean < -WORTH * abs(level)


def _mostly_clipped(case: Case) -> bool:
    shares = case.curves.curves.get("clipped_share")
    return shares is not None and shares.values.size > 0 and float(np.nanmean(shares.values)) > 0.9


def _judged(of: Asked) -> Finding | None:
    if _climbs(of.run, of.level):
        return _climbed(of)
    done = max(of.run.mean, 0.0)
    moves = [(gain, "rate-too-low", f"at {multiple:g} times the rate") for multiple, gain in of.longer.items()]
    best = max(moves, key=lambda move: move[0].mean, default=None)
    if of.unbounded is not None and of.unbounded.sure and of.unbounded.mean > done:
        best = (of.unbounded, "clipped-always", "without the bound of the gradient norm")
    if best is None:
        return None
    gain, cause, how = best
    furthest = max((one for one in (gain, *of.longer.values()) if one.sure), key=lambda one: one.mean, default=None)
    if furthest is not None and gain.mean > done and furthest.mean > max(done, WORTH * abs(of.level)):
        verdict: Verdict = "fault" if furthest.mean > 2 * done else "suspect"
        says = (
            f"15 steps {how} lower the held-out loss by {gain.mean:.3g}, where the whole run lowered it by {done:.3g} "
            f"(to {of.level:.3g}): its steps were too small"
        )
        return Finding("step-size", verdict, (cause, "never-learned"), says, _numbers(of))
    if of.run.sure and gain.mean < 0.5 * of.run.mean:
        says = f"the run lowered the held-out loss by {done:.3g}, 15 steps {how} would by {gain.mean:.2g}"
        return Finding("step-size", "healthy", ("rate-too-low", "clipped-always", "loss-sign"), says, _numbers(of))
    return None


def _climbed(of: Asked) -> Finding | None:
    """Uphill, where an ordinary loop goes downhill: with a rate that is too high this one would climb as well."""
    if of.ordinary is None or not of.ordinary.sure or of.ordinary.mean < 0.2 * WORTH * abs(of.level + of.run.mean):
        return None
    says = (
        f"the run raised the held-out loss by {-of.run.mean:.3g} to {of.level:.3g}, and 15 steps of an ordinary loop "
        f"from fresh weights lower it by {of.ordinary.mean:.3g}: the run climbs"
    )
    return Finding("step-size", "fault", ("loss-sign", "rate-too-high"), says, _numbers(of))


def _numbers(of: Asked) -> list[Measured]:
    rows = [Measured("fall of the held-out loss over the run", of.run.mean, "", "above 0")]
    if of.ordinary is not None:
        rows.append(Measured("by 15 steps of an ordinary loop from fresh weights", of.ordinary.mean, "", "above 0"))
    rows += [
        Measured(f"by 15 steps at {multiple:g} times the rate, from the end", gain.mean, "", "below that of the run")
        for multiple, gain in of.longer.items()
    ]
    if of.unbounded is not None:
        rows.append(Measured("by 15 steps without the bound of the gradient norm", of.unbounded.mean))
    return rows


STEP_SIZE = Check(
    "step-size", "optimisation", "Would other steps get further than the run did?", ("run", "practice", "curves"), 12.0,
    "fault: 15 steps from the last checkpoint at ten times the rate or more (as long as that gains), or without the "
    "bound of the gradient norm, lower the loss of held-out batches by twice what the whole run did (suspect: by as "
    "much) and by 3 %; or the run raised that loss by 3 % where 15 ordinary steps from fresh weights "
    "lower it. Not of runs that went on from other weights, or have a discriminator.",
    "Smith 2017, range test of learning rates; paired over batches", check_step_size,
)  # fmt: skip
