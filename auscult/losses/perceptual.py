"""PESQ as something to learn by: the perceptual model of ITU-T P.862 (2001) without its alignment in time.

Written from the standard's definition and tables (``p862.csv``); the form of the loss, its constants and its
simplifications are those of the torch-pesq package, so that values can be compared. It rates an estimate that is
aligned with its target already: a surrogate to train by, not the metric.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from scipy.fft import next_fast_len
from scipy.signal import butter
from torch import Tensor

from auscult.bounds import Count, NotNegative
from auscult.losses.base import Loss, Wave, WaveLoss

RATE_HZ = 16_000
SILENT = 1e-8
"""Power from 325 to 3250 Hz (full scale 1) below which a target is silent: -80 dB."""
LEVEL = 1e7
"""Power to which both signals are brought."""
BAND = tuple(c.astype(np.float32).astype(np.float64) for c in butter(5, [325.0, 3250.0], "band", fs=RATE_HZ))
"""The filter the level is measured behind: numerator, denominator. In single precision, as torch-pesq has it: rounding
moves its poles, and so the level by 0.04 dB."""
HEADSET = (np.array([2.740826, -5.4816519, 2.740826]), np.array([1.0, -1.9444777, 0.94597794]))
"""The receiving side's filter of the wide-band mode."""
DECAY = 4_096
"""Zeros behind a signal when it is filtered: either filter's response has fallen below 1e-16 of its start by then."""
POWER_SCALE, LOUDNESS_SCALE, ZWICKER = 6.910853e-06, 0.1866055, 0.23
CAP = 45.0
"""Largest disturbance of a frame."""

Signal = Float[Tensor, "B T"]
Bands = Float[Tensor, "B N 49"]
Frames = Float[Tensor, "B N"]
PerItem = Float[Tensor, " B"]


@dataclass(frozen=True)
class PESQLoss(WaveLoss):
    """0.1 symmetric + 0.0309 asymmetric disturbance: how far PESQ's raw score stays below 4.5. Zero where all is well.

    Differences below a quarter of the loudness are not heard, so small errors cost nothing. A silent target (below
    -80 dB of full scale in the speech band) contributes zero, with zero gradient. Levels do not matter: both signals
    are brought to the same one. Computed in float64, which every backend but Apple's has.

    Args:
        rate_hz: of the signals; others than 16 kHz are resampled first.
    """

    weight: NotNegative = 1.0
    rate_hz: Count = RATE_HZ

    def __call__(self, estimate: Wave, target: Wave) -> Loss:
        symmetric, asymmetric = disturbances(estimate.flatten(0, 1), target.flatten(0, 1), self.rate_hz)
        return Loss({"pesq": combined(symmetric, asymmetric).mean().to(estimate.dtype)}, {"pesq": self.weight})


def combined(symmetric: PerItem, asymmetric: PerItem) -> PerItem:
    """The loss of each item."""
    return 0.1 * symmetric + 0.0309 * asymmetric


def mos(loss: PerItem) -> PerItem:
    """Listening quality of the wide-band mode (ITU-T P.862.2): 0.999 + 4 / (1 + exp(3.8224 - 1.3669 (4.5 - loss)))."""
    return 0.999 + 4.0 / (1.0 + torch.exp(3.8224 - 1.3669 * (4.5 - loss)))


def disturbances(estimate: Signal, target: Signal, rate_hz: int = RATE_HZ) -> tuple[PerItem, PerItem]:
    """Symmetric and asymmetric disturbance of each item, both zero where the target is silent."""
    ear = Ear.on(estimate.device)
    signals = [_at_16k(signal.double(), rate_hz) for signal in (estimate, target)]
    powers = [_filtered(signal, *BAND).square().sum(-1) / (signal.shape[-1] + 5_120) / 1.04684 for signal in signals]
    audible = powers[1] > SILENT
    floor = powers[1].clamp_min(SILENT)
    levels = (torch.maximum(powers[0], 1e-8 * floor), floor)  # an estimate of nothing is not amplified without bound
    heard, wanted = (
        ear.bark(_received(signal * (LEVEL / level).sqrt()[:, None]))
        for signal, level in zip(signals, levels, strict=True)
    )
    heard, wanted = _equalised(ear, heard, wanted)
    symmetric, asymmetric = _per_frame(ear, heard, wanted)
    nothing = torch.zeros_like(powers[1])
    return torch.where(audible, _over_time(symmetric), nothing), torch.where(audible, _over_time(asymmetric), nothing)


@dataclass(frozen=True)
class Ear:
    """Tables of the perceptual model, on a device."""

    pooling: Float[Tensor, "256 49"]
    widths: Float[Tensor, " 49"]
    thresholds: Float[Tensor, " 49"]
    exponents: Float[Tensor, " 49"]
    window: Float[Tensor, " 512"]

    @staticmethod
    @cache
    def on(device: torch.device) -> Ear:
        """Read once a device."""
        with (resources.files("auscult.losses") / "p862.csv").open(encoding="utf-8") as file:
            bins, centres, widths, corrections, thresholds = np.loadtxt(file, delimiter=",").T
        pooling = np.zeros((256, 49))
        pooling[np.arange(256), np.repeat(np.arange(49), bins.astype(int))] = 1.0
        exponents = ZWICKER * np.clip(6.0 / (centres + 2.0), 1.0, 2.0) ** 0.15
        return Ear(
            *(
                torch.tensor(table, dtype=torch.float64, device=device)
                for table in (pooling * corrections * POWER_SCALE, widths, thresholds, exponents)
            ),
            window=torch.hann_window(512, dtype=torch.float64, device=device),
        )

    def bark(self, signal: Signal) -> Bands:
        """Power in 49 bands of frames of 32 ms, every 16 ms."""
        samples = signal.shape[-1]
        padded = F.pad(signal, (0, max(samples % 256, 512 - samples)))
        spectrum = torch.stft(padded, 512, 256, window=self.window, center=False, return_complex=True)
        power = torch.view_as_real(spectrum).square().sum(-1).mT[..., :256]
        return power[..., 1:] @ self.pooling[1:]

    def over(self, bands: Bands, times: float) -> Bands:
        """Powers above ``times`` the hearing threshold; zero elsewhere."""
        return torch.where(bands > times * self.thresholds, bands, 0.0)

    def loudness(self, bands: Bands) -> Bands:
        """Zwicker's law, in sone a Bark; zero below the threshold of hearing."""
        thresholds, e = self.thresholds, self.exponents
        sone = LOUDNESS_SCALE * (2 * thresholds) ** e * ((0.5 + 0.5 * bands / thresholds) ** e - 1.0)
        return torch.where(bands > thresholds, sone, 0.0)


def _at_16k(signal: Signal, rate_hz: int) -> Float[Tensor, "B T2"]:
    """Band-limited resampling: a sinc of 32 zero crossings a side under a Kaiser window, one filter a phase."""
    if rate_hz == RATE_HZ:
        return signal
    common = math.gcd(rate_hz, RATE_HZ)
    up, down = RATE_HZ // common, rate_hz // common
    cutoff = 0.95 * min(1.0, up / down)
    reach = math.ceil(32 / cutoff)
    offsets = np.arange(-reach, reach + down)[None] - np.arange(up)[:, None] * down / up
    inside = np.clip(1.0 - (offsets / reach) ** 2, 0.0, None)
    filters = cutoff * np.sinc(cutoff * offsets) * np.i0(10.0 * np.sqrt(inside)) / np.i0(10.0) * (inside > 0)
    kernel = torch.tensor(filters, dtype=signal.dtype, device=signal.device)[:, None]
    samples = -(-signal.shape[-1] * up // down)
    padded = F.pad(signal, (reach, reach + down))[:, None]
    return F.conv1d(padded, kernel, stride=down).mT.flatten(1)[:, :samples]


def _filtered(signal: Signal, numerator: np.ndarray, denominator: np.ndarray) -> Signal:
    """A recursive filter from rest, applied as its frequency response (fast, and differentiable as a product)."""
    size = next_fast_len(signal.shape[-1] + DECAY, real=True)
    numerator_t, denominator_t = (torch.tensor(c, device=signal.device) for c in (numerator, denominator))
    response = torch.fft.rfft(numerator_t, size) / torch.fft.rfft(denominator_t, size)
    return torch.fft.irfft(torch.fft.rfft(signal, size) * response, size)[..., : signal.shape[-1]]


def _received(signal: Signal) -> Signal:
    """Fifteen samples of fade at either end, then the headset."""
    fade = (torch.arange(1, signal.shape[-1] + 1, dtype=signal.dtype, device=signal.device) / 16).clamp_max(1.0)
    return _filtered(signal * fade * fade.flip(0), *HEADSET)


def _equalised(ear: Ear, heard: Bands, wanted: Bands) -> tuple[Bands, Bands]:
    """The target with the estimate's long-term spectrum (20 dB at most), the estimate with the target's gain."""
    silent = ear.over(wanted, 100.0).sum(-1) < LEVEL
    ratio = (_average(ear, heard, silent) + 1e3) / (_average(ear, wanted, silent) + 1e3)
    wanted = wanted * ratio.clamp(0.01, 100.0)[:, None]
    gain = (ear.over(wanted, 1.0).sum(-1) + 5e3) / (ear.over(heard, 1.0).sum(-1) + 5e3)
    gain = torch.cat([gain[:, :1], 0.8 * gain[:, 1:] + 0.2 * gain[:, :-1]], dim=1)
    return heard * gain.clamp(3e-4, 5.0)[..., None], wanted


def _average(ear: Ear, bands: Bands, silent: Bool[Tensor, "B N"]) -> Float[Tensor, "B 49"]:
    """Mean over frames of what is well audible while the target speaks."""
    return (ear.over(bands, 100.0) * ~silent[..., None]).mean(1)


def _per_frame(ear: Ear, heard: Bands, wanted: Bands) -> tuple[Frames, Frames]:
    """Disturbance of each frame: what differs beyond the dead zone, and what was added, of which more is noticed."""
    loud, due = ear.loudness(heard), ear.loudness(wanted)
    difference = loud - due
    beyond = (difference.abs() - 0.25 * torch.minimum(loud, due)).clamp_min(0.0)
    width = ear.widths[1:].sum()
    weighted = (ear.widths * beyond)[..., 1:]
    symmetric = width.sqrt() * torch.linalg.vector_norm(weighted, dim=-1)
    added = ((heard + 50.0) / (wanted + 50.0)) ** 1.2
    added = torch.where(added < 3.0, 0.0, added.clamp_max(12.0))
    asymmetric = (weighted * added[..., 1:]).sum(-1)
    quiet = ((ear.over(wanted, 1.0).sum(-1) + 1e5) / 1e7) ** 0.04
    return (symmetric.clamp_min(1e-20) / quiet).clamp_max(CAP), (asymmetric.clamp_min(1e-20) / quiet).clamp_max(CAP)


def _over_time(disturbance: Frames) -> PerItem:
    """L6 mean within windows of 20 frames, each half over the next; root mean square of the windows."""
    windows = disturbance.unfold(1, min(20, disturbance.shape[1]), 10)
    return (windows**6).mean(-1).pow(1 / 6).square().mean(-1).sqrt()
