"""Stored losses and one stored output a method: a change here is a change of results, and is explained in its commit.

To renew after an intended change: ``AUSCULT_WRITE_GOLDENS=1 pytest tests/golden`` and commit the file.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from auscult import recipe
from auscult.audio.clip import Clip
from auscult.data.loader import Share, collate
from auscult.data.pairs import PairSource
from auscult.methods.base import Batch, Method
from auscult.rng import Draws, Key
from tests.methods.test_storm import STORM
from tests.train.runs import REGRESSION, SCORE

STORE = Path(__file__).with_name("goldens.json")
BRIDGE = {
    **SCORE["method"],
    "path": {"type": "SBVE"},
    "net": {**SCORE["method"]["net"], "time_scaling": "none"},
    "parametrisation": {"type": "DataPrediction"},
    "objective": {
        "type": "DataMatching",
        "waves": [{"type": "L1", "weight": 5e-4}, {"type": "PESQLoss", "weight": 5e-4}],
    },
    "sampler": {"type": "BridgeODE", "steps": 2},
}
CASES: dict[str, dict[str, Any]] = {
    "regression": REGRESSION,
    "score": SCORE,
    "bridge": {**SCORE, "method": BRIDGE},
    "storm": {**SCORE, "method": STORM},
}


def compute(content: dict[str, Any], corpus: Path, noisy: Clip) -> dict[str, list[float]]:
    torch.manual_seed(0)
    method: Method = recipe.plan(content["method"], Method, "method").build()
    nets = method.nets()
    for net in nets.values():
        net.eval()
        with torch.no_grad():  # blocks start at zero, which would hide them
            for parameter in net.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
    source: PairSource = recipe.plan({**content["data"], "root": str(corpus)}, PairSource, "data").build()
    pairs = collate(source, Key(0), Share(3).positions(0)[0])
    batch = Batch.of(pairs, method.normalise)
    with torch.no_grad():
        shared = method.forward(nets, batch, Draws([0, 1, 2]))
        losses = [method.loss(turn, nets, batch, shared, Draws([0, 1, 2])) for turn in method.turns]
        wave = torch.from_numpy(noisy.wave[:, 20_000:24_000])[None]
        out = method.restore(nets, wave / wave.abs().max(), Draws([0]))[0, 0].numpy()
    return {
        "loss": [float(part) for loss in losses for part in loss.parts.values()],
        "output": [float(np.abs(out).mean()), *(float(v) for v in out[::500])],
    }


@pytest.mark.parametrize("name", CASES)
def test_losses_and_outputs_are_the_stored_ones(name: str, corpus: Path, noisy: Clip) -> None:
    now = compute(CASES[name], corpus, noisy)
    stored = json.loads(STORE.read_text()) if STORE.exists() else {}
    if os.environ.get("AUSCULT_WRITE_GOLDENS"):
        STORE.write_text(json.dumps({**stored, name: now}, indent=1) + "\n")
        return
    assert name in stored, "no golden stored for this method: see the head of this file"
    assert now["loss"] == pytest.approx(stored[name]["loss"], rel=1e-4)
    assert now["output"] == pytest.approx(stored[name]["output"], rel=1e-3, abs=1e-5)
