"""Pairs that come with a noise reference: an item is drawn, and divided into what is to be restored and the rest.

The noise is n = noisy - clean. A reference must not overlap what is to be restored: where it does, the clean signal
is noisy - n, and nothing is left to learn. A stretch of the noisy signal itself tells the net nothing new, so it may
be had from anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, cast

import numpy as np
from numpy import ndarray

from auscult.audio.level import peak, power, rms_db
from auscult.bounds import Positive, Range
from auscult.data.manifest import Entry
from auscult.data.pairs import SILENCE_DB, Pair, PairSource, heard_type
from auscult.data.references import SHORTEST_S, SILENT, TYPE, Detector, Reference, conditions, from_noisy, located
from auscult.degrade.base import Drawn, Unusable
from auscult.errors import RecipeError
from auscult.rng import Key
from auscult.units import samples

Origin = Literal["disjoint", "overlapping", "noise_only:auto", "noise_only:vad", "noise_only:energy", "none"]


class Referenced(PairSource):
    """Items of another source, ``crop_s`` of each to be restored, with a noise reference.

    Args:
        source: gives items of at least ``crop_s``, for disjoint references longer by the longest of them.
        crop_s: length of what is to be restored, taken from the start or the end of an item; None: whole items.
        duration_s: the reference's length is drawn between these; equal ones fix it.
        origin: ``disjoint``: noisy - clean beside the crop; where too little is left, or a short noise was looped
            (beside the crop the same noise again), of another file of the same type of noise, at the level of this
            one. ``overlapping``: noisy - clean within the crop (the target leaks; for ablations only).
            ``noise_only:auto|vad|energy``: a stretch of the noisy item without speech
            (:func:`auscult.data.references.from_noisy`). ``none``.
        types: types of noise to be told apart. Pairs then carry ``noise_class``, a place in this list or -1.
        pieces: 2 adds another piece of the same noise, drawn as the first: ``noise_other``, ``noise_other_samples``.

    Items of which no reference can be had have none, and say so in their provenance. Each pair carries the
    ``conditions`` of :func:`auscult.data.references.conditions`. Crop and signals do not depend on ``origin``.

    Raises:
        RecipeError: references below 0.1 s, or items of the source that are too short.
    """

    def __init__(
        self,
        source: PairSource,
        crop_s: Positive | None = 2.04,
        duration_s: Range = (0.25, 2.0),
        origin: Origin = "disjoint",
        types: tuple[str, ...] = (),
        pieces: Literal[1, 2] = 1,
    ):
        self._types, self._pieces = types, pieces
        self._source, self._duration_s, self._origin = source, duration_s, origin
        self.rate_hz, self.crop_s = source.rate_hz, crop_s
        if duration_s[0] < SHORTEST_S:
            raise RecipeError(f"duration_s: a noise reference needs at least {SHORTEST_S} s, this is {duration_s[0]}")
        if origin == "disjoint" and crop_s is None:
            raise RecipeError("crop_s: nothing of a whole item is left for a disjoint reference; give a length")
        needed = (crop_s or 0.0) + (duration_s[1] if origin == "disjoint" else 0.0)
        if crop_s is not None and (source.crop_s is None or source.crop_s + 1e-6 < needed):
            raise RecipeError(
                f"source.crop_s: {crop_s} s to restore and '{origin}' references of up to {duration_s[1]} s need items "
                f"of {needed:g} s, the source gives {source.crop_s or 'whole recordings'}; set it to {needed:g}"
            )

    def __len__(self) -> int:
        return len(self._source)

    def unreadable(self) -> Mapping[str, str]:
        return self._source.unreadable()

    def digest(self) -> str:
        return self._source.digest()

    def recordings(self) -> Sequence[tuple[Entry, Entry | None]]:
        return self._source.recordings()

    def no_conditions(self) -> Mapping[str, ndarray]:
        return self._conditions(None, None, 1.0, None)

    def pair(self, index: int, key: Key) -> Pair:
        whole, key = self._source.pair(index, key), key.child("reference")
        start, length = self._cut(whole, key)
        cut = slice(start, start + (self.crop_samples or whole.noisy.shape[1]))
        item = replace(whole, clean=whole.clean[:, cut], noisy=whole.noisy[:, cut],
                       crop_start=whole.crop_start + start, length=length)  # fmt: skip
        if self.crop_s is not None and rms_db(item.clean) < SILENCE_DB:
            raise Unusable("silent speech", whole.name)
        reference = self._reference(whole, item, start, index, key)
        other = self._reference(whole, item, start, index, key.child("second")) if self._pieces == 2 else None
        absent: Drawn = {"type": TYPE, "origin": "none", "wanted": self._origin}
        return replace(
            item,
            provenance=(*whole.provenance, reference.origin if reference else absent),
            conditions=self._conditions(reference, other, peak(item.noisy), heard_type(self._source, index, whole)),
        )

    def _conditions(
        self, reference: Reference | None, other: Reference | None, noisy_peak: float, kind: str | None
    ) -> dict[str, ndarray]:
        longest = samples(self._duration_s[1], self.rate_hz)
        found = conditions(reference, longest, noisy_peak)
        if self._types:
            found["noise_class"] = np.array(self._types.index(kind) if kind in self._types else -1, np.int64)
        if self._pieces == 2:
            second = conditions(other, longest, noisy_peak)
            found |= {"noise_other": second["noise"], "noise_other_samples": second["noise_samples"]}
        return found

    def _cut(self, whole: Pair, key: Key) -> tuple[int, int]:
        """Start and length of what is restored: the start or the end of the recorded part, so that one rest stays."""
        crop = self.crop_samples or whole.noisy.shape[1]
        spare = max(0, whole.length - crop)
        return int(key.child("side").numpy().integers(2)) * spare, min(crop, whole.length)

    def _reference(self, whole: Pair, item: Pair, start: int, index: int, key: Key) -> Reference | None:
        if self._origin == "none":
            return None
        duration = samples(float(key.child("duration").numpy().uniform(*self._duration_s)), self.rate_hz)
        if self._origin.startswith("noise_only"):
            detector = cast(Detector, self._origin.partition(":")[2])
            return from_noisy(whole.noisy[:, : _heard(whole)], self.rate_hz, duration / self.rate_hz, detector)
        end = start + item.noisy.shape[1]
        if self._origin == "overlapping":
            return self._stretch(whole, start, min(end, _heard(whole)), duration, key, {"origin": "overlapping"})
        before, after = (0, start), (end, _heard(whole))
        begin, stop = before if start > after[1] - after[0] else after
        found = None if _looped(whole) else self._stretch(whole, begin, stop, duration, key, {"origin": "disjoint"})
        return found or self._of_another(item, index, duration, key)

    def _of_another(self, item: Pair, index: int, duration: int, key: Key) -> Reference | None:
        """From a file with the same type of noise; its level is no level of this item, which has its own."""
        alike, key = self._source.alike(index), key.child("other")
        if not alike:
            return None
        try:
            other = self._source.pair(alike[int(key.numpy().integers(len(alike)))], key)
        except Unusable:
            return None
        found = self._stretch(other, 0, _heard(other), duration, key, {"origin": "other_file", "file": other.name})
        own = float(np.sqrt(power(item.noisy - item.clean)))
        return replace(found, rms=max(own, SILENT)) if found else None

    def _stretch(self, pair: Pair, begin: int, stop: int, duration: int, key: Key, origin: Drawn) -> Reference | None:
        """A piece of noisy - clean between two samples, shorter than drawn where little is there, within the bounds."""
        length = min(duration, stop - begin)
        if length < samples(self._duration_s[0], self.rate_hz) - 1:  # lengths in samples are rounded apart
            return None
        begin += int(key.child("offset").numpy().integers(stop - begin - length + 1))
        piece = slice(begin, begin + length)
        noise = pair.noisy[:, piece] - pair.clean[:, piece]
        return Reference.of(noise, {**origin, **located(begin, length, self.rate_hz)})


def _looped(pair: Pair) -> bool:
    """Whether a noise was repeated to fill the item."""
    return any(part.get("looped") for one in pair.provenance for part in one.get("sources", ()))


def _heard(pair: Pair) -> int:
    """Samples up to the last that is not zero: what lies behind it is padding."""
    sounding = np.flatnonzero(pair.noisy.any(0))
    return int(sounding[-1]) + 1 if sounding.size else 0
