"""The page of a listening test: stimuli drawn, checked, matched in loudness, blinded and put into one HTML file."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from auscult.audio.clip import find_audio
from auscult.data.manifest import match_names
from auscult.errors import DataError, need
from auscult.evaluate.answers import ANCHOR, REFERENCE, Kind
from auscult.report.page import media_uri, write_page
from auscult.report.stimuli import Item, Levels, Sounds, encoded, levels_of, sounds_of
from auscult.rng import Key
from auscult.units import amplitude

KINDS: tuple[Kind, ...] = ("abx", "ab", "mushra")
SCHEMA = 1
LEVEL_LUFS = -23.0
CEILING_DB = -1.0
"""Highest sample peak in a page: room for the peaks between samples that a converter makes."""
MOST_STIMULI = 12
"""In one trial (BS.1534-3, section 5.2)."""
LARGE_BYTES = 50_000_000


@dataclass(frozen=True)
class Request:
    """What to make a test of.

    ``systems`` maps names to folders or files, ``level`` is a loudness in LUFS or ``"reference"``: that of the item's
    reference, or of the first system where there is none. ``trials`` counts the trials of an ABX test.
    """

    systems: Mapping[str, Path]
    reference: Path | None = None
    kind: Kind = "ab"
    items: int = 12
    seed: int = 0
    trials: int = 16
    max_s: float | None = None
    level: float | Literal["reference"] = LEVEL_LUFS
    title: str = "Listening test"


@dataclass(frozen=True)
class Stimulus:
    """What one stimulus is: the truth behind its opaque name. ``gain_db`` includes the attenuation of all."""

    item: str
    system: str
    gain_db: float
    level_db: float
    measure: str


@dataclass(frozen=True)
class Built:
    """A page's data and what there is to say about it."""

    page: Mapping[str, Any]
    stimuli: Mapping[str, Stimulus]
    items: tuple[str, ...]
    available: int
    trials: int
    attenuation_db: float
    excerpts_s: Mapping[str, tuple[float, float]]
    notes: tuple[str, ...]


def kind_for(asked: str | None, systems: int, reference: bool) -> Kind:
    """The kind asked for, or the one that suits: MUSHRA with a reference, preference without.

    Raises:
        DataError: unknown, or it needs another number of systems, or a reference.
    """
    kind = asked or ("mushra" if reference else "ab")
    if kind not in KINDS:
        raise DataError(f"'{kind}' is not a kind of listening test; allowed: {', '.join(KINDS)}")
    if kind == "mushra" and not reference:
        raise DataError("a mushra test rates systems against a reference; give --reference, or use --kind ab")
    if kind == "abx" and systems != 2:
        raise DataError(f"an abx test compares exactly two systems, {systems} given; use --kind ab for all pairs")
    if kind == "ab" and systems < 2:
        raise DataError("a preference test needs two systems or more, one is given")
    if kind == "mushra" and systems + 2 > MOST_STIMULI:
        raise DataError(f"a mushra trial holds at most {MOST_STIMULI - 2} systems, {systems} given; make several pages")
    return next(known for known in KINDS if known == kind)


def build(request: Request) -> Built:
    """Read, check, match and blind the stimuli of a test.

    Raises:
        DataError: sources without partner, of different form, or reserved names.
        AudioError: a file cannot be read. MissingExtra: pyloudnorm is not installed.
    """
    need("pyloudnorm", "matching the loudness of a listening test")
    found = items_of(_sources(request))
    items = draw(found, _count(request), request.seed)
    sounds = [sounds_of(item, request.kind == "mushra", request.max_s) for item in items]
    levels = [levels_of(sound) for sound in sounds]
    gains = [_gains(own, request) for own in levels]
    attenuation_db = _attenuation_db(sounds, gains)
    stimuli, audio = {}, {}
    for name, (sound, own, gain, system) in _opaque(sounds, levels, gains, request.seed):
        gain_db = gain[system] + attenuation_db
        stimuli[name] = Stimulus(sound.item, system, gain_db, own.values[system], own.measure)
        audio[name] = encoded(sound.waves[system] * amplitude(gain_db), sound.rate_hz)
    page = _page(request, [item.name for item in items], stimuli, audio)
    return Built(
        page,
        stimuli,
        tuple(item.name for item in items),
        len(found),
        int(page["trials"]),
        attenuation_db,
        {sound.item: sound.excerpt_s for sound in sounds if sound.excerpt_s is not None},
        tuple(note for own in levels for note in own.notes),
    )


def write(path: Path, built: Built) -> int:
    """Write the page aside; its size in bytes.

    Raises:
        MissingExtra: jinja2 is not installed. OutputError: the file cannot be written.
    """
    write_page(path, "listen.html", test=built.page, kind=built.page["kind"], title=built.page["title"])
    return path.stat().st_size


# --- which files


def _sources(request: Request) -> dict[str, Path]:
    sources = dict(request.systems)
    if request.reference is None:
        return sources
    for taken in {REFERENCE, ANCHOR} & sources.keys():
        raise DataError(f"a system cannot be called '{taken}' beside a reference; name it PATH=NAME")
    return {**sources, REFERENCE: request.reference}


def items_of(sources: Mapping[str, Path]) -> list[Item]:
    """Pair folders by file name, or take one file each as the only item.

    Raises:
        DataError: something missing, files and folders mixed, or names without partner.
    """
    for name, path in sources.items():
        if not path.exists():
            raise DataError(f"{path}: no such file or folder (system '{name}')")
    folders = {name for name, path in sources.items() if path.is_dir()}
    if not folders:
        return [Item(next(iter(sources.values())).stem, dict(sources))]
    if len(folders) != len(sources):
        file = next(path for name, path in sources.items() if name not in folders)
        raise DataError(f"{file} is a file where others are folders; give folders only, or one file each")
    return _paired(sources)


def _paired(sources: Mapping[str, Path]) -> list[Item]:
    (first, folder), *others = sources.items()
    own = [path.relative_to(folder) for path in find_audio(folder)]
    if not own:
        raise DataError(f"{folder}: no audio file in it")
    files = {str(path.with_suffix("")): {first: folder / path} for path in own}
    for name, other in others:
        theirs = [path.relative_to(other) for path in find_audio(other)]
        for mine, partner in match_names(own, theirs, labels=(first, name)):
            files[str(mine.with_suffix(""))][name] = other / partner
    return [Item(name, files[name]) for name in sorted(files)]


def _count(request: Request) -> int:
    """An ABX test of fewer trials than items needs no more items than that."""
    return min(request.items, request.trials) if request.kind == "abx" else request.items


def draw(items: Sequence[Item], count: int, seed: int) -> list[Item]:
    """``count`` of the items, in their order; all where there are no more."""
    if count >= len(items):
        return list(items)
    chosen = Key(seed).child("listen", "items").numpy().choice(len(items), count, replace=False)
    return [items[i] for i in sorted(chosen)]


# --- how loud


def _gains(levels: Levels, request: Request) -> dict[str, float]:
    if request.level == "reference":
        names = [REFERENCE] if request.reference is not None else list(request.systems)
        target = next((levels.values[name] for name in names if math.isfinite(levels.values[name])), LEVEL_LUFS)
    else:
        target = request.level
    return {name: target - value if math.isfinite(value) else 0.0 for name, value in levels.values.items()}


def _attenuation_db(sounds: Sequence[Sounds], gains: Sequence[Mapping[str, float]]) -> float:
    """What all stimuli of the page are turned down by, so that none clips and none differs from the others."""
    peaks = [
        np.abs(wave).max(initial=0.0) * amplitude(own[name])
        for sound, own in zip(sounds, gains, strict=True)
        for name, wave in sound.waves.items()
    ]
    return min(0.0, CEILING_DB - 20 * math.log10(max([*peaks, 1e-9])))


# --- blinding


def _opaque(
    sounds: Sequence[Sounds], levels: Sequence[Levels], gains: Sequence[Mapping[str, float]], seed: int
) -> list[tuple[str, tuple[Sounds, Levels, Mapping[str, float], str]]]:
    """All stimuli in a drawn order, numbered in it."""
    listed = [
        (sound, own, gain, system)
        for sound, own, gain in zip(sounds, levels, gains, strict=True)
        for system in sound.waves
    ]
    order = Key(seed).child("listen", "names").numpy().permutation(len(listed))
    return [(f"k{number:03d}", listed[i]) for number, i in enumerate(order, start=1)]


def _page(
    request: Request, items: Sequence[str], stimuli: Mapping[str, Stimulus], audio: Mapping[str, bytes]
) -> dict[str, Any]:
    """What the page is given; nothing in it says in clear which stimulus is whose."""
    own = {item: sorted(name for name, known in stimuli.items() if known.item == item) for item in items}
    listed = [_item(own[item], stimuli, request.kind) for item in items]
    facts = {"kind": request.kind, "level": request.level, "title": request.title, "max_s": request.max_s}
    page_id = _page_id({**facts, "trials": request.trials, "stimuli": _plain(stimuli)}, audio)
    truth = {"systems": list(request.systems), "stimuli": _plain(stimuli)}
    return {
        **facts,
        "schema": SCHEMA,
        "page": page_id,
        "trials": _trials(request, listed),
        "items": listed,
        "sample": listed[0]["reference"] or listed[0]["stimuli"][0],
        "truth": veil(json.dumps(truth, allow_nan=False), page_id),
        "audio": {name: media_uri(data, ".flac") for name, data in sorted(audio.items())},
    }


def _item(names: Sequence[str], stimuli: Mapping[str, Stimulus], kind: Kind) -> dict[str, Any]:
    reference = next((name for name in names if stimuli[name].system == REFERENCE), None)
    rated = [name for name in names if kind == "mushra" or name != reference]
    pairs = [] if kind == "mushra" else [list(pair) for pair in itertools.combinations(rated, 2)]
    return {"stimuli": rated, "reference": reference, "pairs": pairs}


def _trials(request: Request, items: Sequence[Mapping[str, Any]]) -> int:
    counts: dict[Kind, Callable[[], int]] = {
        "abx": lambda: request.trials,
        "ab": lambda: sum(len(item["pairs"]) for item in items),
        "mushra": lambda: len(items),
    }
    return counts[request.kind]()


def _plain(stimuli: Mapping[str, Stimulus]) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "item": known.item,
            "system": known.system,
            "gain_db": round(known.gain_db, 3),
            "level_db": round(known.level_db, 3) if math.isfinite(known.level_db) else None,
            "measure": known.measure,
        }
        for name, known in sorted(stimuli.items())
    }


def _page_id(facts: Mapping[str, Any], audio: Mapping[str, bytes]) -> str:
    """A name of the page's whole contents, so that answers to different pages are never mixed."""
    digest = hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=8)
    for name, data in sorted(audio.items()):
        digest.update(name.encode() + hashlib.blake2b(data).digest())
    return digest.hexdigest()


def veil(text: str, key: str) -> str:
    """Text that nobody reads by accident. Not a secret: the key is in the page."""
    return base64.b64encode(_mixed(text.encode(), key)).decode()


def unveil(veiled: str, key: str) -> str:
    """The inverse of :func:`veil`."""
    return _mixed(base64.b64decode(veiled), key).decode()


def _mixed(data: bytes, key: str) -> bytes:
    return bytes(byte ^ mask for byte, mask in zip(data, itertools.cycle(key.encode()), strict=False))
