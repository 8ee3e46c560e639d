"""VoiceBank-DEMAND: recorded mixtures at 48 kHz, resampled to 16 kHz, with a validation split by speaker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, ClassVar, Literal

from auscult.data.corpora.base import Corpus, Item, Made
from auscult.data.corpora.library import Library, Use
from auscult.errors import AudioError, DataError, few
from auscult.rng import Key

SOURCE = "vbdmd"
_PUBLISHED_HZ = 48_000
_HEADER_BYTES = 44
_CUSTOMARY = ("p226", "p287")
_SETS: Mapping[str, tuple[str, ...]] = {"28": ("28spk",), "56": ("56spk",), "84": ("28spk", "56spk")}


@dataclass(frozen=True)
class VoiceBankDemand(Corpus):
    """Settings of VoiceBank-DEMAND.

    ``speakers`` names the training set (84 is both), ``validation`` the speakers taken out of it for validation:
    p226 and p287 by default, or two drawn by the seed where these are not in the set.
    """

    speakers: Literal["28", "56", "84"] = "28"
    validation: tuple[str, ...] = ()

    title = "VoiceBank-DEMAND, 16 kHz"
    sources: ClassVar[Mapping[str, str]] = {SOURCE: "the zip files as downloaded, or their extracted folders"}
    rate_hz = 16_000
    differences: ClassVar[tuple[str, ...]] = (
        "validation is split by speaker from the training set and never a copy of the test set",
        "resampled by soxr VHQ instead of sox, librosa or torchaudio",
    )

    def plan(self, library: Library, key: Key) -> list[Item]:
        facts = _logged(library)
        test = _pairs(library, "testset", facts)
        train: dict[str, Item] = {}
        for part in _SETS[self.speakers]:
            train |= _pairs(library, f"trainset_{part}", facts)
        held_out = self._validation(sorted({item.drawn["speaker"] for item in train.values()}), key)
        parts = {
            item.name: _to(item, "valid") if item.drawn["speaker"] in held_out else item for item in train.values()
        }
        return [*(parts[name] for name in sorted(parts)), *(test[name] for name in sorted(test))]

    def _validation(self, speakers: list[str], key: Key) -> set[str]:
        missing = set(self.validation) - set(speakers)
        if missing:
            raise DataError(
                f"validation speakers {few(missing)} are not in the training set; it has {few(speakers, 30)}"
            )
        if len(speakers) < 2:
            raise DataError(
                f"the training set has {len(speakers)} speaker(s); one must stay when validation takes its own"
            )
        if self.validation:
            return set(self.validation)
        if set(_CUSTOMARY) < set(speakers):
            return set(_CUSTOMARY)
        drawn = key.child("validation").numpy().permutation(len(speakers))[: min(2, len(speakers) - 1)]
        return {speakers[i] for i in drawn}

    def make(self, item: Item, library: Library) -> Made:
        clean, noisy = (library.mono(use, self.rate_hz) for use in item.uses)
        if clean.shape != noisy.shape:
            raise AudioError(
                f"{item.name}: clean has {clean.shape[1]} samples, noisy {noisy.shape[1]} after resampling"
            )
        return Made(clean, noisy, {f"{role}_resampled_from_hz": _PUBLISHED_HZ for role in ("clean", "noisy")})


def _to(item: Item, split: str) -> Item:
    return Item(split, item.name, item.uses, item.drawn, item.samples)


def _pairs(library: Library, part: str, facts: Mapping[str, Mapping[str, Any]]) -> dict[str, Item]:
    """The pairs of one pair of folders, by name.

    Raises:
        DataError: a folder is missing, at another rate, or names do not match.
    """
    sides: list[dict[str, str]] = []
    for role in ("clean", "noisy"):
        folder = f"{role}_{part}_wav"
        names = library.wanted(
            SOURCE, library.within(SOURCE, folder), f"folder {folder} or {folder}.zip with wav files"
        )
        library.files(SOURCE, names[:1], _PUBLISHED_HZ)
        sides.append({PurePosixPath(name).stem: name for name in names})
    clean, noisy = sides
    if lone := clean.keys() ^ noisy.keys():
        raise DataError(f"{part}: {len(lone)} files are in only one of clean and noisy: {few(lone)}; download it again")
    split = "test" if part == "testset" else "train"
    return {
        name: Item(
            split,
            name,
            (Use(SOURCE, clean[name]), Use(SOURCE, noisy[name])),
            {"speaker": name.partition("_")[0], **facts.get(name, {})},
            (library.size(SOURCE, clean[name]) - _HEADER_BYTES) // 2 // 3,
        )
        for name in clean
    }


def _logged(library: Library) -> dict[str, dict[str, Any]]:
    """Noise type and SNR of the items that the lists of the corpus name: lines such as ``p257_001 bus 7.5``."""
    facts: dict[str, dict[str, Any]] = {}
    for name in library.matching(SOURCE, r"log_(test|train)set.*\.txt$"):
        for line in library.text(SOURCE, name).splitlines():
            words = line.split()
            if len(words) == 3 and words[2].replace(".", "", 1).lstrip("-").isdigit():
                facts[words[0]] = {"noise_type": words[1], "snr_db": float(words[2])}
    return facts
