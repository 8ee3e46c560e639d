"""Evaluations made by hand: drawn scores on pieces of the bundled recording."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from auscult.audio.clip import Clip, read
from auscult.audio.writer import write
from auscult.evaluate.rows import Evaluation, Item, MetricFacts, Row

EXAMPLES = Path(__file__).parents[2] / "examples"
METRICS = (
    MetricFacts("pesq", "MOS-LQO", True, "ITU-T P.862.2, wide band", "pesq 0.0.4", 0.05),
    MetricFacts("estoi", "", True, "Jensen and Taal 2016", "pystoi 0.4.1", 0.005),
    MetricFacts("lsd", "dB", False, "Gray and Markel 1976", "auscult 0.1.0", 0.2),
)
NOISES = ("bus", "cafe", "street")
_START = {"pesq": (1.4, 0.06, 0.2), "estoi": (0.6, 0.01, 0.05), "lsd": (9.0, -0.2, 0.6)}
_GAIN = {"pesq": 0.35, "estoi": 0.03, "lsd": -1.2}


def make(
    folder: Path | None = None,
    items: int = 12,
    systems: Sequence[str] = ("left", "right"),
    sets: Sequence[str] = ("walk",),
    seeds: Sequence[int | None] = (None,),
    metrics: Sequence[MetricFacts] = METRICS,
) -> Evaluation:
    """Scores drawn at random, better by the number of the system; with recordings where there is a folder."""
    rng = np.random.default_rng(11)
    all_items, rows = [], []
    for data in sets:
        for i in range(items):
            item = _item(data, i, folder, rng)
            estimates = _estimates(item, systems, folder)
            snr_db = float(item.facts["snr_db"])
            base = {m.name: _draw(m.name, snr_db, rng) for m in metrics}
            all_items.append(item)
            rows.append(Row(data, "noisy", item.name, base, estimate=item.noisy))
            for k, system in enumerate(systems, 1):
                for seed in seeds:
                    scores = {name: value + _GAIN[name] * (k + rng.normal()) for name, value in base.items()}
                    rows.append(Row(data, system, item.name, scores, seed=seed, estimate=estimates.get(system)))
    described = {name: {"checkpoint": {"sha256": "ab" * 32}, "steps": 30} for name in ("noisy", *systems)}
    protocol = {
        "rate_hz": 16_000,
        "resampler": {"name": "soxr", "quality": "VHQ"},
        "metrics": [m.name for m in metrics],
    }
    return Evaluation(tuple(all_items), tuple(rows), tuple(metrics), described, protocol, "0123456789abcdef" * 2)


def _item(data: str, i: int, folder: Path | None, rng: np.random.Generator) -> Item:
    facts = {"noise_type": NOISES[i % 3], "snr_db": round(float(rng.uniform(-5, 15)), 2), "speaker": f"s{i % 4}"}
    name = f"{data}_{i:03d}"
    if folder is None:
        return Item(data, name, facts=facts)
    paths = {}
    for side in ("clean", "noisy"):
        whole = read(EXAMPLES / side / "walk.flac")
        start = 4_000 + 9_000 * (i % 12)
        paths[side] = folder / side / f"{name}.flac"
        write(paths[side], whole.with_wave(whole.wave[:, start : start + 40_000]))
    return Item(data, name, paths["clean"], paths["noisy"], facts)


def _estimates(item: Item, systems: Sequence[str], folder: Path | None) -> dict[str, Path]:
    """Mixtures of noisy and clean: the later the system, the cleaner."""
    if folder is None or item.clean is None or item.noisy is None:
        return {}
    clean, noisy = read(item.clean), read(item.noisy)
    made = {}
    for k, system in enumerate(systems, 1):
        made[system] = folder / f"system{k}" / f"{item.name}.wav"
        mixed = clean.wave + (noisy.wave - clean.wave) / (2 * k)
        write(made[system], Clip(mixed.astype(np.float32), clean.rate_hz))
    return made


def _draw(metric: str, snr_db: float, rng: np.random.Generator) -> float:
    level, slope, sd = _START[metric]
    return float(level + slope * (snr_db + 5) + rng.normal(0, sd))
