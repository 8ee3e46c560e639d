"""Curves made for the tests of checks on histories: healthy ones of many kinds, and the ways they break."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from auscult.diagnose.case import Case, Given
from auscult.diagnose.causes import BY_ID
from auscult.diagnose.check import Check
from auscult.diagnose.clock import Clock
from auscult.diagnose.evidence import Curve, Curves, Run
from auscult.diagnose.finding import Finding

KINDS = ("regression", "score", "tailed", "si-sdr", "gan", "restarts", "fine")


def case_of(
    curves: Mapping[str, Curve],
    unit: Any = "step",
    starts: Sequence[float] = (),
    recipe: Mapping[str, Any] | None = None,
    run: Run | None = None,
    mapping: Mapping[str, str] | None = None,
    ranks: Sequence[Mapping[str, object]] = (),
    facts: Mapping[str, Any] | None = None,
) -> Case:
    """A case with these curves as its evidence."""
    case = Case(Given(facts=facts or {}), Clock.lasting(60))
    last = max((float(curve.at[-1]) for curve in curves.values()), default=0.0)
    found = Curves(curves, unit, "made", mapping or {}, starts=starts, ranks=ranks, last=last)
    case.__dict__ |= {"curves": found, "recipe": recipe} | ({"run": run} if run is not None else {})
    return case


def findings(check: Check, case: Case) -> list[Finding]:
    """What a check says, as a list."""
    answer = check.run(case)
    found = [answer] if isinstance(answer, Finding) else list(answer or ())
    assert all(one.causes and set(one.causes) <= BY_ID.keys() for one in found)
    return found


def only(check: Check, case: Case) -> Finding:
    """The one finding of a check."""
    (found,) = findings(check, case)
    return found


def curve(values: ndarray, every: float = 10.0) -> Curve:
    """Values at even steps."""
    return Curve(every * np.arange(1, values.size + 1), np.asarray(values, float))


def correlated(rng: np.random.Generator, count: int, memory: float = 0.5) -> ndarray:
    """Noise of unit variance that remembers itself."""
    values = rng.standard_normal(count)
    for i in range(1, count):
        values[i] = memory * values[i - 1] + (1 - memory**2) ** 0.5 * values[i]
    return values


def healthy(kind: str, rng: np.random.Generator, rows: int = 200, validations: int = 12) -> dict[str, Curve]:
    """Curves of a run that learns, in one of :data:`KINDS`."""
    done = np.arange(1, rows + 1) / rows
    fall = 0.3 + 0.7 * np.exp(-done / rng.choice([0.05, 0.15, 0.4]))
    noise = 0.05 * correlated(rng, rows)
    loss = {
        "regression": fall * (1 + noise),
        "score": 600 * fall * np.exp(2 * noise),
        "tailed": fall * (1 + 0.05 * np.abs(rng.standard_t(2, rows))),
        "si-sdr": 5 - 18 * (1 - fall) + 10 * noise,
        "gan": 0.3 * np.exp(-done / 0.05) + 0.15 + 0.2 * done + 0.1 * noise,
        "restarts": fall * (1 + 0.15 * np.cos(8 * np.pi * done)) + 0.2 * noise,
        "fine": 0.3 + 0.7 * np.exp(-done / 0.02) + 0.1 * noise,
    }[kind]
    warm = np.minimum(1, done / 0.05)
    rate = 0.5 * (1 + np.cos(np.pi * (4 * done % 1 if kind == "restarts" else done))) * warm
    norms = np.exp(0.7 * rng.standard_normal(rows)) * (1 + 30 * np.exp(-done / 0.01))
    norms[rng.integers(rows)] *= 300
    found = {"train.loss": curve(loss), "lr": curve(1e-3 * rate), "grad_norm": curve(norms)}
    found |= {"discriminator.loss": curve(0.05 * fall)} if kind == "gan" else {}
    places = np.linspace(10 * rows / validations, 10 * rows, validations)
    gain = 1 - np.exp(-places / (2 * rows))
    pesq = 1.4 + gain + 0.04 * correlated(rng, validations, 0.3)
    return found | {"valid.pesq": Curve(places, pesq), "valid.si_sdr": Curve(places, 5 + 9 * gain)}
