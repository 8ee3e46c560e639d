"""Clean speech with ESC-50 noise of chosen types, every pair at every SNR: a test set of noise not trained on."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from auscult.audio.resample import resample
from auscult.bounds import Count
from auscult.data.corpora.base import Corpus, Item, Made
from auscult.data.corpora.library import File, Library, Use, named_uniquely, resampled
from auscult.data.corpora.mixing import mixed
from auscult.degrade.base import Unusable
from auscult.degrade.noise import SEAM_S, loop
from auscult.errors import DataError, few, nearest
from auscult.rng import Key

_SILENCE = 1e-4
"""ESC-50 pads short clips with silence: what is below this at either end is cut off before looping."""


@dataclass(frozen=True)
class Esc50Unseen(Corpus):
    """``each`` pairs of speech and noise of every type, each pair at every SNR of ``snr_db``.

    ``types`` are categories of ESC-50. ``speaker`` is a pattern whose group finds the speaker in a path.
    """

    types: tuple[str, ...]
    snr_db: tuple[float, ...] = (-5.0, 0.0, 5.0, 10.0)
    each: Count = 20
    speaker: str = r"(?:^|/)(p\d{3}|\d{2,5}(?=-\d+-\d{4}))"

    title = "ESC-50 mixtures of held-out noise types, 16 kHz"
    sources: ClassVar[Mapping[str, str]] = {
        "esc50": "ESC-50, with meta/esc50.csv and audio",
        "speech": "a folder of clean speech",
    }
    rate_hz = 16_000
    splits = ("test",)
    differences: ClassVar[tuple[str, ...]] = ("our own test set: there is no published one to compare with",)

    def plan(self, library: Library, key: Key) -> list[Item]:
        noises = self._noises(library)
        names = library.wanted("speech", library.matching("speech", r"\.(wav|flac|opus|ogg|mp3)$"), "audio files")
        speech = sorted(named_uniquely(library.files("speech", names)).items())
        return [
            self._item(kind, number, snr_db, speech, noises[kind], key.child(kind))
            for kind in sorted(noises)
            for number in range(self.each)
            for snr_db in sorted(set(self.snr_db))
        ]

    def _noises(self, library: Library) -> dict[str, list[File]]:
        """Clips of every wanted type.

        Raises:
            DataError: no table, a type that ESC-50 has not, or clips that are not there.
        """
        tables = library.wanted("esc50", library.matching("esc50", r"(^|/)esc50\.csv$"), "meta/esc50.csv")
        rows = list(csv.DictReader(library.text("esc50", tables[0]).splitlines()))
        known = {row.get("category", "") for row in rows}
        there = {PurePosixPath(name).name: name for name in library.matching("esc50", r"\.(wav|ogg|flac)$")}
        found: dict[str, list[File]] = {}
        for kind in sorted(set(self.types)):
            if kind not in known:
                raise DataError(f"'{kind}' is not a category of ESC-50{nearest(kind, known)}; it has {few(known, 60)}")
            clips = sorted(row["filename"] for row in rows if row["category"] == kind)
            if missing := set(clips) - there.keys():
                raise DataError(
                    f"{library.roots['esc50']}: {len(missing)} clips of '{kind}' are missing: {few(missing)}"
                )
            found[kind] = library.files("esc50", [there[clip] for clip in clips])
        return found

    def _item(
        self, kind: str, number: int, snr_db: float, speech: list[tuple[str, File]], clips: list[File], key: Key
    ) -> Item:
        """Speech and clip depend on type and number alone, so that SNRs are compared on the same material."""
        name, spoken = speech[int(key.child("speech").numpy().permutation(len(speech))[number % len(speech)])]
        clip = clips[int(key.child("clip").numpy().permutation(len(clips))[number % len(clips)])]
        found = re.search(self.speaker, spoken.path)
        drawn = {
            **({"speaker": found[1]} if found else {}),
            "noise_type": kind,
            "snr_db": float(snr_db),
            "speech": name,
            "noise": clip.path,
            **resampled("speech", spoken, self.rate_hz),
            **resampled("noise", clip, self.rate_hz),
            "phase": round(float(key.child(number).numpy().random()), 6),
        }
        uses = (Use(spoken.source, spoken.path), Use(clip.source, clip.path))
        samples = round(spoken.duration_s * self.rate_hz)
        return Item("test", f"{kind}_{number:03d}_{snr_db:+g}dB", uses, drawn, samples)

    def make(self, item: Item, library: Library) -> Made:
        clean = library.mono(item.uses[0], self.rate_hz)
        clip = library.read(item.uses[1].source, item.uses[1].path)
        noise = resample(_sounding(clip.wave.mean(axis=0, keepdims=True)), clip.rate_hz, self.rate_hz)
        start = int(item.drawn["phase"] * noise.shape[1])
        noise = loop(noise, start, clean.shape[1], round(SEAM_S * self.rate_hz))
        return Made(clean, mixed(clean, noise, item.drawn["snr_db"], self.rate_hz))


def _sounding(wave: Float32[ndarray, "1 T"]) -> Float32[ndarray, "1 T2"]:
    heard = np.flatnonzero(np.abs(wave[0]) > _SILENCE)
    if heard.size == 0:
        raise Unusable("silent noise", "the clip holds only silence")
    return wave[:, heard[0] : heard[-1] + 1]


def read_names(given: str) -> list[str]:
    """Names from a JSON file (a list, or an object that holds one), a text file of lines, or ``a,b,c`` itself.

    Raises:
        DataError: no such file, or no names in it.
    """
    path = Path(given)
    if path.suffix and not path.is_file():
        raise DataError(f"{given}: no such file; give a JSON or text file of noise types, or siren,rooster")
    if path.suffix == ".json":
        names = _listed(path)
    else:
        names = path.read_text(encoding="utf-8").splitlines() if path.is_file() else given.split(",")
    if not (found := sorted({name.strip() for name in names if name.strip()})):
        raise DataError(f"{given}: no noise type in it")
    return found


def _listed(path: Path) -> list[str]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error})") from error
    lists = [content] if isinstance(content, list) else [v for v in content.values() if isinstance(v, list)]
    if len(lists) != 1 or not all(isinstance(name, str) for name in lists[0]):
        raise DataError(f"{path}: a list of names is needed, or an object that holds one")
    return list(lists[0])
