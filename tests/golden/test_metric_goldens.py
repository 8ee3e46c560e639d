"""Stored scores of real pairs: VoiceBank-DEMAND test speaker p257, the noisy file as estimate.

To renew after an intended change: ``AUSCULT_WRITE_GOLDENS=1 pytest tests/golden`` and commit the file.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from auscult.audio.clip import read
from auscult.catalogue import CATALOGUE, find
from auscult.metrics.base import Signals
from auscult.metrics.composite import Cbak, Covl, Csig, Wss
from auscult.metrics.spectral import LsdHigh, LsdLow

STORE = Path(__file__).with_name("p257_noisy.json")
# At a fixed cut-off: the noise of these files mostly reaches half the rate.
METRICS = [
    *(find(name)() for name in CATALOGUE["metric"] if find(name).needs and name not in ("lsd_low", "lsd_high")),
    LsdLow(4_000.0),
    LsdHigh(4_000.0),
    Wss(32_768),
    Csig(32_768),
    Cbak(32_768),
    Covl(32_768),
]


def compute(folder: Path, name: str) -> dict[str, float]:
    noisy, clean = (read(folder / side / f"{name}.flac") for side in ("noisy", "clean"))
    signals = Signals(noisy.wave[0], noisy.rate_hz, clean.wave[0], noisy.wave[0])
    return {metric.label: float(f"{metric(signals):.6g}") for metric in METRICS}


@pytest.fixture(scope="module")
def stored(data: Path) -> dict[str, dict[str, float]]:
    if os.environ.get("AUSCULT_WRITE_GOLDENS"):
        folder = data / "vbdmd_p257"
        found = {path.stem: compute(folder, path.stem) for path in sorted((folder / "noisy").iterdir())}
        lines = ",\n".join(f' "{name}": {json.dumps(scores)}' for name, scores in found.items())
        STORE.write_text(f"{{\n{lines}\n}}\n")
    return json.loads(STORE.read_text())


@pytest.mark.parametrize("part", range(4))
def test_scores_of_real_pairs_are_the_stored_ones(part: int, data: Path, stored: dict[str, dict[str, float]]) -> None:
    for name in sorted(stored)[part::4]:
        now = compute(data / "vbdmd_p257", name)
        assert now.keys() == stored[name].keys()
        # The part of the artefacts is a difference of nearly equal signals here (the estimate is the noisy file).
        assert now == pytest.approx(stored[name], rel=1e-4, abs=1e-4), name


def test_stored_scores_have_the_known_means(stored: dict[str, dict[str, float]]) -> None:
    """Figures that other programs give for these 40 pairs."""
    mean = {label: np.mean([scores[label] for scores in stored.values()]) for label in ("pesq", "estoi", "si_sdr")}
    assert len(stored) == 40
    assert mean == pytest.approx({"pesq": 1.539, "estoi": 0.701, "si_sdr": 5.84}, abs=0.005)
