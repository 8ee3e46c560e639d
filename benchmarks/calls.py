"""What net calls cost and what they buy: real-time factor and quality at 60, 30, 10 and 5 calls, fp32 and bf16.

    python benchmarks/calls.py [--run runs/score-small-XXXXXXXX --data FOLDER] [--items 24]

Without a run: seconds that one call of the full NCSN++ (65.6 M parameters, random weights) takes for a second of audio,
and the real-time factors which follow. With one: also its factors and scores on a folder that benchmarks/mixtures.py
made. Every item goes through all settings in turn, so that other work on the machine slows all of them alike.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import yaml
from net import best
from numpy import ndarray

from auscult import recipe
from auscult.allocator import keep_freed_memory
from auscult.audio.clip import read
from auscult.evaluate.datasets import DataSet
from auscult.evaluate.score import STANDARD, Waves, metrics_named, score_waves
from auscult.evaluate.statistics import interval
from auscult.nets.ncsnpp import V1, NCSNpp
from auscult.restore import load
from auscult.restore.engine import Restorer
from auscult.restore.models import Precision
from auscult.samplers.base import Sampler

SAMPLERS = (
    "{type: PredictorCorrector, steps: 30}",
    "{type: PredictorCorrector, steps: 15}",
    "{type: PredictorCorrector, steps: 5}",
    "{type: DDIM, steps: 10}",
    "{type: DDIM, steps: 5}",
)
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
FRAMES, FRAME_S = 256, 128 / 16_000


@dataclass
class Measured:
    """One sampler in one precision, item by item."""

    sampler: str
    precision: Precision
    restorer: Restorer
    elapsed_s: list[float] = field(default_factory=list)
    scores: list[Mapping[str, float]] = field(default_factory=list)

    @property
    def calls(self) -> int:
        return recipe.plan(yaml.safe_load(self.sampler), Sampler, "sampler").build().calls

    def add(self, noisy: ndarray, clean: ndarray, rate_hz: int) -> None:
        """Restore and score one item."""
        started = time.perf_counter()
        estimate = self.restorer.enhance(noisy, rate_hz)
        self.elapsed_s.append(time.perf_counter() - started)
        self.scores.append(score_waves(metrics_named(STANDARD), Waves(estimate, rate_hz, clean)).scores)

    def of(self, metric: str) -> ndarray:
        return np.array([scores[metric] for scores in self.scores])


def costs(repeats: int) -> None:
    """The full-size net alone: cost does not depend on what its weights are."""
    net = NCSNpp(**V1).eval()
    inputs, t = torch.randn(1, 2, 256, FRAMES, dtype=torch.complex64), torch.tensor([0.5])
    calls = [recipe.plan(yaml.safe_load(sampler), Sampler, "sampler").build().calls for sampler in SAMPLERS]
    counts = sorted(set(calls), reverse=True)
    print("\n| NCSN++ 65.6 M | seconds a call, a second of audio | " + " | ".join(f"{n} calls" for n in counts) + " |")
    print("|---" * (2 + len(counts)) + "|")
    for precision in PRECISIONS:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            each = best(lambda: net(inputs, t), repeats) / (FRAMES * FRAME_S)
        print(f"| {precision} | {each:.2f} | " + " | ".join(f"{n * each:.0f}" for n in counts) + " |", flush=True)


def quality(run: str, folder: Path, items: int) -> None:
    """Real-time factors and scores; differences are to the first line, item by item, over speakers."""
    rows = [
        Measured(sampler, precision, load(run, device="cpu", overrides=[f"sampler={sampler}"], precision=precision))
        for precision in PRECISIONS
        for sampler in SAMPLERS
    ]
    known = DataSet(manifest=folder / "pairs.jsonl").contents("pairs", {}).items
    chosen = [known[i * len(known) // items] for i in range(items)]
    speakers = np.unique([item.facts["speaker"] for item in chosen], return_inverse=True)[1]
    length_s = 0.0
    for i, item in enumerate(chosen):
        noisy, clean = read(item.noisy), read(item.clean)
        length_s += noisy.duration_s
        for row in rows:
            if i == 0:
                row.restorer.enhance(noisy.wave, noisy.rate_hz)  # to warm up
            row.add(noisy.wave, clean.wave, noisy.rate_hz)
    print(
        f"\n{items} items of {len(np.unique(speakers))} speakers, {length_s:.0f} s, {torch.get_num_threads()} threads\n"
    )
    print(
        "| sampler | precision | calls | real-time factor | "
        + " | ".join(f"{m} | against 60 calls" for m in STANDARD)
        + " |"
    )
    print("|---" * (4 + 2 * len(STANDARD)) + "|")
    for row in rows:
        cells = [
            row.sampler.strip("{}").removeprefix("type: "),
            row.precision,
            str(row.calls),
            f"{sum(row.elapsed_s) / length_s:.3f}",
        ]
        for metric in STANDARD:
            values = row.of(metric)
            cells += [cell(values, speakers), cell(values - rows[0].of(metric), speakers, "+")]
        print("| " + " | ".join(cells) + " |")


def cell(values: ndarray, speakers: ndarray, sign: str = "-") -> str:
    """``1.395 [1.273, 1.538]``; with ``sign="+"`` every sign is shown."""
    low, high = interval(values, speakers)
    return f"{values.mean():{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--items", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    keep_freed_memory()
    if (arguments.run is None) != (arguments.data is None):
        parser.error("give --run and --data together, or neither")
    if arguments.run is not None:
        quality(arguments.run, arguments.data, arguments.items)
    costs(arguments.repeats)


if __name__ == "__main__":
    main()
