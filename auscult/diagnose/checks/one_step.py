"""A score model or bridge asked once, at times of its path: is its answer read as it was trained?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

from auscult.diagnose.case import Case
from auscult.diagnose.check import Check
from auscult.diagnose.evidence import Absent
from auscult.diagnose.finding import Finding, Measured

if TYPE_CHECKING:
    from auscult.diagnose.measure.denoising import Profile, Subject

WORSE_DB, BETTER_DB = -1.0, 3.0
SHOWN_DB, POOR_DB = 1.0, -3.0


def subject_of(case: Case) -> Subject | None:
    """The model with a few clips; None of methods without a path, and of nets that never learned to have no reference.

    Raises:
        Absent: there are no clips to ask it about.
    """
    from auscult.diagnose.measure.clips import clips, keys_of
    from auscult.diagnose.measure.denoising import Subject, untold
    from auscult.methods.score import ScoreModel

    method = case.model.method
    conditioning = case.model.section.get("conditioning")
    if not isinstance(method, ScoreModel) or (conditioning is not None and not conditioning["drop"]):
        return None
    pairs = clips(case.items.items, method.rate_hz, method.normalise)
    if pairs is None:
        raise Absent("fewer than three pairs of clean and noisy recordings that belong together (--data)")
    clean, noisy = (side.to(case.given.device) for side in pairs)
    net, keys = untold(method, case.model.nets["net"], noisy), keys_of(len(clean), case.key.child("clips"))
    return Subject(method, net, clean, noisy, keys)


def check_one_step(case: Case) -> Finding | None:
    """Does one step of denoising beat what needs no net, at all times?"""
    subject = subject_of(case)
    if subject is None:
        return None
    from auscult.diagnose.measure.denoising import other_readings, profile, states

    found = states(subject, float(case.model.section["t_eps"]))
    own = profile(found, subject.method.path)
    if not _worse(own):
        return _times(own)
    others = other_readings(subject, found, case.clock)
    fitting = {name: snrs for name, snrs in others.items() if _denoises(snrs, own)}
    return _misread(own, fitting) if fitting else _open(own)


def _worse(own: Profile) -> bool:
    """Worse than a linear combination at three times of four."""
    return float(np.mean(own.gain.mean(1) < WORSE_DB)) >= 0.75


def _denoises(snrs: ndarray, own: Profile) -> bool:
    """Far better than the method's reading, at no time worse, and better than what needs no net."""
    rows = len(snrs)
    better = (snrs - own.net[:rows]).mean(1)
    gain = (snrs - own.linear[:rows]).mean(1)
    return rows >= 2 and better.mean() > BETTER_DB and better.min() > -0.5 and float(gain.mean()) > SHOWN_DB


def _misread(own: Profile, fitting: Mapping[str, ndarray]) -> Finding:
    name = max(fitting, key=lambda one: float(fitting[one].mean()))
    best, read = float(fitting[name].mean()), float(own.net.mean())
    says = (
        f"read {name} the net's answer denoises to {best:.1f} dB SNR, read as the method does to {read:.1f} dB, where "
        f"a linear filter has {own.linear.mean():.1f} dB: the answer is read in the wrong parametrisation or sign"
    )
    measured = [*_rows(own), Measured(f"SNR read {name}, mean over times", best, "dB", "below the method's reading")]
    return Finding("one-step", "fault", ("parametrisation",), says, measured)


def _open(own: Profile) -> Finding:
    says = f"one step denoises to {own.net.mean():.1f} dB SNR, a linear filter to {own.linear.mean():.1f} dB"
    causes = ("never-learned", "parametrisation")
    return Finding("one-step", "cannot tell", causes, f"{says}, and no other reading of the answer fits", _rows(own))


def _times(own: Profile) -> Finding:
    gain = own.gain
    tops = gain.mean(1) + 2 * gain.std(1, ddof=1) / np.sqrt(gain.shape[1])
    poor = [t for t, top in zip(own.t, tops, strict=True) if top < POOR_DB]
    if poor and gain.mean(1).max() > SHOWN_DB:
        says = (
            f"at t = {', '.join(f'{t:.2g}' for t in poor)} one step is worse than a linear filter by up to "
            f"{-gain.mean(1).min():.1f} dB, elsewhere better by up to {gain.mean(1).max():.1f} dB"
        )
        return Finding("one-step", "suspect", ("unlearned-times",), says, _rows(own))
    if gain.mean(1).min() > 0:
        says = (
            f"one step beats a linear filter at all times, by {gain.mean(1).min():.1f} to {gain.mean(1).max():.1f} dB"
        )
        return Finding("one-step", "healthy", ("parametrisation", "unlearned-times"), says, _rows(own))
    says = (
        f"one step beats a linear filter by {gain.mean(1).min():.1f} to {gain.mean(1).max():.1f} dB: little was learned"
    )
    return Finding("one-step", "cannot tell", ("unlearned-times",), says, _rows(own))


def _rows(own: Profile) -> list[Measured]:
    return [
        Measured(f"SNR of one step at t = {t:.2g}", float(net.mean()), "dB", f"above {linear.mean():.1f} (linear)")
        for t, net, linear in zip(own.t, own.net, own.linear, strict=True)
    ]


ONE_STEP = Check(
    "one-step",
    "sampler",
    "Is the net's answer read as it was trained, and learned at all times?",
    ("model", "items"),
    8.0,
    f"fault: at three times of four the method's reading is more than {-WORSE_DB:g} dB worse than the best linear "
    f"combination of state and input, and another reading of the answer is {BETTER_DB:g} dB better, at no time worse, "
    f"and {SHOWN_DB:g} dB above the linear combination; suspect: at some times it is {-POOR_DB:g} dB worse than that "
    "(two standard errors), at others better. Two small models: better by 2-6 dB at all times",
    "Tweedie's formula (Efron 2011); docs/systems/paths-and-samplers.md",
    check_one_step,
)
