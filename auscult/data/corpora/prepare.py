"""Making a corpus: plan, hash the sources, check, make what is missing, write the manifests last.

What an item is depends on the sources' names and lengths, the settings and the seed: not on workers, the order of
files on disk, ``limit`` or whether a run was interrupted. A pair appears complete or not at all and is remembered with
a hash of everything it was made from, so that a second run keeps it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

from auscult.audio.clip import Clip
from auscult.audio.info import Info
from auscult.audio.resample import QUALITY
from auscult.audio.writer import write
from auscult.data.corpora.base import Corpus, Item, Made
from auscult.data.corpora.library import Library
from auscult.data.corpora.state import Record, State, held
from auscult.data.corpora.workers import Workers
from auscult.degrade.base import Unusable
from auscult.errors import AudioError, DataError, OutputError, few, need
from auscult.files import write_bytes
from auscult.rng import Key
from auscult.units import amplitude, to_db
from auscult.version import __version__

CEILING = 0.999
"""A pair whose peak is higher is turned down to it, both sides by one gain, which is recorded."""
SIDES = ("clean", "noisy")
MANIFEST, PROVENANCE, CHECKSUMS, SOURCES = "pairs.jsonl", "provenance.json", "checksums.sha256", "sources.jsonl"
_BYTES = {"PCM_16": 2, "PCM_24": 3}
_SPARE_BYTES = 2**24

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much."""


@dataclass(frozen=True)
class Order:
    """What shall be made. ``limit`` is a trial: so many items of each split, spread over it; 0 is all.

    ``sources`` maps the corpus's names of its sources to folders; ``skip_unreadable`` leaves out source files that
    cannot be read, instead of refusing; ``verify`` hashes finished files again instead of trusting their size.
    """

    name: str
    corpus: Corpus
    sources: Mapping[str, Path]
    out: Path
    seed: int = 0
    workers: int = 1
    limit: int = 0
    skip_unreadable: bool = False
    verify: bool = False


@dataclass(frozen=True)
class Split:
    """What is in a split."""

    items: int
    duration_s: float
    speakers: int


@dataclass(frozen=True)
class Outcome:
    """What a run did: pairs made and kept, what was left out and why, source files that could not be read."""

    made: int
    kept: int
    splits: Mapping[str, Split]
    left_out: Mapping[str, str] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """An item to be made, with the hash of what it is made from."""

    item: Item
    stamp: str


@dataclass(frozen=True)
class Bench:
    """What a worker needs."""

    corpus: Corpus
    library: Library
    out: Path


def _unseen(what: str, done: int, total: int) -> None:
    """Progress that nobody follows."""


def prepare(order: Order, progress: Progress = _unseen) -> Outcome:
    """Make a corpus, or go on making it.

    Raises:
        DataError: sources that are missing, unreadable, at the wrong rate, or shared by two splits; items that failed.
        OutputError: the target folder is another's, or the disk has no room.
    """
    corpus = order.corpus
    for package in corpus.needs:
        need(package, f"preparing {order.name}")
    library = Library(_roots(order))
    progress("reading the sources", 0, 1)
    items = corpus.plan(library, Key(order.seed).child("corpus", order.name))
    _check_plan(order, items, library)
    chosen = spread(items, order.limit)
    with held(order.out) as state, Workers(order.workers, Bench(corpus, library, order.out)) as workers:
        state.belongs_to(_identity(order, items))
        hashes = _hashes(chosen, library, state, workers, progress)
        check_disjoint(chosen, hashes)
        jobs = [Job(item, _stamp(item, hashes)) for item in chosen]
        missing = [job for job in jobs if not state.kept(job.item, job.stamp, order.verify)]
        _check_room(order, [job.item for job in missing])
        failed = _make(missing, state, workers, progress)
        if failed:
            first = next(iter(failed.values()))
            raise DataError(
                f"{len(failed)} of {len(jobs)} items could not be made ({few(failed)}): {first}; "
                "the others are kept: mend the sources and run again"
            )
        records = [state.records[item.split, item.name] for item in chosen]
        splits = _publish(order, records, hashes, library)
    left_out = {f"{r.split}/{r.name}": r.left_out for r in records if r.left_out}
    return Outcome(len(missing), len(jobs) - len(missing), splits, left_out, library.unreadable)


def spread(items: Sequence[Item], limit: int) -> list[Item]:
    """At most ``limit`` items of each split, spread over it; all where it is 0."""
    by_split: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        by_split[item.split].append(item)
    chosen = []
    for own in by_split.values():
        number = min(limit or len(own), len(own))
        chosen += [own[i * len(own) // number] for i in range(number)]
    return chosen


def check_disjoint(items: Sequence[Item], hashes: Mapping[tuple[str, str], str]) -> None:
    """No speaker and no part of a recording, by content, may be in two splits.

    Raises:
        DataError: one is.
    """
    speakers: dict[str, tuple[str, str]] = {}
    parts: dict[str, dict[str, tuple[float, float, str]]] = defaultdict(dict)
    for item in items:
        speaker = item.drawn.get("speaker")
        if speaker is not None and (other := speakers.setdefault(speaker, (item.split, item.name)))[0] != item.split:
            raise DataError(
                f"speaker {speaker} is in {other[0]} ({other[1]}) and in {item.split} ({item.name}); "
                "splits must not share speakers"
            )
        for use in item.uses:
            own = parts[hashes[use.source, use.path]]
            low, high, _ = own.get(item.split, (np.inf, -np.inf, ""))
            stop = np.inf if use.stop is None else use.stop
            own[item.split] = (min(low, use.start), max(high, stop), f"{use.source}/{use.path}")
    for own in parts.values():
        ordered = sorted((low, high, split, name) for split, (low, high, name) in own.items())
        for one, two in pairwise(ordered):
            if two[0] < one[1]:
                raise DataError(
                    f"{one[3]} ({one[2]}) and {two[3]} ({two[2]}) are the same recording; "
                    "splits must not share recordings: remove it from one"
                )


def _roots(order: Order) -> dict[str, Path]:
    wanted = order.corpus.sources
    unknown, missing = sorted(order.sources.keys() - wanted.keys()), sorted(wanted.keys() - order.sources.keys())
    if unknown or missing:
        needed = "; ".join(f"--source {name}=DIR ({what})" for name, what in wanted.items())
        problem = f"unknown source {', '.join(unknown)}" if unknown else f"no source {', '.join(missing)} given"
        raise DataError(f"{order.name}: {problem}; it needs {needed}")
    for name, path in order.sources.items():
        if not path.is_dir():
            raise DataError(f"{path}: no such folder (source '{name}': {wanted[name]})")
    return dict(order.sources)


def _check_plan(order: Order, items: Sequence[Item], library: Library) -> None:
    if library.unreadable and not order.skip_unreadable:
        raise DataError(
            f"{len(library.unreadable)} source files cannot be read ({few(library.unreadable)}): "
            f"{next(iter(library.unreadable.values()))}; get them again, or add --skip-unreadable"
        )
    if empty := [split for split in order.corpus.splits if not any(item.split == split for item in items)]:
        raise DataError(
            f"{order.name}: nothing for {' and '.join(empty)} in {', '.join(map(str, order.sources.values()))}; "
            f"its sources are {'; '.join(f'{name}: {what}' for name, what in order.corpus.sources.items())}"
        )
    names = [(item.split, item.name) for item in items]
    assert len(set(names)) == len(names), "items of one split have names of their own"


def _identity(order: Order, items: Sequence[Item]) -> dict[str, Any]:
    """What makes two runs into one folder the same corpus."""
    plan = json.dumps([asdict(item) for item in items], sort_keys=True)
    return {
        "corpus": order.name,
        "settings": json.loads(json.dumps(asdict(order.corpus))),  # type: ignore[call-overload]
        "seed": order.seed,
        "software": _software(order.corpus),
        "sources": hashlib.sha256(plan.encode()).hexdigest(),
    }


def _software(corpus: Corpus) -> dict[str, str]:
    """Versions of what touches a sample."""
    return {
        "auscult": __version__,
        "soxr": soxr.__version__,
        "libsndfile": soundfile.__libsndfile_version__,
        **{package: getattr(need(package, "it"), "__version__", "") for package in corpus.needs},
    }


def _hashes(
    items: Sequence[Item], library: Library, state: State, workers: Workers, progress: Progress
) -> dict[tuple[str, str], str]:
    """The hash of every source file that is used."""
    used = sorted({(use.source, use.path) for item in items for use in item.uses})
    known = {one: sha256 for one in used if (sha256 := state.hash_of(library, *one)) is not None}
    missing = [one for one in used if one not in known]
    for done, (one, sha256) in enumerate(workers.run(_hash, missing), start=1):
        state.note_hash(library, *one, sha256)
        known[one] = sha256
        progress("hashing the sources", done, len(missing))
    return known


def _hash(bench: Bench, one: tuple[str, str]) -> str:
    return bench.library.sha256(*one)


def _stamp(item: Item, hashes: Mapping[tuple[str, str], str]) -> str:
    made_of = [asdict(item), [hashes[use.source, use.path] for use in item.uses]]
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:32]


def _check_room(order: Order, items: Sequence[Item]) -> None:
    """An estimate from above: FLAC is smaller than its samples."""
    wanted = sum(len(SIDES) * item.samples * _BYTES[order.corpus.subtype] for item in items)
    free = shutil.disk_usage(order.out).free
    if items and wanted + _SPARE_BYTES > free:
        raise OutputError(
            f"{order.out}: up to {wanted / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free; "
            "free some space, or choose another --out"
        )


def _make(jobs: Sequence[Job], state: State, workers: Workers, progress: Progress) -> dict[str, str]:
    """Make items and note them; those that failed, with the reason."""
    failed: dict[str, str] = {}
    for done, (job, result) in enumerate(workers.run(_made, jobs), start=1):
        if isinstance(result, Record):
            state.note(result)
        else:
            failed[f"{job.item.split}/{job.item.name}"] = result
        progress("making pairs", done, len(jobs))
    return failed


def _made(bench: Bench, job: Job) -> Record | str:
    """Make one item; the reason where its sources are damaged."""
    item = job.item
    try:
        made = bench.corpus.make(item, bench.library)
        _check_made(item, made)
    except Unusable as error:
        return Record(item.split, item.name, job.stamp, left_out=str(error))
    except AudioError as error:
        return str(error)
    made, gain_db = within_ceiling(made)
    rate_hz, samples = bench.corpus.rate_hz, made.clean.shape[1]
    files = {}
    for role, wave in zip(SIDES, (made.clean, made.noisy), strict=True):
        name = f"{item.split}/{role}/{item.name}.flac"
        path = bench.out / name
        form = Info(path, rate_hz, 1, samples, "FLAC", bench.corpus.subtype)
        write(path, Clip(wave, rate_hz), form, on_clip="keep")
        content = path.read_bytes()
        files[name] = (len(content), hashlib.sha256(content).hexdigest())
    facts = {"rate_hz": rate_hz, "duration_s": round(samples / rate_hz, 6), "gain_db": gain_db}
    return Record(item.split, item.name, job.stamp, files, {**item.drawn, **made.facts, **facts})


def _check_made(item: Item, made: Made) -> None:
    if made.clean.shape != made.noisy.shape or made.clean.shape[0] != 1:
        raise AudioError(f"{item.name}: sides of shapes {made.clean.shape} and {made.noisy.shape}")
    if not (np.isfinite(made.clean).all() and np.isfinite(made.noisy).all()):
        raise Unusable("not finite", item.name)


def within_ceiling(made: Made) -> tuple[Made, float]:
    """A pair that fits full scale, and the gain that both sides got for it, in decibels."""
    top = max(float(np.abs(side).max(initial=0.0)) for side in (made.clean, made.noisy))
    if top <= CEILING:
        return made, 0.0
    gain_db = np.floor(to_db((CEILING / top) ** 2) * 1e4) / 1e4
    gain = np.float32(amplitude(gain_db))
    return Made(made.clean * gain, made.noisy * gain, made.facts), float(gain_db)


def _publish(
    order: Order, records: Sequence[Record], hashes: Mapping[tuple[str, str], str], library: Library
) -> dict[str, Split]:
    """Write manifests, the list of sources, checksums and, last, where everything comes from."""
    made = [record for record in records if not record.left_out]
    texts = {f"{split}/{MANIFEST}": _manifest(made, split) for split in dict.fromkeys(r.split for r in made)}
    texts[SOURCES] = _jsonl(
        {"source": source, "path": name, "bytes": library.size(source, name), "sha256": sha256}
        for (source, name), sha256 in sorted(hashes.items())
    )
    sums = {name: sha256 for record in made for name, (_, sha256) in record.files.items()}
    sums |= {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    texts[CHECKSUMS] = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
    splits = {split: _summary(made, split) for split in order.corpus.splits}
    texts[PROVENANCE] = json.dumps(_provenance(order, records, splits, hashes, library), indent=1) + "\n"
    for name, text in texts.items():
        path = order.out / name
        if not path.is_file() or path.read_bytes() != text.encode():
            write_bytes(path, text.encode())
    return splits


def _manifest(made: Sequence[Record], split: str) -> str:
    """One line a pair; paths are relative to the split's folder."""
    return _jsonl(
        {
            "item": record.name,
            **{role: f"{role}/{record.name}.flac" for role in SIDES},
            "split": split,
            **record.facts,
        }
        for record in made
        if record.split == split
    )


def _jsonl(rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def _summary(made: Sequence[Record], split: str) -> Split:
    own = [record.facts for record in made if record.split == split]
    speakers = {facts["speaker"] for facts in own if "speaker" in facts}
    return Split(len(own), round(sum(facts["duration_s"] for facts in own), 3), len(speakers))


def _provenance(
    order: Order,
    records: Sequence[Record],
    splits: Mapping[str, Split],
    hashes: Mapping[tuple[str, str], str],
    library: Library,
) -> dict[str, Any]:
    used: dict[str, list[str]] = defaultdict(list)
    for source, name in hashes:
        used[source].append(name)
    return {
        "corpus": order.name,
        "title": order.corpus.title,
        "seed": order.seed,
        "limit": order.limit,
        "settings": asdict(order.corpus),  # type: ignore[call-overload]
        "software": _software(order.corpus),
        "resampler": f"soxr {QUALITY}",
        "format": f"FLAC {order.corpus.subtype}, {order.corpus.rate_hz} Hz",
        "ceiling": CEILING,
        "splits": {split: asdict(summary) for split, summary in splits.items()},
        "left_out": {f"{r.split}/{r.name}": r.left_out for r in records if r.left_out},
        "unreadable": sorted(library.unreadable),
        "sources": {
            source: {"files": len(names), "bytes": sum(library.size(source, name) for name in names)}
            for source, names in sorted(used.items())
        },
        "differences": list(order.corpus.differences),
    }
