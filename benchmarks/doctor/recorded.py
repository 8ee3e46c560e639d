"""Pairs of recordings in memory, as faults act on them, and as folders that a doctor is given."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
from jaxtyping import Float
from numpy import ndarray

from auscult.audio.clip import read

Wave = Float[ndarray, " T"]
SUBTYPES = {"wav": "PCM_16", "wav24": "PCM_24", "float": "FLOAT", "flac": "PCM_16"}


@dataclass(frozen=True)
class Recorded:
    """A pair on its way to disk. Rates are what the headers will say; ``kept`` is the share of the file's bytes."""

    name: str
    speaker: str
    clean: Wave
    noisy: Wave
    rate_hz: int
    noisy_rate_hz: int
    form: str = "flac"
    kept: float = 1.0
    noisy_name: str | None = None

    def heard(self, noisy: Wave) -> Recorded:
        """The same target with another noisy side."""
        return replace(self, noisy=noisy)

    def aimed(self, clean: Wave) -> Recorded:
        """The same noisy side with another target."""
        return replace(self, clean=clean)


Tree = Mapping[str, Sequence[Recorded]]
"""Pairs by split."""


def write_tree(tree: Tree, folder: Path) -> dict[str, Path]:
    """Folders ``<split>/clean`` and ``<split>/noisy``; where each split lies."""
    for split, pairs in tree.items():
        for one in pairs:
            write_wave(folder / split / "clean" / one.name, one.clean, one.rate_hz, one.form)
            noisy = folder / split / "noisy" / (one.noisy_name or one.name)
            write_wave(noisy, one.noisy, one.noisy_rate_hz, one.form, one.kept)
    return {split: folder / split for split in tree}


def write_wave(stem: Path, wave: ndarray, rate_hz: int, form: str = "flac", kept: float = 1.0) -> Path:
    """[T] or [T, C]; ``form``: flac, wav, wav24 or float."""
    path = stem.with_name(f"{stem.name}.{'flac' if form == 'flac' else 'wav'}")
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, rate_hz, subtype=SUBTYPES[form])
    if kept < 1.0:
        path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    return path


def read_folder(folder: Path) -> list[Recorded]:
    """Pairs of a folder with clean/ and noisy/."""
    found = []
    for path in sorted((folder / "clean").rglob("*.*")):
        name = str(path.relative_to(folder / "clean").with_suffix(""))
        clean, noisy = read(path), read(folder / "noisy" / path.relative_to(folder / "clean"))
        found.append(Recorded(name, name.partition("_")[0], clean.wave[0], noisy.wave[0], clean.rate_hz, noisy.rate_hz))
    return found


def generator(*parts: object) -> np.random.Generator:
    """Random numbers for what the parts name."""
    return np.random.default_rng([zlib.crc32(str(part).encode()) for part in parts])
