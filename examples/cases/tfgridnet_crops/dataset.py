"""A dataset of random half-second crops, and the adapter by which the doctor hears it.

    CORPUS=corpus PYTHONPATH=examples/cases auscult diagnose --loader tfgridnet_crops.dataset:make_loader \
        --trust tfgridnet_crops --fact rate_hz=16000 --data corpus/train
"""

import os
import random
from pathlib import Path

import soundfile as sf
import torch
from torch.utils.data import DataLoader, Dataset

CROP = 8000


class Segments(Dataset):
    """Pairs, a half second of each; ``together`` is what was meant."""

    def __init__(self, base_dir, together=False):
        self.names = sorted(path.name for path in Path(base_dir, "train", "clean").glob("*.wav"))
        self.base_dir, self.together = base_dir, together

    def __len__(self):
        return len(self.names)

    def read(self, side, name):
        wave, _ = sf.read(Path(self.base_dir, "train", side, name), dtype="float32")
        return wave

    def __getitem__(self, i):
        clean, noisy = (self.read(side, self.names[i]) for side in ("clean", "noisy"))
        a = random.randint(0, len(clean) - CROP)
        b = a if self.together else random.randint(0, len(noisy) - CROP)
        return noisy[b : b + CROP], clean[a : a + CROP], self.names[i]


def make_loader(together=False):
    """The adapter: the fields of the batches, named."""
    random.seed(0)
    for noisy, clean, names in DataLoader(Segments(os.environ["CORPUS"], together), batch_size=8):
        yield {"noisy": noisy, "clean": clean, "names": names}


def make_loader_together():
    """The same with one start for both files."""
    yield from make_loader(together=True)


def si_snr_loss(estimate, clean):
    """Minus SI-SNR in decibels: lower is better."""
    estimate, clean = (wave - wave.mean(-1, keepdim=True) for wave in (estimate, clean))
    scale = (estimate * clean).sum(-1, keepdim=True) / (clean.square().sum(-1, keepdim=True) + 1e-8)
    wanted, rest = scale * clean, estimate - scale * clean
    return -10 * torch.log10((wanted.square().sum(-1) + 1e-8) / (rest.square().sum(-1) + 1e-8)).mean()
