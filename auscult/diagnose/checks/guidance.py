"""How far restoration is guided towards its condition: a few items at a few scales, with the same random numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

from auscult.data.audit.relation import si_sdr_of
from auscult.diagnose.case import Case
from auscult.diagnose.check import Check
from auscult.diagnose.checks.conditioning import items_of
from auscult.diagnose.clock import Clock
from auscult.diagnose.finding import Finding, Measured, Remedy, Verdict
from auscult.evaluate.statistics import interval

if TYPE_CHECKING:
    from auscult.diagnose.condition.items import Items
    from auscult.diagnose.condition.subject import Subject

ITEMS, SECONDS = 6, 30.0
FAULT_DB, SUSPECT_DB = 1.5, 0.5


def check_guidance(case: Case) -> Finding | None:
    """Whether the scale that restoration is guided by costs agreement with the references.

    Raises:
        Absent: no data were given. DataError, RecipeError: the data give no references.
    """
    conditioning = case.model.section.get("conditioning")
    if conditioning is None or not conditioning["drop"]:
        return None
    stated = float(conditioning["guidance_scale"])
    subject, items = items_of(case, ITEMS)
    scales = (stated, 1.0, 0.5 * (1 + stated)) if stated != 1 else (1.0, 1.5, 2.0)
    scores = swept(subject, items, scales, Clock.lasting(min(SECONDS, 0.9 * case.clock.left)))
    return judged(stated, scores) if len(scores) > 1 else None


def swept(subject: Subject, items: Items, scales: Sequence[float], clock: Clock) -> dict[float, ndarray]:
    """SI-SDR of the items at each scale, dB; as many scales as there is time for."""
    import torch

    from auscult.diagnose.condition.restoration import restored

    found: dict[float, ndarray] = {}
    clean = items.clean.flatten(1).numpy()
    for scale in scales:
        before = clock.left
        with torch.inference_mode():
            waves = restored(subject, items, items.own, scale).reshape(clean.shape)
        found[scale] = np.array([_si_sdr(*pair) for pair in zip(clean, waves, strict=True)])
        if clock.left < 1.2 * (before - clock.left):
            break
    return found


def _si_sdr(clean: ndarray, wave: ndarray) -> float:
    both = float(np.linalg.norm(clean) * np.linalg.norm(wave))
    correlation = float(clean.astype(np.float64) @ wave) / both if np.isfinite(both) and both > 0 else 0.0
    return float(np.clip(si_sdr_of(correlation), -30.0, 60.0))


def judged(stated: float, scores: Mapping[float, ndarray]) -> Finding:
    """Each scale against the one that is stated, paired over the items."""
    gains = {scale: scores[scale] - scores[stated] for scale in scores if scale != stated}
    bounds = {scale: interval(gain) if np.ptp(gain) else (float(gain[0]),) * 2 for scale, gain in gains.items()}
    measured = [
        Measured(f"SI-SDR by w = {scale:g} for {stated:g}", float(gain.mean()), "dB", "below 0.5", *bounds[scale])
        for scale, gain in gains.items()
    ]
    best = max(gains, key=lambda scale: float(gains[scale].mean()))
    gain, (low, high) = float(gains[best].mean()), bounds[best]
    span = f"{gain:+.2f} dB [{low:.2f}, {high:.2f}] of SI-SDR over {gains[best].size} items"
    says = f"guided by w = {best:g} for w = {stated:g} gives {span}"
    if stated > 1 and best < stated and low > SUSPECT_DB:
        verdict: Verdict = "fault" if low > FAULT_DB else "suspect"
        remedy = Remedy("guide less", (f"method.conditioning.guidance_scale={best:g}",))
        causes = ("guidance-too-strong", "null-untrained")
        return Finding("guidance", verdict, causes, says, measured, remedy=remedy)
    settled: Verdict = "healthy" if high < 2 * SUSPECT_DB else "cannot tell"
    return Finding("guidance", settled, ("guidance-too-strong",), says, measured)


GUIDANCE = Check(
    "guidance", "conditioning", "Is restoration guided too far towards its condition?", ("model",), 36.0,
    f"fault: a scale nearer to 1 gains more than {FAULT_DB:g} dB of SI-SDR (lower end of the 95 % interval over "
    f"{ITEMS} items, the same random numbers); suspect: {SUSPECT_DB:g} dB",
    "Ho and Salimans 2022; docs/conditions.md", check_guidance,
)  # fmt: skip
