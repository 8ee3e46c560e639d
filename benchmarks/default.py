"""The built-in model on the 40 real VoiceBank-DEMAND pairs (speaker p257): per item, means with intervals, worst five.

    python benchmarks/default.py --data FOLDER [--model default] > table.md

These pairs are a test set: nothing was trained on them or chosen by them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from intervals import cell

import auscult
from auscult.audio.clip import read
from auscult.evaluate.score import default_metrics, metrics_named, score_waves

DIGITS = {"pesq": 2, "estoi": 3, "si_sdr": 2}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="default")
    arguments = parser.parse_args()
    folder = arguments.data / "vbdmd_p257"
    model, metrics = auscult.load(arguments.model), metrics_named(default_metrics())
    names = [metric.name for metric in metrics]
    rows = []
    for path in sorted((folder / "noisy").iterdir()):
        noisy, clean = read(path), read(folder / "clean" / path.name)
        restored = model.enhance(noisy.wave, noisy.rate_hz)
        before, _ = score_waves(metrics, clean.wave, noisy.wave, noisy.rate_hz)
        after, _ = score_waves(metrics, clean.wave, restored, noisy.rate_hz)
        rows.append((path.stem, before, after))
    print("| | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    for label, side in (("noisy", 1), (arguments.model, 2)):
        print(f"| {label} | " + " | ".join(cell([row[side][n] for row in rows], DIGITS[n]) for n in names) + " |")
    print("\n| item | " + " | ".join(f"{n} noisy | {n}" for n in names) + " |\n|---|" + "---|" * 2 * len(names))
    worst = {row[0] for row in sorted(rows, key=lambda row: row[2]["pesq"])[:5]}
    for item, before, after in sorted(rows, key=lambda row: row[2]["pesq"]):
        mark = f"**{item}**" if item in worst else item
        cells = " | ".join(f"{before[n]:.{DIGITS[n]}f} | {after[n]:.{DIGITS[n]}f}" for n in names)
        print(f"| {mark} | {cells} |")


if __name__ == "__main__":
    main()
