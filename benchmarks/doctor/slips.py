"""Slips in a training loop, put into ours for the length of one run: what real trainers have got wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import Mock, patch

import numpy as np
import torch
from torch import Tensor, nn

from auscult.data import loader
from auscult.methods import metric_gan
from auscult.methods.labels import Label, Labels
from auscult.train.ema import Average, floating
from auscult.train.loop import Trainer
from auscult.train.state import State

Slip = Callable[[float], Any]


@contextmanager
def average_never_moves(amount: float) -> Iterator[None]:
    """``ema.update`` is called on a copy, or not at all; it counts as if it had been."""

    def update(self: Average, net: nn.Module) -> None:
        self.updates += 1

    with patch.object(Average, "update", update):
        yield


@contextmanager
def average_without_warm_up(amount: float) -> Iterator[None]:
    """A decay made for long runs, from the first step on: the average is what the net was born as."""

    def update(self: Average, net: nn.Module) -> None:
        self.updates += 1
        live = floating(net)
        for name, tensor in self.tensors.items():
            tensor.lerp_(live[name].float(), 1 - amount)

    with patch.object(Average, "update", torch.no_grad()(update)):
        yield


@contextmanager
def swap_not_undone(amount: float) -> Iterator[None]:
    """Validation swaps the average into the net that learns, and leaves it there."""
    validate = Trainer._validate

    def swapped(self: Trainer, *arguments: Any) -> Any:
        outcome = validate(self, *arguments)
        for turn, average in self.state.averages.items():
            own = floating(self.state.nets[turn])
            with torch.no_grad():
                for name, tensor in average.tensors.items():
                    own[name].copy_(tensor)
        return outcome

    with patch.object(Trainer, "_validate", swapped):
        yield


@contextmanager
def optimiser_of_another_net(amount: float) -> Iterator[None]:
    """The optimiser holds the parameters of a net that was built and thrown away."""
    update = Trainer._update

    def stale(self: Trainer, turn: str, total: int) -> None:
        before = [p.detach().clone() for p in self.state.nets[turn].parameters()]
        update(self, turn, total)
        with torch.no_grad():
            for parameter, value in zip(self.state.nets[turn].parameters(), before, strict=True):
                parameter.copy_(value)

    with patch.object(Trainer, "_update", stale):
        yield


@contextmanager
def part_left_out(amount: float) -> Iterator[None]:
    """The optimiser never got a part of the net: the share ``amount`` of its tensors, from the input on."""
    update = Trainer._update

    def partly(self: Trainer, turn: str, total: int) -> None:
        held = list(self.state.nets[turn].parameters())
        held = held[: round(amount * len(held))]
        before = [p.detach().clone() for p in held]
        update(self, turn, total)
        with torch.no_grad():
            for parameter, value in zip(held, before, strict=True):
                parameter.copy_(value)

    with patch.object(Trainer, "_update", partly):
        yield


@contextmanager
def same_order(amount: float) -> Iterator[None]:
    """``set_epoch`` is never called: every epoch has the order, the crops and the noise of the first."""
    fetch = loader.fetch

    def first_epoch(source: Any, key: Any, position: int) -> Any:
        return fetch(source, key, position % len(source))

    with patch.object(loader, "fetch", first_epoch):
        yield


@contextmanager
def state_lost(amount: float) -> Iterator[None]:
    """A resume that brings the net back, and neither optimiser nor average: these begin anew."""
    load = State.load

    def forgetful(self: State, path: Any) -> None:
        averages = {turn: Average(net, self.averages[turn].decay) for turn, net in self.nets.items() if self.averages}
        optimisers = {turn: optimiser.state_dict() for turn, optimiser in self.optimisers.items()}
        load(self, path)
        self.averages.update(averages)
        for turn, optimiser in self.optimisers.items():
            optimiser.load_state_dict(optimisers[turn])

    with patch.object(State, "load", forgetful):
        yield


@contextmanager
def gradients_turned_over(amount: float) -> Iterator[None]:
    """Ascent: the sign of a score was forgotten where the gradient is taken, not where the loss is logged."""
    update = Trainer._update

    def ascending(self: Trainer, turn: str, total: int) -> None:
        for parameter in self.state.nets[turn].parameters():
            if parameter.grad is not None:
                parameter.grad.neg_()
        update(self, turn, total)

    with patch.object(Trainer, "_update", ascending):
        yield


@contextmanager
def labels_averaged(amount: float) -> Iterator[None]:
    """One label for a batch: its mean."""
    with _labelled(lambda found: [Label(float(found.values[found.known].mean())) if found.known.any() else Label(None)
                                  for _ in found.values]):  # fmt: skip
        yield


@contextmanager
def labels_fail(amount: float) -> Iterator[None]:
    """The metric fails for a share of items, and with one item the batch is left out."""
    drawn = np.random.default_rng(0)

    def failing(found: Labels) -> list[Label]:
        failed = drawn.random(found.values.size) < amount
        return [Label(None, "NoUtterancesError") if failed.any() else Label(float(value)) for value in found.values]

    with _labelled(failing):
        yield


@contextmanager
def labels_of_others(amount: float) -> Iterator[None]:
    """Labels come back in another order than they were asked for."""
    with _labelled(lambda found: [Label(float(value)) for value in np.roll(found.values, 1)]):
        yield


@contextmanager
def _labelled(changed: Callable[[Labels], list[Label]]) -> Iterator[None]:
    answered = metric_gan.answered
    with patch.object(metric_gan, "answered", lambda questions: Labels.of(changed(answered(questions)))):
        yield


@contextmanager
def gradient_spikes(amount: float) -> Iterator[None]:
    """Now and then a gradient is ``amount`` times too large: a logarithm near zero."""
    update, count = Trainer._update, [0]

    def spiky(self: Trainer, turn: str, total: int) -> None:
        count[0] += 1
        if count[0] % 23 == 0:
            _scaled((p.grad for p in self.state.nets[turn].parameters()), amount)
        update(self, turn, total)

    with patch.object(Trainer, "_update", spiky):
        yield


@contextmanager
def gradients_accumulate(amount: float) -> Iterator[None]:
    """``zero_grad`` is missing: every step goes along the sum of all before it."""
    with patch.object(torch.optim.AdamW, "zero_grad", Mock()):
        yield


def _scaled(gradients: Iterator[Tensor | None], amount: float) -> None:
    for gradient in gradients:
        if gradient is not None:
            gradient.mul_(amount)


SLIPS: dict[str, Slip] = {
    "average-never-moves": average_never_moves,
    "average-without-warm-up": average_without_warm_up,
    "swap-not-undone": swap_not_undone,
    "optimiser-of-another-net": optimiser_of_another_net,
    "part-left-out": part_left_out,
    "same-order": same_order,
    "state-lost": state_lost,
    "gradients-turned-over": gradients_turned_over,
    "labels-averaged": labels_averaged,
    "labels-fail": labels_fail,
    "labels-of-others": labels_of_others,
    "gradient-spikes": gradient_spikes,
    "gradients-accumulate": gradients_accumulate,
}
