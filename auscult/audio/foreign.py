"""Formats that libsndfile does not read, through PyAV where it is installed; decoded as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from auscult.audio.info import AUDIO_SUFFIXES, FOREIGN_SUFFIXES, Info
from auscult.errors import AudioError, MissingExtra, need

FORMAT = "PYAV"
"""What :class:`Info` calls the container of such a file."""


def probe(path: Path, refusal: str) -> Info:
    """What PyAV finds in a file that libsndfile refused; samples are counted by decoding, as headers only estimate.

    Raises:
        AudioError: no audio in it either.
        MissingExtra: PyAV is not installed, and the suffix says that it is needed.
    """
    status = path.stat()
    return _counted(path, refusal, (status.st_mtime_ns, status.st_size))


@lru_cache(maxsize=1024)
def _counted(path: Path, refusal: str, stamp: tuple[int, int]) -> Info:
    """Counting is a whole decode, so it is done once for every state (``stamp``) of a file."""
    foreign = path.suffix.lower() in FOREIGN_SUFFIXES
    try:
        av = need("av", f"{path.name}: reading {path.suffix}")
    except MissingExtra:
        if foreign:
            raise
        raise AudioError(_not_audio(path, refusal)) from None
    try:
        with av.open(str(path)) as container:
            codec = container.streams.audio[0].codec_context
            rate_hz, name = codec.sample_rate, codec.name
        counts = [(wave.shape[0], wave.shape[1]) for wave in blocks(path)]
    except (av.FFmpegError, IndexError) as error:
        raise AudioError(_not_audio(path, refusal)) from error
    if not counts:
        raise AudioError(f"{path}: no samples in this file; give a recording of at least one sample")
    return Info(path, rate_hz, counts[0][0], sum(samples for _, samples in counts), FORMAT, name.upper())


def blocks(path: Path, block_samples: int = 2**16) -> Iterator[Float32[ndarray, "C T"]]:
    """The samples of a file, in blocks of at least ``block_samples`` (whole frames of its codec), the last shorter."""
    held: list[ndarray] = []
    for frame in _frames(path):
        held.append(frame)
        if sum(part.shape[1] for part in held) >= block_samples:
            yield np.concatenate(held, axis=1)
            held = []
    if held:
        yield np.concatenate(held, axis=1)


def _frames(path: Path) -> Iterator[Float32[ndarray, "C T"]]:
    """The samples of a file, as its codec's frames come."""
    av = need("av", f"{path.name}: reading {path.suffix}")
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="fltp")
        for frame in container.decode(container.streams.audio[0]):
            for out in resampler.resample(frame):
                yield np.ascontiguousarray(out.to_ndarray(), dtype=np.float32)


def _not_audio(path: Path, refusal: str) -> str:
    return f"{path}: not audio that libsndfile reads ({refusal}); allowed are {', '.join(AUDIO_SUFFIXES)}"
