"""EARS at 48 kHz: with WHAM! noise at a loudness ratio, and in measured rooms."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from auscult.audio.resample import resample
from auscult.bounds import Count, Positive, Range
from auscult.data.corpora.base import SPLITS, Corpus, Item, Made
from auscult.data.corpora.library import File, Library, Span, Use, draw_part, resampled
from auscult.data.corpora.mixing import at_loudness, decay_s, loudness_lufs
from auscult.degrade.base import Unusable, uniform
from auscult.degrade.room import convolve, direct_first
from auscult.errors import DataError, few
from auscult.rng import Key

SPEECH = "ears"
_RATE_HZ = 48_000
_RAMP_S = 0.01
_SPEAKER = r"(^|/)p\d{3}/[^/]+\.(wav|flac)$"


@dataclass(frozen=True)
class Piece:
    """A cut of a recording, in samples."""

    file: File
    speaker: str
    start: int
    stop: int


@dataclass(frozen=True)
class Ears(Corpus):
    """What both corpora share: speakers of each split, held-out styles, and how recordings are cut.

    ``cuts`` is the published list of test cuts (``test_files.json``: speaker, file, list of first and last sample);
    without it test recordings are cut like the others.
    """

    valid_speakers: tuple[str, ...] = ("p100", "p101")
    test_speakers: tuple[str, ...] = ("p102", "p103", "p104", "p105", "p106", "p107")
    held_out_styles: tuple[str, ...] = ("interjection", "melodic", "nonverbal", "vegetative")
    shortest_s: Positive = 4.0
    piece_s: Positive = 10.0
    longest_test_s: Positive = 29.0
    cuts: str | None = None

    rate_hz = _RATE_HZ
    subtype = "PCM_24"
    needs: ClassVar[tuple[str, ...]] = ("pyloudnorm",)

    def pieces(self, library: Library) -> dict[str, list[Piece]]:
        """All cuts by split, in order of speaker, file and time.

        Raises:
            DataError: no speaker folders, or files at another rate.
        """
        names = library.wanted(SPEECH, library.matching(SPEECH, _SPEAKER), "wav files in folders p001, p002, ...")
        found: dict[str, list[Piece]] = {split: [] for split in SPLITS}
        listed = _listed(self.cuts) if self.cuts is not None else None
        spoken = [name for name in names if PurePosixPath(name).stem.partition("_")[0] not in self.held_out_styles]
        for file in sorted(library.files(SPEECH, spoken, _RATE_HZ), key=lambda file: file.path):
            speaker = PurePosixPath(file.path).parent.name
            split = self._split(speaker)
            cuts = listed.get((speaker, file.stem), []) if listed is not None and split == "test" else self._cut(file)
            found[split] += [Piece(file, speaker, start, stop) for start, stop in cuts if stop <= file.samples]
        longest = round(self.longest_test_s * _RATE_HZ)
        found["test"] = [piece for piece in found["test"] if piece.stop - piece.start <= longest]
        return found

    def _split(self, speaker: str) -> str:
        if speaker in self.valid_speakers:
            return "valid"
        return "test" if speaker in self.test_speakers else "train"

    def _cut(self, file: File) -> list[tuple[int, int]]:
        """Pieces of ``piece_s``; the last takes the rest, so that none is shorter than ``shortest_s``."""
        shortest, length = round(self.shortest_s * _RATE_HZ), round(self.piece_s * _RATE_HZ)
        if file.samples < shortest:
            return []
        number = max(1, (file.samples - shortest) // length + 1)
        starts = [i * length for i in range(number)]
        return list(zip(starts, [*starts[1:], file.samples], strict=True))


@dataclass(frozen=True)
class EarsWham(Ears):
    """EARS with WHAM! noise at 48 kHz. ``snr_db`` is a ratio of loudness (LUFS), drawn to a tenth of a decibel."""

    snr_db: Range = (-2.5, 17.5)

    title = "EARS-WHAM, 48 kHz"
    sources: ClassVar[Mapping[str, str]] = {
        SPEECH: "EARS, with folders p001, p002, ...",
        "wham": "WHAM! at 48 kHz, with high_res_metadata.csv",
    }
    differences: ClassVar[tuple[str, ...]] = (
        "a mixture over full scale is turned down with its clean side; the script raises its SNR by 1 dB until it fits",
        "draws are keyed by speaker, file and cut; the SNR of a test item does not depend on its emotion",
        "the last sample of each last piece is kept; samples are 24-bit FLAC instead of 32-bit float",
    )

    def plan(self, library: Library, key: Key) -> list[Item]:
        noises = _wham(library)
        items: list[Item] = []
        for split, pieces in self.pieces(library).items():
            for place, piece in enumerate(pieces):
                items.append(self._item(split, place, piece, noises[split], key))
        return items

    def _item(self, split: str, place: int, piece: Piece, noises: Sequence[File], key: Key) -> Item:
        rng = key.child(split, piece.speaker, piece.file.stem, piece.start).numpy()
        samples = piece.stop - piece.start
        enough = [file for file in noises if file.duration_s >= samples / self.rate_hz] or list(noises)
        if not enough:
            raise DataError(f"wham: no noise of the split '{split}'; its high_res_metadata.csv names the splits")
        file = enough[int(rng.integers(len(enough)))]
        drawn = {
            **_described(piece),
            "snr_db": round(uniform(rng, self.snr_db), 1),
            "channel": int(rng.integers(file.channels)),
            "noise": file.path,
        }
        part = draw_part(rng, Span(file, 0, file.samples), samples, self.rate_hz)
        return Item(split, f"{piece.speaker}/{place:05d}", (_use(piece), part), drawn, samples)

    def make(self, item: Item, library: Library) -> Made:
        clean = library.mono(item.uses[0], self.rate_hz)
        if item.split == "test":
            clean = _ramped(clean, self.rate_hz)
        noise = library.noise(item.uses[1], clean.shape[1], self.rate_hz, item.drawn["channel"])
        speech_lufs = loudness_lufs(clean, self.rate_hz)
        noise = at_loudness(noise, speech_lufs - item.drawn["snr_db"], self.rate_hz)
        return Made(clean, clean + noise, {"speech_lufs": round(speech_lufs, 2)})


@dataclass(frozen=True)
class EarsReverb(Ears):
    """EARS in measured rooms: collections of responses, one sub-folder each, belong to one split each.

    ``most`` responses of a collection are drawn where it has more; a response longer than ``t60_max_s`` is not used.
    """

    valid_rooms: tuple[str, ...] = ("AIR",)
    test_rooms: tuple[str, ...] = ("ACE-Challenge",)
    t60_max_s: Positive = 2.0
    most: Count = 1_000

    title = "EARS-Reverb, 48 kHz"
    sources: ClassVar[Mapping[str, str]] = {
        SPEECH: "EARS, with folders p001, p002, ...",
        "rooms": "a folder with one sub-folder for every collection of room responses (ACE-Challenge, AIR, ARNI, ...)",
    }
    differences: ClassVar[tuple[str, ...]] = (
        "responses are read from audio files only: those in .mat and .sofa files (BRUDEX, dEchorate) are left out",
        "the direct path is the first sample within 6 dB of the strongest; the script takes the strongest",
        "loudness is matched in every piece; the script matches it over the whole recording",
        "draws are keyed by speaker, file and cut; the last sample of each last piece is kept; 24-bit FLAC",
        "speech is not high-pass filtered and quiet pieces are kept, unlike in the script's second version",
    )

    def plan(self, library: Library, key: Key) -> list[Item]:
        rooms = self._rooms(library, key.child("rooms"))
        return [
            self._item(split, place, piece, rooms[split], library, key)
            for split, pieces in self.pieces(library).items()
            for place, piece in enumerate(pieces)
        ]

    def _rooms(self, library: Library, key: Key) -> dict[str, list[File]]:
        """Responses by split.

        Raises:
            DataError: a split without responses.
        """
        collections: dict[str, list[str]] = defaultdict(list)
        for name in library.matching("rooms", r"/.*\.(wav|flac)$"):
            collections[PurePosixPath(name).parts[0]].append(name)
        rooms: dict[str, list[File]] = {split: [] for split in SPLITS}
        for collection in sorted(collections):
            names = [n for n in collections[collection] if n.endswith("RIR.wav")] or collections[collection]
            order = key.child(collection).numpy().permutation(len(names))[: self.most]
            split = {"test": collection in self.test_rooms, "valid": collection in self.valid_rooms}
            owner = next((own for own, yes in split.items() if yes), "train")
            rooms[owner] += library.files("rooms", sorted(names[i] for i in order))
        if empty := [split for split in SPLITS if not rooms[split]]:
            raise DataError(
                f"{library.roots['rooms']}: no room responses for {' and '.join(empty)}; its sub-folders are "
                f"{few(collections, 8)}, wanted are {', '.join((*self.test_rooms, *self.valid_rooms))} and others; "
                "or --set test_rooms=[NAME] and --set valid_rooms=[NAME]"
            )
        return rooms

    def _item(self, split: str, place: int, piece: Piece, rooms: Sequence[File], library: Library, key: Key) -> Item:
        rng = key.child(split, piece.speaker, piece.file.stem, piece.start).numpy()
        for index in rng.permutation(len(rooms)):
            room = rooms[int(index)]
            channel = int(rng.integers(room.channels))
            t60_s = _measured(library.roots["rooms"], room, channel)
            if t60_s is not None and t60_s <= self.t60_max_s:
                break
        else:
            raise DataError(f"none of the {len(rooms)} room responses for {split} has a T60 below {self.t60_max_s} s")
        lead = min(piece.start, round(1.5 * self.t60_max_s * self.rate_hz))
        drawn = {**_described(piece), "room": room.path, "channel": channel, "t60_s": t60_s, "lead": lead}
        drawn |= resampled("room", room, self.rate_hz)
        uses = (Use(SPEECH, piece.file.path, piece.start - lead, piece.stop), Use("rooms", room.path))
        return Item(split, f"{piece.speaker}/{place:05d}", uses, drawn, piece.stop - piece.start)

    def make(self, item: Item, library: Library) -> Made:
        lead = item.drawn["lead"]
        speech = library.mono(item.uses[0], self.rate_hz)
        response = _response(library.roots["rooms"], item.uses[1].path, item.drawn["channel"])
        clean, noisy = speech[:, lead:], convolve(speech, response)[:, lead:]
        noisy = at_loudness(noisy, loudness_lufs(clean, self.rate_hz), self.rate_hz)
        if item.split == "test":
            clean, noisy = _ramped(clean, self.rate_hz), _ramped(noisy, self.rate_hz)
        return Made(clean, noisy)


def _described(piece: Piece) -> dict[str, Any]:
    return {
        "speaker": piece.speaker,
        "style": piece.file.stem,
        "speech_start_s": round(piece.start / piece.file.rate_hz, 6),
    }


def _use(piece: Piece) -> Use:
    return Use(SPEECH, piece.file.path, piece.start, piece.stop)


def _ramped(wave: Float32[ndarray, "1 T"], rate_hz: int) -> Float32[ndarray, "1 T"]:
    """Fade in and out, because a cut falls anywhere."""
    ramp = np.linspace(0, 1, min(round(_RAMP_S * rate_hz), wave.shape[1]), dtype=np.float32)
    wave = wave.copy()
    wave[:, : ramp.size] *= ramp
    wave[:, wave.shape[1] - ramp.size :] *= ramp[::-1]
    return wave


def _listed(path: str) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """The published test cuts by speaker and file.

    Raises:
        DataError: not such a list.
    """
    try:
        speakers = json.loads(Path(path).read_text(encoding="utf-8"))
        return {
            (speaker, file): [(int(cut[0]), int(cut[1])) for cut in cuts]
            for speaker, files in speakers.items()
            for file, cuts in files.items()
        }
    except (OSError, ValueError, AttributeError, TypeError, IndexError) as error:
        raise DataError(
            f"{path}: not a list of test cuts, speaker to file to [[first, last], ...] ({error})"
        ) from error


def _wham(library: Library) -> dict[str, list[File]]:
    """Noise by split, as WHAM!'s own table says.

    Raises:
        DataError: no table, columns missing, or a recording of it is not there.
    """
    tables = library.wanted("wham", library.matching("wham", r"(^|/)high_res_metadata\.csv$"), "high_res_metadata.csv")
    rows = list(csv.DictReader(library.text("wham", tables[0]).splitlines()))
    if not rows or not {"Filename", "WHAM! Split"} <= rows[0].keys():
        raise DataError(f"{library.roots['wham'] / tables[0]}: columns 'Filename' and 'WHAM! Split' are needed")
    there = {PurePosixPath(name).name: name for name in library.matching("wham", r"\.(wav|flac)$")}
    found: dict[str, list[str]] = {split: [] for split in SPLITS}
    for row in rows:
        found.get(row["WHAM! Split"].strip().lower(), []).append(PurePosixPath(row["Filename"]).name)
    if missing := {name for names in found.values() for name in names} - there.keys():
        raise DataError(
            f"{library.roots['wham']}: {len(missing)} recordings of the table are not there: {few(missing)}"
        )
    return {
        split: library.files("wham", [there[name] for name in sorted(set(names))], _RATE_HZ)
        for split, names in found.items()
    }


@lru_cache(maxsize=64)
def _response(root: Path, path: str, channel: int) -> ndarray:
    """A response at the corpus's rate, from its direct path on, scaled to one there."""
    clip = Library({"rooms": root}).read("rooms", path)
    return direct_first(resample(clip.wave[channel : channel + 1], clip.rate_hz, _RATE_HZ)[0])


@lru_cache(maxsize=100_000)
def _measured(root: Path, room: File, channel: int) -> float | None:
    try:
        return round(decay_s(_response(root, room.path, channel), _RATE_HZ), 4)
    except Unusable:
        return None
