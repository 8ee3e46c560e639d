"""The data module of a diffusion project, and the adapter by which the doctor hears it.

Files of ``$CORPUS/train/{clean,noisy}`` are read with ``soundfile``, which gives samples and rate. The rate is not
looked at: the corpus was meant to be at 16 kHz, for which everything after this file is made.

    CORPUS=corpus PYTHONPATH=examples/cases auscult diagnose --loader voicebank_48k.data_module:make_loader \
        --trust voicebank_48k --fact rate_hz=16000
"""

import os
from pathlib import Path

import numpy as np
import soundfile as sf
import torch
from torch.utils.data import DataLoader, Dataset

HOP, FRAMES = 128, 256


class Specs(Dataset):
    """Pairs of one subset, cropped to the frames of the score model or padded on both sides."""

    def __init__(self, base_dir, subset):
        self.clean_files = sorted(Path(base_dir, subset, "clean").glob("*.wav"))
        self.noisy_files = sorted(Path(base_dir, subset, "noisy").glob("*.wav"))

    def __len__(self):
        return len(self.clean_files)

    def __getitem__(self, i):
        x, _ = sf.read(self.clean_files[i], dtype="float32")
        y, _ = sf.read(self.noisy_files[i], dtype="float32")
        target = (FRAMES - 1) * HOP
        if len(x) < target:
            before = (target - len(x)) // 2
            sides = (before, target - len(x) - before)
            return np.pad(x, sides), np.pad(y, sides), 0, self.clean_files[i].stem
        start = int(np.random.default_rng(i).integers(0, len(x) - target + 1))
        return x[start : start + target], y[start : start + target], start, self.clean_files[i].stem


def make_loader():
    """The adapter: the fields of the batches, named."""
    for x, y, start, name in DataLoader(Specs(os.environ["CORPUS"], "train"), batch_size=4):
        factor = y.abs().amax(-1, keepdim=True).clamp_min(1e-5)
        yield {"clean": x / factor, "noisy": y / factor, "start": torch.as_tensor(start), "name": name}
