"""How a flow learns with and without its conditions, and how far restoration goes towards them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from auscult.bounds import Decay, NotNegative, Range, Share
from auscult.conditions.rolloff import source_rolloff, target_rolloff
from auscult.conditions.text import captions
from auscult.methods.base import Waves
from auscult.methods.flow_guidance import EVERYTHING, Branch, FlowWithin, GuidedFlow, branches
from auscult.nets.flow_net import FlowNet, Told
from auscult.rng import Draws
from auscult.shapes import bcast


@dataclass(frozen=True)
class FlowConditioning:
    """Drop-out, nulls and guidance of a flow's conditions; the nulls of training are those of restoration.

    Args:
        drop_low: probability that an item's low-resolution signal is withheld in training.
        drop_told: probability that all its tokens are, independently; roll-offs in the vector stay.
        null_low: what stands for a withheld low-resolution signal, in every element (SAGA-SR: -5; others: 0).
        guidance_low, guidance_told: of restoration, s_low and s_told of :mod:`auscult.methods.flow_guidance`.
        guidance_interval: guide at times between these alone, of 0 (clean) to 1 (noise); None: at all.
        target_rolloff: what restoration asks for where nothing is said, a share of half the rate.

    Raises:
        ValueError: guidance towards a condition that is never withheld in training.
    """

    drop_low: Decay = 0.1
    drop_told: Decay = 0.1
    null_low: float = -5.0
    guidance_low: NotNegative = 1.0
    guidance_told: NotNegative = 1.0
    guidance_interval: Range | None = None
    target_rolloff: Share = 0.9

    def __post_init__(self) -> None:
        if self.guidance_low != 1 and not self.drop_low:
            raise ValueError(
                f"guidance_low {self.guidance_low:g} needs an answer without the low-resolution signal, which was "
                "never learned (drop_low 0): train with drop_low 0.1, or leave guidance_low at 1"
            )

    def branches(self, guided: bool) -> tuple[Branch, ...]:
        """The answers that guidance needs of a net with tokens (``guided``) or without.

        Raises:
            ValueError: one of them was never learned.
        """
        found = branches(self.guidance_low, self.guidance_told, guided)
        if not self.drop_told and any(not branch.told for branch in found):
            raise ValueError(
                f"guidance_low {self.guidance_low:g} with guidance_told {self.guidance_told:g} needs an answer without "
                "tokens, which was never learned (drop_told 0): train with drop_told 0.1, or set both to 1"
            )
        return found

    def flow(self, net: FlowNet, parts: Sequence[Branch], beside: Tensor, told: Told) -> GuidedFlow | FlowWithin:
        """The net as restoration asks it: for the answers ``parts``, within the interval if there is one."""
        guided = GuidedFlow.of(net, parts, beside, self.null_low, told)
        if self.guidance_interval is None or tuple(parts) == EVERYTHING:
            return guided
        return FlowWithin(guided, GuidedFlow.of(net, EVERYTHING, beside, self.null_low, told), self.guidance_interval)

    def told(self, net: FlowNet, given: Mapping[str, Tensor], low: Waves, rate_hz: int) -> Told:
        """What a net is told of a batch, nothing withheld; what it does not hear is not measured."""
        items, device = low.shape[0], low.device
        source = target = torch.zeros(items, device=device)
        if "rolloff" in net.hears:
            source, target = source_rolloff(given, low, rate_hz), target_rolloff(given, low, self.target_rolloff)
        seconds = torch.tensor([0.0, low.shape[-1] / rate_hz], device=device).expand(items, 2)
        return Told(torch.ones(items, dtype=torch.bool, device=device), captions(given, low), source, target, seconds)

    def dropped(self, told: Told, beside: Tensor, draws: Draws) -> tuple[Told, Tensor, dict[str, float]]:
        """A training batch with conditions withheld by chance, and the shares of items they were withheld from.

        Both coins are always thrown, so that switching one drop-out on moves no other draw.
        """
        no_low, no_tokens = (
            draws.uniform(0.0, 1.0, beside.device) < share for share in (self.drop_low, self.drop_told)
        )
        beside = torch.where(bcast(no_low, beside), self.null_low, beside)
        notes = {"dropped_low": float(no_low.float().mean()), "dropped_told": float(no_tokens.float().mean())}
        return told.withheld(no_tokens), beside, notes
