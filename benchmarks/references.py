"""How good is a noise reference that is cut from the noisy recording itself?

    python benchmarks/references.py --data FOLDER [--items 150]

Whole held-out recordings (valid.jsonl) with noises of train.jsonl at 0, 5 and 10 dB (active level). For every detector
and duration: the share of recordings in which a stretch is found; the SNR of clean speech within it (median and worst
tenth; far below 0 dB is good); the same for steady noises alone; and how far the stretch is below the recording's
noise: dogs do not bark between words on demand.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np

from auscult.audio.level import power
from auscult.data.bank import BankSpec
from auscult.data.pairs import Mixture, Pair
from auscult.data.references import Detector, from_noisy
from auscult.degrade.noise import AddNoise
from auscult.rng import Key
from auscult.units import samples, to_db

STEADY = {"rain", "sea_waves", "chainsaw", "helicopter", "wind", "waves", "storm", "running_tap", "fireplace"}
SNRS_DB = (0.0, 5.0, 10.0)
DURATIONS_S = (0.25, 0.5, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--items", type=int, default=150)
    arguments = parser.parse_args()
    print("| SNR | length | detector | found | speech in it: median | worst tenth | steady noises | below the noise |")
    print("|---|---|---|---|---|---|---|---|")
    for snr_db in SNRS_DB:
        pairs = mixed(arguments.data, snr_db, arguments.items)
        for duration_s in DURATIONS_S:
            for detector in get_args(Detector):
                cells = [f"{snr_db:g} dB", f"{duration_s:g} s", detector, *judged(pairs, duration_s, detector)]
                print("| " + " | ".join(cells) + " |", flush=True)


def mixed(data: Path, snr_db: float, items: int) -> list[Pair]:
    """Recordings spread evenly over the held-out speech, the same ones and the same noises at every SNR."""
    speech = BankSpec("valid.jsonl", where={"kind": "speech"})
    noise = BankSpec("train.jsonl", where={"kind": "noise"})
    source = Mixture(speech, (AddNoise((snr_db, snr_db)),), {"noise": noise}, data, crop_s=None)
    return [source.pair(i * len(source) // items, Key(1).child(i)) for i in range(items)]


def judged(pairs: Sequence[Pair], duration_s: float, detector: Detector) -> list[str]:
    """The cells of a row."""
    leaks, steady, below = [], [], []
    for pair in pairs:
        found = from_noisy(pair.noisy, pair.rate_hz, duration_s, detector)
        if found is None:
            continue
        start = samples(found.origin["start_s"], pair.rate_hz)
        stretch = slice(start, start + found.wave.shape[1])
        noise = pair.noisy - pair.clean
        leaks.append(to_db(power(pair.clean[:, stretch])) - to_db(power(noise[:, stretch])))
        below.append(to_db(power(noise)) - to_db(power(noise[:, stretch])))
        if pair.provenance[0]["sources"][0]["noise_type"] in STEADY:
            steady.append(leaks[-1])
    figures = np.median(leaks), np.quantile(leaks, 0.9), np.median(steady), np.median(below)
    return [f"{len(leaks) / len(pairs):.0%}", *(f"{figure:.1f} dB" for figure in figures)]


if __name__ == "__main__":
    main()
