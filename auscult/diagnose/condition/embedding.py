"""What the encoder makes of references: does it vary, does it know a noise when it hears it again, and its type?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from auscult.diagnose.condition.answers import BATCH
from auscult.diagnose.condition.items import FEWEST, Items
from auscult.diagnose.condition.paired import Difference, differences
from auscult.diagnose.condition.references import References, swapped
from auscult.diagnose.condition.subject import Subject
from auscult.errors import need
from auscult.evaluate.summary import Estimate, estimate
from auscult.nets.reference import mean_token
from auscult.rng import Key

PERMUTATIONS = 99
FOLDS = 5
"""Of cross-validation; a type of noise with fewer items is left out of what concerns types."""
DEAD = 1e-6
"""A dimension with less than this share of the largest variance says nothing."""

Vectors = Float[ndarray, "I D"]


@dataclass(frozen=True)
class Space:
    """The embeddings of all items.

    Args:
        what: they are: the encoder's, or the power spectrum of an encoder that learns nothing.
        dimensions, dead: how many there are, and how many of them do not vary.
        effective_rank: exp of the entropy of the singular values (Roy & Vetterli 2007; RankMe, Garrido et al. 2023),
            the mean not taken off: 1 where all embeddings are the same.
        spread: |z - mean|^2 / |z|^2; 0 where all embeddings are the same.
    """

    what: str
    dimensions: int
    dead: int
    effective_rank: float
    spread: Estimate


@dataclass(frozen=True)
class Alike:
    """Cosine of two pieces of one recording, of pieces of different items, and the paired difference."""

    same: Estimate
    other: Estimate
    difference: Difference


@dataclass(frozen=True)
class Types:
    """How noises of a type lie together: silhouette, and accuracy of a linear probe in cross-validation.

    ``chance`` is the probe's mean accuracy on permuted labels; each p is the share of permutations that did as well.
    """

    kinds: int
    items: int
    silhouette: float
    silhouette_p: float
    accuracy: Estimate
    chance: float
    accuracy_p: float


@dataclass(frozen=True)
class Picture:
    """Items in the plane (t-SNE; UMAP where it is installed)."""

    method: str
    points: tuple[tuple[float, float], ...]
    kinds: tuple[str | None, ...]


@torch.inference_mode()
def vectors(subject: Subject, references: References) -> Vectors:
    """One vector an item: what the encoder says of the shape, else the compressed power spectrum."""
    found = []
    for start in range(0, len(references.samples), BATCH):
        told = subject.encode(references.at(np.arange(start, min(start + BATCH, len(references.samples)))))
        found.append((told.psd if told.shape is None else mean_token(told.shape)).float().cpu().numpy())
    return np.concatenate(found).astype(float)


def space(subject: Subject, z: Vectors) -> Space:
    """Whether embeddings vary at all."""
    variance, mean = z.var(0), z.mean(0)
    spread = np.square(z - mean).sum(1) / np.maximum(np.square(z).sum(1), 1e-30)
    what = "embedding" if subject.condition.encoder.width else "power spectrum (the encoder learns nothing)"
    dead = int((variance <= DEAD * max(variance.max(), 1e-12)).sum())
    return Space(what, z.shape[1], dead, effective_rank(z), estimate(spread))


def effective_rank(z: Vectors) -> float:
    """exp(-sum p ln p), p the singular values over their sum."""
    values = np.linalg.svd(z, compute_uv=False)
    p = values[values > 1e-7 * values.max()] / values[values > 1e-7 * values.max()].sum()
    return float(np.exp(-(p * np.log(p)).sum()))


def alike(subject: Subject, items: Items, key: Key) -> Alike | None:
    """Two pieces of an item's reference against pieces of two items; None where references are too short."""
    first, second = items.longest.halves()
    there = np.flatnonzero(first.present)
    if there.size < FEWEST:
        return None
    a, b = (_unit(vectors(subject, half.at(there))) for half in (first, second))
    same, other = (a * b).sum(1), (a * b[swapped(there.size, key)]).sum(1)
    (difference,) = differences({"same - different": same - other})
    return Alike(estimate(same), estimate(other), difference)


def types(z: Vectors, kinds: Sequence[str | None], key: Key) -> Types | None:
    """How far types of noise can be told by embeddings; None with fewer than two types of ``FOLDS`` items.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    kept = _common(kinds)
    x = z[kept]
    _, y = np.unique([str(kind) for kind, one in zip(kinds, kept, strict=True) if one], return_inverse=True)
    if len(set(y)) < 2:
        return None
    need("sklearn", "a probe of embeddings")
    orders = [key.child(i).numpy().permutation(y.size) for i in range(PERMUTATIONS)]
    labels = np.stack([y, *(y[order] for order in orders)])
    tightness, right = [_silhouette(x, one) for one in labels], _probed(x, labels)
    accuracy = right.mean(1).tolist()
    return Types(
        len(set(y)),
        int(y.size),
        tightness[0],
        _p(tightness),
        estimate(right[0]),
        float(np.mean(accuracy[1:])),
        _p(accuracy),
    )


def picture(z: Vectors, kinds: Sequence[str | None], seed: int) -> Picture:
    """Neighbours stay neighbours; distances between groups mean little.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    if find_spec("umap") is not None:
        name, made = "UMAP", need("umap", "a picture of embeddings").UMAP(random_state=seed)
    else:
        manifold = need("sklearn.manifold", "a picture of embeddings")
        perplexity = min(30.0, (len(z) - 1) / 3)
        name, made = "t-SNE", manifold.TSNE(perplexity=perplexity, init="random", random_state=seed)
    spread = z + 1e-9 * Key(seed).child("picture").numpy().standard_normal(z.shape)  # equal points have no direction
    return Picture(name, tuple((float(a), float(b)) for a, b in made.fit_transform(spread)), tuple(kinds))


def _common(kinds: Sequence[str | None]) -> Bool[ndarray, " I"]:
    """Items of types that have enough of them."""
    counts = Counter(kinds)
    return np.array([kind is not None and counts[kind] >= FOLDS for kind in kinds])


def _silhouette(x: Vectors, y: ndarray) -> float:
    from sklearn.metrics import silhouette_score

    return float(silhouette_score(_unit(x), y)) if len(np.unique(_unit(x), axis=0)) > 1 else 0.0


def _probed(x: Vectors, labels: Int[ndarray, "P I"]) -> Float[ndarray, "P I"]:
    """Whether each item's type is told by a ridge classifier that has not seen the item, for P ways to label them."""
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import KFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    targets = np.eye(labels.max() + 1)[labels].swapaxes(0, 1)  # [I, P, K]: all labellings share one regression
    told = np.zeros(labels.shape, int)
    for train, test in KFold(FOLDS, shuffle=True, random_state=0).split(x):
        probe = make_pipeline(StandardScaler(), Ridge(float(x.shape[1]))).fit(
            x[train], targets[train].reshape(train.size, -1)
        )
        told[:, test] = probe.predict(x[test]).reshape(test.size, *targets.shape[1:]).argmax(-1).T
    return (told == labels).astype(float)


def _p(values: Sequence[float]) -> float:
    """The share that does as well as the first, which counts itself."""
    return sum(one >= values[0] for one in values) / len(values)


def _unit(z: Vectors) -> Vectors:
    return z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
