"""Where a noise reference is cut from: beside what is to be restored, or out of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

from auscult.diagnose.check import Check
from auscult.diagnose.finding import Finding, Measured, graded

if TYPE_CHECKING:
    from auscult.diagnose.case import Case
    from auscult.diagnose.evidence import Step

BATCHES, FEWEST = 4, 6
MANY, SOME = 0.5, 0.1
"""Shares of the items whose reference lies in them."""


def check_condition_source(case: Case) -> Finding | None:
    """Whether references are pieces of the noise that is to be removed."""
    from auscult.diagnose.measure.overlap import overlaps

    rate_hz = case.practice.rate_hz
    pairs = [pair for step in case.practice.steps(BATCHES) for pair in _references(step)]
    if rate_hz is None or len(pairs) < FEWEST:
        return None
    share = float(np.mean([overlaps(reference, noise, rate_hz) for reference, noise in pairs]))
    measured = [Measured("references that lie within what is to be restored", 100 * share, "%", "0")]
    if share >= SOME:
        says = (
            f"the reference of {100 * share:.0f} % of {len(pairs)} items is a piece of the noise in them, sample by "
            "sample: what is to be removed is given"
        )
        return Finding("condition-source", graded(share, MANY, SOME), ("condition-leaks",), says, measured)
    says = f"no reference of {len(pairs)} items is a piece of the noise in them"
    return Finding("condition-source", "healthy", ("condition-leaks",), says, measured) if share == 0 else None


def _references(step: Step) -> Iterator[tuple[ndarray, ndarray]]:
    """References and noises of a step's items, where it has any."""
    from auscult.conditions.noise_reference import KEYS

    wave, count, _ = (step.told.get(key) for key in KEYS)
    if wave is None or count is None:
        return
    for place, samples in enumerate(count.tolist()):
        if samples:
            yield wave[place, 0, :samples].numpy(), (step.noisy[place] - step.clean[place]).numpy()


CONDITION_SOURCE = Check(
    "condition-source", "conditioning", "Are references taken from beside what is restored?", ("practice",), 1.5,
    f"fault: the references of {100 * MANY:g} % of the items correlate by 0.98 with one place of the noise in them, "
    f"and nowhere else by 0.9; suspect: of {100 * SOME:g} %. References from beside the crop: none.",
    "Definition: what is to be estimated must not be given; docs/conditions.md", check_condition_source,
)  # fmt: skip
