import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from tests.diagnose.foreign_projects import recording

ITEMS, BATCH = 16, 4
SHORT, LONG = 8000, 32000


class Crops(Dataset):
    """Random crops of one long pair; ``independent`` draws a start for each side."""

    def __init__(self, crop=SHORT, independent=False, stretch=1):
        self.clean, self.noisy = (recording(side) for side in ("clean", "noisy"))
        if stretch > 1:  # the samples of a file at a higher rate, taken as if they were at the rate of the net
            grid = np.arange(0, len(self.clean) - 1, 1 / stretch)
            self.clean, self.noisy = (
                np.interp(grid, np.arange(len(x)), x).astype(np.float32) for x in (self.clean, self.noisy)
            )
        self.crop, self.independent = crop, independent

    def __len__(self):
        return ITEMS

    def __getitem__(self, i):
        rng = np.random.default_rng(i)
        a = rng.integers(0, len(self.clean) - self.crop)
        b = rng.integers(0, len(self.clean) - self.crop) if self.independent else a
        return self.noisy[b : b + self.crop], self.clean[a : a + self.crop], int(a)


class Masker(nn.Module):
    def __init__(self, detached=False):
        super().__init__()
        self.encoder, self.decoder = nn.Conv1d(1, 32, 32, 16, 8), nn.ConvTranspose1d(32, 1, 32, 16, 8)
        self.mask = nn.Conv1d(32, 32, 3, 1, 1)
        self.detached = detached

    def forward(self, noisy):
        z = torch.relu(self.encoder(noisy[:, None]))
        z = z.detach() if self.detached else z
        return self.decoder(z * torch.sigmoid(self.mask(z)))[:, 0, : noisy.shape[-1]]


def si_snr(estimate, clean, eps=1e-8):
    estimate, clean = (x - x.mean(-1, keepdim=True) for x in (estimate, clean))
    wanted = (estimate * clean).sum(-1, keepdim=True) / (clean.square().sum(-1, keepdim=True) + eps) * clean
    ratio = wanted.square().sum(-1) / ((estimate - wanted).square().sum(-1) + eps)
    return 10 * torch.log10(ratio + eps).mean()


def loss_fn(estimate, clean):
    return -si_snr(estimate, clean)


def wrong_sign(estimate, clean):
    return si_snr(estimate, clean)


def broadcast_l1(estimate, clean):
    return (estimate[:, None] - clean).abs().mean()


def late_target(estimate, clean):
    return (estimate[:, :-160] - clean[:, 160:]).abs().mean()


def own_input(estimate, clean, noisy):
    return (estimate - noisy).square().mean()


def for_the_log(estimate, clean):
    with torch.no_grad():
        return (estimate - clean).square().mean()


# The adapters: all that the doctor needs to know of this project.


def make_loader(**settings):
    for noisy, clean, start in DataLoader(Crops(**settings), BATCH):
        yield {"noisy": noisy, "clean": clean, "start": start}


def long_loader():
    return make_loader(crop=LONG)


def independent_loader():
    return make_loader(crop=LONG, independent=True)


def wrong_rate_loader():
    return make_loader(crop=LONG, stretch=3)


def build():
    return Masker()


def build_detached():
    return Masker(detached=True)
