"""The PESQ loss: published values, gradients by differences, invariances, and that it raises PESQ."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.signal import lfilter, resample_poly
from torch import Tensor

from auscult.audio.clip import Clip
from auscult.losses import perceptual
from auscult.losses.perceptual import PESQLoss, combined, disturbances, mos


def tones(samples: int = 32_640, rate_hz: int = 16_000) -> tuple[Tensor, Tensor]:
    """Estimate and target of the published values; the second item is scaled by 0.4 and 0.5."""
    t = torch.arange(samples, dtype=torch.float64) / rate_hz

    def sine(f: float) -> Tensor:
        return torch.sin(2 * math.pi * f * t)

    target = 0.3 * sine(440) + 0.2 * sine(1333) * sine(3)
    estimate = target + 0.05 * sine(2500) * torch.cos(2 * math.pi * 5 * t)
    return torch.stack([estimate, 0.4 * estimate]), torch.stack([target, 0.5 * target])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_published_values(dtype: torch.dtype) -> None:
    """Those of torch-pesq 0.1.2, whose own items differ by 8e-5 (it filters in single precision)."""
    estimate, target = tones()
    symmetric, asymmetric = disturbances(estimate.to(dtype), target.to(dtype))
    loss = combined(symmetric, asymmetric)
    assert loss.tolist() == pytest.approx([3.043569, 3.043649], abs=1e-4)
    assert mos(loss).tolist() == pytest.approx([1.551189, 1.551137], abs=1e-4)
    assert symmetric.tolist() == pytest.approx([17.2026] * 2, abs=2e-4)
    assert asymmetric.tolist() == pytest.approx([42.8255] * 2, abs=2e-4)


@pytest.mark.parametrize("coefficients", [perceptual.BAND, perceptual.HEADSET])
def test_filters_are_the_recursions(coefficients: tuple[np.ndarray, np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((2, 5_000))
    filtered = perceptual._filtered(torch.from_numpy(signal), *coefficients).numpy()
    assert filtered == pytest.approx(lfilter(*coefficients, signal), abs=1e-8)


def test_gradients_are_the_differences(clean: Clip) -> None:
    """Along random directions, where no threshold lies between the two sides."""
    target = torch.from_numpy(clean.wave[:, 20_000:30_000]).double()
    torch.manual_seed(0)
    estimate = (target + 0.02 * torch.randn_like(target)).requires_grad_()
    (gradient,) = torch.autograd.grad(combined(*disturbances(estimate, target)).sum(), estimate)
    for _ in range(3):
        way = torch.randn_like(target)
        up, down = (combined(*disturbances(estimate.detach() + s * 1e-7 * way, target)).sum() for s in (1, -1))
        assert float((gradient * way).sum()) == pytest.approx(float(up - down) / 2e-7, rel=1e-3)


@pytest.mark.parametrize("gain", [1e-3, 30.0])
def test_levels_do_not_matter(gain: float, clean: Clip, noisy: Clip) -> None:
    pair = [torch.from_numpy(clip.wave[:, 20_000:40_000]) for clip in (noisy, clean)]
    here = combined(*disturbances(*pair))
    assert float(combined(*disturbances(gain * pair[0], pair[1]))) == pytest.approx(float(here), rel=1e-5)


def test_a_silent_target_asks_for_nothing() -> None:
    """Zero, with zero gradient; its neighbour counts as it would alone."""
    estimate, target = tones(8_000)
    target = torch.stack([target[0], torch.zeros(8_000)])[:, None].float()
    estimate = estimate[:, None].float().requires_grad_()
    loss = PESQLoss()(estimate, target).total
    loss.backward()
    alone = PESQLoss()(estimate[:1].detach(), target[:1]).total
    assert float(loss.detach()) == pytest.approx(float(alone) / 2, rel=1e-6)
    assert estimate.grad is not None
    assert estimate.grad[1].abs().max() == 0
    assert estimate.grad[0].abs().max() > 0


@pytest.mark.parametrize("samples", [1, 40, 511, 3_000])
def test_short_signals_are_heard(samples: int) -> None:
    estimate, target = tones(samples)
    assert torch.isfinite(combined(*disturbances(estimate + 1e-3, target + 1e-3))).all()


@pytest.mark.parametrize("rate_hz", [48_000, 44_100, 22_050])
def test_other_rates_are_resampled(rate_hz: int, clean: Clip, noisy: Clip) -> None:
    """The speech of 16 kHz in another rate's samples is rated as it is at 16 kHz."""
    waves = [clip.wave[:, 20_000:52_000].astype(np.float64) for clip in (noisy, clean)]
    common = math.gcd(rate_hz, 16_000)
    there = [
        resample_poly(wave, rate_hz // common, 16_000 // common, axis=1, window=("kaiser", 12.0)) for wave in waves
    ]
    expected = float(combined(*disturbances(*(torch.from_numpy(wave) for wave in waves))))
    found = float(combined(*disturbances(*(torch.from_numpy(wave) for wave in there), rate_hz)))
    assert found == pytest.approx(expected, rel=0.03)


def test_descent_raises_pesq(clean: Clip, noisy: Clip) -> None:
    """A gain for each bin and frame of a real recording, learnt by the loss alone: the metric itself rises."""
    pesq = pytest.importorskip("pesq").pesq
    target, estimate = (torch.from_numpy(clip.wave[:, 20_000:68_000]) for clip in (clean, noisy))
    window = torch.hann_window(512)
    spectrum = torch.stft(estimate, 512, 128, window=window, return_complex=True)
    gains = torch.zeros(spectrum.shape, requires_grad=True)
    optimiser = torch.optim.Adam([gains], lr=0.1)
    scores = []
    for step in range(26):
        wave = torch.istft(spectrum * torch.exp(gains), 512, 128, window=window, length=target.shape[1])
        if step % 25 == 0:
            scores.append(pesq(16_000, target[0].numpy(), wave[0].detach().numpy(), "wb"))
        optimiser.zero_grad()
        PESQLoss()(wave[None], target[None]).total.backward()
        optimiser.step()
    assert scores[1] > scores[0] + 0.5
