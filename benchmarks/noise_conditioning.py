"""Does it help to be told of the noise? Small nets with and without a condition, on noises they know and on others.

Arms share items, order, times, noise and the initial weights of the net; they differ in the condition alone. Training
leaves the held-out types of noise out. Judged are the loss at equal times and noises, and restorations, item by item.

    python benchmarks/noise_conditioning.py --data FOLDER --out runs-noise [--train] [--steps 300] [--seeds 3]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from auscult import recipe
from auscult.data.pairs import Pair, PairBatch, PairSource
from auscult.degrade.base import Unusable
from auscult.evaluate.statistics import interval, sign_flip
from auscult.features.normalise import Statistics
from auscult.hub.opening import open_method
from auscult.hub.runs import checkpoints
from auscult.methods.base import Batch, Method
from auscult.metrics.base import Signals
from auscult.metrics.energy import SiSdr
from auscult.metrics.perceptual import PesqWideband
from auscult.rng import Draws, Key

FILM = "[{type: AdaGN, width: 32}]"
PLANE = "[{type: SpectralChannel}]"
ARMS = {
    "none": ["method.net.cond=null", "method.conditioning=null"],
    "film": [f"method.net.cond.injections={FILM}"],
    "psd": ["method.net.cond.encoder={type: PSDEncoder}", f"method.net.cond.injections={PLANE}"],
}
SETS = ("known", "unseen")
QUANTITIES = ("loss", "si_sdr", "pesq")
Found = dict[tuple[str, str, str], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--items", type=int, default=40)
    given = parser.parse_args()
    held_out = json.loads((given.data / "ood_noise.json").read_text())["held_out_noise_types"]
    if given.train:
        train(given.data, given.out, held_out, given.steps, given.seeds)
    tell(judged(given.data, given.out, held_out, given.items, given.seeds))


def train(data: Path, out: Path, held_out: list[str], steps: int, seeds: int) -> None:
    """Every arm with every seed, as many at a time as there are cores."""
    waiting = [command(data, out, arm, seed, held_out, steps) for seed in range(seeds) for arm in ARMS]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    running: list[subprocess.Popen[bytes]] = []
    for one in waiting:
        if len(running) >= (os.cpu_count() or 1):
            running.pop(0).wait()
        running.append(subprocess.Popen(one, env=env, stdout=subprocess.DEVNULL))
    if any(process.wait() for process in running):
        sys.exit("a run failed")


def command(data: Path, out: Path, arm: str, seed: int, held_out: list[str], steps: int) -> list[str]:
    settings = [
        *ARMS[arm],
        f"name=noise-{arm}-{seed}",
        f"seed={seed}",
        f"training.steps={steps}",
        "schedule.warmup_steps=50",
        "training.ema_decay=0.99",
        "validation=null",
        f"data.source.banks.noise.exclude={{noise_type: [{', '.join(held_out)}]}}",
    ]
    told = [part for setting in settings for part in ("--set", setting)]
    where = ["--data", str(data), "--runs", str(out), "--device", "cpu"]
    return [sys.executable, "-m", "auscult", "train", "noise-small", *where, *told]


def judged(
    data: Path, out: Path, held_out: list[str], items: int, seeds: int
) -> dict[tuple[str, str, str], np.ndarray]:
    """Scores by set, arm and quantity: an array of items, each a mean over seeds."""
    found: dict[tuple[str, str, str], np.ndarray] = {}
    for which in SETS:
        pairs = list(held_out_pairs(data, which, held_out, items))
        noisy = np.array([scores(pair, pair.noisy) for pair in pairs])
        found |= {(which, "noisy", q): noisy[:, i] for i, q in enumerate(QUANTITIES[1:])}
        for arm in ARMS:
            tables = [table(out, arm, seed, pairs) for seed in range(seeds)]
            found |= {(which, arm, q): np.mean([one[:, i] for one in tables], axis=0) for i, q in enumerate(QUANTITIES)}
            print(f"{which} {arm}: done", file=sys.stderr, flush=True)
    return found


def held_out_pairs(data: Path, which: str, held_out: list[str], items: int) -> Iterator[Pair]:
    """Mixtures at 0 dB of held-out speakers, with a disjoint second of their noise."""
    node: dict[str, Any] = recipe.read("noise-small")["validation"]["data"]
    chosen = {"exclude": {"noise_type": held_out}} if which == "known" else {}
    where = {"kind": "noise"} | ({"noise_type": held_out} if which == "unseen" else {})
    source = node["source"] | {"root": str(data), "degradations": [{"type": "AddNoise", "snr_db": [0, 0]}]}
    source["banks"] = {"noise": {"manifest": "valid.jsonl", "where": where, **chosen}}
    made: PairSource = recipe.plan(node | {"source": source}, PairSource, "data").build()
    taken = 0
    for position in range(100 * items):
        try:
            pair = made.pair((position * 7919) % len(made), Key(1).child(which, position))
        except Unusable:
            continue
        if int(pair.conditions["noise_samples"]):
            yield pair
            taken += 1
        if taken == items:
            return


def table(out: Path, arm: str, seed: int, pairs: list[Pair]) -> np.ndarray:
    (run,) = out.glob(f"noise-{arm}-{seed}-*")
    settings = [] if arm == "none" else ["conditioning.drop=0"]
    method, nets, _ = open_method(checkpoints(run)[-1], (), settings)
    return np.array([[loss_of(method, nets, pair, i), *restored(method, nets, pair)] for i, pair in enumerate(pairs)])


def alone(pair: Pair) -> PairBatch:
    """A batch of one."""
    return PairBatch(
        pair.clean[None],
        pair.noisy[None],
        lengths=np.array([pair.length]),
        crop_start=np.array([pair.crop_start]),
        valid=np.array([True]),
        positions=(0,),
        names=(pair.name,),
        provenance=(pair.provenance,),
        conditions={name: value[None] for name, value in pair.conditions.items()},
    )


@torch.inference_mode()
def loss_of(method: Method, nets: dict[str, torch.nn.Module], pair: Pair, number: int) -> float:
    """Mean over four times; times and noises are the item's own."""
    batch = Batch.of(alone(pair), method.normalise)
    losses = []
    for time in range(4):
        key = Key(2).child(number, time)
        shared = method.forward(nets, batch, Draws.of([key]))
        losses.append(method.loss("net", nets, batch, shared, Draws.of([key])).total.item())
    return float(np.mean(losses))


@torch.inference_mode()
def restored(method: Method, nets: dict[str, torch.nn.Module], pair: Pair) -> tuple[float, float]:
    gain = method.normalise.gain(Statistics.of(pair.noisy[None]))[0]
    told = {name: torch.from_numpy(value[None]) for name, value in pair.conditions.items()} if method.conditions else {}
    wave = method.restore(nets, torch.from_numpy(gain * pair.noisy[None]), Draws([0]), told)
    return scores(pair, wave[0].numpy() / gain)


def scores(pair: Pair, wave: np.ndarray) -> tuple[float, float]:
    signals = Signals(wave[0].astype(np.float32), pair.rate_hz, clean=pair.clean[0])
    return SiSdr()(signals), PesqWideband()(signals)


def tell(found: Found) -> None:
    print("| noise | arm | loss | against none | SI-SDR | against none | PESQ | against none |\n" + "|---" * 8 + "|")
    for which in SETS:
        noisy = " | | ".join(f"{found[which, 'noisy', q].mean():.2f}" for q in QUANTITIES[1:])
        print(f"| {which} | noisy | | | {noisy} | |")
        for arm in ARMS:
            cells = []
            for quantity in QUANTITIES:
                values = found[which, arm, quantity]
                cells += [
                    f"{values.mean():.3f}",
                    against(values - found[which, "none", quantity]) if arm != "none" else "",
                ]
            print(f"| {which} | {arm} | " + " | ".join(cells) + " |")


def against(differences: np.ndarray) -> str:
    low, high = interval(differences)
    return f"{differences.mean():+.3f} [{low:+.3f}, {high:+.3f}], p {sign_flip(differences):.3f}"


if __name__ == "__main__":
    main()
