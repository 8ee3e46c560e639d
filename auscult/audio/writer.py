"""Writing audio so that nothing is lost: aside and renamed, exact rate, channels and length, no silent clipping."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

import numpy as np
import soundfile
from jaxtyping import Float32
from numpy import ndarray

from auscult.audio.clip import Clip, Info
from auscult.errors import OutputError

OnClip = Literal["limit", "float", "keep"]
KNEE = 0.95
"""The limiter leaves samples below this untouched and bends the rest smoothly under full scale."""

FORMATS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".opus": "OGG", ".mp3": "MP3", ".aiff": "AIFF"}
FORMATS |= {".aif": "AIFF", ".au": "AU", ".caf": "CAF", ".w64": "W64", ".rf64": "RF64"}
"""Containers we write, by suffix."""
_DEFAULT_SUBTYPE = {"OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}
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
    container = FORMATS[suffix]
    if on_clip == "float":
        if not soundfile.check_format(container, "FLOAT"):
            raise OutputError(f"{path}: {container} holds no float samples; write .wav, or use --on-clip limit")
        return container, "FLOAT"
    if suffix == ".opus":
        return container, "OPUS"
    if source is not None and source.format == container and soundfile.check_format(container, source.subtype):
        return container, source.subtype
    return container, _DEFAULT_SUBTYPE.get(container, "PCM_16")


class Writer:
    """Write a file block by block, beside its final place, and rename it into place when it is complete.

    A failure leaves neither a half file nor a changed one behind.
    """

    def __init__(self, path: Path, rate_hz: int, channels: int, source: Info | None, on_clip: OnClip = "limit"):
        self.path, self.on_clip = path, on_clip
        self._aside = path.with_name(f".{path.name}.{os.getpid()}.part")
        container, subtype = format_for(path, source, on_clip)
        self._bounded = subtype not in ("FLOAT", "DOUBLE")
        self._over_count, self._peak = 0, 0.0
        if subtype == "OPUS" and rate_hz not in _OPUS_RATES_HZ:
            raise OutputError(f"{path}: opus holds {_OPUS_RATES_HZ} Hz, this is {rate_hz} Hz; write .wav or .flac")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = soundfile.SoundFile(str(self._aside), "w", rate_hz, channels, subtype, format=container)
        except (OSError, soundfile.SoundFileError) as error:
            self._discard()
            raise OutputError(f"{path}: cannot be written ({error}); choose another folder or format") from error

    @property
    def overs(self) -> Overs:
        """Samples over full scale so far, and the highest magnitude seen."""
        return Overs(self._over_count, self._peak)

    def write(self, wave: Float32[ndarray, "C T"]) -> None:
        """Append a block.

        Raises:
            OutputError: the disk is full or fails.
        """
        if wave.shape[1] == 0:
            return
        magnitude = np.abs(wave)
        self._peak = max(self._peak, float(magnitude.max()))
        if self._bounded:
            self._over_count += int((magnitude > 1.0).sum())
            wave = limit(wave) if self.on_clip == "limit" else np.clip(wave, -1.0, 1.0)
        try:
            self._file.write(wave.T)
        except (OSError, soundfile.SoundFileError) as error:
            raise OutputError(f"{self.path}: writing failed ({error}); is the disk full?") from error

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            with contextlib.suppress(OSError, soundfile.SoundFileError):
                self._file.close()
            self._discard()
            return
        try:
            self._file.close()
            with open(self._aside, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(self._aside, self.path)
        except (OSError, soundfile.SoundFileError) as failure:
            self._discard()
            raise OutputError(f"{self.path}: writing failed ({failure}); is the disk full?") from failure

    def _discard(self) -> None:
        with contextlib.suppress(OSError):
            self._aside.unlink()


def limit(wave: Float32[ndarray, "C T"]) -> Float32[ndarray, "C T"]:
    """Bend what exceeds :data:`KNEE` smoothly under full scale; identity below it, slope one at the knee."""
    magnitude = np.abs(wave)
    if magnitude.max(initial=0.0) <= KNEE:
        return wave
    bent = KNEE + (1.0 - KNEE) * np.tanh((magnitude - KNEE) / (1.0 - KNEE))
    return np.where(magnitude > KNEE, np.copysign(bent, wave), wave).astype(np.float32)


def write(path: str | Path, clip: Clip, source: Info | None = None, on_clip: OnClip = "limit") -> Overs:
    """Write a whole clip; see :class:`Writer`."""
    with Writer(Path(path), clip.rate_hz, clip.channels, source, on_clip) as writer:
        writer.write(clip.wave)
    return writer.overs
