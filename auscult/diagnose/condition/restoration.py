"""What the condition does to restorations: the sampler as the checkpoint has it, the same noise for every variant."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from auscult.diagnose.clock import Clock
from auscult.diagnose.condition.answers import batches
from auscult.diagnose.condition.items import Items
from auscult.diagnose.condition.paired import Difference, differences
from auscult.diagnose.condition.references import References, swapped
from auscult.diagnose.condition.subject import Subject
from auscult.evaluate.score import Waves, metrics_named, score_waves
from auscult.evaluate.summary import Estimate, estimate
from auscult.rng import Draws, Key

OWN, NULL, SHUFFLED, OVERLAPPING = "own", "none", "another item's", "overlapping"
SCALES = (1.5, 2.0)
"""Guidance beyond the conditional answer; w = 0 is no reference, w = 1 the item's own."""

Scores = dict[str, dict[str, Float[ndarray, " I"]]]


@dataclass(frozen=True)
class Restoration:
    """Mean scores by metric and variant, and the score of each variant minus that of the item's own reference."""

    items: int
    means: Mapping[str, Mapping[str, Estimate]]
    differences: Mapping[str, tuple[Difference, ...]]


def restoration(subject: Subject, items: Items, key: Key, clock: Clock) -> Restoration:
    """Restore with the item's own reference, none, another's and an overlapping one; then guided further."""
    scores = _scores(subject, items, _variants(subject, items, key), clock)
    metrics = list(scores[OWN])
    gaps = {f"{metric}: {name}": found[metric] - scores[OWN][metric]
            for metric in metrics for name, found in scores.items() if name != OWN}  # fmt: skip
    family = {one.name: one for one in differences(gaps)}
    names = [name for name in scores if name != OWN]
    by_metric = {metric: tuple(_named(family[f"{metric}: {name}"], name) for name in names) for metric in metrics}
    means = {metric: {name: estimate(found[metric]) for name, found in scores.items()} for metric in metrics}
    reached = int((~np.isnan(scores[OWN][metrics[0]])).sum())
    return Restoration(reached, means, by_metric)


def _variants(subject: Subject, items: Items, key: Key) -> dict[str, tuple[References, float]]:
    """References and guidance scales."""
    own = items.own
    found = {OWN: (own, 1.0), SHUFFLED: (own.at(swapped(len(items), key)), 1.0)}
    if OVERLAPPING in items.origins:
        found[OVERLAPPING] = (items.origins[OVERLAPPING], 1.0)
    if subject.has_null:
        found |= {NULL: (own, 0.0), **{f"w = {scale:g}": (own, scale) for scale in SCALES}}
    return found


@torch.inference_mode()
def _scores(subject: Subject, items: Items, variants: Mapping[str, tuple[References, float]], clock: Clock) -> Scores:
    metrics = metrics_named(["si_sdr", *(["pesq"] if importlib.util.find_spec("pesq") else [])])
    found: Scores = {name: {one.label: np.full(len(items), np.nan) for one in metrics} for name in variants}
    for places in batches(items, clock):
        some = items.some(places)
        for name, (references, scale) in variants.items():
            waves = restored(subject, some, references.at(places), scale)
            for place, clean, noisy, wave in zip(places, some.clean, some.noisy, waves, strict=True):
                scored = score_waves(metrics, Waves(wave, items.rate_hz, clean.numpy(), noisy.numpy()))
                for metric, value in scored.scores.items():
                    found[name][metric][place] = value
    return found


def restored(subject: Subject, items: Items, references: References, scale: float) -> Float[ndarray, "B C T"]:
    """Items as the checkpoint's sampler restores them, told of references at a guidance scale."""
    method = subject.method
    anchor = method.encode(items.noisy.to(subject.device))
    guide = subject.guide(references, scale)
    spectrum = method.sampled(subject.net, anchor, anchor, Draws.of(items.keys), guide)
    waves: ndarray = method.features.decode(spectrum, items.noisy.shape[-1]).float().cpu().numpy()
    return waves


def _named(one: Difference, name: str) -> Difference:
    return Difference(name, one.of, one.p, one.p_holm)
