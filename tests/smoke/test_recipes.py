"""Every shipped recipe trains two steps and restores, its nets narrow and its crops short."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState

from auscult import recipe
from auscult.hub.runs import read_history
from auscult.rng import Draws
from auscult.train.loop import Trainer
from auscult.train.run import RunFolder
from auscult.train.settings import Options
from auscult.train.setup import plan_run

NARROW: dict[str, dict[str, Any]] = {
    "NCSNpp": {"channels": 8, "blocks": 1},
    "DCUNet": {"widths": [2, 2, 2, 2, 2, 2], "embedding": 8},
    "BandGRU": {"channels": 4, "hidden": 4, "blocks": 1},
    "MPSENet": {"channels": 4, "blocks": 1, "heads": 2},
    "GTCRN": {"dilations": [1], "dual_paths": 1},
    "TFGridNet": {"layers": 1, "hidden": 4, "embedding": 8},
    "TSCNet": {"channels": 4, "blocks": 1, "heads": 2},
    "SpectralFlow": {"net": {"type": "NCSNpp", "channels": 8, "multipliers": [1, 1], "blocks": 1, "sources": 3,
                             "attention_heights": [], "bins": 72, "time_scaling": "none"}},
    "ConditionedDiT": {"text": {"type": "HashedWords", "width": 32}, "rolloff": {"type": "LearnedRolloff", "width": 32},
                       "dit": {"type": "DiT", "width": 64, "depth": 1, "heads": 2, "token_width": 32,
                               "global_width": 64}},
}  # fmt: skip
CODEC = {"type": "Oobleck", "channels": 2, "multipliers": [1, 1], "strides": [4, 8], "latent": 4}


def small(raw: dict[str, Any]) -> dict[str, Any]:
    """The recipe with narrow nets, few sampling steps, and pairs of 0.4 s."""
    raw = json.loads(json.dumps(raw))
    for name in ("net", "denoiser"):
        if name in raw["method"]:
            raw["method"][name] |= NARROW[raw["method"][name]["type"]]
    if raw["method"]["net"]["type"] == "ConditionedDiT":
        latent = raw["method"]["features"]["type"] == "Latents"
        sizes = {"channels": 4, "concat_channels": 4} if latent else {"channels": 144, "concat_channels": 256}
        raw["method"]["net"]["dit"] |= sizes
        raw["method"]["features"] |= {"codec": CODEC, "untrained": True} if latent else {}
    if "sampler" in raw["method"]:
        raw["method"]["sampler"]["steps"] = 2
    rate_hz = raw["method"]["rate_hz"]
    data = {"type": "Pairs", "clean": "pairs/clean", "noisy": "pairs/noisy", "rate_hz": rate_hz, "crop_s": 0.4}
    if raw["data"]["type"] == "Referenced":
        data = {**raw["data"], "crop_s": 0.4, "duration_s": [0.1, 0.3], "source": {**data, "crop_s": 0.7}}
    if raw["data"]["type"] == "Described":
        data = {"type": "Described", "source": data}
    return {**raw, "data": data, "training": {**raw["training"], "steps": 2, "batch": 2}, "validation": None}


@pytest.mark.parametrize("name", recipe.shipped())
def test_shipped_recipes_learn_and_restore(name: str, corpus: Path, tmp_path: Path) -> None:
    AcceleratorState._reset_state(reset_partial_state=True)
    plan = plan_run(small(recipe.read(name)), Options(workers=0, device="cpu", log_every=1), corpus)
    folder = RunFolder(tmp_path / "run")
    trainer = Trainer(plan, folder, [].append)
    assert trainer.fit().step == 2
    folder.close()
    for row in read_history(folder.path / "history.jsonl"):
        assert all(turn["unstepped"] == 0 and turn["grad_norm"] > 0 for turn in row["turns"].values())
    method = plan.method()
    with torch.inference_mode():
        restored = method.restore(method.nets(), 0.1 * torch.randn(1, 1, method.rate_hz // 4), Draws([0]))
    assert restored.shape == (1, 1, method.rate_hz // 4)
    assert torch.isfinite(restored).all()
