"""Pairs of clean and noisy speech: recorded ones from folders or a manifest, and mixtures made on the fly.

Both kinds answer one question: *give item ``index`` for this key*. The key decides crop and degradations, so an
item's content depends on (seed, epoch, index) alone, and the noise is new every epoch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from os.path import relpath
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int64
from numpy import ndarray

from auscult.audio.clip import find_audio, probe
from auscult.audio.level import rms_db
from auscult.audio.resample import fit_length
from auscult.bounds import Count, Positive
from auscult.data.bank import BankSpec, FileBank, Mono, OtherRates
from auscult.data.corrections import Correction
from auscult.data.manifest import Entry, Listing, Wanted, agree, located, match_names, read_rows, select
from auscult.degrade.base import Banks, Degradation, Drawn, Signal, Unusable, degrade
from auscult.errors import AudioError, DataError
from auscult.rng import Key

SILENCE_DB = -60.0
"""A crop whose clean speech has a lower RMS level teaches nothing and has no SNR: another one is drawn."""


@dataclass(frozen=True)
class Pair:
    """One item. ``length`` counts the samples before zero-padding, ``crop_start`` where the crop began."""

    clean: Float32[ndarray, "C T"]
    noisy: Float32[ndarray, "C T"]
    rate_hz: int
    name: str
    crop_start: int
    length: int
    provenance: tuple[Drawn, ...] = ()
    conditions: Mapping[str, ndarray] = field(default_factory=dict)
    """What a net may be told beside the noisy signal, by name; the same names and shapes for all items of a source."""


@dataclass(frozen=True)
class PairBatch:
    """Items of equal length, stacked. ``valid`` is false where no usable item was found."""

    clean: Float32[ndarray, "B C T"]
    noisy: Float32[ndarray, "B C T"]
    lengths: Int64[ndarray, " B"]
    crop_start: Int64[ndarray, " B"]
    valid: Bool[ndarray, " B"]
    positions: tuple[int, ...]
    names: tuple[str, ...]
    provenance: tuple[tuple[Drawn, ...], ...]
    skipped: Mapping[str, int] = field(default_factory=dict)
    conditions: Mapping[str, ndarray] = field(default_factory=dict)
    """Stacked: an axis of items before the axes that an item's conditions have."""


class PairSource(ABC):
    """Where training and validation pairs come from."""

    rate_hz: int
    crop_s: float | None
    """Length of an item; None gives whole recordings."""

    @abstractmethod
    def __len__(self) -> int:
        """Items an epoch."""

    @abstractmethod
    def pair(self, index: int, key: Key) -> Pair:
        """Item ``index``, cropped and degraded as ``key`` decides.

        Raises:
            Unusable: this draw gives no usable item.
        """

    @abstractmethod
    def unreadable(self) -> Mapping[str, str]:
        """Files that were left out, with the reason."""

    @abstractmethod
    def digest(self) -> str:
        """Changes when the recordings do: part of a run's identity."""

    def no_conditions(self) -> Mapping[str, ndarray]:
        """The conditions of an item of which nothing is known; empty for sources without conditions."""
        return {}

    def noise_type(self, index: int) -> str | None:
        """What the manifest says of an item's noise; None where it says nothing."""
        return None

    def alike(self, index: int) -> Sequence[int]:
        """Other items with the same type of noise, where the recordings' lists say so."""
        return ()

    def recordings(self) -> Sequence[tuple[Entry, Entry | None]]:
        """The files behind the items: clean and noisy, of mixtures speech alone; empty where a source does not say."""
        return ()

    @property
    def crop_samples(self) -> int | None:
        return None if self.crop_s is None else round(self.crop_s * self.rate_hz)


class Mixture(PairSource):
    """Speech, degraded on the fly by a chain of degradations.

    Every ``crop_s`` of speech counts as one item of the epoch, drawn anywhere in its file. Shorter files are
    zero-padded at the end (the noise goes on).
    """

    def __init__(
        self,
        speech: BankSpec,
        degradations: tuple[Degradation, ...],
        banks: dict[str, BankSpec] | None = None,
        root: Path = Path(),
        rate_hz: Count = 16_000,
        crop_s: Positive | None = 3.0,
        mono: Mono = "mean",
        rates: OtherRates = "resample",
    ):
        self.rate_hz, self.crop_s, self._chain = rate_hz, crop_s, degradations
        listings = _listings({"speech": speech, **(banks or {})}, degradations, root)
        self._unreadable = {k: v for listing in listings.values() for k, v in listing.unreadable.items()}
        self._banks = {name: FileBank(listing.entries, rate_hz, mono, rates) for name, listing in listings.items()}
        self._speech = self._banks["speech"]
        crop = self.crop_samples
        counts = [
            1 if crop is None else max(1, round(self._speech.samples(i) / crop)) for i in range(len(self._speech))
        ]
        self._file_of_item = np.repeat(np.arange(len(self._speech)), counts)

    def __len__(self) -> int:
        return len(self._file_of_item)

    def unreadable(self) -> Mapping[str, str]:
        return self._unreadable

    def digest(self) -> str:
        return " ".join(f"{name}:{bank.digest()}" for name, bank in sorted(self._banks.items()))

    def recordings(self) -> Sequence[tuple[Entry, Entry | None]]:
        return [(entry, None) for entry in self._speech.entries]

    def pair(self, index: int, key: Key) -> Pair:
        file = int(self._file_of_item[index])
        start, length = draw_crop(self._speech, file, self.crop_samples, key)
        clean = fit_length(self._speech.read(file, start, length), self.crop_samples or length)
        if rms_db(clean) < SILENCE_DB:
            raise Unusable("silent speech", self._speech.name(file))
        pair = Pair(clean, clean, self.rate_hz, self._speech.name(file), start, length)
        return _degraded(pair, self._chain, key, self._banks)


class Pairs(PairSource):
    """Recorded pairs: two folders matched by name, or a manifest with the columns ``clean`` and ``noisy``.

    Of a manifest, ``where`` and ``exclude`` select rows; its column ``noise_type`` (or ``type``) says what is alike,
    ``lag_samples`` and ``gain`` correct a pair (:class:`auscult.data.corrections.Correction`).
    ``degradations`` act on them as on mixtures: filters of both sides, augmentation of what is heard, more noise.

    Raises:
        DataError: names that do not match, pairs of different length or rate, a bank that is missing.
    """

    def __init__(
        self,
        root: Path = Path(),
        clean: str = "clean",
        noisy: str = "noisy",
        manifest: str | None = None,
        where: dict[str, Wanted] | None = None,
        exclude: dict[str, Wanted] | None = None,
        degradations: tuple[Degradation, ...] = (),
        banks: dict[str, BankSpec] | None = None,
        rate_hz: Count = 16_000,
        crop_s: Positive | None = 3.0,
        mono: Mono = "mean",
        rates: OtherRates = "resample",
    ):
        self.rate_hz, self.crop_s, self._chain = rate_hz, crop_s, degradations
        if manifest:
            found = _manifest_pairs(root / manifest, where or {}, exclude or {})
        else:
            found = _folder_pairs(root / clean, root / noisy)
        entries, self._unreadable = _probed(found, root)
        self._clean = FileBank(tuple(a for a, _ in entries), rate_hz, mono, rates)
        self._noisy = FileBank(tuple(b for _, b in entries), rate_hz, mono, rates)
        listings = _listings(banks or {}, degradations, root)
        self._unreadable |= {k: v for listing in listings.values() for k, v in listing.unreadable.items()}
        self._banks = {name: FileBank(listing.entries, rate_hz, mono, rates) for name, listing in listings.items()}

    def __len__(self) -> int:
        return len(self._clean)

    def unreadable(self) -> Mapping[str, str]:
        return self._unreadable

    def digest(self) -> str:
        banks = {"clean": self._clean, "noisy": self._noisy, **self._banks}
        return " ".join(f"{name}:{bank.digest()}" for name, bank in banks.items())

    def recordings(self) -> Sequence[tuple[Entry, Entry | None]]:
        return list(zip(self._clean.entries, self._noisy.entries, strict=True))

    def noise_type(self, index: int) -> str | None:
        kind = self._noisy.entries[index].facts.get("noise_type")
        return None if kind is None else str(kind)

    def alike(self, index: int) -> Sequence[int]:
        kinds = [entry.facts.get("noise_type") for entry in self._noisy.entries]
        return [i for i, kind in enumerate(kinds) if kind is not None and kind == kinds[index] and i != index]

    def pair(self, index: int, key: Key) -> Pair:
        start, length = draw_crop(self._clean, index, self.crop_samples, key)
        total = self.crop_samples or length
        clean, noisy = (fit_length(bank.read(index, start, length), total) for bank in (self._clean, self._noisy))
        name = Path(self._clean.name(index)).name
        if self.crop_s is not None and rms_db(clean) < SILENCE_DB:
            raise Unusable("silent speech", name)
        return _degraded(Pair(clean, noisy, self.rate_hz, name, start, length), self._chain, key, self._banks)


def heard_type(source: PairSource, index: int, pair: Pair) -> str | None:
    """The type of an item's noise: of the loudest that was added, or as the source's manifest says."""
    added = [part for one in pair.provenance for part in one.get("sources", ())]
    return added[0].get("noise_type") if added else source.noise_type(index)


def _listings(specs: Mapping[str, BankSpec], chain: Sequence[Degradation], root: Path) -> dict[str, Listing]:
    """What each bank holds.

    Raises:
        DataError: a degradation needs a bank that is not there, or as the readers of banks.
    """
    for link in chain:
        for name in link.banks():
            if name not in specs:
                raise DataError(f"{type(link).__name__} needs the bank '{name}'; data.banks has {sorted(specs)}")
    return {name: spec.listing(root) for name, spec in specs.items()}


def _degraded(pair: Pair, chain: Sequence[Degradation], key: Key, banks: Banks) -> Pair:
    """The pair after a chain, with what was drawn.

    Raises:
        Unusable: as the links of the chain, or the result holds NaN or infinity.
    """
    signal, drawn = degrade(Signal(pair.clean, pair.noisy, pair.rate_hz), chain, key.child("degrade"), banks)
    if not (np.isfinite(signal.clean).all() and np.isfinite(signal.noisy).all()):
        raise Unusable("not finite", pair.name)
    return replace(pair, clean=signal.clean, noisy=signal.noisy, provenance=tuple(drawn))


def draw_crop(bank: FileBank, index: int, crop: int | None, key: Key) -> tuple[int, int]:
    """Start and length of a crop; the one draw that clean and noisy share."""
    total = bank.samples(index)
    if crop is None or total <= crop:
        return 0, total
    start = int(key.child("crop").numpy().integers(total - crop + 1))
    return start - start % bank.grid(index), crop


@dataclass(frozen=True)
class _Found:
    """Two files that belong together, and the manifest row that says so."""

    clean: Path
    noisy: Path
    row: Mapping[str, Any] = field(default_factory=dict)
    place: str = ""

    def facts(self, path: Path, root: Path) -> dict[str, Any]:
        """What stays with a file: its name, and the type of noise where the row tells."""
        kind = self.row.get("noise_type", self.row.get("type"))
        return {"path": relpath(path, root)} | ({} if kind is None else {"noise_type": kind})


def _folder_pairs(clean: Path, noisy: Path) -> list[_Found]:
    for folder in (clean, noisy):
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder; pairs need a clean and a noisy one")
    names, others = ([path.relative_to(folder) for path in find_audio(folder)] for folder in (clean, noisy))
    pairs = match_names(names, others)
    if not pairs:
        raise DataError(f"{clean}: no audio file in it")
    return [_Found(clean / a, noisy / b) for a, b in pairs]


def _manifest_pairs(manifest: Path, where: Mapping[str, Wanted], exclude: Mapping[str, Wanted]) -> list[_Found]:
    rows = select(read_rows(manifest), where, exclude)
    if not rows:
        raise DataError(f"{manifest}: no row fits where={where}, exclude={exclude}")
    found = []
    for row in rows:
        place = f"{manifest}:{row['line']}"
        clean, noisy = (located(manifest.parent, row, column, place) for column in ("clean", "noisy"))
        found.append(_Found(clean, noisy, row, place))
    return found


def _probed(found: list[_Found], root: Path) -> tuple[list[tuple[Entry, Entry]], dict[str, str]]:
    """Headers of all pairs, checked against each other and their rows; unreadable files are left out, with a reason.

    Raises:
        DataError: a pair that disagrees, or no pair left.
    """
    entries, unreadable = [], {}
    for pair in found:
        try:
            clean, noisy = (Entry(probe(p), pair.facts(p, root)) for p in (pair.clean, pair.noisy))
        except AudioError as error:
            unreadable[pair.clean.name] = str(error)
            continue
        for entry in (clean, noisy):
            agree(pair.row, entry.info, pair.place)
        entries.append(_brought_together(clean, noisy, Correction.of(pair.row, pair.place)))
    if not entries:
        raise DataError(f"no readable pair: {next(iter(unreadable.values()))}")
    return entries, unreadable


def _brought_together(clean: Entry, noisy: Entry, how: Correction) -> tuple[Entry, Entry]:
    """Both sides as they are used.

    Raises:
        DataError: they differ in rate, or in length where no lag is said, or a lag leaves nothing of them.
    """
    a, b = clean.info, noisy.info
    if a.rate_hz != b.rate_hz or (how.lag_samples is None and a.samples != b.samples):
        raise DataError(
            f"{a.path.name}: clean has {a.samples} samples at {a.rate_hz} Hz, noisy {b.samples} at {b.rate_hz} Hz; "
            "a pair must agree in both"
        )
    samples = how.shared(a.samples, b.samples)
    if samples <= 0:
        raise DataError(f"{a.path.name}: a lag of {how.lag_samples} samples leaves nothing of {b.samples}; correct it")
    first, other = how.starts
    return (
        replace(clean, info=replace(a, samples=samples), first=first, gain=how.gain),
        replace(noisy, info=replace(b, samples=samples), first=other),
    )
