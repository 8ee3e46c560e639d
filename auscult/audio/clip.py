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

from auscult.errors import AudioError, MissingExtra, need

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".au", ".caf", ".w64", ".rf64")
FOREIGN_SUFFIXES = (".m4a", ".mp4", ".aac", ".webm", ".mkv", ".amr", ".wma", ".mov", ".3gp")


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


@dataclass(frozen=True)
class Info:
    """What a file's header says."""

    path: Path
    rate_hz: int
    channels: int
    samples: int
    format: str
    subtype: str

    @property
    def duration_s(self) -> float:
        return self.samples / self.rate_hz


def as_wave(wave: ndarray, name: str = "array") -> Float32[ndarray, "C T"]:
    """Any float or integer array of shape (T,) or (C, T) as float32 (C, T); integers are scaled to full scale 1.

    Raises:
        AudioError: more than two axes, no samples, or more channels than samples (a transposed array).
    """
    wave = np.asarray(wave)
    if np.issubdtype(wave.dtype, np.integer):
        wave = wave.astype(np.float32) / float(2 ** (8 * wave.dtype.itemsize - 1))
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
        return _foreign_clip(path, error)[1]
    if header.frames == 0:
        raise AudioError(f"{path}: no samples in this file; give a recording of at least one sample")
    return Info(path, header.samplerate, header.channels, header.frames, header.format, header.subtype)


def read(path: str | Path, start: int = 0, samples: int | None = None) -> Clip:
    """Read ``samples`` samples from ``start`` (all by default), at the file's own rate and channels.

    Raises:
        AudioError: as :func:`probe`; also when the part asked for lies outside the file, or it is cut short.
    """
    path = _existing(path)
    try:
        with soundfile.SoundFile(str(path)) as file:
            rate_hz, total = file.samplerate, file.frames
            wanted = total - start if samples is None else samples
            if not 0 <= start <= total or wanted <= 0 or start + wanted > total:
                raise AudioError(f"{path}: samples {start} to {start + wanted} were asked for, it has {total}")
            file.seek(start)
            wave = file.read(wanted, dtype="float32", always_2d=True).T
    except soundfile.LibsndfileError as error:
        clip, _ = _foreign_clip(path, error)
        stop = clip.samples if samples is None else start + samples
        return clip.with_wave(clip.wave[:, start:stop])
    if wave.shape[1] != wanted:
        raise AudioError(f"{path}: the header promises {wanted} samples, {wave.shape[1]} can be read: it is truncated")
    return Clip(np.ascontiguousarray(wave), rate_hz, path.name)


def blocks(path: str | Path, block_samples: int) -> Iterator[Float32[ndarray, "C T"]]:
    """A file in consecutive blocks, so that memory does not grow with its length."""
    path = _existing(path)
    try:
        with soundfile.SoundFile(str(path)) as file:
            while (wave := file.read(block_samples, dtype="float32", always_2d=True)).shape[0]:
                yield np.ascontiguousarray(wave.T)
    except soundfile.LibsndfileError as error:
        wave = _foreign_clip(path, error)[0].wave
        for start in range(0, wave.shape[1], block_samples):
            yield wave[:, start : start + block_samples]


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


def _foreign_clip(path: Path, reason: Exception) -> tuple[Clip, Info]:
    """Decode with PyAV what libsndfile refused."""
    refused = f"{path}: not audio that libsndfile reads ({str(reason).rpartition(': ')[2].rstrip('.')})"
    if path.suffix.lower() not in FOREIGN_SUFFIXES:
        raise AudioError(f"{refused}; allowed are {', '.join(AUDIO_SUFFIXES)}") from reason
    try:
        av = need("av", f"{path.name}: reading {path.suffix}")
    except MissingExtra as error:
        raise MissingExtra(str(error)) from reason
    try:
        with av.open(str(path)) as container:
            stream = container.streams.audio[0]
            resampler = av.AudioResampler(format="fltp")
            parts = [out.to_ndarray() for frame in container.decode(stream) for out in resampler.resample(frame)]
            codec, rate_hz = stream.codec_context.name, stream.codec_context.sample_rate
    except (av.FFmpegError, IndexError) as error:
        raise AudioError(f"{refused}, and PyAV finds no audio in it either") from error
    if not parts:
        raise AudioError(f"{path}: no samples in this file; give a recording of at least one sample")
    wave = np.ascontiguousarray(np.concatenate(parts, axis=1), dtype=np.float32)
    return Clip(wave, rate_hz, path.name), Info(path, rate_hz, wave.shape[0], wave.shape[1], "PYAV", codec.upper())
