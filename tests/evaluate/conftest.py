"""A small test set cut from the bundled example: clean/ and noisy/ with three items each."""

from __future__ import annotations

from pathlib import Path

import pytest

from auscult.audio.clip import Clip
from auscult.audio.writer import write


@pytest.fixture
def folders(tmp_path: Path, clean: Clip, noisy: Clip) -> Path:
    for i in range(3):
        cut = slice(20_000 * i + 8_000, 20_000 * i + 40_000)
        for side, clip in (("clean", clean), ("noisy", noisy)):
            write(tmp_path / side / f"{i}.flac", clip.with_wave(clip.wave[:, cut]))
    return tmp_path


@pytest.fixture(scope="session")
def score_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny score model with random weights: generative, restored in a second or two."""
    import torch

    from auscult import recipe
    from auscult.hub.bundle import Meta, save
    from auscult.methods.base import Method
    from tests.train.runs import SCORE

    torch.manual_seed(0)
    method: Method = recipe.plan(SCORE["method"], Method, "method").build()
    tensors = {f"net.{name}": tensor for name, tensor in method.nets()["net"].state_dict().items()}
    path = tmp_path_factory.mktemp("weights") / "score.safetensors"
    save(path, tensors, Meta(SCORE["method"]))
    return path
