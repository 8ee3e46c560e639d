"""Which files belong together by their names, whatever the corpus calls them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from auscult.evaluate.datasets import SPEAKERS

Names = Mapping[str, Path]

_SIDE = re.compile(r"(?:^|(?<=[/_.-]))(?:clean|noisy|noise|mix|mixture|speech|target|degraded|reverb)[_.-]?|"
                   r"[_.-](?:clean|noisy|mix|mixture|target|degraded)$", re.I)  # fmt: skip
_SNR = re.compile(r"_-?[\d.]+dB$")
_FILEID = re.compile(r"fileid_(\d+)")

KEYS: tuple[Callable[[str], str], ...] = (
    lambda name: name,
    lambda name: _SNR.sub("", name),  # EARS-WHAM: 00001_12.3dB is the mixture of 00001
    lambda name: _SIDE.sub("", name),  # clean_001, 001_noisy
    lambda name: found[1] if (found := _FILEID.search(name)) else name,  # DNS: ..._snr5_fileid_17, clean_fileid_17
)
"""What of a name must agree, the strictest first."""


def matched(clean: Names, noisy: Names) -> tuple[dict[str, tuple[Path, Path]], list[str]]:
    """Pairs by the clean side's name, and names without a partner, under the key that pairs most."""
    best: dict[str, tuple[Path, Path]] = {}
    for key in KEYS:
        left, right = ({key(name): name for name in side} for side in (clean, noisy))
        if len(left) < len(clean) or len(right) < len(noisy):
            continue
        shared = left.keys() & right.keys()
        if len(shared) > len(best):
            best = {left[k]: (clean[left[k]], noisy[right[k]]) for k in sorted(shared)}
        if len(best) == min(len(clean), len(noisy)):
            break
    paired = {path for pair in best.values() for path in pair}
    alone = [f"{side}: {name}" for side, names in (("clean", clean), ("noisy", noisy))
             for name, path in names.items() if path not in paired]  # fmt: skip
    return best, alone


def speaker(name: str) -> str | None:
    """The speaker that a name carries, in the manner of VCTK and LibriSpeech."""
    return next((found[1] for pattern in SPEAKERS if (found := pattern.search(name))), None)
