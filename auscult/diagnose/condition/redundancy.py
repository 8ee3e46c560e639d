"""How much of the embedding a net could read off the noisy input itself: what is told twice cannot help.

A linear probe bounds from below what a net could know: a small R^2 does not prove that the noisy input lacks it.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from auscult.audio.stft import STFT
from auscult.diagnose.condition.embedding import FOLDS, Vectors
from auscult.diagnose.condition.paired import ratio
from auscult.errors import need
from auscult.evaluate.summary import Estimate

BANDS = 16
FRAME = 512
QUANTILES = (0.1, 0.5, 0.9)
"""Over time: the lowest is an estimate of the noise's spectrum (minimum statistics)."""
ALPHAS = tuple(10.0**power for power in range(-1, 6))


def redundancy(noisy: Float[Tensor, "I C T"], z: Vectors) -> Estimate:
    """R^2 of a cross-validated ridge regression from band energies of the noisy input to embeddings.

    The explained part of the variance around each fold's training mean; negative where the probe does worse than
    that mean.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    need("sklearn", "a probe of embeddings")
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import KFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = np.stack([features(wave.mean(0)) for wave in noisy])
    missed, total = np.zeros(len(z)), np.zeros(len(z))
    for train, test in KFold(FOLDS, shuffle=True, random_state=0).split(x):
        probe = make_pipeline(StandardScaler(), RidgeCV(ALPHAS)).fit(x[train], z[train])
        missed[test] = np.square(z[test] - probe.predict(x[test]).reshape(z[test].shape)).sum(1)
        total[test] = np.square(z[test] - z[train].mean(0)).sum(1)
    return ratio(total - missed, total)


def features(noisy: Float[Tensor, " T"]) -> Float[ndarray, " K"]:
    """Quantiles over time of the log energy of bands that widen with frequency."""
    frames = STFT(FRAME, FRAME // 2, "hann").forward(noisy.to(torch.float32).numpy())
    edges = np.unique(np.geomspace(1, FRAME // 2 + 1, BANDS + 1).astype(int))
    energy = np.add.reduceat(np.abs(frames) ** 2, edges[:-1], axis=1)
    return np.quantile(np.log(energy + 1e-9), QUANTILES, axis=0).ravel()
