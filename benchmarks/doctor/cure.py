"""The cure: what the first named cause asks for is done to the training, and the training is repeated.

A cure knows the name and the remedy's settings, never the label: where the name is wrong it mends what is whole, and
the training stays as bad as it was.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.doctor.cases import Planned, fault_of
from benchmarks.doctor.corpora import draw_tree
from benchmarks.doctor.figures import Judged
from benchmarks.doctor.harm import HEALTHY_SEEDS, LOST, last_scores, outcome
from benchmarks.doctor.materials import Shelf
from benchmarks.doctor.recorded import write_tree
from benchmarks.doctor.runs import train
from benchmarks.doctor.spec import Training
from benchmarks.doctor.verdict import Verdict

Cure = Callable[[Training], Training]
METRIC = "si_sdr"


@dataclass(frozen=True)
class Cured:
    """SI-SDR of a faulty training, and of the same after the remedy."""

    fault: str
    cause: str
    before: float
    after: float
    recovered: bool


def _loader(what: Training) -> Training:
    """The loader does to both sides what it should."""
    return replace(what, source=None)


def _loss(what: Training) -> Training:
    """Every term compares the estimate with its target."""
    return replace(what, loss=None)


def _without(*slips: str) -> Cure:
    """The loop without these slips."""
    return lambda what: replace(what, patch=None) if what.patch and what.patch[0] in slips else what


def _set(*settings: str) -> Cure:
    return lambda what: replace(what, settings=(*what.settings, *settings))


def _signed(what: Training) -> Training:
    return _without("gradients-turned-over")(_loss(what))


DATA = ("independent-crops", "unrelated-pairs", "lag", "varying-lag", "swapped-sides", "pair-gain", "polarity",
        "wrong-rate", "no-noise", "short-items", "duplicates")  # fmt: skip
LOSS = ("target-scale", "loss-floor", "target-misaligned", "loss-ignores-estimate", "contradictory-terms")
UNHELD = _without("optimiser-of-another-net", "part-left-out")
CURES: Mapping[str, Cure] = {
    **dict.fromkeys(DATA, _loader),
    **dict.fromkeys(LOSS, _loss),
    "loss-sign": _signed,
    "model-disconnected": UNHELD,
    "frozen-module": UNHELD,
    "never-learned": UNHELD,
    "ema-frozen": _without("average-never-moves", "average-without-warm-up"),
    "ema-too-slow": _without("average-never-moves", "average-without-warm-up"),
    "swap-not-undone": _without("swap-not-undone"),
    "lost-state": _without("state-lost"),
    "same-order": lambda what: _without("same-order")(_loader(what)),
    "overfitting": _loader,
    "rate-too-high": _set("optimiser.lr=0.005", "training.clip_norm=1.0"),
    "exploding-gradients": _set("training.clip_norm=1.0"),
    "clipped-always": _set("training.clip_norm=1.0"),
    "rate-too-low": _set("optimiser.lr=0.005"),
    "rate-decayed-out": _set("schedule={type: WarmupCosine, warmup_steps: 20, floor: 0.05}"),
}
"""What the remedy of a cause comes to in what the benchmark controls; the others' cannot be carried out by it."""


def cured(judged: Judged, shelf: Shelf) -> list[Cured]:
    """Every faulty regression run that the doctor found, mended as its first name asks."""
    found = [
        (case, verdict)
        for case, verdict in judged
        if case.material == "run" and case.given == "run" and case.fault and case.recipe == "regression"
    ]
    tree = draw_tree("training", "dev", 0, shelf.data, ("train", "valid"))
    write_tree(tree, shelf.out / "harm" / "corpus")
    healthy = [outcome(shelf, "regression", None, 0.0, tree, seed).get(METRIC, LOST) for seed in HEALTHY_SEEDS]
    floor = float(np.mean(healthy) - 2.57 * np.std(healthy, ddof=1) * (1 + 1 / len(healthy)) ** 0.5)
    return [_one(case, verdict, shelf, floor) for case, verdict in found if verdict.alarm(suspects=True)]


def _one(case: Planned, verdict: Verdict, shelf: Shelf, floor: float) -> Cured:
    """``floor`` is the lower end of the 95 % interval for one more healthy seed (t with five degrees: 2.57)."""
    fault, cause = fault_of(case), verdict.named(suspects=True)[0]
    assert fault is not None
    spoiled = fault.inject(case.severity)
    mended = CURES.get(cause, lambda what: what)(spoiled)
    mended = replace(mended, settings=(*mended.settings, *verdict.settings))
    before, after = (_score(case, what, shelf) for what in (spoiled, mended))
    return Cured(fault.name, cause, before, after, after >= floor)


def _score(case: Planned, what: Training, shelf: Shelf) -> float:
    folder = shelf.out / "cure" / case.id / f"{zlib.crc32(repr(what).encode()):08x}"
    try:
        run = train(case.recipe, what, HEALTHY_SEEDS[0], shelf.out / "harm" / "corpus", folder)
    except RuntimeError:
        return LOST
    return last_scores(run).get(METRIC, LOST)
