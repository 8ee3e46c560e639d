"""L1 losses on spectra have the values that can be computed by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from auscult.errors import RecipeError
from auscult.losses.multiresolution import MultiResolutionL1, SpectrumL1


@pytest.fixture
def target() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(2, 1, 3_000, dtype=torch.float64)


def test_an_impulse_is_counted_in_two_frames_of_every_resolution() -> None:
    """A rectangular window of n samples every n / 2 sees it twice, with magnitude 1 in n / 2 + 1 bins."""
    impulse = torch.zeros(1, 1, 4_000)
    impulse[..., 2_001] = 1.0
    loss = MultiResolutionL1(match_level=False, windows=(256, 512))(3 * impulse, impulse)
    assert float(loss.parts["samples_l1"]) == pytest.approx(2.0)
    assert float(loss.parts["resolutions_l1"]) == pytest.approx(2 * 2 * (129 + 257) / 2, rel=1e-5)
    assert float(loss.total) == pytest.approx(0.5 * 2 + 0.5 * 772, rel=1e-5)


def test_gain_is_not_seen_unless_asked_for(target: Tensor) -> None:
    assert float(MultiResolutionL1()(-0.3 * target, target).total) == pytest.approx(0.0, abs=1e-6)
    seen = MultiResolutionL1(match_level=False)(0.7 * target, target)
    assert float(seen.parts["samples_l1"]) == pytest.approx(0.3 * float(target.abs().sum()) / 2)


def test_the_level_is_that_of_the_projection_of_the_target(target: Tensor) -> None:
    """s = x + n, n orthogonal to x: a = |x|^2 / |s|^2, not the gain that makes s a projection."""
    noise = torch.randn_like(target)
    noise -= (noise * target).sum(-1, keepdim=True) / target.square().sum(-1, keepdim=True) * target
    energies = [wave.square().sum(-1, keepdim=True) for wave in (target, noise)]
    matched = energies[0] / (energies[0] + energies[1]) * (target + noise)
    part = MultiResolutionL1()(5 * (target + noise), target).parts["samples_l1"]
    assert float(part) == pytest.approx(float((matched - target).abs().sum()) / 2, rel=1e-9)


def test_values_grow_with_length_unless_divided_by_it(target: Tensor) -> None:
    twice, zeros = torch.cat([target, target], dim=-1), torch.zeros_like
    whole = [MultiResolutionL1()(zeros(wave), wave).parts["samples_l1"] for wave in (target, twice)]
    each = [MultiResolutionL1(per_sample=True)(zeros(wave), wave).parts["samples_l1"] for wave in (target, twice)]
    assert float(whole[1] / whole[0]) == pytest.approx(2.0)
    assert float(each[1]) == pytest.approx(float(each[0]))
    assert float(each[0]) == pytest.approx(float(target.abs().mean()))


def test_signals_shorter_than_a_window_have_a_loss(target: Tensor) -> None:
    assert torch.isfinite(MultiResolutionL1()(target[..., :100], target[..., 100:200]).total)


def test_no_window_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"MultiResolutionL1\.windows: none given"):
        MultiResolutionL1(windows=())


@pytest.mark.parametrize("exponent", [1.0, 0.3])
def test_compressed_spectra_scale_by_the_power_of_the_gain(exponent: float, target: Tensor) -> None:
    """||c X|^p - |X|^p| = |c^p - 1| |X|^p, and so for both parts of X |X|^(p-1)."""
    window = torch.hann_window(512, dtype=torch.float64)
    z = torch.stft(target[:, 0], 512, 256, window=window, return_complex=True)
    size = z.abs()
    parts = torch.view_as_real(z * size ** (exponent - 1)).abs().sum(-1)
    loss = SpectrumL1(exponent=exponent, floor=1e-20)(2 * target, target)
    factor = 2**exponent - 1
    assert float(loss.parts["magnitude_l1"]) == pytest.approx(factor * float((size**exponent).mean()), rel=1e-6)
    assert float(loss.parts["complex_l1"]) == pytest.approx(factor * float(parts.mean()), rel=1e-6)
