"""Somebody else's training step: their loader, loss and model, named on the command line (docs/foreign-code.md).

    --loader my_pkg.data:make_loader    called without arguments; gives batches that name their ``noisy`` and ``clean``
    --loss my_pkg.train:loss_fn         loss(estimate, clean), loss(estimate, clean, noisy) or loss(estimate, batch)
    --model my_pkg.net:build            called without arguments; gives what maps noisy [B, T] to an estimate

Nothing is imported before its package is declared trusted.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count as counted
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from auscult.catalogue import check_trust
from auscult.diagnose.evidence import Absent, HeardItem, Practice, Step
from auscult.diagnose.gather.calling import LossCall, called, same_draws, terms
from auscult.diagnose.gather.synthetic import synthetic_pairs
from auscult.errors import DataError, RecipeError

if TYPE_CHECKING:
    from auscult.diagnose.case import Case

MANY = 10_000
RATE_HZ = 16_000
"""Of synthetic items, where nobody says a rate."""


def gather_foreign(case: Case) -> Practice:
    """The practice of ``--loader``, ``--loss`` and ``--model``, any of which may be missing.

    Raises:
        TrustError: a package is not declared trusted. RecipeError: a name leads to nothing that can be called.
    """
    given = case.given
    found = {
        flag: function_of(name, flag, given.trust)
        for flag, name in (("--loader", given.loader), ("--loss", given.loss), ("--model", given.model))
        if name is not None
    }
    if "--loader" not in found:
        case.notes.append("no --loader was given: the loss is asked with synthetic speech and noise")
    return Foreign(found.get("--loader"), found.get("--loss"), found.get("--model"), case.facts.value("rate_hz"))


def function_of(name: str, flag: str, trust: Sequence[str]) -> Callable[..., Any]:
    """What ``package.module:function`` names.

    Raises:
        TrustError: its package is not declared trusted; nothing was imported.
        RecipeError: the form is another, or there is no such function.
    """
    module, colon, attribute = name.partition(":")
    if not colon or not attribute:
        raise RecipeError(f"{flag} {name}: give package.module:function")
    check_trust([module], trust, flag)
    try:
        with called(f"{flag} {name}: importing {module}"):
            found = getattr(importlib.import_module(module), attribute)
    except DataError as error:
        raise RecipeError(f"{error}; is the project on the path (PYTHONPATH=.)?") from error
    if not callable(found):
        raise RecipeError(f"{flag} {name}: a {type(found).__name__}, a function is needed")
    return found


class Foreign(Practice):
    """A practice of functions that are not ours."""

    def __init__(
        self,
        loader: Callable[..., Any] | None,
        loss: Callable[..., Any] | None,
        model: Callable[..., Any] | None,
        rate_hz: int | None,
        generation: int = 0,
    ):
        self.rate_hz, self._generation = rate_hz, generation
        self._make_loader, self._loss_fn, self._build = loader, loss, model
        self.name = " and ".join(f.__qualname__ for f in (loader, loss, model) if f is not None)
        self._call = None if loss is None else LossCall(loss)
        self._epochs: dict[int, _Epoch] = {}
        self._model: Any = None

    def steps(self, count: int, epoch: int = 0) -> Sequence[Step]:
        if epoch not in self._epochs:
            self._epochs[epoch] = _Epoch(self._batches())
        return self._epochs[epoch].first(count)

    def loss(self, step: Step, estimate: Tensor | None = None) -> Mapping[str, Tensor]:
        if self._call is None:
            raise Absent("no loss was given (--loss package.module:function)")
        with same_draws():
            estimate = self._answer(step) if estimate is None else estimate
            with called(f"the loss {self._call.name}"):
                return terms(self._call(estimate, step))

    def estimate(self, step: Step) -> Tensor:
        with same_draws():
            return self._answer(step)

    def nets(self) -> Mapping[str, nn.Module]:
        model = self._built() if self._build is not None else None
        return {"model": model} if isinstance(model, nn.Module) else {}

    def part(self, step: Step) -> Step:
        return step

    def fresh(self) -> Practice:
        other = Foreign(self._make_loader, self._loss_fn, self._build, self.rate_hz, self._generation + 1)
        other._epochs = self._epochs
        return other

    def _batches(self) -> Iterator[Any]:
        if self._make_loader is None:
            yield from synthetic_pairs(self.rate_hz or RATE_HZ)
            return
        with called(f"the loader {self._make_loader.__qualname__}"):
            yield from self._make_loader()

    def _answer(self, step: Step) -> Tensor:
        model = self._built()
        with called("the model"):
            return _flat(model(step.noisy), "the model's answer", like=step.noisy)

    def _built(self) -> Any:
        if self._build is None:
            raise Absent("no model was given (--model package.module:function)")
        if self._model is None:
            with called(f"the model {self._build.__qualname__}"), same_draws(self._generation):
                self._model = self._build()
            if isinstance(self._model, nn.Module):
                self._model.train()
        return self._model


class _Epoch:
    """Batches of one pass through a loader, kept as they come, so that every check sees the same ones."""

    def __init__(self, batches: Iterator[Any]):
        self._steps = (_step(batch, number) for number, batch in zip(counted(), batches, strict=False))
        self._kept: list[Step] = []

    def first(self, count: int) -> list[Step]:
        self._kept += islice(self._steps, max(0, count - len(self._kept)))
        return self._kept[:count]


def items_of(practice: Practice, most: int = 100, epoch: int = 0) -> list[HeardItem]:
    """Items as a practice's loader gives them.

    Raises:
        Absent: nobody says at which rate. DataError: the loader fails.
    """
    if practice.rate_hz is None:
        raise Absent("nobody says at which rate the loader's waves are: add --fact rate_hz=16000")
    found: list[HeardItem] = []
    for reach in range(1, MANY):
        steps = practice.steps(reach, epoch)
        if len(found) >= most or len(steps) < reach:
            break
        found += _heard(steps[-1], practice.rate_hz, epoch)
    return found[:most]


def _heard(step: Step, rate_hz: int, epoch: int) -> Iterator[HeardItem]:
    for i, name in enumerate(step.names):
        yield HeardItem(
            name,
            step.clean[i].numpy(),
            step.noisy[i].numpy(),
            rate_hz,
            start=step.starts[i] if step.starts else None,
            epoch=epoch,
            length=step.lengths[i] if step.lengths else None,
        )


def _step(batch: Any, number: int) -> Step:
    clean, noisy = (_flat(_field(batch, side), f"the loader's {side}").float() for side in ("clean", "noisy"))
    if clean.shape != noisy.shape:
        raise DataError(
            f"the loader gives clean as {tuple(clean.shape)} and noisy as {tuple(noisy.shape)}: items must fit"
        )
    size = len(clean)
    names = _each(batch, ("names", "name"), size) or [f"item {number * size + i}" for i in range(size)]
    starts = [int(start) for start in _each(batch, ("starts", "start"), size)]
    lengths = [int(length) for length in _each(batch, ("lengths", "length"), size)]
    return Step(clean.detach(), noisy.detach(), tuple(map(str, names)), batch, tuple(starts), tuple(lengths))


def _each(batch: Any, keys: Sequence[str], size: int) -> Sequence[Any]:
    """What a batch says of each item, under the first of the keys that it has."""
    for key in keys:
        found = _field(batch, key, needed=False)
        if found is not None:
            values = found.tolist() if isinstance(found, Tensor | np.ndarray) else found
            return list(values) if isinstance(values, list | tuple) and len(values) == size else [values] * size
    return []


def _field(batch: Any, name: str, needed: bool = True) -> Any:
    """A field of a mapping, or of a named tuple, dataclass or other object."""
    found = batch.get(name) if isinstance(batch, Mapping) else getattr(batch, name, None)
    if found is None and needed:
        raise DataError(
            f"a batch of the loader is a {type(batch).__name__} without '{name}', and which of its values is what is "
            "not guessed: let --loader name a function that yields {'noisy': ..., 'clean': ...} (docs/foreign-code.md)"
        )
    return found


def _flat(wave: Any, what: str, like: Tensor | None = None) -> Tensor:
    """[B, T] of [B, T], [B, 1, T] or [T]."""
    found = wave if isinstance(wave, Tensor) else torch.as_tensor(np.asarray(wave))
    if found.ndim == 3 and found.shape[1] == 1:
        found = found[:, 0]
    found = found[None] if found.ndim == 1 else found
    if found.ndim != 2:
        raise DataError(
            f"{what} has the shape {tuple(found.shape)}; waves [B, T] or [B, 1, T] of one channel are needed"
        )
    if like is not None and found.shape != like.shape:
        raise DataError(f"{what} has the shape {tuple(found.shape)}, the noisy waves have {tuple(like.shape)}")
    return found
