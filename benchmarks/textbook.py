"""A textbook NCSN++: contiguous NCHW, FIR resampling by zero insertion, attention by einsum. The baseline to beat.

It runs on the weights of :class:`auscult.nets.ncsnpp.NCSNpp` and gives the same output; only the arithmetic differs.
"""

from __future__ import annotations

import copy
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from auscult.nets.ncsnpp import NCSNpp

_KERNEL = torch.outer(torch.tensor([1.0, 3.0, 3.0, 1.0]), torch.tensor([1.0, 3.0, 3.0, 1.0])) / 64


class Textbook(nn.Module):
    """The same net, computed the plain way (pyramid variants)."""

    def __init__(self, net: NCSNpp):
        super().__init__()
        self.net = copy.deepcopy(net).to(memory_format=torch.contiguous_format)

    def forward(self, inputs: Tensor, t: Tensor) -> Tensor:
        """As ``NCSNpp.forward``."""
        net = self.net
        x = torch.cat([part for z in inputs.unbind(1) for part in (z.real[:, None], z.imag[:, None])], dim=1)
        embedding = net.time(t)
        h = net.stem(x)
        skips, total = [h], None
        for level in net.down:
            for block, attention in zip(level.blocks, level.attentions, strict=True):
                h = _attend(attention, _residual(block, h, embedding))
                skips.append(h)
            if level.shrink is not None:
                x = _down(x)
                h = _residual(level.shrink, h, embedding, _down) + level.join.conv(x)
                skips.append(h)
        h = _residual(net.middle.block_in, h, embedding)
        h = _residual(net.middle.block_out, _attend(net.middle.attention, h), embedding)
        for level in net.up:
            for block in level.blocks:
                h = _residual(block, torch.cat([h, skips.pop()], dim=1), embedding)
            h = _attend(level.attention, h)
            here = level.tap(F.silu(level.tap_norm(h)))
            total = here if total is None else _up(total) + here
            if level.grow is not None:
                h = _residual(level.grow, h, embedding, _up)
        out = net.output(total / t[:, None, None, None])
        return torch.complex(out[:, :1], out[:, 1:])


def _residual(block: nn.Module, x: Tensor, embedding: Tensor, resample=lambda x: x) -> Tensor:
    h = block.conv_in(resample(F.silu(block.norm_in(x))))
    h = h + block.shift(F.silu(embedding))[:, :, None, None]
    h = block.conv_out(F.silu(block.norm_out(h)))
    return (block.skip(resample(x)) + h) / math.sqrt(2.0)


def _attend(attention: nn.Module, x: Tensor) -> Tensor:
    if isinstance(attention, nn.Identity):
        return x
    h = attention.norm(x)
    q, k, v = attention.query(h), attention.key(h), attention.value(h)
    b, c, height, width = q.shape
    weights = torch.einsum("bchw,bcij->bhwij", q, k) * c**-0.5
    weights = F.softmax(weights.reshape(b, height, width, -1), dim=-1).reshape(b, height, width, height, width)
    return (x + attention.out(torch.einsum("bhwij,bcij->bchw", weights, v))) / math.sqrt(2.0)


def _filter(x: Tensor, kernel: Tensor) -> Tensor:
    channels = x.shape[1]
    return F.conv2d(x, kernel.expand(channels, 1, 4, 4).to(x.dtype), groups=channels)


def _down(x: Tensor) -> Tensor:
    return _filter(F.pad(x, (1, 1, 1, 1)), _KERNEL)[:, :, ::2, ::2]


def _up(x: Tensor) -> Tensor:
    b, c, height, width = x.shape
    wide = x.new_zeros(b, c, height, 2, width, 2)
    wide[:, :, :, 0, :, 0] = x
    return _filter(F.pad(wide.reshape(b, c, 2 * height, 2 * width), (2, 1, 2, 1)), 4 * _KERNEL)
