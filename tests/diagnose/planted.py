"""Models that must, and must not, use their reference: the optimal filter of a known noise, and nets of zeros."""

from __future__ import annotations

import numpy as np
import torch
from scipy.signal import lfilter
from torch import Tensor, nn

from auscult.conditions.noise_reference import KEYS
from auscult.data.references import Reference, conditions
from auscult.diagnose.condition.items import Items
from auscult.diagnose.condition.references import References
from auscult.diagnose.condition.subject import Subject
from auscult.features.spectral import CompressedSTFT
from auscult.methods.conditioning import NoiseConditioning
from auscult.methods.objective import DataMatching
from auscult.methods.parametrisation import DataPrediction
from auscult.methods.score import ScoreModel
from auscult.nets.condition import NoiseCondition
from auscult.nets.injection import AdaGN, SpectralChannel
from auscult.nets.ncsnpp import V2, NCSNpp
from auscult.nets.noise_encoder import LightEncoder, PSDEncoder
from auscult.nets.reference import Encoded
from auscult.nets.sites import Sizes
from auscult.paths.ouve import OUVE
from auscult.rng import Key
from auscult.samplers.few_step import DDIM
from tests.noise import SMALL

RATE_HZ, CROP, PIECE = 16_000, 4_000, 3_200
KINDS = {"rumble": [1.0, -0.95], "hiss": [1.0, 0.95], "hum": [1.0, -1.9, 0.95], "tone": [1.0, 0.3, 0.95]}
"""Denominators of the filters that make four types of noise of white noise."""


def noise(kind: str, samples: int, rng: np.random.Generator) -> np.ndarray:
    wave = lfilter([1.0], KINDS[kind], rng.standard_normal(samples + 500))[500:]
    return (wave / wave.std()).astype(np.float32)[None]


def items(count: int = 20) -> Items:
    """White "speech" at RMS 0.1 in noise of one of four types, at SNRs around 0 dB; references beside the crop."""
    clean, noisy, kinds, given = [], [], [], {"disjoint": [], "overlapping": []}
    for i in range(count):
        rng, kind = np.random.default_rng(i), list(KINDS)[i % 4]
        speech = 0.1 * rng.standard_normal((1, CROP)).astype(np.float32)
        whole = 0.1 * np.exp(rng.normal(0, 0.3)) * noise(kind, CROP + PIECE, rng)
        mixed = speech + whole[:, :CROP].astype(np.float32)
        peak = float(np.abs(mixed).max())
        for origin, piece in (("disjoint", whole[:, CROP:]), ("overlapping", whole[:, :PIECE])):
            found = Reference.of(piece.astype(np.float32), {})
            given[origin].append(conditions(found, PIECE, peak))
        clean.append(speech / peak)
        noisy.append(mixed / peak)
        kinds.append(kind)
    references = {
        origin: References(*(torch.from_numpy(np.stack([one[key] for one in told])) for key in KEYS))
        for origin, told in given.items()
    }
    keys = tuple(Key(0).child("chance", i) for i in range(count))
    sides = (torch.from_numpy(np.stack(side)) for side in (clean, noisy))
    own = references["disjoint"]
    return Items(*sides, RATE_HZ, own, own, references, tuple(f"item{i}" for i in range(count)), tuple(kinds), keys)


class Wiener(nn.Module):
    """The clean estimate y max(0.1, 1 - N / <|Y|^2>), N as the reference tells it; y without a reference.

    ``strength`` 0 is the same net without injection.
    """

    def __init__(self, strength: float = 1.0):
        super().__init__()
        self.cond = NoiseCondition(PSDEncoder(), (SpectralChannel(),))
        self.cond.attach(Sizes(32, 0, (4,), (4,), ((32, 4),)))
        self.strength = nn.Parameter(torch.tensor(strength))

    def forward(self, inputs: Tensor, t: Tensor, told: Encoded) -> Tensor:
        y = inputs[:, 1:]
        n = (told.psd * told.level.exp()[:, None]).square()[:, None, :, None]
        gain = (1 - n / y.abs().square().mean(-1, keepdim=True).clamp_min(1e-9)).clamp_min(0.1)
        told_gain = torch.where(told.present[:, None, None, None], gain, 1.0)
        return y * (1 - self.strength * (1 - told_gain))


def subject(net: nn.Module, features: CompressedSTFT, drop: float = 0.1) -> Subject:
    conditioning = NoiseConditioning(drop=drop)
    method = ScoreModel(net, features, OUVE(), DataPrediction(), DataMatching(), DDIM(steps=2), frame_grid=2,
                        conditioning=conditioning)  # fmt: skip
    return Subject("planted", method, net.eval(), conditioning, torch.device("cpu"))


def wiener(strength: float = 1.0, drop: float = 0.1) -> Subject:
    return subject(Wiener(strength), CompressedSTFT(62, 16, transform="none"), drop)


def untrained() -> Subject:
    """A real net whose injections are zero, as they start."""
    torch.manual_seed(0)
    cond = NoiseCondition(LightEncoder(16), (AdaGN(8), SpectralChannel()))
    sizes = {**SMALL, **V2, "channels": 8, "multipliers": (1, 1), "attention_heights": ()}
    net = NCSNpp(**sizes, cond=cond)
    return subject(net, CompressedSTFT(62, 32))


def collapsed() -> Subject:
    """The same with an encoder that says one thing of everything."""
    found = untrained()
    with torch.no_grad():
        found.condition.encoder.pool.out.weight.zero_()
    return found
