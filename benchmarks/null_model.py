"""Train a small TF-GridNet on pairs that have nothing in common, and hold its curves against the law of chance.

For independent signals SI-SDR = 10 log10(rho^2 / (1 - rho^2)) with rho ~ N(0, 1/N), so it is 10 log10 of a chi-square
variable with one degree of freedom, less 10 log10 N: SD 9.65 dB, skewness -1.54; the difference of two such values has
an SD of 13.64 dB. The best of k evaluations that differ by chance lies where extreme values lie.

    python benchmarks/null_model.py --data FOLDER --out runs-null [--train]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from scipy.stats import norm, skew

from auscult import recipe
from auscult.hub.runs import read_history
from auscult.metrics.base import Signals
from auscult.metrics.energy import SiSdr
from auscult.rng import Key
from auscult.train.settings import Options
from auscult.train.setup import plan_run
from auscult.train.validate import held_out

HERE = Path(__file__).parent
SD, SKEW, MEAN = 9.65, -1.54, -5.52
SETTINGS = [
    "name=tfgridnet-null",
    "data.type=faults.IndependentCrops",
    "data.crop_s=0.5",
    "validation.data.type=faults.IndependentCrops",
    "validation.data.crop_s=0.5",
    "validation.items=96",
    "validation.metrics=[si_sdr]",
    "validation.every=15",
    "validation.extremes=0",
    "training.steps=600",
    "training.batch=4",
    "training.ema_decay=null",
    "training.clip_norm=0.5",
    "method.losses=[{type: LimitedSISDR, weight: 1.0, limit_db: 40}]",
    "optimiser.lr=0.0005",
    "schedule={type: Plateau, gamma: 0.5, patience: 5, floor: 0.0000001}",
]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    sys.path.insert(0, str(HERE))
    if given.train:
        train(given.data, given.out)
    (run,) = given.out.glob("tfgridnet-null-*")
    told(run, given.data)
    if given.figure:
        figure(run, given.figure)


def train(data: Path, out: Path) -> None:
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    command = [sys.executable, "-m", "auscult", "train", "tfgridnet-small", "--data", str(data), "--runs", str(out)]
    env = {**os.environ, "PYTHONPATH": str(HERE)}
    subprocess.run([*command, "--device", "cpu", *settings], env=env, check=True)


def told(run: Path, data: Path) -> None:
    rows = [row for row in read_history(run / "history.jsonl") if row["kind"] == "validation"]
    scores = np.array([[item["si_sdr"] for item in row["items"]] for row in rows])
    plan = plan_run(recipe.read("tfgridnet-small", SETTINGS), Options(device="cpu"), data)
    assert plan.validation is not None
    pairs = held_out(plan.validation, Key(plan.seed).child("validation"))
    noisy = np.array([SiSdr()(Signals(p.noisy[0], p.rate_hz, clean=p.clean[0])) for p in pairs.values()])
    last, means = scores[-1], scores.mean(1)
    gain = last - noisy
    print(f"{len(rows)} validations of {last.size} items\n")
    print("| | measured | law of chance |\n|---|---|---|")
    for name, values in (("noisy input", noisy), ("last validation", last)):
        size = 10 ** ((MEAN - values.mean()) / 10)
        print(f"| SI-SDR of the {name}: mean | {values.mean():.2f} dB | {MEAN} - 10 log10 N: N = {size:.0f} |")
        print(f"| its SD, skewness | {values.std(ddof=1):.2f} dB, {skew(values):.2f} | {SD} dB, {SKEW} |")
    t = gain.mean() / (gain.std(ddof=1) / np.sqrt(gain.size))
    print(f"| improvement: mean, t | {gain.mean():.2f} dB, {t:.2f} | 0, \\|t\\| < 2 |")
    print(f"| its SD | {gain.std(ddof=1):.2f} dB | 13.64 dB if independent |")
    print(f"| correlation with the input's SI-SDR | {np.corrcoef(noisy, gain)[0, 1]:.2f} | -0.71 if independent |")
    best = int(means.argmax())
    k = len(means)
    expected = float(norm.ppf(1 - 0.375 / (k + 0.25)))
    spread = means.std(ddof=1)
    found = (means.max() - means.mean()) / spread
    print(f"| best validation | {best + 1} of {k}, {found:.2f} SD above the mean | anywhere, {expected:.2f} SD |")
    slope = np.polyfit(np.arange(k), means, 1)[0] * k
    print(f"| trend over the whole run | {slope:+.2f} dB | 0 +- {np.sqrt(12) * spread / np.sqrt(k):.2f} |")
    rates = [row["turns"]["net"]["lr"] for row in read_history(run / "history.jsonl") if row["kind"] == "step"]
    halved, chances = np.log2(rates[0] / rates[-1]), (k - 1 - best) // 5
    print(f"| halvings of the learning rate | {halved:.0f} | {chances} chances after the best validation |")


def figure(run: Path, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    history = list(read_history(run / "history.jsonl"))
    steps = [(row["step"], row["turns"]["net"]) for row in history if row["kind"] == "step"]
    rows = [row for row in history if row["kind"] == "validation"]
    scores = np.array([[item["si_sdr"] for item in row["items"]] for row in rows])
    errors = 1.96 * scores.std(1, ddof=1) / np.sqrt(scores.shape[1])
    fig, axes = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
    axes[0].plot([step for step, _ in steps], [net["loss"] for _, net in steps], color="#b3261e")
    axes[1].errorbar([row["step"] for row in rows], scores.mean(1), errors, color="#b3261e", lw=0.8, fmt="o", ms=3)
    axes[1].axhline(scores.mean(), color="grey", lw=0.8, ls=":")
    values = np.sort(scores[-1])
    axes[2].step(values, np.linspace(0, 1, values.size), color="#b3261e", label="last validation")
    grid = np.linspace(values[0] - 5, 0, 300)
    deviations = 10 ** ((grid - values.mean() + MEAN) / 20)
    axes[2].plot(grid, 2 * norm.cdf(deviations) - 1, color="grey", ls=":", label="chance")
    titles = (
        "training loss (40 dB - SI-SDR)",
        "SI-SDR of 96 held-out crops, dB",
        "share of crops below, by SI-SDR, dB",
    )
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title, fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    axes[2].legend(frameon=False)
    fig.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
