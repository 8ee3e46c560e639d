"""Learning with a noise reference: drop-out of the reference, the losses of its encoder, guidance at restoration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from auscult.bounds import Decay, NotNegative, Positive, Range
from auscult.conditions.noise_reference import OTHER, no_reference, noise_reference
from auscult.errors import RecipeError, RestorationError
from auscult.features.spectral import CompressedSTFT
from auscult.losses.base import Loss
from auscult.methods.base import Batch, Conditions, Waves
from auscult.methods.guidance import Axis, Guidance, Guide
from auscult.nets.condition import NoiseCondition
from auscult.nets.reference import Encoded, NoiseReference, mean_token
from auscult.rng import Draws

CLASS = "noise_class"
"""The type of each item's noise, [B]; -1: unknown."""


@dataclass(frozen=True)
class Step:
    """What a net is told in one step, what its encoder learns beside it, and numbers to log."""

    told: Encoded
    loss: Loss | None
    notes: Mapping[str, float]


@dataclass(frozen=True)
class NoiseConditioning:
    """How a method uses the noise condition of its net.

    Args:
        drop: probability that an item's reference is withheld in training, so that the net also learns what it says
            without one. 0: it may not, and can neither be guided nor restore without a reference.
        guidance_scale, guidance_interval, guidance_axis: of restoration, see :class:`Guidance`.
        classify: weight of the cross-entropy of the type of noise (0.3 in NASE); needs ``cond.classes``, and
            ``noise_class`` with the data. Items of unknown type are left out.
        contrast: weight of InfoNCE between two pieces of the same noise, against the other noises of the batch (of
            this process); needs ``noise_other`` with the data.
        temperature: of InfoNCE.

    Raises:
        ValueError: guidance without drop-out.
    """

    drop: Decay = 0.1
    guidance_scale: NotNegative = 1.0
    guidance_interval: Range | None = None
    guidance_axis: Axis = "sigma"
    classify: NotNegative = 0.0
    contrast: NotNegative = 0.0
    temperature: Positive = 0.07

    def __post_init__(self) -> None:
        if self.guidance_scale != 1 and not self.drop:
            raise ValueError(
                f"guidance_scale {self.guidance_scale} needs an unconditional answer, which does not exist: "
                "trained without drop-out (drop 0); train with drop 0.1 to 0.2, or leave guidance_scale at 1"
            )

    def check(self, condition: NoiseCondition) -> None:
        """Refuse losses that the condition has no parts for, and parts that no loss trains.

        Raises:
            RecipeError: naming both.
        """
        if bool(self.classify) != bool(condition.classes):
            raise RecipeError(
                f"conditioning.classify is {self.classify:g}, net.cond.classes {condition.classes}: a layer that tells "
                "noises apart and the loss that trains it come together; give both, or neither"
            )
        if self.contrast and not condition.encoder.width:
            raise RecipeError(f"conditioning.contrast: {type(condition.encoder).__name__} gives nothing to contrast")

    def step(self, condition: NoiseCondition, batch: Batch, features: CompressedSTFT, draws: Draws) -> Step:
        """Encode the references of a training batch, some of them withheld.

        Raises:
            RecipeError: the data does not carry what is needed.
        """
        reference = noise_reference(batch.conditions, features)
        withheld = draws.uniform(0.0, 1.0, reference.frames.device) < self.drop
        told = condition.encode(reference.without(withheld))
        losses = [self._classified(condition, told, batch)] if self.classify else []
        losses += [self._contrasted(condition, told, batch, features)] if self.contrast else []
        notes = {**_shares(reference, withheld), **{k: v for loss in losses for k, v in loss.notes.items()}}
        return Step(told, Loss.joined(losses) if losses else None, notes)

    def guide(self, condition: NoiseCondition, conditions: Conditions, noisy: Waves, features: CompressedSTFT) -> Guide:
        """Encode the references of a restoration.

        Raises:
            RestorationError: an item has none, and the net never learned what to say then.
        """
        reference = noise_reference(conditions, features) if conditions else no_reference(noisy, features)
        if not self.drop and not reference.present.all():
            raise RestorationError(
                "this model was trained without drop-out (conditioning.drop 0), so it has no answer without a "
                "reference: give one"
            )
        guidance = Guidance(self.guidance_scale, self.guidance_interval, self.guidance_axis)
        return Guide(guidance, condition.encode(reference), condition.encode(reference.none()))

    def _classified(self, condition: NoiseCondition, told: Encoded, batch: Batch) -> Loss:
        labels = _carried(batch.conditions, CLASS, "classify")
        if int(labels.max()) >= condition.classes:
            raise RecipeError(f"net.cond.classes: {condition.classes} are too few, the data has type {labels.max()}")
        assert condition.classify is not None
        logits = condition.classify(mean_token(told.shape))
        known = told.present & (labels >= 0)
        errors = F.cross_entropy(logits, labels.clamp_min(0), reduction="none")
        right = (logits.argmax(1) == labels)[known].float()
        notes = {"noise_class_right": float(right.mean())} if known.any() else {}
        notes["noise_class_known"] = float(known.float().mean())
        return Loss({CLASS: _mean_of(errors, known)}, {CLASS: self.classify}, notes=notes)

    def _contrasted(self, condition: NoiseCondition, told: Encoded, batch: Batch, features: CompressedSTFT) -> Loss:
        for key in OTHER:
            _carried(batch.conditions, key, "contrast")
        other = noise_reference(batch.conditions, features, OTHER)
        paired = told.present & other.present
        errors = info_nce(mean_token(told.shape), mean_token(condition.encoder(other)), paired, self.temperature)
        notes = {"noise_pairs": float(paired.float().mean())}
        return Loss({"noise_contrast": _mean_of(errors, paired)}, {"noise_contrast": self.contrast}, notes=notes)


def info_nce(
    a: Float[Tensor, "B D"], b: Float[Tensor, "B D"], paired: Bool[Tensor, " B"], temperature: float
) -> Float[Tensor, " B"]:
    """-ln softmax of the similarity of a_i to b_i among all b_j, and of b_i to a_i among all a_j, their mean.

    Oord et al. (2018). Items that are not ``paired`` are nobody's negatives; their own value means nothing.
    """
    similarity = F.normalize(a.float(), dim=1) @ F.normalize(b.float(), dim=1).T / temperature
    others = ~(paired | torch.eye(len(a), dtype=torch.bool, device=a.device))
    sides = (side.masked_fill(others, -torch.inf).log_softmax(1).diagonal() for side in (similarity, similarity.T))
    return -sum(sides, torch.zeros_like(similarity[0])) / 2


def condition_of(net: nn.Module) -> NoiseCondition | None:
    """The condition of a net that has one, also where the net is wrapped for gradient exchange.

    Parameters that are used outside the wrapped net's call take part in the exchange as all others do.
    """
    inner = net.module if isinstance(net, DistributedDataParallel) else net
    return getattr(inner, "cond", None)


def _shares(reference: NoiseReference, withheld: Bool[Tensor, " B"]) -> dict[str, float]:
    """Of all items those without a reference; of the others those it was withheld from."""
    present = reference.present
    shares = {"no_reference": float((~present).float().mean())}
    return shares | ({"dropped": float(withheld[present].float().mean())} if present.any() else {})


def _carried(conditions: Mapping[str, Tensor], key: str, loss: str) -> Int[Tensor, " B"] | Tensor:
    if key not in conditions:
        raise RecipeError(
            f"conditioning.{loss} needs {key} with every pair, which the data does not carry; set it to 0"
        )
    return conditions[key]


def _mean_of(errors: Float[Tensor, " B"], counted: Bool[Tensor, " B"]) -> Tensor:
    """The mean over some items, zero (with a graph) where there are none."""
    return torch.where(counted, errors, 0.0).sum() / counted.sum().clamp_min(1)
