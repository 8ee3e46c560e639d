"""Calling functions that are not ours: how a loss wants to be called, what it answers, what is said when it fails."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from auscult.diagnose.evidence import Absent, Step
from auscult.errors import AuscultError, DataError

ROLES: Mapping[str, tuple[str, ...]] = {
    "estimate": ("estimate", "estimated", "est", "enhanced", "prediction", "pred", "output", "outputs", "y_hat"),
    "clean": ("clean", "target", "targets", "reference", "ref", "label"),
    "noisy": ("noisy", "input", "inputs", "mixture", "mix", "degraded"),
    "batch": ("batch",),
}
"""What a parameter of a loss is called tells what it gets; parameters of other names get these in their order."""
TOTALS = ("loss", "total", "total_loss")
AGREE = 1e-3
"""Parts that add up to the total within this share are shown one by one."""


class LossCall:
    """A loss function, and what each of its parameters without default gets."""

    def __init__(self, function: Callable[..., Any]):
        self.name = getattr(function, "__qualname__", type(function).__name__)
        self._function, self._roles = function, _roles(function, self.name)

    def __call__(self, estimate: Tensor, step: Step) -> Any:
        given = {"estimate": estimate, "clean": step.clean, "noisy": step.noisy, "batch": step.own}
        return self._function(*(given[role] for role in self._roles))


def _roles(function: Callable[..., Any], name: str) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = [
        one.name
        for one in inspect.signature(function).parameters.values()
        if one.kind in kinds and (one.default is inspect.Parameter.empty or _role(one.name) is not None)
    ]
    named = [_role(one) for one in parameters]
    if all(named) and len(set(named)) == len(named) and "estimate" in named:
        return [role for role in named if role is not None]
    if 2 <= len(parameters) <= 3 and "batch" not in named:
        return ["estimate", "clean", "noisy"][: len(parameters)]
    raise DataError(
        f"--loss {name}({', '.join(parameters)}): give a function of (estimate, clean), (estimate, clean, noisy) or "
        "(estimate, batch), see docs/foreign-code.md"
    )


def _role(parameter: str) -> str | None:
    return next((role for role, names in ROLES.items() if parameter.lower() in names), None)


def terms(answer: Any) -> dict[str, Tensor]:
    """The weighted parts of whatever a loss returned, which add up to what is learned from.

    A tensor is the loss. Of a tuple the first is, unless a mapping is in it. Of a mapping ``loss`` (or ``total``) is,
    shown by its other parts where these add up to it; without one, all parts are that have a gradient.

    Raises:
        DataError: nothing of this.
    """
    if isinstance(answer, tuple | list) and answer:
        mapping = next((one for one in answer if isinstance(one, Mapping)), None)
        answer = {"loss": answer[0], **{k: v for k, v in (mapping or {}).items() if k not in TOTALS}}
    if isinstance(answer, Mapping):
        return _of_mapping({str(name): _scalar(value) for name, value in answer.items() if _numeric(value)})
    return {"loss": _scalar(answer)}


def _of_mapping(parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    total = next((parts[name] for name in TOTALS if name in parts), None)
    others = {name: part for name, part in parts.items() if name not in TOTALS}
    if total is None:
        graphed = {name: part for name, part in others.items() if part.requires_grad}
        return graphed or dict(others)
    added = sum((part.detach() for part in others.values()), torch.zeros(()))
    apart = float((added - total.detach()).abs())
    agree = apart <= AGREE * max(float(total.detach().abs()), 1e-12)
    return others if len(others) > 1 and agree else {"loss": total}


def _numeric(value: Any) -> bool:
    return isinstance(value, Tensor | int | float) and not isinstance(value, bool)


def _scalar(value: Any) -> Tensor:
    if not _numeric(value):
        raise DataError(
            f"the loss returned a {type(value).__name__}; a tensor, a tuple or a mapping of tensors is needed"
        )
    found = value if isinstance(value, Tensor) else torch.tensor(float(value))
    return found.mean() if found.ndim else found


@contextmanager
def called(what: str) -> Iterator[None]:
    """Whatever foreign code raises, in one line that says where.

    Raises:
        DataError: it raised something.
    """
    try:
        yield
    except (AuscultError, Absent):
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        at = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno}, in {frames[-1].name})" if frames else ""
        text = " ".join(str(error).split())
        raise DataError(f"{what} raised {type(error).__name__}: {text}{at}") from error


@contextmanager
def same_draws(seed: int = 0) -> Iterator[None]:
    """Torch's global generator, which such code draws from, at the same place at each call; untouched after."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
