"""Writing audio so that nothing is lost: aside and renamed, exact rate, channels and length, no silent clipping."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

import numpy as np
import soundfile
from jaxtyping import Float32
from numpy import ndarray

from auscult.audio.clip import Clip
from auscult.audio.info import Info
from auscult.audio.limiter import Limiter
from auscult.errors import OutputError
from auscult.files import aside

OnClip = Literal["limit", "float", "keep"]
FORMATS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".opus": "OGG", ".mp3": "MP3", ".aiff": "AIFF"}
FORMATS |= {".aif": "AIFF", ".au": "AU", ".caf": "CAF", ".w64": "W64", ".rf64": "RF64"}
"""Containers we write, by suffix."""
_DEFAULT_SUBTYPE = {"OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}
_DEEP = {"PCM_24", "PCM_32", "FLOAT", "DOUBLE"}
"""Sample formats of more than 16 bits, kept as 24 where a container has not the format itself."""
_RIFF = {"WAV", "WAVEX", "RF64"}
"""What goes by the name .wav."""
_WAV_LIMIT_BYTES = 4 * 2**30
_TAIL = 8_192
_OPUS_RATES_HZ = (8_000, 12_000, 16_000, 24_000, 48_000)


@dataclass(frozen=True)
class Overs:
    """What went over full scale while writing."""

    count: int
    peak: float


def format_for(path: Path, source: Info | None, on_clip: OnClip) -> tuple[str, str]:
    """Container and sample format of an output: the source's own where the container holds it.

    Raises:
        OutputError: a suffix we do not write, or ``on_clip="float"`` in a container without float samples.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise OutputError(f"{path}: cannot write {suffix or 'a file without suffix'}; allowed: {', '.join(FORMATS)}")
    container = _container(FORMATS[suffix], source)
    if on_clip == "float":
        if not soundfile.check_format(container, "FLOAT"):
            raise OutputError(f"{path}: {container} holds no float samples; write .wav, or use --on-clip limit")
        return container, "FLOAT"
    if suffix == ".opus":
        return container, "OPUS"
    if source is not None and _keeps(container, source) and soundfile.check_format(container, source.subtype):
        return container, source.subtype
    deep = source is not None and source.subtype in _DEEP and soundfile.check_format(container, "PCM_24")
    return container, "PCM_24" if deep else _DEFAULT_SUBTYPE.get(container, "PCM_16")


def _keeps(container: str, source: Info) -> bool:
    """Codecs belong to their container; linear samples go anywhere."""
    related = source.format == container or {source.format, container} <= {*_RIFF, "W64"}
    return related or source.subtype in {*_DEEP, "PCM_16"}


def _container(container: str, source: Info | None) -> str:
    """Plain WAV ends at 4 GiB: the source's kind of WAV, or RF64 for what may outgrow it."""
    if container != "WAV" or source is None:
        return container
    if 8 * source.samples * source.channels > _WAV_LIMIT_BYTES:
        return "RF64"
    return source.format if source.format in _RIFF else container


class Writer:
    """Write a file block by block, aside, and rename it into place when it is complete.

    A failure leaves neither a half file nor a changed one behind.
    """

    def __init__(self, path: Path, rate_hz: int, channels: int, source: Info | None, on_clip: OnClip = "limit"):
        self.path, self._on_clip = path, on_clip
        container, subtype = format_for(path, source, on_clip)
        if subtype == "OPUS" and rate_hz not in _OPUS_RATES_HZ:
            raise OutputError(f"{path}: opus holds {_OPUS_RATES_HZ} Hz, this is {rate_hz} Hz; write .wav or .flac")
        self._bounded = subtype not in ("FLOAT", "DOUBLE")
        self._limiter = Limiter(rate_hz, channels) if self._bounded and on_clip == "limit" else None
        self._over_count, self._peak, self._written = 0, 0.0, 0
        self._stack = ExitStack()
        self._advice = f"does its format hold {channels} channels at {rate_hz} Hz? write .wav instead"
        with self._failures():
            part = self._stack.enter_context(aside(path))
            self._file = soundfile.SoundFile(str(part), "w", rate_hz, channels, subtype, format=container)
            self._stack.callback(self._file.close)
        self._advice = "is the disk full?"

    @property
    def overs(self) -> Overs:
        """Samples over full scale so far, and the highest magnitude seen."""
        return Overs(self._over_count, self._peak)

    def write(self, wave: Float32[ndarray, "C T"]) -> None:
        """Append a block.

        Raises:
            OutputError: NaN or infinity, or the disk is full or fails.
        """
        if wave.shape[1] == 0:
            return
        if not np.isfinite(wave).all():
            raise OutputError(f"{self.path}: the result holds NaN or infinity, so nothing is written")
        magnitude = np.abs(wave)
        self._peak = max(self._peak, float(magnitude.max()))
        self._over_count += int((magnitude > 1.0).sum())
        self._append(wave if self._limiter is None else self._limiter.push(wave))

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._failures(), self._stack:
            if self._limiter is not None:
                self._append(self._limiter.finish())
            self._file.close()
            self._check_complete()

    def _check_complete(self) -> None:
        """Encoders flush when they close, and libsndfile says nothing of a disk that is full by then."""
        if self._file.format == "MP3":  # its decoder grumbles on standard error at many a good file
            _check_room(Path(self._file.name))
            return
        try:
            with soundfile.SoundFile(self._file.name) as file:
                found = _decodable(file)
        except soundfile.SoundFileError:
            found = 0
        if found < self._written:  # codecs with blocks may hold more
            raise OutputError(f"{self.path}: {found} of {self._written} samples could be written; is the disk full?")

    def _append(self, wave: Float32[ndarray, "C _"]) -> None:
        self._written += wave.shape[1]
        with self._failures():
            self._file.write((np.clip(wave, -1.0, 1.0) if self._bounded else wave).T)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """What libsndfile says of a failing disk, in our words; the part is removed."""
        try:
            yield
        except soundfile.SoundFileError as failure:
            with suppress(soundfile.SoundFileError):
                self._stack.__exit__(type(failure), failure, None)
            reason = str(failure).rpartition(": ")[2].rstrip(".")
            raise OutputError(f"{self.path}: cannot be written ({reason}); {self._advice}") from failure


def _check_room(path: Path) -> None:
    """Where a last block found no room, a larger one finds none either.

    Raises:
        OSError: the disk is full.
    """
    size = path.stat().st_size
    with open(path, "r+b", buffering=0) as file:
        file.seek(size)
        file.write(bytes(2**16))
        os.fsync(file.fileno())
        file.truncate(size)


def _decodable(file: soundfile.SoundFile) -> int:
    """Samples that are there; headers may promise more."""
    if not file.seekable():
        return sum(iter(lambda: len(file.read(2**16)), 0))
    tail = min(file.frames, _TAIL)
    file.seek(-tail, soundfile.SEEK_END)
    return int(file.frames) - tail + len(file.read(_TAIL))


def write(path: str | Path, clip: Clip, source: Info | None = None, on_clip: OnClip = "limit") -> Overs:
    """Write a whole clip; see :class:`Writer`."""
    with Writer(Path(path), clip.rate_hz, clip.channels, source, on_clip) as writer:
        writer.write(clip.wave)
    return writer.overs
