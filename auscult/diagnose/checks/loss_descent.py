"""Descent without a net: where does the loss itself lead, from the perfect estimate and from the noisy input?

What is free is a real mask over the spectrum, as a masking net would give. A loss that leads away from the target
contradicts itself or compares with another target, even where each term is zero there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from auscult.diagnose.check import Check
from auscult.diagnose.checks.loss_oracle import LEVEL, better, surveyed
from auscult.diagnose.clock import Clock
from auscult.diagnose.evidence import Practice
from auscult.diagnose.finding import Finding, Measured
from auscult.diagnose.measure.loss_survey import TOTAL

if TYPE_CHECKING:
    from auscult.diagnose.case import Case
    from auscult.diagnose.measure.descent import Place

SECONDS = 14.0
AWAY_DB, LOWER = 20.0, 0.005
"""Led away: below this SI-SDR, or off level, where the loss is lower by this part of the way to the input's."""


def check_descent(case: Case) -> Finding | None:
    """Whether descent leaves the target."""
    from auscult.diagnose.measure.descent import descend, gradient_rms

    practice: Practice = case.practice
    step = next(iter(practice.steps(1)), None)
    if step is None or (scale := gradient_rms(practice, step)) == 0:
        return None
    found = surveyed(practice)
    clock = Clock.lasting(min(SECONDS, case.clock.left))
    left = descend(practice, step, step.clean, clock.share(0.5), scale)
    climbed = descend(practice, step, step.noisy, clock, scale)
    lowest = min(left, key=lambda place: place.loss)
    off_level = not LEVEL[0] <= lowest.gain <= LEVEL[1]
    if left[0].loss - lowest.loss <= LOWER * found.span(TOTAL) or not (off_level or lowest.si_sdr < AWAY_DB):
        return _stays(lowest, climbed)
    known = better(found, TOTAL)
    unknown = ("target-scale", "loss-floor") if off_level else ("loss-floor", "contradictory-terms")
    return _led_away(lowest, (known.cause,) if known else unknown, left, climbed)


def _led_away(lowest: Place, causes: tuple[str, ...], left: list[Place], climbed: list[Place]) -> Finding:
    return Finding(
        "descent",
        "fault",
        causes,
        f"the loss leads away from the perfect estimate: from {left[0].loss:.3g} to {lowest.loss:.3g}, where the level "
        f"is {lowest.gain:.2f} of the target's and the SI-SDR {lowest.si_sdr:.1f} dB",
        _numbers(lowest, climbed),
        certain=True,
    )


def _stays(lowest: Place, climbed: list[Place]) -> Finding:
    return Finding(
        "descent",
        "healthy",
        ("loss-floor", "contradictory-terms", "target-scale"),
        f"the loss does not lead away from the perfect estimate (level {lowest.gain:.2f}, SI-SDR {lowest.si_sdr:.0f} "
        f"dB where it is lowest); from the input it leads from {climbed[0].si_sdr:.1f} to {climbed[-1].si_sdr:.1f} dB",
        _numbers(lowest, climbed),
    )


def _numbers(lowest: Place, climbed: list[Place]) -> list[Measured]:
    return [
        Measured("SI-SDR where descent from the target ends", lowest.si_sdr, "dB", f"above {AWAY_DB:g}"),
        Measured("level where descent from the target ends", lowest.gain, "", f"{LEVEL[0]} to {LEVEL[1]}"),
        Measured("SI-SDR of the input", climbed[0].si_sdr, "dB"),
        Measured("best SI-SDR on the way down from the input", max(place.si_sdr for place in climbed), "dB"),
        Measured("SI-SDR at the end of it", climbed[-1].si_sdr, "dB"),
        Measured("level at the end of it", climbed[-1].gain),
    ]


DESCENT = Check(
    "descent",
    "loss",
    "Does the loss lead to the target, and stay there?",
    ("practice",),
    14.0,
    f"fault where the steps of a mask, from the perfect estimate, lower the loss by over {100 * LOWER:g} % of the "
    f"way to the input's and end off level or below {AWAY_DB:g} dB SI-SDR. Of all shipped recipes none moves at all.",
    "Definition: a target is where descent ends; docs/cases/cmgan-level.md",
    check_descent,
)
