"""Nets that give the velocity of a flow: what they are told, and how a U-Net and a transformer hear it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from auscult.bounds import Count
from auscult.errors import RecipeError
from auscult.nets.dit import Context, DiT
from auscult.nets.number_embedder import LearnedRolloff, NumberEmbedder, RolloffEmbedder
from auscult.nets.text_encoder import TextEncoder

Role = Literal["both", "tokens", "vector"]
WAYS = ("token", "global", "prefix")
"""How conditions enter a DiT."""
SPAN_S = (0.0, 512.0)
"""Seconds that Stable Audio counts."""
EARLIEST = 1e-3
"""U-Nets embed ln t: below, times look alike."""


@dataclass(frozen=True)
class Told:
    """What a net is told of each item beside its low-resolution signal.

    ``heard`` is false where tokens are withheld, the null of guidance: all of them, those of numbers too; what enters
    as a vector is never withheld. ``source`` and ``target`` are roll-offs in [0, 1] of half the rate.
    """

    heard: Bool[Tensor, " B"]
    text: Int[Tensor, "B L"]
    source: Float[Tensor, " B"]
    target: Float[Tensor, " B"]
    seconds: Float[Tensor, "B 2"]

    def withheld(self, of: Bool[Tensor, " B"]) -> Told:
        """The same with the tokens of some items withheld."""
        return replace(self, heard=self.heard & ~of)

    @classmethod
    def joined(cls, parts: Sequence[Told]) -> Told:
        """Batches one after the other."""
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))


class FlowNet(nn.Module, ABC):
    """The velocity at x_t, beside what is known of the low-resolution signal.

    ``hears``: the names of what it takes of :class:`Told`; ``aims``: whether the roll-off that is asked for is part of
    that; ``guided``: whether tokens are, which can be withheld.
    """

    hears: frozenset[str] = frozenset()
    aims: bool = False
    guided: bool = False
    grid: int = 1
    """What numbers of frames (and of bins) must be multiples of."""

    @abstractmethod
    def context(self, told: Told) -> Context:
        """What does not depend on x_t or t, once for a sampling run."""

    @abstractmethod
    def forward(
        self,
        x: Tensor,
        t: Float[Tensor, " B"],
        beside: Tensor,
        told: Told,
        context: Context | None = None,
    ) -> Tensor:
        """One evaluation; ``context`` where it is at hand already."""

    @abstractmethod
    def check(self, width: int, beside: int) -> None:
        """Refuse a domain with other maps than the net's: of x_t, and beside it.

        Raises:
            RecipeError: with both sizes.
        """


class SpectralFlow(FlowNet):
    """A U-Net on complex spectra, [B, maps, F, N]; it is told of nothing but the spectra beside x_t.

    Args:
        net: a U-Net of one complex map from several, such as NCSNpp with ``sources`` as many as it is given.
    """

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net
        self.grid = getattr(net, "grid", 1)

    def context(self, told: Told) -> Context:
        return Context()

    def forward(
        self, x: Tensor, t: Float[Tensor, " B"], beside: Tensor, told: Told, context: Context | None = None
    ) -> Tensor:
        return self.net(torch.cat([x, beside], dim=1), t.clamp_min(EARLIEST))

    def check(self, width: int, beside: int) -> None:
        stem = getattr(self.net, "stem", None)  # of the U-Nets here, the layer that everything enters by
        taken = stem.in_channels // 2 if isinstance(stem, nn.Conv2d) else width + beside
        if taken != width + beside:
            raise RecipeError(
                f"net.net.sources is {taken}, features give {width} complex maps and {beside} beside; "
                f"set it to {width + beside}"
            )


class ConditionedDiT(FlowNet):
    """The DiT of SAGA-SR: text and roll-offs as tokens of cross-attention, roll-offs also as a vector with the time.

    Args:
        dit: the transformer.
        text: encoder of captions; None: it hears no text.
        rolloff: embeds the roll-offs of input and target, or of the input alone; None: it hears neither.
        rolloff_role: whether as tokens, as a vector, or both.
        seconds: width of Stable Audio's embeddings of start and total length, tokens and vector; None: not heard.
        prefix: send the vector of all numbers also as a token of its own before the frames, whatever the role.

    Raises:
        RecipeError: widths that do not fit, with the chain from the conditions to the transformer.
    """

    def __init__(
        self,
        dit: DiT,
        text: TextEncoder | None = None,
        rolloff: RolloffEmbedder | None = None,
        rolloff_role: Role = "both",
        seconds: Count | None = None,
        prefix: bool = False,
    ):
        super().__init__()
        self.dit, self.text, self.rolloff, self.rolloff_role, self.prefix = dit, text, rolloff, rolloff_role, prefix
        self.seconds = Seconds(seconds) if seconds else None
        parts = {"text": text, "rolloff": rolloff, "seconds": self.seconds}
        self.hears = frozenset(name for name, part in parts.items() if part is not None)
        self.guided, self.aims = dit.token_embed is not None, rolloff is not None and rolloff.aims
        self._check_chain()

    def context(self, told: Told) -> Context:
        tokens, present = self._tokens(told)
        vectors = [vector for _, vector in self._numbers(told, "vector")]
        return self.dit.context(
            tokens, present, torch.cat(vectors, dim=1) if vectors else None, self._before_frames(told)
        )

    def forward(
        self,
        x: Float[Tensor, "B C N"],
        t: Float[Tensor, " B"],
        beside: Float[Tensor, "B Q N"],
        told: Told,
        context: Context | None = None,
    ) -> Float[Tensor, "B C N"]:
        return self.dit(x, t, self.context(told) if context is None else context, beside)

    def check(self, width: int, beside: int) -> None:
        if (width, beside) != (self.dit.channels, self.dit.concat_channels):
            raise RecipeError(
                f"features give {width} channels and {beside} beside, net.dit has channels {self.dit.channels} and "
                f"concat_channels {self.dit.concat_channels}; make them equal"
            )

    @property
    def chain(self) -> str:
        """Widths from the conditions to the transformer; empty where it hears none."""
        if not self.hears and not self.guided and self.dit.global_embed is None:
            return ""
        told = _nothing(self.dit.time.frequencies.device)
        numbers = (f"{type(part).__name__} {tokens.shape[1]} x {tokens.shape[2]}, vector {vector.shape[1]}"
                   for part in self._embedders() for tokens, vector in [self._embedded(part, told)])  # fmt: skip
        text = [] if self.text is None else [f"{type(self.text).__name__} {self.text.width}"]
        return (
            f"{', '.join([*text, *numbers]) or 'nothing'} -> DiT of {self._takes('token')} and {self._takes('global')}"
            + (f", {self._takes('prefix')}" if self.dit.prefix_embed is not None else "")
        )

    def _check_chain(self) -> None:
        told = _nothing(self.dit.time.frequencies.device)
        widths = {tokens.shape[2] for tokens, _ in self._numbers(told, "tokens")}
        widths |= {self.text.width} if self.text is not None else set()
        vector = sum(vector.shape[1] for _, vector in self._numbers(told, "vector"))
        before = self._before_frames(told)
        prefix, taken = 0 if before is None else before.shape[2], [self._width(name) for name in WAYS]
        if widths != ({taken[0]} - {0}) or [vector, prefix] != taken[1:]:
            raise RecipeError(
                f"net: {self.chain}: tokens are {sorted(widths) or [0]} wide, the vector {vector}, the prefix {prefix};"
                " set dit.token_width, dit.global_width and dit.prefix_width to these (0: none)"
            )

    def _takes(self, name: str) -> str:
        return f"{name}_width {self._width(name)}"

    def _width(self, name: str) -> int:
        embed = {"token": self.dit.token_embed, "global": self.dit.global_embed, "prefix": self.dit.prefix_embed}[name]
        return 0 if embed is None else int(embed[0].in_features)  # type: ignore[arg-type]

    def _embedders(self) -> list[nn.Module]:
        return [part for part in (self.rolloff, self.seconds) if part is not None]

    def _embedded(self, part: nn.Module, told: Told) -> tuple[Tensor, Tensor]:
        numbers = told.seconds.unbind(1) if part is self.seconds else (told.source, told.target)
        made = part(*numbers)
        return made.tokens, made.global_cond

    def _numbers(self, told: Told, role: Role) -> list[tuple[Tensor, Tensor]]:
        """Tokens and vectors of the numbers that have a role."""
        parts = [p for p in self._embedders() if p is not self.rolloff or self.rolloff_role in ("both", role)]
        return [self._embedded(part, told) for part in parts]

    def _before_frames(self, told: Told) -> Tensor | None:
        """The token before the frames that tells of the numbers; none of nets without."""
        vectors = [self._embedded(part, told)[1] for part in self._embedders()] if self.prefix else []
        return torch.cat(vectors, dim=1)[:, None] if vectors else None

    def _tokens(self, told: Told) -> tuple[Tensor | None, Tensor | None]:
        parts = [tokens for tokens, _ in self._numbers(told, "tokens")]
        marks = [torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device) for tokens in parts]
        if self.text is not None:
            spoken = self.text(told.text)
            parts, marks = [spoken.tokens, *parts], [spoken.present, *marks]
        if not parts:
            return None, None
        return torch.cat(parts, dim=1), torch.cat(marks, dim=1) & told.heard[:, None]


class Seconds(LearnedRolloff):
    """Start and total length in seconds, as Stable Audio tells them: an embedder each, a token each, one vector."""

    def __init__(self, width: int):
        super().__init__(width)
        for part in (self.source, self.target):
            cast(NumberEmbedder, part).span = SPAN_S


def _nothing(device: torch.device) -> Told:
    """Blank conditions of one item, to see sizes by."""
    zeros = torch.zeros(1, device=device)
    return Told(zeros.bool(), zeros[:, None].long(), zeros, zeros, torch.zeros(1, 2, device=device))
