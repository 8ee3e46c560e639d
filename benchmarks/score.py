"""Quality of a score model against the number of net calls: predictor-corrector and the few-step solvers.

    python benchmarks/score.py --data FOLDER --run runs/score-small-XXXXXXXX [--items 24]

Held-out speakers and noises, mixed at 0 to 10 dB (RMS), whole items of up to 4 s, the same noise draws everywhere.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml
from numpy import ndarray

from auscult import recipe
from auscult.data.pairs import PairSource
from auscult.evaluate.score import STANDARD, Waves, metrics_named, score_waves
from auscult.evaluate.statistics import interval
from auscult.restore import load
from auscult.rng import Key
from auscult.samplers.base import Sampler

SAMPLERS = [
    *(f"{{type: PredictorCorrector, steps: {n}, corrector: annealed, snr: 0.5}}" for n in (30, 15, 8)),
    *(f"{{type: PredictorCorrector, steps: {n}, corrector: none}}" for n in (30, 10)),
    *(f"{{type: Ancestral, steps: {n}}}" for n in (16, 8)),
    *(f"{{type: DDIM, steps: {n}}}" for n in (16, 8, 4, 2, 1)),
    *(f"{{type: Multistep, steps: {n}}}" for n in (16, 8, 4, 2)),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", required=True)
    parser.add_argument("--items", type=int, default=24)
    parser.add_argument("--samplers", nargs="*", default=SAMPLERS)
    arguments = parser.parse_args()
    node = recipe.read("score-small")["validation"]["data"] | {"root": str(arguments.data), "crop_s": 4.0}
    node["degradations"] = [{"type": "AddNoise", "snr_db": [0, 10], "level": "rms"}]
    source: PairSource = recipe.plan(node, PairSource, "data").build()
    step = max(1, len(source) // arguments.items)
    pairs = [source.pair(i * step, Key(1).child(i)) for i in range(arguments.items)]
    metrics = metrics_named(STANDARD)

    def scored(estimates: Sequence[ndarray]) -> list[Mapping[str, float]]:
        return [
            score_waves(metrics, Waves(wave, pair.rate_hz, pair.clean)).scores
            for pair, wave in zip(pairs, estimates, strict=True)
        ]

    noisy = scored([pair.noisy for pair in pairs])
    print("| sampler | calls | SI-SDR gain, dB | PESQ-WB | ESTOI |\n|---|---|---|---|---|")
    print(f"| noisy input | 0 | 0 | {cell([n['pesq'] for n in noisy], 2)} | {cell([n['estoi'] for n in noisy], 3)} |")
    for settings in arguments.samplers:
        model = load(arguments.run, overrides=[f"sampler={settings}"])
        scores = scored([model.enhance(pair.noisy, pair.rate_hz) for pair in pairs])
        gain = [s["si_sdr"] - n["si_sdr"] for s, n in zip(scores, noisy, strict=True)]
        calls = recipe.plan(yaml.safe_load(settings), Sampler, "sampler").build().calls
        print(
            f"| {settings.strip('{}')} | {calls} | {cell(gain, 1)} | {cell([s['pesq'] for s in scores], 2)} | "
            f"{cell([s['estoi'] for s in scores], 3)} |",
            flush=True,
        )


def cell(values: Sequence[float], digits: int) -> str:
    """``2.31 [2.20, 2.43]``."""
    low, high = interval(np.asarray(values))
    return f"{np.mean(values):.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


if __name__ == "__main__":
    main()
