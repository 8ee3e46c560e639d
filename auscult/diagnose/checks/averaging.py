"""Checks on averaged weights (EMA) and on weights that never move, from checkpoints and from the history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from auscult.diagnose.check import Check
from auscult.diagnose.evidence import Curve
from auscult.diagnose.finding import Finding, Measured
from auscult.diagnose.measure import trend
from auscult.diagnose.measure.weights import Averaged, averaged, moved, opened

if TYPE_CHECKING:
    from auscult.diagnose.case import Case

DIFFUSION = ("ScoreModel", "StoRM")
"""Methods whose published results are those of averaged weights."""
LAGS = 0.6
"""Share of a run by which an average may trail; beyond, it holds mostly what the net was at the start."""


def average_of_weights(case: Case) -> Finding | None:
    """Averages in the checkpoints of a run: frozen, a copy of the raw weights, swapped into them, or far behind."""
    found = opened(case.run.checkpoints)
    if len(found) < 2:
        return None
    seen = averaged(found[0], found[-1])
    if seen is None:
        return _absent(case, found[-1].step)
    where = f"between steps {found[0].step} and {found[-1].step}"
    if seen.rests:
        says = f"the averaged weights are the same to the bit {where} although the net moved"
        return Finding("average", "fault", ("ema-frozen",), says, certain=True)
    if seen.same_as_raw:
        return _same_as_raw(case, where)
    return _lagging(seen, found[-1].step, where)


def _absent(case: Case, step: int) -> Finding | None:
    if case.facts.value("method") not in DIFFUSION or step < 500:
        return None
    says = (
        f"checkpoints hold no averaged weights after {step} steps; results of diffusion models are those of an average"
    )
    return Finding("average", "suspect", ("ema-absent",), says)


def _same_as_raw(case: Case, where: str) -> Finding:
    """Equal at every save: either never an average, or swapped in when a validation came before the save."""
    distance = case.get("curves").curves.get("ema_distance") if case.get("curves") else None
    apart = float(np.nanmax(distance.values)) if distance is not None and distance.values.size else 0.0
    measured = [Measured("largest distance to the average between saves", apart, "of the weights", "0.001 to 0.1")]
    if apart > 0:
        says = f"weights and average are equal at every save {where}, and apart by {apart:.2g} in between"
        return Finding("average", "fault", ("swap-not-undone",), says, measured, certain=True)
    says = f"weights and average are equal to the bit at every save {where}"
    return Finding("average", "fault", ("ema-too-fast", "swap-not-undone"), says, measured, certain=True)


def _lagging(seen: Averaged, steps: int, where: str) -> Finding | None:
    if seen.lag is None:
        return None
    share = seen.lag / max(steps, 1)
    measured = [Measured("steps by which the average trails", seen.lag, "", f"below {LAGS * steps:.0f}")]
    says = f"the average trails the weights by about {max(seen.lag, 0):.0f} of {steps} steps, read off {where}"
    if share > LAGS:
        return Finding("average", "fault" if share > 1 else "suspect", ("ema-too-slow",), says, measured)
    return Finding("average", "healthy", ("ema-frozen", "swap-not-undone", "ema-too-slow"), says, measured)


AVERAGE = Check(
    "average", "averaging", "Is the average of the weights an average?", ("run",), 3.0,
    "fault: the same to the bit at the first and last save, equal to the raw weights at both, or more than the whole "
    "run behind; suspect: 60 % of the run behind, or no average of a diffusion model after 500 steps. Healthy runs "
    "trail by 4 to 8 % (6 runs).",
    "Lightning 2.2, where eval() no longer undoes a swap of weights", average_of_weights,
)  # fmt: skip


def average_over_time(case: Case) -> Finding | None:
    """The history of an average: updates counted, distance from the weights, a sawtooth at validations."""
    curves = case.curves.curves
    updates, distance = curves.get("ema_updates"), curves.get("ema_distance")
    if updates is not None and updates.values.size and case.curves.unit == "step":
        share = float(np.nanmax(updates.values)) / max(case.curves.last - _left_out(case), 1.0)
        if share < 0.5:
            says = f"the average was updated {np.nanmax(updates.values):.0f} times in {case.curves.last:.0f} steps"
            measured = [Measured("updates of the average a step", share, "", "1")]
            causes = ("ema-frozen", "lost-state")
            return Finding("average-history", "fault" if share < 0.01 else "suspect", causes, says, measured)
    if distance is None or trend.finite(distance).values.size < 6:
        return None
    known = trend.finite(distance)
    return _sawtooth(case, known) or _unmoved(known) or _followed(known)


def _left_out(case: Case) -> float:
    curve = case.curves.curves.get("unstepped")
    return float(np.nansum(curve.values)) if curve is not None else 0.0


def _sawtooth(case: Case, distance: Curve) -> Finding | None:
    """Weights that jump onto their average whenever a validation came."""
    places = _validations(case)
    drops = []
    for place in places:
        before, after = distance.values[distance.at <= place][-2:], distance.values[distance.at > place][:1]
        if before.size and after.size and before[-1] > 0:
            drops.append(float(after[0] / before[-1]))
    if len(drops) < 3 or np.median(drops) > 0.5 or np.mean(np.array(drops) < 0.7) < 0.9:
        return None
    ratio = float(np.median(drops))
    says = f"after {len(drops)} validations the weights lie {ratio:.2f} times as far from their average as before"
    measured = [Measured("distance after a validation over before", ratio, "", "near 1")]
    return Finding("average-history", "fault" if len(drops) >= 4 else "suspect", ("swap-not-undone",), says, measured)


def _validations(case: Case) -> Any:
    valid = [curve.at for name, curve in case.curves.curves.items() if name.startswith("valid.")]
    return max(valid, key=len, default=np.zeros(0))


def _unmoved(distance: Curve) -> Finding | None:
    if (distance.values == 0).mean() < 0.9:
        return None
    says = f"weights and average are equal in {100 * (distance.values == 0).mean():.0f} % of the rows"
    return Finding("average-history", "suspect", ("ema-too-fast", "model-disconnected", "swap-not-undone"), says)


def _followed(distance: Curve) -> Finding:
    says = f"the weights are {np.median(distance.values):.2g} of their size away from an average that is updated"
    return Finding("average-history", "healthy", ("ema-frozen", "swap-not-undone"), says)


AVERAGE_HISTORY = Check(
    "average-history", "averaging", "Is the average updated, and left alone by validations?", ("curves",), 0.1,
    "fault: fewer than 1 % of the steps update it, or at least 4 validations halve the weights' distance from it; "
    "suspect: fewer than half of the steps, 3 validations, or no distance. Healthy: ratio 0.95 to 1.10 (5 runs).",
    "Definition: the distance of the average at validations", average_over_time,
)  # fmt: skip


def frozen(case: Case) -> Finding | None:
    """Modules whose weights are the same to the bit in the first and the last checkpoint."""
    found = opened(case.run.checkpoints)
    if len(found) < 2 or found[-1].step - found[0].step < 2:
        return None
    seen = moved(found[0], found[-1])
    excused = _frozen_on_purpose(case)
    resting = {name: count for name, count in seen.resting.items() if not any(word in name for word in excused)}
    share = sum(resting.values()) / max(seen.numbers, 1)
    measured = [Measured("weights that never move", share, "of all", "0"),
                Measured("way of the weights", seen.distance, "of their size")]  # fmt: skip
    span = f"between steps {found[0].step} and {found[-1].step}"
    if share > 0.99:
        says = f"no weight moved {span}"
        return Finding("moving-weights", "fault", ("model-disconnected", "frozen-module"), says, measured, certain=True)
    if resting and share > 0.001:
        names = ", ".join(sorted(resting, key=lambda name: -resting[name])[:3])
        says = f"{len(resting)} modules ({100 * share:.1f} % of the weights) never move {span}: {names}"
        return Finding("moving-weights", "fault" if share > 0.02 else "suspect", ("frozen-module",), says, measured)
    says = f"every module moved {span}, all weights by {seen.distance:.2g} of their size"
    return Finding("moving-weights", "healthy", ("frozen-module", "model-disconnected"), says, measured)


def _frozen_on_purpose(case: Case) -> list[str]:
    """What the recipe's optimisers freeze: said and done are one here, and no fault."""
    optimisers = (case.recipe or {}).get("optimiser", {})
    sections = [one for one in optimisers.values() if isinstance(one, dict)] if isinstance(optimisers, dict) else []
    return [str(word) for one in [optimisers, *sections] for word in (one.get("freeze") or ())]


MOVING_WEIGHTS = Check(
    "moving-weights", "optimisation", "Does every part of the net move?", ("run",), 3.0,
    "fault: modules of 2 % of the weights are the same to the bit in the first and last checkpoint; suspect: of 0.1 %. "
    "Constants (windows, Fourier features, statistics) and what the recipe freezes do not count. Healthy: 0 (9 runs).",
    "Definition: tensors of two checkpoints compared", frozen,
)  # fmt: skip
