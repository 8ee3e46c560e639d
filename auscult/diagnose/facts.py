"""What is known about a set-up, each fact with where it comes from.

Checks read facts and never a recipe, so that they work on other people's set-ups. A fact is what somebody *says*
(recipe, hyper-parameters, a log, a header); what *is* so a check measures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Fact:
    """A value and who says so: ``recipe``, ``history.csv``, ``hyper-parameters``, ``--fact``, ``headers``."""

    value: Any
    source: str


class Facts(Mapping[str, Fact]):
    """Facts by name. Names in use: see :data:`NAMES`."""

    def __init__(self, known: Mapping[str, Fact] | None = None):
        self._known = dict(known or {})

    def __getitem__(self, name: str) -> Fact:
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def value(self, name: str, otherwise: Any = None) -> Any:
        """The value, or something else where nothing is known."""
        return self._known[name].value if name in self._known else otherwise

    def joined(self, other: Mapping[str, Fact]) -> Facts:
        """Both; where both know a name, the first is kept."""
        return Facts({**other, **self._known})


NAMES = {
    "method": "class of the method",
    "rate_hz": "sample rate at which the net works, Hz",
    "crop_s": "length of a training item, s",
    "snr_db": "lowest and highest SNR that mixtures are asked to have, dB",
    "batch": "items a micro-batch and process",
    "accumulate": "micro-batches a step",
    "processes": "processes that train together",
    "steps": "length of the run in steps",
    "lr": "highest learning rate",
    "clip_norm": "bound of the gradient norm",
    "precision": "fp32, bf16 or fp16",
    "ema_decay": "decay of the average of the weights; None: off",
    "loss_higher_is_better": "whether the logged loss is a score (SI-SDR) and not its negative",
    "select": "metric that checkpoints are chosen by",
    "drop": "probability that a condition is left out in training",
    "sampler": "class of the sampler",
    "sampler_steps": "its steps",
    "t_eps": "smallest time of training",
    "sampler_t_eps": "smallest time of the sampler",
    "n_fft": "samples of an analysis window",
    "hop": "samples between windows",
    "splits": "names of the splits that data were given for",
}
"""Names that checks read, and what they mean."""
