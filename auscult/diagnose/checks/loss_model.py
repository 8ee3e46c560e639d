"""The model in its training step: does the gradient reach every part of it, and does it learn one batch by heart?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from auscult.diagnose.check import Check
from auscult.diagnose.clock import Clock
from auscult.diagnose.evidence import Practice, Step
from auscult.diagnose.finding import Finding, Measured

if TYPE_CHECKING:
    from auscult.diagnose.case import Case

SECONDS = 18.0
MANY, SOME = 0.1, 0.02
"""Shares of a net's parameters."""
RATE, HIGHEST_RATE = 1e-3, 1e-2
LARGEST = 20_000_000
"""Parameters of a net that can learn a batch by heart in seconds, on a CPU."""
LEARNED, ROSE = 0.8, 10.0
"""Of the first loss: what the last may be at most, and from where on it has run away."""


def check_connected(case: Case) -> Finding | None:
    """Whether gradients reach the parts of the model."""
    from auscult.diagnose.measure.learning import reach

    practice, step = case.practice.fresh(), _small(case.practice)
    if step is None or not practice.nets():
        return None
    clock = Clock.lasting(min(SECONDS, case.clock.left))
    found = reach(practice, practice.fresh(), step, clock)
    numbers = [
        Measured("parameters", found.total),
        Measured("without any gradient", 100 * sum(found.dead.values()) / found.total, "%", "0"),
        Measured("frozen at random values", 100 * sum(found.frozen.values()) / found.total, "%", "0"),
    ]
    if not found.connected:
        words = f"none of the model's {found.total} parameters gets a gradient from the loss of its own estimate"
        return Finding("connected", "fault", ("model-disconnected",), words, numbers, certain=True)
    for kind, lost, many in (
        ("get no gradient", found.dead, "fault"),
        ("are frozen at random values", found.frozen, "suspect"),
    ):
        share = sum(lost.values()) / found.total
        if share > SOME:
            where = (
                ", ".join(name for name, size in lost.items() if size > 0.5 * found.sizes[name]) or "several modules"
            )
            words = f"{100 * share:.0f} % of the model's parameters {kind} ({where})"
            return Finding("connected", many if share > MANY else "suspect", ("frozen-module",), words, numbers)  # type: ignore[arg-type]
    alive = 100 * (1 - sum(found.dead.values()) / found.total)
    words = f"the gradient of the loss reaches {alive:.1f} % of the model's parameters"
    return Finding("connected", "healthy", ("model-disconnected", "frozen-module"), words, numbers)


def check_one_batch(case: Case) -> Finding | None:
    """Whether the model learns one small batch by heart, at the learning rate that is stated."""
    from auscult.diagnose.measure.learning import learn

    stated = case.facts.value("lr")
    rate = min(float(stated), HIGHEST_RATE) if stated else RATE
    step = _small(case.practice)
    size = sum(p.numel() for net in case.practice.nets().values() for p in net.parameters())
    if step is None or size == 0:
        return None
    if size > LARGEST:
        words = f"a model of {size / 1e6:.0f} million parameters was not asked to learn a batch: it would take minutes"
        return Finding("one-batch", "cannot tell", ("never-learned",), words)
    clock = Clock.lasting(min(SECONDS, case.clock.left))
    losses = learn(case.practice.fresh(), step, rate, case.facts.value("clip_norm"), clock)
    numbers = [
        Measured("loss at first", losses[0]),
        Measured("lowest", min(losses)),
        Measured("steps", len(losses) - 1),
    ]
    if not _ran_away(losses):
        return _learned(losses, rate, numbers)
    gentle = learn(case.practice.fresh(), step, rate / 10, case.facts.value("clip_norm"), clock)
    if stated and not _ran_away(gentle) and min(gentle) < gentle[0]:
        far = f"from {losses[0]:.3g} to {losses[-1]:.3g}, at a tenth of it to {gentle[-1]:.3g}"
        words = f"at the learning rate {rate:g} the loss of one batch goes {far}"
        return Finding("one-batch", "suspect", ("rate-too-high",), words, numbers)
    words = f"the loss of one batch runs away from {losses[0]:.3g} to {losses[-1]:.3g} in {len(losses) - 1} steps"
    return Finding("one-batch", "cannot tell", ("rate-too-high",), words, numbers)


def _learned(losses: list[float], rate: float, numbers: list[Measured]) -> Finding:
    fell = f"from {losses[0]:.3g} to {min(losses):.3g} in {len(losses) - 1} steps at the learning rate {rate:g}"
    drop = losses[0] - min(losses)
    if drop > (1 - LEARNED) * abs(losses[0]):
        words = f"one batch is learned: its loss falls {fell}; what does not learn in training lies elsewhere"
        return Finding(
            "one-batch", "healthy", ("model-disconnected", "vanishing-gradients", "rate-too-high"), words, numbers
        )
    words = f"whether one batch is learned is open: its loss went {fell}"
    return Finding("one-batch", "cannot tell", ("never-learned",), words, numbers)


def _ran_away(losses: list[float]) -> bool:
    last = losses[-1]
    return not math.isfinite(last) or last - losses[0] > ROSE * abs(losses[0])


def _small(practice: Practice) -> Step | None:
    step = next(iter(practice.steps(1)), None)
    return None if step is None else practice.part(step)


CONNECTED = Check(
    "connected",
    "loss",
    "Does the gradient reach every part of the model?",
    ("practice",),
    18.0,
    f"fault where no parameter, or over {100 * MANY:g} % of them not, get a gradient within three steps; "
    f"suspect over {100 * SOME:g} %, or where so many are frozen at values that differ between two fresh "
    "models. Of all shipped recipes under 0.1 % get none.",
    "Definition: what has no gradient does not learn",
    check_connected,
)
ONE_BATCH = Check(
    "one-batch",
    "loss",
    "Does a fresh model learn one batch by heart?",
    ("practice",),
    20.0,
    f"suspect where at the stated rate the loss grows by {ROSE:g} times its first value and at a tenth of it falls; "
    f"healthy where it falls by {100 * (1 - LEARNED):.0f} %.",
    "Karpathy 2019, A recipe for training neural networks",
    check_one_batch,
)
