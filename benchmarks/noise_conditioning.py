"""Does it help to be told of the noise? Small nets with and without a condition, on noises they know and on others.

One unconditional net is trained first. Every arm goes on from its weights, to which a condition adds nothing before it
is trained; arms share items, order, times and noise and differ in the condition alone. Training leaves the held-out
types of noise out. Judged are the loss at equal times and noises, and restorations, item by item and seed by seed.

    python benchmarks/noise_conditioning.py --data FOLDER --out runs-noise [--train] [--base-steps 2000] [--steps 250]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from auscult import recipe
from auscult.data.pairs import Pair, PairBatch, PairSource
from auscult.degrade.base import Unusable
from auscult.evaluate.statistics import interval, sign_flip, widened
from auscult.features.normalise import Statistics
from auscult.hub.opening import open_method
from auscult.hub.runs import checkpoints
from auscult.methods.base import Batch, Method
from auscult.metrics.base import Signals
from auscult.metrics.energy import SiSdr
from auscult.metrics.perceptual import PesqWideband
from auscult.rng import Draws, Key

NONE = ["method.net.cond=null", "method.conditioning=null"]
FILM = ["method.net.cond.injections=[{type: AdaGN, width: 32}]"]
PLANE = ["method.net.cond.encoder={type: PSDEncoder}", "method.net.cond.injections=[{type: SpectralChannel}]"]
DROP = "method.conditioning.drop={}"
ARMS = {
    "none": NONE,
    "film": [*FILM, DROP.format(0.20)],
    "psd": [*PLANE, DROP.format(0.20)],
    "film-drop-05": [*FILM, DROP.format(0.05)],
    "film-drop-25": [*FILM, DROP.format(0.25)],
}
TIMES = 2
"""At which the loss of an item is taken."""
ONE_CALL = "sampler={type: DDIM, steps: 1}"
SETS = ("known", "unseen")
QUANTITIES = ("loss", "si_sdr", "pesq")
Found = dict[tuple[str, str, str], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--base-steps", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--items", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at a time, a thread each")
    given = parser.parse_args()
    torch.set_num_threads(1)
    held_out = json.loads((given.data / "ood_noise.json").read_text())["held_out_noise_types"]
    if given.train:
        train(given, held_out)
    tell(judged(given, held_out))


def train(given: argparse.Namespace, held_out: list[str]) -> None:
    """The base, then every arm with every seed, some at a time; runs that ended are found and kept."""
    shared = ["validation=null", f"data.source.banks.noise.exclude={{noise_type: [{', '.join(held_out)}]}}"]
    base = [*shared, *NONE, "name=noise-base", "seed=100", f"training.steps={given.base_steps}"]
    at_once([command(given, base)], 1)
    start = ["--init-from", str(newest(given.out, "noise-base"))]
    arms = [
        command(given, [*shared, *settings, *arm_settings(arm, seed, given.steps)]) + start
        for seed in range(given.seeds)
        for arm, settings in ARMS.items()
    ]
    at_once(arms, given.jobs)


def arm_settings(arm: str, seed: int, steps: int) -> list[str]:
    short = ["schedule.warmup_steps=50", "training.ema_decay=0.99", f"training.steps={steps}"]
    return [f"name=noise-{arm}-{seed}", f"seed={seed}", *short]


def command(given: argparse.Namespace, settings: list[str]) -> list[str]:
    told = [part for setting in settings for part in ("--set", setting)]
    where = ["--data", str(given.data), "--runs", str(given.out), "--device", "cpu"]
    return [sys.executable, "-m", "auscult", "train", "noise-small", *where, *told]


def at_once(commands: list[list[str]], jobs: int) -> None:
    """Every command, `jobs` of them at a time, a thread each."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}

    def one(command: list[str]) -> int:
        return subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=False).returncode

    with ThreadPoolExecutor(jobs) as pool:
        if any(pool.map(one, commands)):
            sys.exit("a run failed")


def newest(out: Path, name: str) -> Path:
    """The last checkpoint of the one run of this name."""
    (run,) = (path for path in out.iterdir() if path.name.rpartition("-")[0] == name)
    return checkpoints(run)[-1]


def judged(given: argparse.Namespace, held_out: list[str]) -> Found:
    """Scores by set, arm and quantity: seeds by items."""
    found: Found = {}
    for which in SETS:
        pairs = list(held_out_pairs(given.data, which, held_out, given.items))
        noisy = np.array([scores(pair, pair.noisy) for pair in pairs])
        found |= {(which, "noisy", q): noisy[None, :, i] for i, q in enumerate(QUANTITIES[1:])}
        for arm in ARMS:
            tables = np.stack(
                [table(newest(given.out, f"noise-{arm}-{seed}"), arm, pairs) for seed in range(given.seeds)]
            )
            found |= {(which, arm, q): tables[..., i] for i, q in enumerate(QUANTITIES)}
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


def table(checkpoint: Path, arm: str, pairs: list[Pair]) -> np.ndarray:
    """Loss and scores of every item."""
    told = [] if arm == "none" else ["conditioning.drop=0"]
    method, nets, _ = open_method(checkpoint, (), [ONE_CALL, *told])
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
    """Mean over a few times; times and noises are the item's own."""
    batch = Batch.of(alone(pair), method.normalise)
    losses = []
    for time in range(TIMES):
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
                values, none = found[which, arm, quantity], found[which, "none", quantity]
                cells += [f"{values.mean():.3f}", against(values - none) if arm != "none" else ""]
            print(f"| {which} | {arm} | " + " | ".join(cells) + " |")
    print("\nEach seed's mean SI-SDR:\n")
    for which in SETS:
        for arm in ARMS:
            print(f"| {which} | {arm} | " + " | ".join(f"{v:.2f}" for v in found[which, arm, "si_sdr"].mean(1)) + " |")


def against(differences: np.ndarray) -> str:
    """Mean difference over seeds and items; its interval holds for other items and other seeds."""
    items, seeds = differences.mean(0), differences.mean(1)
    low, high = widened(interval(items), float(items.mean()), [seeds])
    return f"{items.mean():+.4f} [{low:+.4f}, {high:+.4f}], p {sign_flip(items):.3f}"


if __name__ == "__main__":
    main()
