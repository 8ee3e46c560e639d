"""Items as training hears them: through somebody's loader, through ours, or excerpts of files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray

from auscult.audio.clip import read
from auscult.audio.info import Info
from auscult.audio.resample import resample
from auscult.data.corrections import Correction
from auscult.diagnose.evidence import Absent, FilePair, HeardItem, Items
from auscult.diagnose.gather.files import sample
from auscult.errors import AudioError, AuscultError

if TYPE_CHECKING:
    from auscult.data.pairs import Pair, PairSource
    from auscult.diagnose.case import Case

EXCERPT_S = 10.0
"""Of longer files the middle is read."""
_LOADING_S = 20.0
"""Seconds after which no further item is loaded."""


def gather_items(case: Case) -> Items:
    """Items: of the loader that was given, of the recipe's data, or of the files.

    Raises:
        Absent: there is neither, or speech and noise are still to be mixed and nothing says how.
    """
    if case.given.loader is not None:
        return _foreign(case)
    section = (case.recipe or {}).get("data")
    if isinstance(section, Mapping) and case.given.data:
        return _through_ours(case, section)
    return _of_files(case)


def _foreign(case: Case) -> Items:
    from auscult.diagnose.gather.foreign import items_of

    most = case.given.most_items
    try:
        heard = items_of(case.practice, most)
        again = items_of(case.practice, most, epoch=1)
    except AuscultError as error:
        raise Absent(f"the loader fails: {error}") from error
    return Items(heard, f"loader {case.given.loader}", True, again)


def _through_ours(case: Case, section: Mapping[str, Any]) -> Items:
    """The first items of the stream that training draws, and the same recordings in the next epoch."""
    from auscult import recipe
    from auscult.catalogue import check_trust
    from auscult.data.loader import permutation
    from auscult.data.pairs import PairSource
    from auscult.rng import Key
    from auscult.train.setup import rooted

    try:
        check_trust(recipe.class_names(section), case.given.trust, "data")
        source: PairSource = recipe.plan(rooted(section, _root(case)), PairSource, "data").build()
    except AuscultError as error:
        raise Absent(f"the recipe's data cannot be opened: {error}") from error
    key = Key(int((case.recipe or {}).get("seed", 0))).child("data")
    most = min(case.given.most_items, len(source))
    second = np.argsort(permutation(key, 1, len(source)))
    places = [len(source) + int(second[int(permutation(key, 0, len(source))[p])]) for p in range(most)]
    deadline = case.clock.left - _LOADING_S
    heard = list(_fetched(case, source, key, range(most), deadline))
    again = list(_fetched(case, source, key, places[: len(heard)], deadline / 2))
    if not heard:
        raise Absent("the recipe's data gave no usable item")
    return Items(heard, "the recipe's loader", True, again)


def _fetched(case: Case, source: PairSource, key: Any, positions: Any, until_left_s: float) -> Iterator[HeardItem]:
    from auscult.data.loader import fetch

    for position in positions:
        pair, _ = fetch(source, key, position)
        if pair is not None:
            yield as_item(pair, position // len(source))
        if case.clock.left < until_left_s:
            return


def as_item(pair: Pair, epoch: int) -> HeardItem:
    """A pair of a source of ours as an item, with the SNR that was drawn where that is all that was done to it."""
    noises = [one for one in pair.provenance if "snr_db" in one]
    alone = len(noises) == 1 and len([one for one in pair.provenance if one["type"] != "Gain"]) == 1
    facts = {"snr_db": float(noises[0]["snr_db"])} if alone else {}
    return HeardItem(pair.name, pair.clean[0], pair.noisy[0], pair.rate_hz, pair.crop_start, epoch,
                     length=pair.length, facts=facts)  # fmt: skip


def _root(case: Case) -> Path:
    """The folder that the recipe's files lie in: the first that was given, or that of the manifest."""
    first = next(iter(case.given.data.values()))
    return first.parent if first.is_file() else first


def _of_files(case: Case) -> Items:
    files = case.files
    if files.mixed:
        raise Absent("speech and noise are to be mixed and nothing says how (--recipe or --loader)")
    pairs = [(split, one) for split, rows in files.splits.items() for one in rows if one.clean and one.noisy]
    if not pairs:
        raise Absent("the data hold no pairs of clean and noisy files")
    heard = []
    for _, one in sample(pairs, case.given.most_items, case.key.child("items")):
        if (item := excerpt(one)) is not None:
            heard.append(item)
        if case.clock.left <= 0:
            break
    if not heard:
        raise Absent("no pair of files can be read")
    return Items(heard, "files", False)


def excerpt(pair: FilePair, seconds: float = EXCERPT_S) -> HeardItem | None:
    """The same stretch of both files, first channels, at the clean one's rate; None where it cannot be read.

    What the pair's row corrects is applied as :class:`auscult.data.pairs.Pairs` does.
    """
    assert pair.clean is not None
    assert pair.noisy is not None
    how, rate_hz = Correction.of(pair.facts, pair.name), pair.clean.rate_hz
    first_s, other_s = (samples / rate_hz for samples in how.starts)
    lasts_s = pair.clean.duration_s - first_s, pair.noisy.duration_s - other_s
    alike = how.lag_samples is not None or abs(lasts_s[0] - lasts_s[1]) < 0.1
    start_s = round(max(0.0, (min(lasts_s) - seconds) / 2) * rate_hz) / rate_hz if alike else 0.0
    try:
        clean = stretch(pair.clean, first_s + start_s, seconds) * np.float32(how.gain)
        noisy = stretch(pair.noisy, other_s + start_s, seconds)
    except AudioError:
        return None
    if pair.noisy.rate_hz != pair.clean.rate_hz:
        noisy = resample(noisy[None], pair.noisy.rate_hz, pair.clean.rate_hz)[0]
    size = min(clean.size, noisy.size)
    return HeardItem(pair.name, clean[:size], noisy[:size], rate_hz, round(start_s * rate_hz), length=size)


def stretch(info: Info, start_s: float, seconds: float, channel: int = 0) -> ndarray:
    """A part of one channel of a file.

    Raises:
        AudioError: it cannot be read.
    """
    start = min(round(start_s * info.rate_hz), info.samples - 1)
    return read(info.path, start, min(info.samples - start, round(seconds * info.rate_hz))).wave[channel]
