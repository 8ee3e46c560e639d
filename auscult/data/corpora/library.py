"""The source folders of a corpus: what is in them, in sorted order, and reading parts of it. Zip files are folders."""

from __future__ import annotations

import hashlib
import io
import os
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np
import soundfile
from jaxtyping import Float32
from numpy import ndarray

from auscult.audio.clip import Clip, check_finite, probe, read, to_mono
from auscult.audio.info import AUDIO_SUFFIXES
from auscult.audio.resample import fit_length, resample, resampled_length
from auscult.degrade.noise import SEAM_S, loop
from auscult.errors import AudioError, DataError

ZIP = ".zip"
MARGIN_S = 0.05
"""Read on either side of a part that is resampled, so that its edges do not ring."""
_BLOCK = 2**20
_JUNK = re.compile(r"(^|/)(__MACOSX|\._)")
"""What some archivers add."""


@dataclass(frozen=True)
class File:
    """An audio file of a source: path relative to the source folder, length in samples at its own rate."""

    source: str
    path: str
    rate_hz: int
    channels: int
    samples: int

    @property
    def stem(self) -> str:
        return PurePosixPath(self.path).stem

    @property
    def duration_s(self) -> float:
        return self.samples / self.rate_hz


def resampled(role: str, file: File, rate_hz: int) -> dict[str, int]:
    """For an item's facts: from which rate a file is resampled, if it is."""
    return {} if file.rate_hz == rate_hz else {f"{role}_resampled_from_hz": file.rate_hz}


@dataclass(frozen=True)
class Use:
    """A part of a source file that goes into an item, in samples of the file; ``stop`` None is its end."""

    source: str
    path: str
    start: int = 0
    stop: int | None = None


@dataclass
class Library:
    """Source folders by name; ``unreadable`` collects files that cannot be read, with the reason."""

    roots: Mapping[str, Path]
    unreadable: dict[str, str] = field(default_factory=dict)
    _listed: dict[str, list[str]] = field(default_factory=dict, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {"roots": self.roots, "unreadable": {}, "_listed": {}}

    def names(self, source: str) -> list[str]:
        """All files of a source, by relative path, sorted."""
        if source not in self._listed:
            self._listed[source] = sorted(_walk(self.roots[source]))
        return self._listed[source]

    def matching(self, source: str, pattern: str) -> list[str]:
        """Files whose relative path holds a regular expression (in any case)."""
        compiled = re.compile(pattern, re.IGNORECASE)
        return [name for name in self.names(source) if compiled.search(name)]

    def within(self, source: str, folder: str) -> list[str]:
        """Audio files below every folder of this name, wherever it is; below zip files of this name where none is."""
        audio = [name for name in self.names(source) if PurePosixPath(name).suffix.lower() in AUDIO_SUFFIXES]
        found = [name for name in audio if folder.lower() in PurePosixPath(name.lower()).parts[:-1]]
        if found:
            return found
        zips = [name for name in self.names(source) if PurePosixPath(name).name.lower() == folder.lower() + ZIP]
        return [f"{archive}/{member}" for archive in zips for member in self._members(source, archive)]

    def _members(self, source: str, archive: str) -> list[str]:
        path = self.roots[source] / archive
        try:
            members = _archive(path).namelist()
        except (zipfile.BadZipFile, OSError) as error:
            raise DataError(f"{path}: cannot be read as a zip file ({error}); download it again") from error
        audio = [name for name in members if PurePosixPath(name).suffix.lower() in AUDIO_SUFFIXES]
        return sorted(name for name in audio if not _JUNK.search(name))

    def wanted(self, source: str, names: Sequence[str], what: str) -> list[str]:
        """The names, where there are any.

        Raises:
            DataError: there are none; says what was looked for, where, and what is there instead.
        """
        if names:
            return list(names)
        top = sorted({PurePosixPath(name).parts[0] for name in self.names(source)})
        there = ", ".join(top[:6]) + (", ..." if len(top) > 6 else "") or "nothing"
        raise DataError(f"{self.roots[source]}: no {what} below it (source '{source}'); there is {there}")

    def files(self, source: str, names: Sequence[str], rate_hz: int | None = None) -> list[File]:
        """The readable of these files, with what their headers say; the others are noted in ``unreadable``.

        Raises:
            DataError: files at another rate than ``rate_hz``; named.
        """
        found = [file for name in names if (file := self._probed(source, name)) is not None]
        wrong = [file for file in found if rate_hz is not None and file.rate_hz != rate_hz]
        if wrong:
            first = wrong[0]
            raise DataError(
                f"{self.roots[source] / first.path}: {first.rate_hz} Hz where {rate_hz} Hz is expected "
                f"({len(wrong)} of {len(found)} files of '{source}'); give the files as they were published"
            )
        return found

    def _probed(self, source: str, name: str) -> File | None:
        try:
            if self._zipped(source, name) is None:
                info = probe(self.roots[source] / name)
                return File(source, name, info.rate_hz, info.channels, info.samples)
            clip = self.read(source, name)
            return File(source, name, clip.rate_hz, clip.channels, clip.samples)
        except AudioError as error:
            self.unreadable[f"{source}/{name}"] = str(error)
            return None

    def _zipped(self, source: str, name: str) -> tuple[Path, str] | None:
        """The zip file that holds this file, and its name in there."""
        before, cut, member = name.partition(ZIP + "/")
        archive = self.roots[source] / (before + ZIP)
        return (archive, member) if cut and archive.is_file() else None

    @contextmanager
    def opened(self, source: str, name: str) -> Iterator[IO[bytes]]:
        """A file's bytes."""
        inside = self._zipped(source, name)
        if inside is None:
            with open(self.roots[source] / name, "rb") as file:
                yield file
        else:
            with _archive(inside[0]).open(inside[1]) as member:
                yield member

    def size(self, source: str, name: str) -> int:
        """Bytes of a file, uncompressed."""
        inside = self._zipped(source, name)
        if inside is None:
            return (self.roots[source] / name).stat().st_size
        return _archive(inside[0]).getinfo(inside[1]).file_size

    def stamp(self, source: str, name: str) -> list[int]:
        """Changes when the file does: size and time of the file, or of the zip file that holds it."""
        inside = self._zipped(source, name)
        status = (self.roots[source] / name if inside is None else inside[0]).stat()
        return [status.st_size, status.st_mtime_ns]

    def sha256(self, source: str, name: str) -> str:
        """Hash of a file's bytes."""
        total = hashlib.sha256()
        with self.opened(source, name) as file:
            while block := file.read(_BLOCK):
                total.update(block)
        return total.hexdigest()

    def text(self, source: str, name: str) -> str:
        """A text file."""
        with self.opened(source, name) as file:
            return file.read().decode("utf-8-sig", errors="replace")

    def read(self, source: str, name: str, start: int = 0, stop: int | None = None) -> Clip:
        """Samples of a file, at its own rate and channels.

        Raises:
            AudioError: damaged, cut short, or not finite.
        """
        if self._zipped(source, name) is None:
            clip = read(self.roots[source] / name, start, None if stop is None else stop - start)
        else:
            clip = self._unzipped(source, name, start, stop)
        check_finite(clip.wave, name, start)
        return clip

    def _unzipped(self, source: str, name: str, start: int, stop: int | None) -> Clip:
        try:
            with self.opened(source, name) as member:
                wave, rate_hz = soundfile.read(io.BytesIO(member.read()), dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, zipfile.BadZipFile, OSError) as error:
            raise AudioError(f"{name}: cannot be decoded ({error}): it is damaged or truncated") from error
        if not wave.size:
            raise AudioError(f"{name}: no samples in this file")
        return Clip(np.ascontiguousarray(wave[start:stop].T), rate_hz, PurePosixPath(name).name)

    def mono(self, use: Use, rate_hz: int) -> Float32[ndarray, "1 T"]:
        """A part of a file as one channel (mean of several), resampled."""
        clip = self.read(use.source, use.path, use.start, use.stop)
        return resample(to_mono(clip.wave, "mean", clip.name), clip.rate_hz, rate_hz)

    def noise(self, use: Use, samples: int, rate_hz: int, channel: int | None = None) -> Float32[ndarray, "1 T"]:
        """Exactly ``samples`` samples of a part that :func:`draw_part` chose; looped with cross-fades if too short."""
        clip = self.read(use.source, use.path, use.start, use.stop)
        wave = to_mono(clip.wave, "mean", clip.name) if channel is None else clip.wave[channel : channel + 1]
        wave = resample(wave, clip.rate_hz, rate_hz)
        lead = 0 if clip.rate_hz == rate_hz else round(MARGIN_S * rate_hz)
        if wave.shape[1] >= samples + lead:
            return fit_length(wave[:, lead:], samples)
        return loop(wave, 0, samples, round(SEAM_S * rate_hz))


@dataclass(frozen=True)
class Span:
    """The part of a recording that a split may use, in samples of the file."""

    file: File
    start: int
    stop: int


def draw_part(rng: np.random.Generator, span: Span, samples: int, rate_hz: int) -> Use:
    """Where ``samples`` samples at ``rate_hz`` are taken from; the whole span where it is shorter than that."""
    own_hz = span.file.rate_hz
    wanted = resampled_length(samples, rate_hz, own_hz)
    if own_hz != rate_hz:
        wanted += 2 * round(MARGIN_S * own_hz)
    room = span.stop - span.start - wanted
    start = span.start + (int(rng.integers(room + 1)) if room > 0 else 0)
    return Use(span.file.source, span.file.path, start, min(start + wanted, span.stop))


def named_uniquely(files: Sequence[File]) -> dict[str, File]:
    """Files by stem; by folders and stem, joined with ``_``, where stems repeat."""
    by_stem = {file.stem: file for file in files}
    if len(by_stem) == len(files):
        return by_stem
    return {"_".join(PurePosixPath(file.path).with_suffix("").parts): file for file in files}


def _walk(root: Path) -> Iterator[str]:
    """Relative paths of all files below a folder; links are followed."""
    for folder, _, names in os.walk(root, followlinks=True):
        below = Path(folder).relative_to(root)
        yield from (name for file in names if not _JUNK.search(name := (below / file).as_posix()))


@lru_cache(maxsize=16)
def _archive(path: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)
