"""Faults of a corpus as a whole: splits, copies, headers, files."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from auscult.audio.resample import resample
from benchmarks.doctor.fault import Fault
from benchmarks.doctor.faults_pairs import each, some
from benchmarks.doctor.recorded import Recorded, Tree

Rng = np.random.Generator


def valid_is_test(tree: Tree, rng: Rng, severity: float) -> Tree:
    return {**tree, "valid": tree["test"]}


def leaked(tree: Tree, rng: Rng, share: float) -> Tree:
    """A share of the test items is in the training set too, under names of their own."""
    count = max(1, round(share * len(tree["test"])))
    copies = [replace(one, name=f"{one.name}_b") for one in tree["test"][:count]]
    return {**tree, "train": [*tree["train"], *copies]}


def leaked_speakers(tree: Tree, rng: Rng, severity: float) -> Tree:
    """Items dealt out without a look at speakers."""
    everything = [one for pairs in tree.values() for one in pairs]
    dealt = [everything[i] for i in rng.permutation(len(everything))]
    ends = np.cumsum([len(pairs) for pairs in tree.values()])
    return {split: dealt[end - len(tree[split]) : end] for split, end in zip(tree, ends, strict=True)}


def copied(tree: Tree, rng: Rng, share: float) -> Tree:
    """A share of the pairs is there twice."""

    def twice(pairs: list[Recorded]) -> list[Recorded]:
        count = max(1, round(share * len(pairs)))
        return [*pairs, *(replace(one, name=f"{one.name}_copy") for one in pairs[:count])]

    return {split: twice(list(pairs)) for split, pairs in tree.items()}


def one_noise_for_all(tree: Tree, rng: Rng, severity: float) -> Tree:
    """Every item got the same noise from its first sample on: a generator seeded once a worker."""

    def inside(pairs: list[Recorded]) -> list[Recorded]:
        longest = max(pairs, key=lambda one: one.clean.size)
        noise = longest.noisy - longest.clean
        return [_mixed(one, noise[: one.clean.size]) for one in pairs]

    return {split: inside(list(pairs)) for split, pairs in tree.items()}


def _mixed(one: Recorded, noise: np.ndarray) -> Recorded:
    own = one.noisy - one.clean
    level = np.sqrt(np.mean(own**2) / max(float(np.mean(noise**2)), 1e-12))
    return one.heard(np.clip(one.clean + level * noise, -1, 1))


def truncated(one: Recorded, rng: Rng, severity: float) -> Recorded:
    return replace(one, kept=0.3)


def wrong_header(one: Recorded, rng: Rng, rate_hz: float) -> Recorded:
    """The noisy file says another rate than its samples have."""
    return replace(one, noisy_rate_hz=round(rate_hz))


def left_at_other_rate(one: Recorded, rng: Rng, rate_hz: float) -> Recorded:
    """Honest files of another rate than the set-up is told: what it reads without resampling is stretched."""
    rate = round(rate_hz)
    sides = {name: resample(getattr(one, name)[None], one.rate_hz, rate)[0] for name in ("clean", "noisy")}
    return replace(one, rate_hz=rate, noisy_rate_hz=rate, **sides)


def noisy_at_other_rate(one: Recorded, rng: Rng, rate_hz: float) -> Recorded:
    return replace(left_at_other_rate(one, rng, rate_hz), clean=one.clean, rate_hz=one.rate_hz)


data = partial(Fault, material="data")
FAULTS: tuple[Fault, ...] = (
    data("valid-is-test", accepted=("valid-is-test", "leaked-split"), severities=(1,), inject=valid_is_test),
    data("leaked", accepted=("leaked-split", "duplicates"), severities=(0.3, 1.0), inject=leaked),
    data("leaked-speakers", accepted=("leaked-speakers",), severities=(1,), inject=leaked_speakers),
    data("copies", accepted=("duplicates",), severities=(0.1, 0.5), inject=copied),
    data("one-noise", accepted=("repeated-noise",), severities=(1,), inject=one_noise_for_all),
    data("truncated", accepted=("unreadable-files", "length-mismatch"), severities=(0.1, 0.5), inject=some(truncated)),
    data("wrong-header", accepted=("wrong-rate", "length-mismatch", "clock-drift"), severities=(22050, 48000),
         inject=each(wrong_header)),
    data("other-rate", accepted=("wrong-rate",), severities=(22050, 48000), inject=each(left_at_other_rate)),
    data("noisy-other-rate", accepted=("wrong-rate",), severities=(8000, 48000), inject=each(noisy_at_other_rate)),
)  # fmt: skip
SPLITS = {"valid-is-test": ("train", "valid", "test"), "leaked": ("train", "valid", "test"),
          "leaked-speakers": ("train", "valid", "test")}  # fmt: skip
"""Faults that show only between splits."""
