"""The model that is examined: a score model whose net has a noise condition."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from auscult import recipe
from auscult.conditions.noise_reference import noise_reference
from auscult.diagnose.condition.recordings import run_of
from auscult.diagnose.condition.references import References
from auscult.errors import CheckpointError
from auscult.hub.opening import open_method
from auscult.methods.base import Method
from auscult.methods.conditioning import NoiseConditioning, condition_of
from auscult.methods.guidance import Guidance, Guide
from auscult.methods.score import ScoreModel
from auscult.nets.condition import NoiseCondition
from auscult.nets.reference import Encoded


@dataclass(frozen=True)
class Subject:
    """A method with its net, in evaluation mode, and how it uses the net's condition."""

    name: str
    method: ScoreModel
    net: nn.Module
    conditioning: NoiseConditioning
    device: torch.device

    @property
    def condition(self) -> NoiseCondition:
        """The condition of the net."""
        found = condition_of(self.net)
        assert found is not None, "a subject's net has a condition"
        return found

    @property
    def has_null(self) -> bool:
        """Whether it learned what to say without a reference."""
        return self.conditioning.drop > 0

    def encode(self, references: References) -> Encoded:
        """What the net is told of references."""
        return self.condition.encode(noise_reference(references.conditions(self.device), self.method.features))

    def guide(self, references: References, scale: float) -> Guide:
        """References for a restoration at a guidance scale, in the interval that the checkpoint has."""
        of = self.conditioning
        guidance = Guidance(scale, of.guidance_interval, of.guidance_axis)
        return Guide(guidance, self.encode(references), self.encode(references.none()))


def open_subject(path: Path, device: str, trust: Collection[str] = ()) -> Subject:
    """Open a checkpoint.

    Raises:
        CheckpointError: as :func:`auscult.hub.opening.open_method`; or nothing in it is told of a noise.
    """
    method, nets, meta = open_method(path, trust)
    if not isinstance(method, ScoreModel) or condition_of(nets["net"]) is None:
        raise CheckpointError(
            f"{path}: this {type(method).__name__} has no noise condition to examine; give a model that was trained "
            "with one (method.net.cond and method.conditioning, as in the recipe noise-small)"
        )
    conditioning = recipe.plan(meta.method, Method, "method").arguments["conditioning"].build()
    name = f"{run.name}/{path.stem}" if (run := run_of(path)) else path.stem
    return Subject(name, method, nets["net"].to(device), conditioning, torch.device(device))
