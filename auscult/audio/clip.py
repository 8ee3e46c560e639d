"""A recording in memory, and reading it from disk.

libsndfile (through soundfile) reads wav, flac, ogg/vorbis, ogg/opus, mp3 and many more. What it cannot read is
offered to PyAV, if that is installed. Nothing here changes a sample: no resampling, no mixing of channels, no
normalisation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
from jaxtyping import Float32
from numpy import ndarray

from auscult.audio import foreign
from auscult.audio.info import AUDIO_SUFFIXES, FOREIGN_SUFFIXES, Info
from auscult.errors import AudioError


@dataclass(frozen=True)
class Clip:
    """Audio as it stands on disk.

    ``wave`` is float32 of shape (C, T), full scale 1.0; ``name`` is for messages and reports.
    """

    wave: Float32[ndarray, "C T"]
    rate_hz: int
    name: str = "array"

    @property
    def channels(self) -> int:
        return int(self.wave.shape[0])

    @property
    def samples(self) -> int:
        return int(self.wave.shape[1])

    @property
    def duration_s(self) -> float:
        return self.samples / self.rate_hz

    def with_wave(self, wave: Float32[ndarray, "C T"]) -> Clip:
        """The same clip with other samples."""
        return replace(self, wave=wave)


def as_wave(wave: ndarray, name: str = "array") -> Float32[ndarray, "C T"]:
    """Any array of samples of shape (T,) or (C, T) as float32 (C, T); integers are scaled to full scale 1.

    Raises:
        AudioError: more than two axes, no samples, or more channels than samples (a transposed array).
    """
    wave = np.asarray(wave)
    if wave.dtype == np.uint8:
        wave = (wave.astype(np.float32) - 128.0) / 128.0
    elif wave.dtype in (np.int16, np.int32):
        wave = wave.astype(np.float32) / -float(np.iinfo(wave.dtype).min)
    elif not np.issubdtype(wave.dtype, np.floating):
        raise AudioError(
            f"{name}: samples of type {wave.dtype}; give floats, or integers of 8 (unsigned), 16 or 32 bits"
        )
    wave = np.atleast_2d(wave.astype(np.float32, copy=False))
    if wave.ndim != 2 or wave.size == 0:
        raise AudioError(f"{name}: an array of shape {wave.shape} is not audio; give (samples,) or (channels, samples)")
    if wave.shape[0] > wave.shape[1] and wave.shape[0] > 32:
        raise AudioError(f"{name}: {wave.shape[0]} channels of {wave.shape[1]} samples look transposed; give (C, T)")
    return wave


def check_finite(wave: Float32[ndarray, "C T"], name: str, offset: int = 0) -> None:
    """Refuse NaN and infinity, naming how many and where the first is.

    Raises:
        AudioError: a sample is not finite.
    """
    bad = ~np.isfinite(wave)
    if bad.any():
        first = offset + int(np.argmax(bad.any(axis=0)))
        raise AudioError(
            f"{name}: {int(bad.sum())} samples are NaN or infinite, the first at sample {first}; "
            "allowed are finite numbers: export the recording again, or cut that part out"
        )


def probe(path: str | Path) -> Info:
    """Read a file's header.

    Raises:
        AudioError: missing, a folder, empty, or not audio.
        MissingExtra: a format that only PyAV reads, and PyAV is not installed.
    """
    path = _existing(path)
    try:
        header = soundfile.info(str(path))
    except soundfile.LibsndfileError as error:
        return foreign.probe(path, _reason(error))
    if header.frames == 0:
        raise AudioError(f"{path}: no samples in this file; give a recording of at least one sample")
    return Info(path, header.samplerate, header.channels, header.frames, header.format, header.subtype)


def read(path: str | Path, start: int = 0, samples: int | None = None) -> Clip:
    """Read ``samples`` samples from ``start`` (all by default), at the file's own rate and channels.

    Raises:
        AudioError: as :func:`probe`; also when the part asked for lies outside the file, or it is cut short.
    """
    info = probe(path)
    wanted = info.samples - start if samples is None else samples
    if not 0 <= start <= info.samples or wanted <= 0 or start + wanted > info.samples:
        raise AudioError(f"{path}: samples {start} to {start + wanted} were asked for, it has {info.samples}")
    if info.format == foreign.FORMAT:
        whole = np.concatenate(list(foreign.blocks(info.path)), axis=1)
        return Clip(np.ascontiguousarray(whole[:, start : start + wanted]), info.rate_hz, info.path.name)
    try:
        with soundfile.SoundFile(str(path)) as file:
            if start:
                file.seek(start)
            wave = file.read(wanted, dtype="float32", always_2d=True).T
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{path}: cannot be decoded ({_reason(error)}): it is damaged or truncated") from error
    if wave.shape[1] != wanted:
        raise AudioError(f"{path}: the header promises {wanted} samples, {wave.shape[1]} can be read: it is truncated")
    return Clip(np.ascontiguousarray(wave), info.rate_hz, info.path.name)


def blocks(path: str | Path, block_samples: int) -> Iterator[Float32[ndarray, "C T"]]:
    """A file in consecutive blocks, so that memory does not grow with its length.

    Raises:
        AudioError: as :func:`read`, where the damage is reached.
    """
    info = probe(path)
    if info.format == foreign.FORMAT:
        yield from foreign.blocks(info.path, block_samples)
        return
    given = 0
    try:
        with soundfile.SoundFile(str(path)) as file:
            while (wave := file.read(block_samples, dtype="float32", always_2d=True)).shape[0]:
                given += wave.shape[0]
                yield np.ascontiguousarray(wave.T)
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{path}: cannot be decoded ({_reason(error)}): it is damaged or truncated") from error
    if given < info.samples:
        raise AudioError(f"{path}: the header promises {info.samples} samples, {given} can be read: it is truncated")


def find_audio(folder: Path) -> list[Path]:
    """All audio files below a folder, sorted by path."""
    suffixes = AUDIO_SUFFIXES + FOREIGN_SUFFIXES
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in suffixes and p.is_file())


def to_mono(wave: Float32[ndarray, "C T"], policy: str, name: str) -> Float32[ndarray, "1 T"]:
    """Reduce channels to one by an explicit policy: ``mean``, ``first``, or ``refuse``.

    Raises:
        AudioError: several channels under the policy ``refuse``.
    """
    if wave.shape[0] == 1:
        return wave
    if policy == "mean":
        return wave.mean(axis=0, keepdims=True)
    if policy == "first":
        return wave[:1]
    raise AudioError(f"{name}: {wave.shape[0]} channels where one is expected; set mono to mean or first")


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.exists():
        raise AudioError(f"{path}: no such file")
    if path.is_dir():
        raise AudioError(f"{path}: is a folder, an audio file is needed")
    if path.stat().st_size == 0:
        raise AudioError(f"{path}: the file is empty (0 bytes)")
    return path


def _reason(error: soundfile.LibsndfileError) -> str:
    return str(error).rpartition(": ")[2].rstrip(".")
