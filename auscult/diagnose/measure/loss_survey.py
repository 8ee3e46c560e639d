"""What a loss says of estimates whose worth is known: measured, not judged.

Every estimate is made of the batch itself: the target, the target at other levels and places, the noisy input, more
noise, nothing, another item. No model is needed, and a few dozen calls of the loss.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from auscult.diagnose.evidence import Practice, Step

if TYPE_CHECKING:
    from torch import Tensor

    Estimate = Callable[[Step], Tensor]

TOTAL = "total"
GAINS = tuple(float(2 ** (k / 2)) for k in range(-12, 13) if k)
"""1/64 to 64 in half octaves, without 1."""
SHIFTS = tuple(sign * n for n in (1, 2, 4, 8, 16, 40, 64, 80, 128, 160, 200, 256, 320, 400, 512) for sign in (-1, 1))
FEWER_GAINS, FEWER_SHIFTS = GAINS[::3], SHIFTS[::3]
"""Where the loss is slow."""
SLOW_S = 0.2
"""A call of the loss that takes longer makes it slow."""
REFINED = 3
"""Halvings of the grid about the best gain, where that is not 1."""
MIXES = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
"""How much of the noise is left: 0 the target, 1 the input."""
ALMOST = 1e-3
"""Of the noise, where the value at the target itself is not finite (plain SI-SDR)."""
_ADVERSARIAL = re.compile(r"(^|[_.\-\s])(adv\w*|gan|disc\w*|critic)($|[_.\-\s])", re.IGNORECASE)
Values = Mapping[str, float]
"""By term, and their sum as ``total``."""
Place = TypeVar("Place", int, float)


def is_adversarial(part: str) -> bool:
    """Whether a term is a discriminator's, by its name: no estimate makes it zero, and it changes as that learns."""
    return _ADVERSARIAL.search(part) is not None


def parts_of(practice: Practice, step: Step, estimate: Tensor | None = None) -> dict[str, Tensor]:
    """The terms with a graph, without a discriminator's."""
    found = practice.loss(step, estimate)
    return {name: part for name, part in found.items() if not is_adversarial(name)}


def values(practice: Practice, steps: Sequence[Step], estimate: Estimate) -> dict[str, float]:
    """Mean of each term over steps."""
    import torch

    with torch.no_grad():
        rows = [{k: float(v) for k, v in parts_of(practice, step, estimate(step)).items()} for step in steps]
    found = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
    return {**found, TOTAL: sum(found.values())}


def shifted(wave: Tensor, samples: int) -> Tensor:
    """Later by so many samples (earlier where negative), silence in the gap."""
    moved = wave.roll(samples, dims=-1)
    if samples >= 0:
        moved[..., :samples] = 0.0
    else:
        moved[..., samples:] = 0.0
    return moved


def mixed(step: Step, share: float) -> Tensor:
    """The target with a share of the noise."""
    return step.clean + share * (step.noisy - step.clean)


@dataclass(frozen=True)
class Survey:
    """Values of the terms at each estimate."""

    gains: Mapping[float, Values]
    shifts: Mapping[int, Values]
    mixes: Mapping[float, Values]
    almost: Values
    negated: Values
    silent: Values
    exchanged: Values | None
    """Each item's estimate is the target of another one; None for batches of one item, or of equal ones."""

    @property
    def perfect(self) -> Values:
        """At the target; next to it where a term is not a number there."""
        return {k: self.almost[k] if math.isnan(v) else v for k, v in self.mixes[0.0].items()}

    @property
    def noisy(self) -> Values:
        """At the input."""
        return self.mixes[1.0]

    @property
    def terms(self) -> list[str]:
        """Without the total."""
        return [name for name in self.noisy if name != TOTAL]

    def span(self, term: str) -> float:
        """From (almost) the target to the input, or a tenth of that to silence: what a difference is compared with."""
        from_target = [abs(one[term] - self.almost[term]) for one in (self.noisy, self.silent)]
        return max(from_target[0], 0.1 * from_target[1])

    def spread(self, term: str) -> float:
        """Largest less smallest finite value of all estimates."""
        every = [*self.mixes.values(), *self.gains.values(), *self.shifts.values(), self.negated, self.silent]
        seen = [one[term] for one in every if math.isfinite(one[term])]
        return max(seen) - min(seen) if seen else 0.0

    def best_gain(self, term: str = TOTAL) -> float:
        """The gain on the target with the least loss."""
        return _lowest({**self.gains, 1.0: self.perfect}, term)

    def best_shift(self, term: str = TOTAL) -> int:
        """The shift of the target with the least loss, in samples; positive: later."""
        return _lowest({**self.shifts, 0: self.perfect}, term)


def _lowest(found: Mapping[Place, Values], term: str) -> Place:
    """Where a term is lowest; the perfect estimate, which comes last, where it is as low or nothing is a number."""
    seen = {at: values[term] for at, values in found.items() if not math.isnan(values[term])}
    lowest = min(seen.values(), default=math.nan)
    return [at for at in found if seen.get(at, lowest) == lowest or not seen][-1]


def survey(practice: Practice, steps: Sequence[Step]) -> Survey:
    """Ask the loss about every estimate.

    Raises:
        Absent, DataError: as :meth:`Practice.loss` does.
    """

    def ask(estimate: Estimate) -> Values:
        return values(practice, steps, estimate)

    begun = time.monotonic()
    almost = ask(lambda step: mixed(step, ALMOST))
    slow = time.monotonic() - begun > SLOW_S
    gains = {g: ask(lambda step, g=g: g * step.clean) for g in (FEWER_GAINS if slow else GAINS)}
    shifts = FEWER_SHIFTS if slow else SHIFTS
    several = all(not step.clean.equal(step.clean.roll(1, 0)) for step in steps)
    found = Survey(
        gains=gains,
        shifts={k: ask(lambda step, k=k: shifted(step.clean, k)) for k in shifts},
        mixes={share: ask(lambda step, share=share: mixed(step, share)) for share in MIXES},
        almost=almost,
        negated=ask(lambda step: -step.clean),
        silent=ask(lambda step: 0.0 * step.clean),
        exchanged=ask(lambda step: step.clean.roll(1, 0)) if several else None,
    )
    ratio = 2.0 ** (3 / 4 if slow else 1 / 4)
    for _ in range(REFINED):
        if (best := found.best_gain()) == 1.0:
            break
        for gain in (best / ratio, best * ratio):
            gains[gain] = ask(lambda step, gain=gain: gain * step.clean)
        ratio **= 0.5
    return found


def likeness(items: Tensor) -> float:
    """The least |cosine| of any two items of a batch; 0 where one is silent, or there is one only."""
    rows = items.flatten(1).double()
    rows = rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-30)
    return float((rows @ rows.T).abs().min()) if len(rows) > 1 else 0.0


def gradient(practice: Practice, step: Step, estimate: Tensor) -> dict[str, Tensor]:
    """Of each term at an estimate; zeros for a term that does not reach it."""
    import torch

    leaf = estimate.detach().clone().requires_grad_(True)
    found = {}
    for name, part in parts_of(practice, step, leaf).items():
        grad = torch.autograd.grad(part, leaf, retain_graph=True, allow_unused=True)[0] if part.requires_grad else None
        found[name] = torch.zeros_like(leaf) if grad is None else torch.nan_to_num(grad)
    return found
