"""Tiny runs for the tests: a recipe that trains in seconds, a package of a user's own, and ways to launch them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

REGRESSION: dict[str, Any] = {
    "name": "tiny",
    "method": {
        "type": "Regression",
        "features": {"type": "CompressedSTFT", "n_fft": 512, "hop": 256, "window": "sqrthann", "transform": "none"},
        "net": {"type": "BandGRU", "channels": 4, "hidden": 4, "blocks": 1},
        "losses": [{"type": "CompressedSpectrum", "magnitude": 0.7, "complex": 0.3}],
    },
    "data": {
        "type": "Mixture",
        "crop_s": 0.3,
        "speech": {"manifest": "all.jsonl", "where": {"kind": "speech"}},
        "banks": {"noise": {"folder": "noise"}},
        "degradations": [{"type": "AddNoise", "snr_db": [0, 10]}],
    },
    "training": {"steps": 6, "batch": 2, "ema_decay": 0.9},
    "optimiser": {"algorithm": "adam", "lr": 0.003},
    "schedule": {"type": "WarmupCosine", "warmup_steps": 2},
}

SCORE: dict[str, Any] = {
    **REGRESSION,
    "name": "tiny-score",
    "method": {
        "type": "ScoreModel",
        "features": {"type": "CompressedSTFT", "n_fft": 62, "hop": 32, "window": "hann"},
        "path": {"type": "OUVE"},
        "net": {"type": "NCSNpp", "channels": 8, "multipliers": [1, 1], "blocks": 1, "attention_heights": [16],
                "bins": 32, "dropout": 0.1},
        "objective": {"type": "ScoreMatching", "per_bin": True},
        "sampler": {"type": "Multistep", "steps": 2},
        "frame_grid": 2,
    },
}  # fmt: skip

TOLD: dict[str, Any] = {
    **SCORE,
    "name": "tiny-told",
    "method": {
        **SCORE["method"],
        "net": {**SCORE["method"]["net"], "dropout": 0.0,
                "cond": {"type": "NoiseCondition", "encoder": {"type": "ConvStatistics", "width": 8, "channels": 4},
                         "injections": [{"type": "AdaGN", "width": 4}, {"type": "SpectralChannel"}]}},
        "conditioning": {"drop": 0.3},
    },
    "data": {"type": "Referenced", "crop_s": 0.3, "duration_s": [0.1, 0.2],
             "source": {**REGRESSION["data"], "crop_s": 0.6}},
}  # fmt: skip
"""Diffusion that is told of the noise."""

VALIDATION: dict[str, Any] = {
    "every": 3,
    "items": 2,
    "metrics": ["si_sdr"],
    "select": "si_sdr",
    "keep_best": 1,
    "data": {
        "type": "Mixture",
        "crop_s": None,
        "speech": {"manifest": "all.jsonl", "where": {"kind": "speech", "speaker": "s0"}},
        "banks": {"noise": {"folder": "noise"}},
        "degradations": [{"type": "AddNoise", "snr_db": [5, 5]}],
    },
}

ADVERSARIAL: dict[str, Any] = {
    "type": "my_pkg.methods.Adversarial",
    "features": {"type": "CompressedSTFT", "n_fft": 512, "hop": 256, "window": "sqrthann", "transform": "none"},
}

PACKAGE = {
    "__init__.py": "",
    "nets.py": '''
import torch
from torch import nn


class Gain(nn.Module):
    """One gain a bin."""

    def __init__(self, bins: int = 257, start: float = 0.5):
        super().__init__()
        self.gain = nn.Parameter(torch.full((bins, 1), start))

    def forward(self, z):
        return z * self.gain


class Judge(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(257, 1)

    def forward(self, magnitude):
        return self.linear(magnitude.mean(-1)).squeeze(-1)
''',
    "methods.py": '''
import torch
from auscult.features.normalise import Normalise
from auscult.features.spectral import CompressedSTFT
from auscult.losses.base import Loss
from auscult.methods.base import Method
from my_pkg.nets import Gain, Judge


class Adversarial(Method):
    """A gain that a judge of magnitudes is trained against."""

    turns = ("net", "judge")

    def __init__(self, features: CompressedSTFT, rate_hz: int = 16_000):
        self.features, self.rate_hz, self.normalise = features, rate_hz, Normalise("rms")
        self._nets = {"net": Gain(), "judge": Judge()}

    def nets(self):
        return self._nets

    def forward(self, nets, batch, draws):
        noisy, clean = self.features.encode(batch.noisy)[:, 0], self.features.encode(batch.clean)[:, 0]
        return nets["net"](noisy), clean

    def loss(self, turn, nets, batch, shared, draws):
        estimate, clean = shared
        if turn == "net":
            fooled = (nets["judge"](estimate.abs()) - 1).square().mean()
            apart = (estimate - clean).abs().square().mean()
            return Loss({"fooled": fooled, "apart": apart}, {"fooled": 0.1, "apart": 1.0})
        real, fake = nets["judge"](torch.cat([clean, estimate.detach()]).abs()).chunk(2)
        return Loss({"real": (real - 1).square().mean(), "fake": fake.square().mean()}, {"real": 1.0, "fake": 1.0})

    def restore(self, nets, noisy, draws):
        return self.features.decode(nets["net"](self.features.encode(noisy)), noisy.shape[-1])
''',
    "parts.py": '''
from dataclasses import dataclass
from auscult.degrade.base import Degradation
from auscult.metrics.base import Metric
from auscult.paths.ouve import OUVE
from auscult.paths.base import LinearPath
import torch


@dataclass(frozen=True)
class Invert(Degradation):
    probability: float = 1.0

    def draw(self, rng, samples, rate_hz, banks):
        return {}

    def apply(self, signal, drawn, banks):
        return signal.heard(-signal.noisy)


@dataclass(frozen=True)
class Straight(LinearPath):
    """x_t = (1 - t) x_0 + t y + t (1 - t / 2) z / 4."""

    def clean_weight(self, t):
        return 1 - 0.9 * t

    def anchor_weight(self, t):
        return 0.9 * t

    def std(self, t):
        return 0.25 * t

    def drift(self, x, anchor, t):
        return anchor - x

    def diffusion(self, t):
        return torch.full_like(t, 0.3)

    def prior(self, anchor, draws):
        return anchor + 0.25 * draws.normal_like(anchor)


class Correlation(Metric):
    name, unit, source = "correlation", "", "this test"

    def _score(self, signals):
        clean, estimate = signals.reference(), signals.estimate
        return float((clean @ estimate) / ((clean @ clean) * (estimate @ estimate)) ** 0.5)
''',
    "data.py": '''
import auscult.data.loader
from auscult.data.pairs import Mixture
from auscult.degrade.base import Unusable

auscult.data.loader.ATTEMPTS = 1


class Patchy(Mixture):
    """Every other item cannot be used."""

    def pair(self, index, key):
        if index % 2:
            raise Unusable("odd", str(index))
        return super().pair(index, key)
''',
}


def recipe(base: dict[str, Any] = REGRESSION, **changes: Any) -> dict[str, Any]:
    """A recipe with top-level sections replaced or, for mappings, updated."""
    out = dict(base)
    for key, value in changes.items():
        out[key] = {**out.get(key, {}), **value} if isinstance(value, dict) and key != "method" else value
    return out


def write_recipe(folder: Path, content: dict[str, Any], name: str = "recipe.yaml") -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump(content))
    return path


def write_package(folder: Path) -> Path:
    """The user's own package; returns the folder to put on the path."""
    (folder / "my_pkg").mkdir(exist_ok=True)
    for name, text in PACKAGE.items():
        (folder / "my_pkg" / name).write_text(text)
    return folder


def environment(path: Path | None = None, **extra: str) -> dict[str, str]:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", **extra}
    if path is not None:
        env["PYTHONPATH"] = str(path)
    return env


def arguments(recipe_path: Path, corpus: Path, runs: Path, *more: str) -> list[str]:
    """Forced: the tiny corpus is learned from and validated on."""
    return ["train", str(recipe_path), "--data", str(corpus), "--runs", str(runs), "--workers", "0", "--device", "cpu",
            "--log-every", "1", "--force", *more]  # fmt: skip


def auscult(
    command: Sequence[str], env: dict[str, str] | None = None, prelude: str = ""
) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, after ``prelude``."""
    code = f"{prelude}\nimport sys\nfrom auscult.cli import main\nsys.argv = ['auscult', *{list(command)!r}]\nmain()"
    return subprocess.run(
        [sys.executable, "-c", code], env=env or environment(), capture_output=True, text=True, timeout=240
    )


def together(command: Sequence[str], processes: int, env: dict[str, str]) -> None:
    """The command line in several processes that train as one (gloo on the CPU)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    launched = []
    for rank in range(processes):
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "MASTER_PORT": port}
        own = {**env, "MASTER_ADDR": "127.0.0.1", "ACCELERATE_USE_CPU": "1", **{k: str(v) for k, v in place.items()}}
        args = [sys.executable, "-m", "auscult", *command]
        launched.append(subprocess.Popen(args, env=own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    for process in launched:
        output, _ = process.communicate(timeout=240)
        assert process.returncode == 0, output


def only_run(runs: Path) -> Path:
    """The one run folder there is."""
    found = [path for path in runs.iterdir() if path.is_dir()]
    assert len(found) == 1, found
    return found[0]
