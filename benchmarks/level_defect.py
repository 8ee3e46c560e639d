"""CMGAN in small, as intended and with the published trainer's defect: what the histories of both runs say.

auscult train cmgan-small --data FOLDER --runs runs-cmgan
auscult train cmgan-small --data FOLDER --runs runs-cmgan --set method.reproduce_published_level_defect=true
python benchmarks/level_defect.py runs-cmgan [--figure FILE.png]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml

from auscult.hub.runs import read_history
from auscult.train.history import History, paired, smoothed

DIGITS = {"pesq": 2, "estoi": 3, "si_sdr": 1, "snr": 1}
COLOURS = {"as intended": "#0b6e4f", "with the defect": "#b3261e"}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", type=Path)
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    runs = dict(sorted((label(run), run) for run in given.runs.glob("cmgan-small-*")))
    histories = {name: History.of(list(read_history(run / "history.jsonl"))) for name, run in runs.items()}
    table(histories)
    if given.figure:
        figure(histories, given.figure)


def label(run: Path) -> str:
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    return "with the defect" if recipe["method"]["reproduce_published_level_defect"] else "as intended"


def table(histories: dict[str, History]) -> None:
    steps = common(list(histories.values()))
    print("| steps | | loss | gain | PESQ | ESTOI | SI-SDR | SNR |\n|---|---|---|---|---|---|---|---|")
    for step in steps:
        for name, history in histories.items():
            (one,) = [v for v in history.validations if v.step == step]
            loss, gain = (recent(history, step, *path) for path in (("loss",), ("notes", "gain")))
            scores = " | ".join(f"{one.means[metric]:.{digits}f}" for metric, digits in DIGITS.items())
            print(f"| {step} | {name} | {loss:.3f} | {gain:.2f} | {scores} |")
    intended, defect = (histories[name].validations for name in ("as intended", "with the defect"))
    last = steps[-1]
    pair = [next(v for v in side if v.step == last) for side in (defect, intended)]
    for metric in DIGITS:
        found = paired(pair[0], pair[1], metric)
        print(f"\ndefect - intended at {last}, {metric}: {found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]")


def common(histories: Sequence[History]) -> list[int]:
    sets = [{one.step for one in history.validations} for history in histories]
    return sorted(set.intersection(*sets))


def recent(history: History, step: int, *path: str) -> float:
    """Mean over the hundred steps up to this one."""
    return history.series("turns", "net", *path).within(step - 100, step).mean


def figure(histories: dict[str, History], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
    for name, history in histories.items():
        for axis, where in ((axes[0], ("loss",)), (axes[1], ("notes", "gain"))):
            line = smoothed(history.series("turns", "net", *where), 9)
            axis.plot(line.steps, line.values, color=COLOURS[name], label=name)
        pesq = history.means("pesq")
        axes[2].plot(pesq.steps, pesq.values, "o-", color=COLOURS[name])
    axes[1].axhline(1.0, color="grey", lw=0.8, ls=":")
    for axis, title in zip(axes, ("training loss", "gain of the estimate", "PESQ of held-out items"), strict=True):
        axis.set(title=title, xlabel="step")
        axis.spines[["top", "right"]].set_visible(False)
    axes[1].set_ylim(0, 1.1)
    axes[0].set_ylim(0, float(np.nanmax([h.series("turns", "net", "loss").values[5] for h in histories.values()])))
    axes[0].legend(frameon=False)
    fig.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
