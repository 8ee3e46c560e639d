"""What an arm's nets are and cost, before anything is trained: no weight is read, no number of a net is computed.

Nets are called on fake tensors (shapes without contents), within the real loop of the method: samplers take their
real number of calls. The first call of each net is also differentiated, which counts the backward pass, the memory
that it waits for, and the parameters that no gradient can reach.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from auscult import recipe
from auscult.data.captions import as_bytes
from auscult.data.references import Reference, conditions
from auscult.methods.base import Conditions, Method
from auscult.methods.chains import chains_of
from auscult.rng import Draws, Key
from auscult.train.setup import RunPlan
from auscult.units import samples

SECOND_S = 1.0
"""Length of the signal that is restored dry."""
CAPTION = "a caption of five words"
FLOAT_BYTES = 4
OPTIMISER_COPIES = {"adam": 2, "adamw": 2, "sgd": 1}


@dataclass(frozen=True)
class Call:
    """One call of a net on one second of one item."""

    forward_flops: int
    backward_flops: int
    held_bytes: int
    """What the backward pass waits for, beside the parameters."""
    rows: int
    """How often the item is in the call: guidance asks for several answers at once, training for one."""
    unreached: tuple[str, ...]
    """Parameters that no gradient reaches."""


@dataclass(frozen=True)
class Dry:
    """One net: its parameters, and what its calls cost. ``call`` is None where neither restoring nor rating asks it."""

    parameters: int
    frozen: int
    calls: int
    call: Call | None
    state_bytes: int
    """Weights, gradients, optimiser and average."""
    batch: int
    item_s: float

    @property
    def flops(self) -> int:
        """Of restoring one second."""
        return self.calls * self.call.forward_flops if self.call else 0

    @property
    def step_flops(self) -> float:
        """Of one training step, one call an item."""
        if self.call is None:
            return 0.0
        return (self.call.forward_flops + self.call.backward_flops) / self.call.rows * self.batch * self.item_s

    @property
    def training_bytes(self) -> float:
        """Of one training step: state, and activations of a micro-batch."""
        held = self.call.held_bytes / self.call.rows if self.call else 0
        return self.state_bytes + held * self.batch * self.item_s


@dataclass(frozen=True)
class Rehearsal:
    """All nets of an arm, and the sizes that its conditions chain."""

    nets: Mapping[str, Dry]
    chains: tuple[str, ...] = ()


@dataclass(frozen=True)
class Known:
    """Calls of nets that were rehearsed before: arms share them. Keyed by the nets' recipe and the shapes given."""

    calls: dict[str, Call] = field(default_factory=dict)
    shapes: dict[str, tuple[torch.Size, torch.dtype]] = field(default_factory=dict)


def rehearse(plan: RunPlan, restoring: Mapping[str, Any], known: Known) -> Rehearsal:
    """Build an arm's nets and go through one restoration without computing them.

    ``restoring`` is the method's section with the arm's settings.

    Raises:
        RecipeError: nets that cannot be built, or patterns of the optimiser that fit nothing.
    """
    bound = recipe.plan(restoring, Method, "method")
    method: Method = bound.build()
    nets = method.nets()
    for turn in method.turns:
        plan.optimisers[turn].build(nets[turn])  # freezes what the recipe freezes
    counted = {name: _Counted(net, _key(name, bound, plan), known) for name, net in nets.items()}
    noise = Key(0).child("dry").numpy().standard_normal((1, samples(SECOND_S, method.rate_hz))).astype(np.float32)
    noisy, given = torch.from_numpy(noise)[None], _given(method, noise)
    method.restore(nets, noisy, Draws([0]), *given)
    method.rated(nets, noisy, noisy)
    found = {name: _dry(plan, name, one) for name, one in counted.items()}
    return Rehearsal(found, tuple(chains_of(nets.values())))


def _key(name: str, bound: recipe.Plan, plan: RunPlan) -> str:
    """What decides a net and which of its parameters learn: its own section where it goes by that name, else all."""
    parts = {key: part.as_dict() for key, part in bound.arguments.items()
             if isinstance(part, recipe.Plan) and issubclass(part.target, nn.Module)}  # fmt: skip
    own = {name: parts[name]} if name in parts else parts
    return f"{name} {recipe.digest({'nets': own, 'optimiser': plan.resolved['optimiser'].get(name)})}"


def _given(method: Method, noise: np.ndarray) -> tuple[Conditions, ...]:
    """What the method may be told: a noise reference, or a caption."""
    if method.conditions:
        return (_reference(noise),)
    return ({"text": torch.from_numpy(as_bytes(CAPTION)[None])},) if method.extension is not None else ()


def _reference(noise: np.ndarray) -> Conditions:
    """A reference of half the signal."""
    reference = Reference.of(noise[:, : noise.shape[1] // 2], {"origin": "dry"})
    told = conditions(reference, noise.shape[1] // 2, 1.0)
    return {name: torch.from_numpy(values[None]) for name, values in told.items()}


def _dry(plan: RunPlan, name: str, counted: _Counted) -> Dry:
    parameters = list(counted.net.parameters())
    learning = sum(p.numel() for p in parameters if p.requires_grad)
    total = sum(p.numel() for p in parameters)
    copies = 1 + OPTIMISER_COPIES[plan.optimisers[name].algorithm] if name in plan.optimisers else 0
    averages = total if plan.training.ema_decay is not None and name in plan.optimisers else 0
    state = FLOAT_BYTES * (total + copies * learning + averages)
    item_s = plan.data.crop_s or SECOND_S
    return Dry(total, total - learning, counted.calls, counted.first, state, plan.training.batch, item_s)


class _Counted:
    """A net whose calls are counted and answered by zeros of the right shape."""

    def __init__(self, net: nn.Module, key: str, known: Known):
        self.net, self.calls, self._key, self._known = net, 0, key, known
        self.first: Call | None = None
        self._computed = net.forward
        vars(net)["forward"] = self._answered  # what else is asked of the net, the net answers

    def _answered(self, *inputs: Any) -> Tensor:
        """Zeros; the first call is differentiated, later ones of the same shapes are known."""
        self.calls += 1
        key = f"{self._key} {[_shape(one) for one in inputs]}"
        if self.first is None:
            if key not in self._known.calls:
                found = _differentiated(self.net, self._computed, inputs)
                self._known.calls[key], self._known.shapes[key] = found
            self.first = self._known.calls[key]
        if key not in self._known.shapes:
            with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
                answer = self._computed(*(_cut(one, []) for one in inputs))
            self._known.shapes[key] = answer.shape, answer.dtype
        shape, dtype = self._known.shapes[key]
        return torch.zeros(shape, dtype=dtype)


def _shape(value: Any) -> Any:
    return tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__


def _differentiated(
    net: nn.Module, computed: Callable[..., Tensor], inputs: tuple[Any, ...]
) -> tuple[Call, tuple[torch.Size, torch.dtype]]:
    """One call forward and backward on fake tensors, counted; and what it answers."""
    named = [(name, p) for name, p in net.named_parameters() if p.requires_grad]
    learning = [p for _, p in named]
    held = _Held({p.untyped_storage()._cdata for p in net.parameters()})
    cuts: list[tuple[Tensor, Tensor]] = []
    given = [_cut(one, cuts) for one in inputs]
    with FakeTensorMode(allow_non_fake_inputs=True), _Operations() as done:
        with saved_tensors_hooks(held.keep, held.give), torch.enable_grad():
            answer = computed(*given)
        forward = done.flops
        towards = [*learning, *(cut for _, cut in cuts)]
        gradients = torch.autograd.grad(answer.abs().sum(), towards, allow_unused=True)
    asked = [told for (told, _), gradient in zip(cuts, gradients[len(named) :], strict=True) if gradient is not None]
    before = _reached(asked, learning)
    missed = [name for i, (name, _) in enumerate(named) if gradients[i] is None and i not in before]
    return Call(forward, done.flops - forward, held.bytes, len(answer), tuple(missed)), (answer.shape, answer.dtype)


def _cut(value: Any, cuts: list[tuple[Tensor, Tensor]]) -> Any:
    """An input without what it was computed from, which fake tensors cannot follow; both are noted in ``cuts``."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(value, **{name: _cut(part, cuts) for name, part in vars(value).items()})
    if isinstance(value, tuple):
        return tuple(_cut(part, cuts) for part in value)
    if not isinstance(value, Tensor) or value.grad_fn is None:
        return value
    cuts.append((value, value.detach().requires_grad_()))
    return cuts[-1][1]


def _reached(told: Sequence[Tensor], parameters: Sequence[nn.Parameter]) -> set[int]:
    """Which parameters what a net is told was computed from."""
    if not told:
        return set()
    total = torch.stack([one.sum() for one in told]).sum()
    gradients = torch.autograd.grad(total, parameters, allow_unused=True, retain_graph=True)
    return {i for i, gradient in enumerate(gradients) if gradient is not None}


class _Operations(TorchDispatchMode):
    """Counts by torch's formulas; ``FlopCounterMode`` also follows modules, and its hooks refuse some backwards."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func._overloadpacket in flop_registry:
            self.flops += int(flop_registry[func._overloadpacket](*args, **(kwargs or {}), out_val=out))
        return out


@dataclass
class _Held:
    """Storages that wait for the backward pass, each counted once."""

    parameters: set[int]
    storages: dict[int, Any] = field(default_factory=dict)

    def keep(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in self.parameters:
            self.storages[storage._cdata] = storage
        return tensor

    def give(self, tensor: Tensor) -> Tensor:
        return tensor

    @cached_property
    def bytes(self) -> int:
        return sum(storage.nbytes() for storage in self.storages.values())
