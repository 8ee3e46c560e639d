"""What a net says about the same examples under different references, and what that costs.

Common random numbers: an item's time and noise on the path are drawn from its own key, so that between references
nothing differs but the reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from auscult.diagnose.clock import Clock
from auscult.diagnose.condition.items import Items
from auscult.diagnose.condition.references import Places, References
from auscult.diagnose.condition.subject import Subject
from auscult.methods.guidance import Telling, ToldNet
from auscult.methods.parametrisation import Net
from auscult.methods.score import Diffused, Spectrum
from auscult.nets.reference import Encoded
from auscult.paths.base import Times
from auscult.rng import Draws
from auscult.shapes import bcast

BATCH = 8


class Recorder:
    """A net that keeps its last output."""

    output: Tensor

    def __init__(self, net: Telling):
        self._net = net

    def __call__(self, inputs: Tensor, t: Times) -> Tensor:
        self.output = self._net(inputs, t)
        return self.output


def batches(items: Items, clock: Clock) -> Iterator[Places]:
    """Places of items, a batch at a time: the first in any case, the others while there is time."""
    for start in range(0, len(items), BATCH):
        if start and clock.left <= 0:
            return
        yield np.arange(start, min(start + BATCH, len(items)))


def example(subject: Subject, items: Items) -> Diffused:
    """The items on the path, each at the time and with the noise of its key."""
    method, draws = subject.method, Draws.of(items.keys)
    clean, noisy = (method.encode(wave.to(subject.device)) for wave in (items.clean, items.noisy))
    return method.diffused(clean, noisy, noisy, draws)


def example_at(subject: Subject, items: Items, t: float) -> Diffused:
    """The same, all at one time."""
    drawn, path = example(subject, items), subject.method.path
    times = torch.full_like(drawn.t, t)
    marginal = path.marginal(drawn.clean, drawn.anchor, times)
    x = marginal.mean + bcast(marginal.std, drawn.noise) * drawn.noise
    return Diffused(drawn.clean, drawn.anchor, drawn.condition, times, drawn.noise, x)


def said(subject: Subject, at: Diffused, told: Encoded) -> Spectrum:
    """The net's output F."""
    net: ToldNet = subject.net
    recorder = Recorder(Telling(net, told))
    subject.method.predict(recorder, at.x, at.anchor, at.condition, at.t)
    return recorder.output


def losses_of(subject: Subject, at: Diffused, clean: Float[Tensor, "B C T"], output: Spectrum) -> Float[ndarray, " B"]:
    """The objective item by item, of what the net said about a batch."""
    found = []
    for i in range(len(output)):
        one = slice(i, i + 1)
        alone = Diffused(*(getattr(at, field.name)[one] for field in fields(at)))
        found.append(float(subject.method.compared(_replayed(output[one]), alone, clean[one]).total))
    return np.array(found)


def _replayed(output: Spectrum) -> Net:
    """A net that says what was said before."""
    return lambda *_: output


@torch.inference_mode()
def losses(
    subject: Subject, items: Items, given: Mapping[str, References], clock: Clock
) -> dict[str, Float[ndarray, " I"]]:
    """The loss of every item under every set of references; NaN where time was up."""
    found = {name: np.full(len(items), np.nan) for name in given}
    for places in batches(items, clock):
        some = items.some(places)
        at, clean = example(subject, some), some.clean.to(subject.device)
        for name, references in given.items():
            told = subject.encode(references.at(places))
            found[name][places] = losses_of(subject, at, clean, said(subject, at, told))
    return found
