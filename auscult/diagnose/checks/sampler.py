"""A score model's sampler, varied one setting at a time on a few clips with common random numbers."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray

from auscult.diagnose.case import Case
from auscult.diagnose.check import Check
from auscult.diagnose.checks.one_step import subject_of
from auscult.diagnose.finding import Finding, Measured, Remedy, Verdict
from auscult.evaluate.statistics import interval

if TYPE_CHECKING:
    from auscult.diagnose.measure.denoising import Subject
    from auscult.samplers.base import Sampler

FAULT_DB, SUSPECT_DB = 1.5, 0.5
LEVEL_DB = 3.0
CLEARLY = 1.2
MANY = 60
"""Steps from which on it is asked whether a quarter of them would do."""
ROUND_TRIP_DB = 40.0


@dataclass(frozen=True)
class Variant:
    """The sampler with one setting changed, and what a gain by it would mean."""

    name: str
    sampler: Any
    cause: str
    setting: str


def check_sampler(case: Case) -> Sequence[Finding]:
    """Would other settings restore the same clips better?"""
    subject = subject_of(case)
    if subject is None:
        return []
    sampler, trained = subject.method.sampler, float(case.model.section["t_eps"])
    started = time.monotonic()
    base = _restored(subject, sampler)
    call_s = (time.monotonic() - started) / sampler.calls
    findings = [_round_trip(subject), _seeded(subject, sampler, base, call_s, case), _level(subject, base)]
    findings += _compared(case, subject, base, call_s, trained)
    return [one for one in findings if one is not None]


def _compared(case: Case, subject: Subject, base: ndarray, call_s: float, trained: float) -> Iterator[Finding]:
    own = _si_sdr(subject, base)
    for variant in variants(subject.method.sampler, trained):
        if call_s * variant.sampler.calls > 0.9 * case.clock.left:
            case.notes.append(f"sampler: {variant.name} was not tried, it takes {call_s * variant.sampler.calls:.0f} s")
            continue
        yield _judged(variant, _si_sdr(subject, _restored(subject, variant.sampler)) - own)


def variants(sampler: Sampler, trained_t_eps: float) -> Iterator[Variant]:
    """Twice the steps (or a quarter of very many), no corrector, the times of training."""
    named = {field.name for field in fields(sampler)}  # type: ignore[arg-type]
    given: Any = sampler
    if "steps" in named and given.steps < MANY:
        twice = replace(given, steps=2 * given.steps)
        yield Variant(f"{2 * given.steps} steps for {given.steps}", twice, "too-few-steps", f"steps={2 * given.steps}")
    elif "steps" in named:
        fewer = given.steps // 4
        yield Variant(f"{fewer} steps for {given.steps}", replace(given, steps=fewer), "wasted-steps", f"steps={fewer}")
    if "corrector" in named and given.corrector != "none" and given.corrector_steps:
        without = replace(given, corrector="none")
        yield Variant("no corrector", without, "corrector", "corrector=none")
    if "t_eps" in named and not 1 / CLEARLY < given.t_eps / trained_t_eps < CLEARLY:
        same = replace(given, t_eps=trained_t_eps)
        words = f"t_eps {trained_t_eps:g} of training for {given.t_eps:g}"
        yield Variant(words, same, "time-mismatch", f"t_eps={trained_t_eps:g}")


def _restored(subject: Subject, sampler: Any) -> ndarray:
    """Waves [B, T] of the clips, with the same random numbers under every sampler."""
    import torch

    method = copy.copy(subject.method)
    method.sampler = sampler
    with torch.inference_mode():
        anchor = method.encode(subject.noisy)
        spectrum = method.sampled(subject.net, anchor, anchor, subject.draws("sampled"))  # type: ignore[arg-type]
        waves: ndarray = method.features.decode(spectrum, subject.noisy.shape[-1])[:, 0].float().cpu().numpy()
    return waves


def _si_sdr(subject: Subject, waves: ndarray) -> ndarray:
    from auscult.data.audit.relation import si_sdr_of

    clean = subject.clean[:, 0].cpu().numpy()
    return np.array([si_sdr_of(_correlation(s, x)) for s, x in zip(clean, waves, strict=True)]).clip(-30.0, 60.0)


def _correlation(a: ndarray, b: ndarray) -> float:
    both = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a.astype(np.float64) @ b) / float(both) if np.isfinite(both) and both > 0 else 0.0


def _judged(variant: Variant, gain: ndarray) -> Finding:
    low, high = interval(gain)
    measured = [Measured(f"SI-SDR by {variant.name}", float(gain.mean()), "dB", "within 0.5", low, high)]
    says = f"{variant.name} gives {gain.mean():+.2f} dB [{low:.2f}, {high:.2f}] of SI-SDR over {gain.size} clips"
    remedy = Remedy(variant.name, (f"method.sampler.{variant.setting}",))
    if variant.cause == "wasted-steps":
        wasted = low > -0.1
        wasteful: Verdict = "suspect" if wasted else "healthy"
        return Finding("sampler-settings", wasteful, (variant.cause,), says, measured, remedy=remedy)
    if low > SUSPECT_DB:
        verdict: Verdict = "fault" if low > FAULT_DB else "suspect"
        return Finding("sampler-settings", verdict, (variant.cause,), says, measured, remedy=remedy)
    if high < 2 * SUSPECT_DB or gain.mean() < SUSPECT_DB:
        return Finding("sampler-settings", "healthy", (variant.cause,), says, measured)
    return Finding("sampler-settings", "cannot tell", (variant.cause,), says, measured)


def _seeded(subject: Subject, sampler: Any, base: ndarray, call_s: float, case: Case) -> Finding | None:
    """The same seed, the same bits."""
    if call_s * sampler.calls > 0.3 * case.clock.left:
        return None
    again = _restored(subject, sampler)
    apart = float(np.abs(again - base).max() / max(float(np.abs(base).max()), 1e-12))
    measured = [Measured("largest difference of two restorations with one seed", apart, "of the peak", "0")]
    if apart > 1e-4:
        says = f"two restorations with one seed differ by {apart:.2g} of the peak"
        return Finding("sampler-seed", "fault", ("unseeded", "scores-not-repeatable"), says, measured)
    says = "two restorations with one seed are the same"
    return Finding("sampler-seed", "healthy", ("unseeded", "scores-not-repeatable"), says, measured)


def _level(subject: Subject, base: ndarray) -> Finding:
    from auscult.diagnose.measure.agreement import level_off_db

    clean = subject.clean[:, 0].cpu().numpy().astype(np.float64)
    joint = np.abs((clean * base).sum(1))
    up, down = joint / np.maximum((base**2).sum(1), 1e-12), joint / np.maximum((clean**2).sum(1), 1e-12)
    off = np.array([level_off_db(float(a), float(b)) for a, b in zip(up, down, strict=True)])
    low, high = interval(off) if np.ptp(off) else (float(off[0]), float(off[0]))
    measured = [Measured("level of restorations against references", float(off.mean()), "dB", "within 3", low, high)]
    says = f"restorations are {off.mean():+.1f} dB off their references' level"
    if min(abs(low), abs(high)) > LEVEL_DB and low * high > 0:
        return Finding("sampler-level", "suspect", ("output-level", "transform-mismatch"), says, measured)
    return Finding("sampler-level", "healthy", ("output-level",), says, measured)


def _round_trip(subject: Subject) -> Finding:
    """The transform and back."""
    import torch

    features = subject.method.features
    with torch.inference_mode():
        back = features.decode(features.encode(subject.noisy), subject.noisy.shape[-1])
        error = (back - subject.noisy).square().sum() / subject.noisy.square().sum()
    snr = float(-10 * torch.log10(error.clamp_min(1e-20)))
    measured = [Measured("SNR of the transform and its inverse", snr, "dB", f"above {ROUND_TRIP_DB:g}")]
    says = f"the transform and its inverse give the signal back to {snr:.0f} dB"
    causes = ("transform-mismatch",)
    verdict: Verdict = "fault" if snr < ROUND_TRIP_DB else "healthy"
    return Finding("transform", verdict, causes, says, measured, certain=verdict == "fault")


SAMPLER = Check(
    "sampler-settings",
    "sampler",
    "Would other settings of the sampler restore the same clips better?",
    ("model", "items"),
    35.0,
    f"fault: twice the steps, no corrector, or the smallest time of training gain more than {FAULT_DB:g} dB of SI-SDR "
    f"(lower end of the 95 % interval over clips, common random numbers), two restorations with one seed differ, or "
    f"the transform loses more than {ROUND_TRIP_DB:g} dB; suspect: {SUSPECT_DB:g} dB, a level off by {LEVEL_DB:g} dB",
    "Paired differences over clips; docs/systems/paths-and-samplers.md",
    check_sampler,
)
