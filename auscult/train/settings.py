"""The sections of a recipe beyond method and data, and how the loop is run (which does not change its result)."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import nn

from auscult.bounds import Count, Decay, NotNegative, Positive, Share, Whole
from auscult.data.pairs import PairSource
from auscult.errors import RecipeError
from auscult.evaluate.score import metrics_named

Precision = Literal["fp32", "bf16", "fp16"]
Algorithm = Literal["adam", "adamw", "sgd"]


@dataclass(frozen=True)
class Training:
    """How long and how: the part of the loop that changes its result.

    ``batch`` counts items a micro-batch and device; a step learns from batch x accumulate x devices items.
    ``clip_norm`` bounds the gradient norm (None: logged only). ``ema_decay`` averages the weights (None: off).
    """

    steps: Count
    batch: Count = 16
    accumulate: Count = 1
    precision: Precision = "fp32"
    clip_norm: Positive | None = 5.0
    ema_decay: Share | None = 0.999


@dataclass(frozen=True)
class Optimiser:
    """Optimiser of one net. ``freeze`` and ``lr_scale`` name tensors by pattern: ``encoder.*``."""

    algorithm: Algorithm = "adamw"
    lr: NotNegative = 1e-3
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    weight_decay: NotNegative = 0.0
    momentum: NotNegative = 0.0
    freeze: tuple[str, ...] = ()
    lr_scale: dict[str, float] = field(default_factory=dict)

    def build(self, net: nn.Module) -> torch.optim.Optimizer:
        """The optimiser, one parameter group a rate; frozen tensors stop requiring gradients.

        Raises:
            RecipeError: a pattern fits no tensor, or nothing is left to train.
        """
        names = [name for name, parameter in net.named_parameters() if parameter.requires_grad]
        for pattern in (*self.freeze, *self.lr_scale):
            if not fnmatch.filter(names, pattern):
                raise RecipeError(
                    f"optimiser: the pattern '{pattern}' fits no tensor; there are {', '.join(names[:5])}, ..."
                )
        groups: dict[float, list[nn.Parameter]] = {}
        for name, parameter in net.named_parameters():
            if any(fnmatch.fnmatch(name, pattern) for pattern in self.freeze):
                parameter.requires_grad_(False)
            if parameter.requires_grad:
                groups.setdefault(self._scale(name), []).append(parameter)
        if not groups:
            raise RecipeError("optimiser: every tensor is frozen, nothing is left to train")
        listed = [{"params": parameters, "lr": self.lr * scale, "scale": scale} for scale, parameters in groups.items()]
        return self._make(listed)

    def _scale(self, name: str) -> float:
        fitting = [scale for pattern, scale in self.lr_scale.items() if fnmatch.fnmatch(name, pattern)]
        return fitting[-1] if fitting else 1.0

    def _make(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        if self.algorithm == "sgd":
            return torch.optim.SGD(groups, lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay)
        make = torch.optim.AdamW if self.algorithm == "adamw" else torch.optim.Adam
        return make(groups, lr=self.lr, betas=self.betas, weight_decay=self.weight_decay)


@dataclass(frozen=True)
class Validation:
    """Restore whole held-out items with fixed seeds and score them.

    ``select`` is the metric by which the best ``keep_best`` checkpoints are kept; ``patience`` validations without a
    new best end the run early (None: never). The ``extremes`` items that gained most over their noisy input in that
    metric, and as many that gained least, are kept as sound (0: none).
    """

    data: PairSource
    every: Count = 1000
    items: Count = 32
    metrics: tuple[str, ...] = ("pesq", "estoi", "si_sdr")
    select: str = "pesq"
    keep_best: Whole = 3
    patience: Count | None = None
    extremes: Whole = 3

    def __post_init__(self) -> None:
        if self.select not in self.metrics:
            raise RecipeError(f"validation.select: '{self.select}' is not among metrics: {', '.join(self.metrics)}")
        metrics_named(self.metrics)  # an unknown or uninstalled metric is named now, not at the first validation
        if metrics_named([self.select])[0].higher_is_better is None:
            raise RecipeError(f"validation.select: of '{self.select}' neither more nor less is better; choose another")

    def rank(self, means: Mapping[str, float]) -> float:
        """What checkpoints are ranked by: the selected mean, higher is better; undefined is worst."""
        metric = metrics_named([self.select])[0]
        value = means[metric.label] if metric.higher_is_better else -means[metric.label]
        return value if math.isfinite(value) else -math.inf

    def gain(self, restored: Mapping[str, float], noisy: Mapping[str, float]) -> float:
        """Improvement in the selected metric, higher is better: -inf where the restoration lost its score.

        NaN where the noisy side has none to compare with.
        """
        metric = metrics_named([self.select])[0]
        if metric.label not in noisy:
            return math.nan
        if metric.label not in restored:
            return -math.inf
        change = restored[metric.label] - noisy[metric.label]
        return change if metric.higher_is_better else -change

    def indices(self) -> Iterator[int]:
        """Evenly spaced items of the source, the same at every validation."""
        count = min(self.items, len(self.data))
        return (round(i * len(self.data) / count) for i in range(count))


@dataclass(frozen=True)
class Options:
    """How a run is carried out; none of it changes the weights that come out.

    The newest ``keep_newest`` checkpoints stay, beside the best. A run resumes from the newest, whose optimiser state
    lies beside it; with ``keep_states`` that of every other checkpoint stays too, so that the run can go back to any
    of them: ``resume_from`` names the step. After step ``stop_after`` it is saved and left, to be resumed later.
    """

    workers: int = 1
    save_every: int = 500
    log_every: int = 10
    device: str = "auto"
    trackers: tuple[str, ...] = ()
    keep_newest: int = 1
    keep_states: bool = False
    resume_from: int | None = None
    stop_after: int | None = None
