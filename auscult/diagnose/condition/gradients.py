"""Whether learning reaches the condition: gradient norms of its parts on one batch, and the drop-out that was drawn."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from auscult.diagnose.condition.answers import BATCH, example
from auscult.diagnose.condition.items import Items
from auscult.diagnose.condition.subject import Subject
from auscult.evaluate.summary import Estimate, estimate
from auscult.methods.guidance import Telling


@dataclass(frozen=True)
class Gradient:
    """Of one part: the norm of its gradient and of its weights; ``part`` "the net" is all but the condition."""

    part: str
    parameters: int
    norm: float
    weights: float


@dataclass(frozen=True)
class DropOut:
    """The share of references withheld in training, as asked for and as logged: the mean over the logged steps.

    ``missing`` is the share of items that had no reference to begin with.
    """

    asked: float
    realised: Estimate
    missing: Estimate


def gradients(subject: Subject, items: Items) -> tuple[Gradient, ...]:
    """Gradients of the mean loss of one batch, every second reference withheld so that the null element learns."""
    some = items.some(np.arange(min(len(items), BATCH)))
    withheld = torch.arange(len(some)) % 2 * int(subject.has_null)
    references = replace(some.own, samples=some.own.samples * (1 - withheld))
    with torch.enable_grad():
        told = Telling(subject.net, subject.encode(references))
        loss = subject.method.compared(told, example(subject, some), some.clean.to(subject.device))
        parts = {name: [p for p in found if p.requires_grad] for name, found in _parts(subject)}
        flat = [p for found in parts.values() for p in found]
        slopes = iter(torch.autograd.grad(loss.total, flat, allow_unused=True))
    return tuple(_gradient(name, found, [next(slopes) for _ in found]) for name, found in parts.items() if found)


def dropout(subject: Subject, history: Sequence[Mapping[str, Any]]) -> DropOut | None:
    """From a run's history; None where it logged none."""
    notes = [row["turns"]["net"].get("notes", {}) for row in history if "net" in row.get("turns", {})]
    dropped = [note["dropped"] for note in notes if "dropped" in note]
    missing = [note["no_reference"] for note in notes if "no_reference" in note]
    return DropOut(subject.conditioning.drop, estimate(dropped), estimate(missing)) if dropped else None


def _parts(subject: Subject) -> Iterator[tuple[str, list[nn.Parameter]]]:
    """The parts of the condition, then all else."""
    condition = subject.condition
    yield f"encoder ({type(condition.encoder).__name__})", list(condition.encoder.parameters())
    for injection in condition.injections:
        yield f"injection {type(injection).__name__}", list(injection.parameters())
    named = {id(p) for part in (condition.encoder, condition.injections) for p in part.parameters()}
    yield "null element, level", [p for p in condition.parameters() if id(p) not in named]
    inside = {id(p) for p in condition.parameters()}
    yield "the net", [p for p in subject.net.parameters() if id(p) not in inside]


def _gradient(name: str, found: Sequence[nn.Parameter], slopes: Sequence[torch.Tensor | None]) -> Gradient:
    norm = math.sqrt(sum(float(slope.square().sum()) for slope in slopes if slope is not None))
    weights = math.sqrt(sum(float(p.detach().square().sum()) for p in found))
    return Gradient(name, sum(p.numel() for p in found), norm, weights)
