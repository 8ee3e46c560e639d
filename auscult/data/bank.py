"""A bank of recordings at one rate and one channel, whatever the files are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import gcd
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from auscult.audio.clip import read, to_mono
from auscult.audio.resample import fit_length, resample, resampled_length
from auscult.data.manifest import Entry, Listing, Wanted, from_folder, from_manifest
from auscult.degrade.base import Unusable
from auscult.errors import AudioError, DataError

Mono = Literal["mean", "first", "refuse"]
OtherRates = Literal["resample", "refuse"]

CACHE_BYTES = 256 * 2**20
"""A bank whose decoded audio fits in this is decoded once and kept; of a larger one parts are read as asked for."""
_MARGIN = 1024
"""Source samples read on either side of a part that is resampled, so that its edges do not ring."""


@dataclass(frozen=True)
class BankSpec:
    """Where a bank's recordings are: a JSONL manifest (with a selection) or a folder, relative to the data root."""

    manifest: str | None = None
    folder: str | None = None
    where: dict[str, Wanted] = field(default_factory=dict)
    exclude: dict[str, Wanted] = field(default_factory=dict)

    def listing(self, root: Path) -> Listing:
        """The recordings.

        Raises:
            DataError: neither or both of manifest and folder given, or as the readers of either.
        """
        if (self.manifest is None) == (self.folder is None):
            raise DataError("a bank needs either 'manifest' or 'folder'")
        if self.manifest is not None:
            return from_manifest(root / self.manifest, self.where, self.exclude)
        return from_folder(root / str(self.folder))


class FileBank:
    """Recordings read on demand, resampled and mixed to mono by an explicit policy; small banks stay in memory."""

    def __init__(self, entries: tuple[Entry, ...], rate_hz: int, mono: Mono = "mean", rates: OtherRates = "resample"):
        self.entries, self.rate_hz, self._mono = entries, rate_hz, mono
        self._decoded: dict[int, ndarray] = {}
        self._keep = 4 * sum(round(e.info.duration_s * rate_hz) for e in entries) <= CACHE_BYTES
        for entry in entries:
            if rates == "refuse" and entry.info.rate_hz != rate_hz:
                raise DataError(
                    f"{entry.name}: {entry.info.rate_hz} Hz where the recipe works at {rate_hz} Hz; "
                    "set rates: resample, or give files of that rate"
                )
            if mono == "refuse" and entry.info.channels > 1:
                raise DataError(f"{entry.name}: {entry.info.channels} channels; set mono: mean or first")

    def __len__(self) -> int:
        return len(self.entries)

    def samples(self, index: int) -> int:
        info = self.entries[index].info
        return resampled_length(info.samples, info.rate_hz, self.rate_hz)

    def name(self, index: int) -> str:
        return self.entries[index].name

    def describe(self, index: int) -> dict[str, Any]:
        facts: Mapping[str, Any] = self.entries[index].facts
        kept = {k: facts[k] for k in ("speaker", "noise_type", "place", "t60_s") if k in facts}
        return {"name": self.name(index), **kept}

    def digest(self) -> str:
        """Hash of names, lengths and rates: what the bank holds, wherever it lies."""
        held = [entry.identity for entry in self.entries]
        return hashlib.sha256(repr(held).encode()).hexdigest()[:16]

    def grid(self, index: int) -> int:
        """Crops of a file start at multiples of this, so that they fall on whole samples at the file's own rate."""
        own_hz = self.entries[index].info.rate_hz
        return self.rate_hz // gcd(own_hz, self.rate_hz)

    def read(self, index: int, start: int, samples: int) -> Float32[ndarray, "1 T"]:
        """A part of a recording, zero-extended where it ends early.

        Raises:
            Unusable: the file cannot be decoded, or holds NaN or infinity.
        """
        try:
            part = self._whole(index)[:, start : start + samples] if self._keep else self._part(index, start, samples)
        except AudioError as error:
            raise Unusable("unreadable", str(error)) from error
        if not np.isfinite(part).all():
            raise Unusable("not finite", self.name(index))
        gain = self.entries[index].gain
        return fit_length(part if gain == 1.0 else part * np.float32(gain), samples)

    def _whole(self, index: int) -> Float32[ndarray, "1 T"]:
        if index not in self._decoded:
            entry = self.entries[index]
            clip = read(entry.info.path, entry.first, entry.info.samples)
            mono = to_mono(clip.wave, self._mono, clip.name)
            self._decoded[index] = resample(mono, clip.rate_hz, self.rate_hz)
        return self._decoded[index]

    def _part(self, index: int, start: int, samples: int) -> Float32[ndarray, "1 T"]:
        info, offset = self.entries[index].info, self.entries[index].first
        if info.rate_hz == self.rate_hz:
            samples = min(samples, info.samples - start)
            return to_mono(read(info.path, offset + start, samples).wave, self._mono, info.path.name)
        # Read with a margin of whole grid steps, convert, cut the margin off.
        up, down = self.rate_hz // gcd(info.rate_hz, self.rate_hz), info.rate_hz // gcd(info.rate_hz, self.rate_hz)
        lead = min(start // up, -(-_MARGIN // down))
        first = (start // up - lead) * down
        wanted = min(info.samples - first, (lead + -(-samples // up)) * down + _MARGIN)
        clip = read(info.path, offset + first, wanted)
        wave = resample(to_mono(clip.wave, self._mono, clip.name), info.rate_hz, self.rate_hz)
        return wave[:, lead * up + start % up :][:, :samples]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_decoded": {}}
