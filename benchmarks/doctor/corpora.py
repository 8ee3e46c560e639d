"""Healthy corpora: real speech and noise, mixed by the package's own degradations into folders of pairs.

The dev split draws from ``train.jsonl`` alone, the test split from ``valid.jsonl`` and from VoiceBank-DEMAND's test
pairs, so that no speaker, noise or room of the one is in the other.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import yaml
from numpy import ndarray

from auscult import recipe
from auscult.audio.level import rms_db
from auscult.audio.resample import resample
from auscult.data.bank import BankSpec, FileBank
from auscult.data.manifest import Entry
from auscult.degrade.base import Degradation, Signal, Unusable, degrade
from auscult.rng import Key
from benchmarks.doctor.recorded import Recorded, Tree, generator, read_folder

HERE = Path(__file__).parent
MANIFESTS = {"dev": "train.jsonl", "test": "valid.jsonl"}
PARTS = {"dev": "train", "test": "valid"}
REAL = "vbdmd_p257"
SILENCE_DB = -50.0


@dataclass(frozen=True)
class Corpus:
    """How a healthy corpus is made; see ``corpora.yaml``."""

    name: str
    degradations: tuple[Mapping[str, object], ...]
    pairs: int = 40
    seconds: tuple[float, float] = (1.5, 5.0)
    per_file: int = 3
    form: str = "flac"
    level_db: tuple[float, float] = (0.0, 0.0)
    names: str = "plain"
    rate_hz: int = 16_000
    speakers: int | None = None
    noise_types: int | None = None


@cache
def corpora() -> dict[str, Corpus]:
    """All corpora by name; the real one, of the test split only, has no degradations."""
    rows = yaml.safe_load((HERE / "corpora.yaml").read_text("utf-8"))
    found = {name: Corpus(name=name, **row) for name, row in rows.items()}
    return {**found, REAL: Corpus(REAL, ())}


def identity(data: Path) -> str:
    """Changes when the recordings, or how corpora are made of them, do."""
    texts = [(data / name).read_bytes() for name in (*MANIFESTS.values(), "rooms.jsonl", "fullband.jsonl")]
    texts.append((HERE / "corpora.yaml").read_bytes())
    return hashlib.sha256(b"".join(texts)).hexdigest()[:12]


def draw_tree(name: str, split: str, seed: int, data: Path, splits: Sequence[str]) -> Tree:
    """Pairs of a corpus by split; several splits have no speaker in common where there are enough of them."""
    corpus = corpora()[name]
    rng = generator("corpus", name, split, seed)
    if name == REAL:
        found = read_folder(data / REAL)
        chosen = sorted(rng.permutation(len(found))[: 40 if seed == 0 else 24])
        return {splits[0]: [found[i] for i in chosen]}
    return _shared_out(corpus, list(_pairs(corpus, split, rng, data)), splits)


def _shared_out(corpus: Corpus, pairs: list[Recorded], splits: Sequence[str]) -> Tree:
    """The first split gets all speakers but a tenth of them for each other one; of few speakers, items are dealt."""
    if len(splits) == 1:
        return {splits[0]: pairs}
    if len({one.speaker for one in pairs}) < 2 * len(splits):
        each = max(1, len(pairs) // 5)
        held = {split: pairs[i * each : (i + 1) * each] for i, split in enumerate(splits[1:])}
        return {splits[0]: pairs[(len(splits) - 1) * each :], **held}
    speakers = list(dict.fromkeys(one.speaker for one in pairs))
    few = max(1, len(speakers) // 10)
    parts = {split: set(speakers[i * few : (i + 1) * few]) for i, split in enumerate(splits[1:])}
    parts[splits[0]] = set(speakers[(len(splits) - 1) * few :])
    return {split: [one for one in pairs if one.speaker in parts[split]] for split in splits}


def _pairs(corpus: Corpus, split: str, rng: np.random.Generator, data: Path) -> Iterator[Recorded]:
    banks = _banks(corpus, split, rng, data)
    chain = [recipe.plan(node, Degradation, "degradations").build() for node in corpus.degradations]  # type: ignore[type-abstract]
    segments = _segments(corpus, banks["speech"], rng)
    key, taken = Key(int(rng.integers(2**31))), 0
    for number, (speaker, wave) in enumerate(segments):
        if taken == corpus.pairs:
            return
        try:
            signal, _ = degrade(Signal(wave, wave, corpus.rate_hz), chain, key.child(number), banks)
        except Unusable:
            continue
        yield _recorded(corpus, speaker, taken, signal, rng)
        taken += 1


def _banks(corpus: Corpus, split: str, rng: np.random.Generator, data: Path) -> dict[str, FileBank]:
    part = PARTS[split]
    whole = {"manifest": "fullband.jsonl", "where": {"split": part}} if corpus.rate_hz > 16_000 else None
    specs = {
        "speech": whole or {"manifest": MANIFESTS[split], "where": {"kind": "speech"}},
        "noise": {"manifest": MANIFESTS[split], "where": {"kind": "noise"}},
        "room": {"manifest": "rooms.jsonl", "where": {"split": part}},
    }
    entries = {name: list(BankSpec(**spec).listing(data).entries) for name, spec in specs.items()}  # type: ignore[arg-type]
    for name, fact, most in (("speech", "speaker", corpus.speakers), ("noise", "noise_type", corpus.noise_types)):
        if most is not None:
            chosen = _of_many(entries[name], fact, most, rng)
            entries[name] = [entry for entry in entries[name] if str(entry.facts.get(fact)) in chosen]
    return {name: _Few(tuple(found), corpus.rate_hz) for name, found in entries.items()}


def _of_many(entries: Sequence[Entry], fact: str, most: int, rng: np.random.Generator) -> set[str]:
    """So many values of a fact, among those with the most recordings."""
    held: Counter[str] = Counter()
    for entry in entries:
        held[str(entry.facts.get(fact))] += round(entry.info.duration_s)
    ranked = [name for name, _ in held.most_common(2 * most + 2)]
    return {ranked[i] for i in rng.permutation(len(ranked))[:most]}


class _Few(FileBank):
    """A bank that decodes a file when it is asked for, and no others."""

    def __init__(self, entries: tuple[Entry, ...], rate_hz: int):
        super().__init__(entries, rate_hz)
        self._keep = True


def _segments(corpus: Corpus, speech: FileBank, rng: np.random.Generator) -> Iterator[tuple[str, ndarray]]:
    """Disjoint pieces of recordings with something to hear, [1, T]."""
    for index in rng.permutation(len(speech)):
        at, total = 0, speech.samples(int(index))
        for _ in range(corpus.per_file):
            length = round(float(rng.uniform(*corpus.seconds)) * corpus.rate_hz)
            if at + length > total:
                break
            wave = speech.read(int(index), at, length)
            at += length
            if rms_db(wave) > SILENCE_DB:
                yield str(speech.describe(int(index)).get("speaker")), wave


def _recorded(corpus: Corpus, speaker: str, number: int, signal: Signal, rng: np.random.Generator) -> Recorded:
    gain = 10 ** (float(rng.uniform(*corpus.level_db)) / 20)
    sides = gain * signal.clean[0], gain * signal.noisy[0]
    louder = max(1.0, max(float(np.abs(side).max()) for side in sides) / 0.98)
    clean, noisy = (side / louder for side in sides)
    name = _name(corpus.names, speaker, number)
    return Recorded(name, speaker, clean, noisy, corpus.rate_hz, corpus.rate_hz, corpus.form)


def _name(style: str, speaker: str, number: int) -> str:
    short = int(hashlib.sha256(speaker.encode()).hexdigest(), 16) % 700 + 200
    return {
        "plain": f"{speaker}_{number:04d}",
        "voicebank": f"p{short:03d}_{number + 1:03d}",
        "nested": f"{speaker}/{number:05d}",
    }[style]


def at_rate(tree: Tree, rate_hz: int) -> Tree:
    """The same recordings resampled."""
    return {
        split: [
            replace(
                one,
                clean=resample(one.clean[None], one.rate_hz, rate_hz)[0],
                noisy=resample(one.noisy[None], one.rate_hz, rate_hz)[0],
                rate_hz=rate_hz,
                noisy_rate_hz=rate_hz,
            )
            for one in pairs
        ]
        for split, pairs in tree.items()
    }
