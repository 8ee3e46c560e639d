"""Overlapping windows along the first axis, and their adjoint, overlap-add; each is the other's gradient.

A window holds ``kernel`` neighbours in position-major order (neighbour, then channel), so that every copy moves whole
rows of channels. Axes between the first and the last are carried along, whatever their order in memory.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def windows(x: Float[Tensor, "L *S C"], kernel: int, stride: int) -> Float[Tensor, "W *S KC"]:
    """Every ``stride``-th window of ``kernel`` rows; the last must end with the last row."""
    return _Windows.apply(x, kernel, stride)


def overlap_add(base: Float[Tensor, "L *S C"], parts: Float[Tensor, "W *S KC"], stride: int) -> Float[Tensor, "L *S C"]:
    """``base`` plus the sum of windows, each at its place: a transposed convolution whose product is done already."""
    return _OverlapAdd.apply(base, parts, stride)


class _Windows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: int, stride: int) -> Tensor:
        ctx.shape, ctx.stride = x.shape, stride
        return _cut(x, kernel, stride)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return _add(grads[0].new_zeros(ctx.shape), grads[0], ctx.stride), None, None


class _OverlapAdd(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, base: Tensor, parts: Tensor, stride: int) -> Tensor:
        ctx.kernel, ctx.stride = parts.shape[-1] // base.shape[-1], stride
        return _add(base.clone(), parts, stride)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        return grads[0], _cut(grads[0], ctx.kernel, ctx.stride), None


def _cut(x: Tensor, kernel: int, stride: int) -> Tensor:
    if kernel == stride == 1:
        return x.contiguous()
    count = (x.shape[0] - kernel) // stride + 1
    out = x.new_empty(count, *x.shape[1:-1], kernel, x.shape[-1])
    for position in range(kernel):
        out[..., position, :] = x[_rows(position, count, stride)]
    return out.flatten(-2)


def _add(out: Tensor, parts: Tensor, stride: int) -> Tensor:
    for position, part in enumerate(parts.unflatten(-1, (-1, out.shape[-1])).unbind(-2)):
        out[_rows(position, parts.shape[0], stride)] += part
    return out


def _rows(position: int, count: int, stride: int) -> slice:
    """Where the ``position``-th neighbour of every window lies."""
    return slice(position, position + (count - 1) * stride + 1, stride)
