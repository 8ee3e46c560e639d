"""The contract between a method and the loop that trains it, the engine that restores with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor, nn

from auscult.data.pairs import PairBatch
from auscult.degrade.base import Drawn
from auscult.errors import RecipeError, RestorationError
from auscult.features.frames import FrameStep
from auscult.features.normalise import Normalise, Statistics
from auscult.features.spectral import CompressedSTFT
from auscult.losses.base import Loss
from auscult.nets.streaming import StreamingNet
from auscult.rng import Draws

Nets = Mapping[str, nn.Module]
Waves = Float[Tensor, "B C T"]
Conditions = Mapping[str, Tensor]
"""What a restoration is told beside the noisy signal, an axis of items first."""
NO_CONDITIONS: Conditions = MappingProxyType({})


@dataclass(frozen=True)
class Batch:
    """Signals with the level, length and origin that belong to them.

    ``clean`` and ``noisy`` are already multiplied by ``gain``: there is no other "clean" to compare with.
    """

    clean: Waves
    noisy: Waves
    gain: Float[Tensor, " B"]
    lengths: Int[Tensor, " B"]
    crop_start: Int[Tensor, " B"]
    conditions: Mapping[str, Tensor]
    provenance: Sequence[Sequence[Drawn]]

    @classmethod
    def of(cls, pairs: PairBatch, normalise: Normalise, device: torch.device | str = "cpu") -> Batch:
        """The valid items of a loader's batch, normalised, on a device.

        A batch without any valid item becomes one item of faint noise: a process that has nothing to learn from
        still goes through the graph (with weight zero), so that gradient exchange never waits for it.
        """
        keep = pairs.valid if pairs.valid.any() else slice(0, 1)
        clean, noisy = pairs.clean[keep], pairs.noisy[keep]
        if not pairs.valid.any():
            clean = noisy = 1e-3 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)).numpy()
        gain = normalise.gain(Statistics.of(noisy if normalise.by == "noisy" else clean))

        def tensor(array: ndarray) -> Tensor:
            return torch.from_numpy(array).to(device)

        return cls(
            tensor(clean * gain[:, None, None]),
            tensor(noisy * gain[:, None, None]),
            tensor(gain),
            tensor(pairs.lengths[keep]),
            tensor(pairs.crop_start[keep]),
            {name: tensor(array[keep]) for name, array in pairs.conditions.items()},
            [p for p, valid in zip(pairs.provenance, pairs.valid, strict=True) if valid],
        )


@dataclass(frozen=True)
class Extension:
    """What a method of super-resolution takes: channels of a recording that it restores together, and conditions."""

    channels: int = 1
    text: bool = False
    rolloff: bool = False


class Method(ABC):
    """Holds nets and configuration; no optimiser, no device. Subclasses are final.

    ``turns`` names who learns, in order, within one step. ``loss`` gets the nets passed in (they may be wrapped for
    gradient exchange): a method never calls its own.
    """

    turns: ClassVar[tuple[str, ...]] = ("net",)
    generative: ClassVar[bool] = False
    """Whether restoration draws random numbers, so that another seed gives another answer."""
    extends: ClassVar[bool] = False
    """Whether it is a method of super-resolution; its ``extension`` says what it takes."""
    conditions: tuple[str, ...] = ()
    """The names of what restoration may be told beside the noisy signal."""
    extension: Extension | None = None
    """What it takes if it extends the band; None: it keeps it."""
    rate_hz: int
    normalise: Normalise

    @abstractmethod
    def nets(self) -> dict[str, nn.Module]:
        """The nets by name; a turn trains the net of its name."""

    @abstractmethod
    def forward(self, nets: Nets, batch: Batch, draws: Draws) -> Any:
        """What the turns of one step share; run once."""

    @abstractmethod
    def loss(self, turn: str, nets: Nets, batch: Batch, shared: Any, draws: Draws) -> Loss:
        """The loss of a turn, each part a mean over items."""

    @abstractmethod
    def restore(self, nets: Nets, noisy: Waves, draws: Draws, conditions: Conditions = NO_CONDITIONS) -> Waves:
        """Restore normalised waves of equal length; an item's answer does not depend on its neighbours.

        Raises:
            RestorationError: conditions that the method does not take.
        """

    def rated(self, nets: Nets, clean: Waves, candidate: Waves) -> Float[Tensor, " B"] | None:
        """What its discriminator says of normalised candidates against the clean ones; None: it has none."""
        return None

    def frame_step(self, nets: Nets) -> FrameStep | None:
        """For causal methods, the net frame by frame; None where whole signals are needed."""
        return None


def check_unconditional(nets: Iterable[nn.Module], method: str) -> None:
    """Refuse nets with a condition, in methods that could not tell them anything.

    Raises:
        RecipeError: a net has one.
    """
    if any(getattr(net, "cond", None) is not None for net in nets):
        raise RecipeError(f"{method} tells its nets nothing beside the spectra: set cond to null, or use ScoreModel")


def refuse_conditions(conditions: Conditions, method: Method) -> None:
    """Say that a restoration would not heed what it is told.

    Raises:
        RestorationError: it is told something.
    """
    if conditions:
        raise RestorationError(
            f"this {type(method).__name__} knows no conditions, and was told {', '.join(conditions)}: "
            "restore without, or with a model that was trained with them"
        )


def check_grid(net: nn.Module, features: CompressedSTFT, frame_grid: int) -> None:
    """A U-Net declares what its maps must be multiples of (``grid``).

    Raises:
        RecipeError: bins or frames are not.
    """
    grid = getattr(net, "grid", 1)
    if features.bins % grid or frame_grid % grid:
        raise RecipeError(
            f"{type(net).__name__} needs bins and frames in multiples of {grid}: features.n_fft {features.n_fft} "
            f"gives {features.bins} bins, frame_grid is {frame_grid}"
        )


def check_transform(net: nn.Module, features: CompressedSTFT, rate_hz: int) -> None:
    """A net may declare the transform it is made for (n_fft, hop, rate_hz), which a recipe must not contradict.

    Raises:
        RecipeError: it does; or a streaming net, which works on plain spectra, is given compressed ones.
    """
    name = type(net).__name__
    for key, value in {"n_fft": features.n_fft, "hop": features.hop, "rate_hz": rate_hz}.items():
        declared = getattr(net, key, value)
        if declared != value:
            raise RecipeError(f"{name} is made for {key} {declared}, the method has {value}; make them equal")
    if getattr(net, "sources", 1) != 1:
        raise RecipeError(f"{name} separates {net.sources} sources, restoration is of one: set net.sources to 1")
    if isinstance(net, StreamingNet) and features.transform != "none":
        raise RecipeError(f"{name} works on plain spectra: set features.transform to none")
