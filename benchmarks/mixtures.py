"""Held-out mixtures on disk, as a data set that ``auscult evaluate --data`` reads.

    python benchmarks/mixtures.py --data FOLDER --out mixtures [--items 100]

Speakers and noises of valid.jsonl, mixed at 0 to 10 dB (RMS) as ``score-small`` validates, whole items of up to 4 s,
spread evenly over the recordings; drawn with seeds that no training uses.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from auscult import recipe
from auscult.audio.clip import Clip
from auscult.audio.writer import write
from auscult.data.manifest import read_rows
from auscult.data.pairs import PairSource
from auscult.files import write_bytes
from auscult.rng import Key


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--items", type=int, default=100)
    arguments = parser.parse_args()
    node = recipe.read("score-small")["validation"]["data"] | {"root": str(arguments.data), "crop_s": 4.0}
    node["degradations"] = [{"type": "AddNoise", "snr_db": [0, 10], "level": "rms"}]
    source: PairSource = recipe.plan(node, PairSource, "data").build()
    speakers = {row["path"]: row["speaker"] for row in read_rows(arguments.data / "valid.jsonl") if "speaker" in row}
    rows = []
    for i in range(arguments.items):
        pair = source.pair(i * len(source) // arguments.items, Key(1).child(i))
        files = {side: f"{side}/{i:03d}.wav" for side in ("clean", "noisy")}
        for side, file in files.items():
            write(arguments.out / file, Clip(getattr(pair, side), pair.rate_hz), on_clip="float")
        rows.append({"item": f"{i:03d}", **files, "speech": pair.name, "speaker": speakers[pair.name]})
    write_bytes(arguments.out / "pairs.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())


if __name__ == "__main__":
    main()
