"""A noise condition of a net: an encoder of references and the injections that tell the net of them."""

from __future__ import annotations

import torch
from torch import nn

from auscult.bounds import Whole
from auscult.errors import RecipeError
from auscult.nets.noise_encoder import Encoder
from auscult.nets.reference import Encoded, NoiseReference
from auscult.nets.sites import Injection, Prepared, Sizes


class NoiseCondition(nn.Module):
    """What a net needs to be told of a noise. Its parameters are made when it is attached to a net, after the net's
    own, which so start the same with and without it.

    Where there is no reference the net is told a learned null element: the zero vector would be an embedding as any
    other. The level joins the shape as W level.

    Args:
        encoder: from a reference to tokens.
        injections: where they enter the net.
        classes: types of noise that a linear layer tells apart, for the loss of that name; 0: none.
    """

    null: nn.Parameter

    def __init__(self, encoder: Encoder, injections: tuple[Injection, ...], classes: Whole = 0):
        super().__init__()
        if not injections:
            raise RecipeError("cond.injections: at least one is needed, or no condition at all (cond: null)")
        self.encoder, self.injections, self.classes = encoder, nn.ModuleList(injections), classes
        self.classify: nn.Linear | None = None

    def check(self, net: Sizes) -> None:
        """Refuse parts that do not fit each other or the net, before anything is built.

        Raises:
            RecipeError: with the chain of sizes from encoder to net.
        """
        encoder = type(self.encoder).__name__
        for injection in self._injections():
            if problem := self._unmet(injection) or injection.misfit(net):
                raise RecipeError(f"cond: {self._gives()} -> {injection.leads(net)}: {problem}")
        if self.encoder.width and all(injection.takes == "psd" for injection in self._injections()):
            chain = " and ".join(injection.leads(net) for injection in self._injections())
            raise RecipeError(f"cond: {self._gives()} -> {chain}: no injection takes what it learns; use PSDEncoder")
        if self.classes and not self.encoder.width:
            raise RecipeError(f"cond.classes: noises are told apart by an embedding, and {encoder} gives none")

    def attach(self, net: Sizes) -> None:
        """Make the parameters."""
        width = self.encoder.width
        self.encoder.attach(net.bins)
        if width:
            self.null = nn.Parameter(torch.randn(self.encoder.count, width))
            self.level = nn.Linear(1, width)
        for injection in self._injections():
            injection.attach(width, net)
        if self.classes:
            self.classify = nn.Linear(width, self.classes)

    def encode(self, reference: NoiseReference) -> Encoded:
        """What the net is told of a reference: once a step, once a sampling run."""
        present = reference.present
        level = torch.where(present, reference.level, 0.0)
        psd = torch.where(present[:, None], reference.psd, 0.0)
        shape = self.encoder(reference)
        if shape is None:
            return Encoded(present, psd, level, None, None)
        tokens = torch.where(present[:, None, None], shape + self.level(level[:, None])[:, None], self.null)
        return Encoded(present, psd, level, tokens, shape)

    def prepared(self, told: Encoded, frames: int) -> Prepared:
        """The injections and what their places need in one call."""
        return [(injection, injection.prepare(told, frames)) for injection in self._injections()]

    def _injections(self) -> list[Injection]:
        return [part for part in self.injections if isinstance(part, Injection)]

    def _gives(self) -> str:
        name, count, width = type(self.encoder).__name__, self.encoder.count, self.encoder.width
        return f"{name} {f'{count} x ' if count > 1 else ''}{width}" if width else name

    def _unmet(self, injection: Injection) -> str:
        """What an injection lacks."""
        name, encoder = type(injection).__name__, type(self.encoder).__name__
        if injection.takes == "tokens" and self.encoder.count < 2:
            return f"{name} chooses between tokens, and {encoder} gives {self.encoder.count}; use TokenEncoder"
        if injection.takes == "z" and not self.encoder.width:
            return f"{name} needs an embedding, and {encoder} gives none; use ConvStatistics, or SpectralChannel"
        return ""
