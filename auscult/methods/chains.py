"""How conditions reach nets: chains of sizes from an encoder into the places that take it, for people to check."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from auscult.methods.conditioning import condition_of
from auscult.nets.condition import NoiseCondition


def chains_of(nets: Iterable[nn.Module]) -> list[str]:
    """One line an injection of a noise condition, one a net that says its ``chain`` itself; none of nets without."""
    lines: list[str] = []
    for net in nets:
        condition, own = condition_of(net), getattr(net, "chain", "")
        lines += _of_condition(condition) if condition is not None else [own] if own else []
    return lines


def _of_condition(condition: NoiseCondition) -> list[str]:
    """Sizes from the encoder of a condition into the net."""
    width = f" {condition.encoder.count} x {condition.encoder.width}" if condition.encoder.width else ""
    lines = []
    for injection in condition.injections:
        matrices = [f"{name} {' x '.join(map(str, p.shape))}" for name, p in injection.named_parameters() if p.ndim > 1]
        some = matrices[:2] + ([f"... {matrices[-1]}"] if len(matrices) > 2 else [])
        place = f"{type(injection).__name__} at {injection.site}"
        lines.append(f"{type(condition.encoder).__name__}{width} -> {place}: {', '.join(some) or 'no weights'}")
    return lines
