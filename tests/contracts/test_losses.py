"""Every loss is zero at the perfect estimate, positive elsewhere, differentiable, and finite on silence."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from auscult.catalogue import CATALOGUE, find
from auscult.features.spectral import CompressedSTFT
from auscult.losses.base import Loss
from auscult.methods.objective import Objective, Truth
from auscult.paths.base import Prediction
from auscult.paths.ouve import OUVE
from auscult.shapes import bcast

LOSSES = list(CATALOGUE["loss"])
SPECTRUM_LOSSES = list(CATALOGUE["spectrum_loss"])
UNHEARD = ["PESQLoss"]  # its dead zone: small errors cost nothing


def truth(clean: Tensor, noise: Tensor) -> Truth:
    """As waves, spectra laid out flat: a decoder without a transform."""

    def decode(z: Tensor) -> Tensor:
        return torch.view_as_real(z).flatten(2)

    return Truth(clean, noise, decode(clean), decode)


@pytest.fixture
def target() -> Tensor:
    torch.manual_seed(0)
    return 0.1 * torch.randn(2, 1, 4_000)


@pytest.mark.parametrize("name", LOSSES)
def test_the_oracle_scores_zero(name: str, target: Tensor) -> None:
    loss = find(name)()(target.clone(), target)
    assert float(loss.total) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_worse_estimates_score_higher(name: str, target: Tensor) -> None:
    loss = find(name)()
    noise = torch.randn_like(target)
    totals = [float(loss(target + level * noise, target).total) for level in (0.001, 0.01, 0.1)]
    assert totals[0] >= 0 if name in UNHEARD else totals[0] > 0
    assert totals[0] < totals[1] < totals[2]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("silent", ["estimate", "target", "both"])
def test_silence_gives_finite_values_and_gradients(name: str, silent: str, target: Tensor) -> None:
    zeros = torch.zeros_like(target)
    estimate = (zeros if silent in ("estimate", "both") else target + 0.01).clone().requires_grad_()
    loss = find(name)()(estimate, zeros if silent in ("target", "both") else target).total
    loss.backward()
    assert torch.isfinite(loss)
    assert estimate.grad is not None
    assert torch.isfinite(estimate.grad).all()


@pytest.fixture
def spectrum() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(2, 1, 33, 20, dtype=torch.complex64)


@pytest.mark.parametrize("name", SPECTRUM_LOSSES)
def test_the_true_spectrum_scores_zero(name: str, spectrum: Tensor) -> None:
    loss = find(name)()(spectrum.clone(), spectrum)
    assert all(float(part) == 0.0 for part in loss.parts.values())
    assert loss.parts.keys() == loss.weights.keys()


@pytest.mark.parametrize("name", SPECTRUM_LOSSES)
def test_worse_spectra_score_higher(name: str, spectrum: Tensor) -> None:
    noise = torch.randn_like(spectrum)
    losses = [find(name)()(spectrum + level * noise, spectrum) for level in (0.001, 0.01, 0.1)]
    for part in losses[0].parts:
        values = [float(loss.parts[part]) for loss in losses]
        assert 0 < values[0] < values[1] < values[2]


@pytest.mark.parametrize("name", SPECTRUM_LOSSES)
@pytest.mark.parametrize("level", [0.0, 1e-30, 1e-12, 1e-6])
@pytest.mark.parametrize("silent", ["estimate", "target", "both"])
def test_silent_bins_give_finite_values_and_gradients(name: str, silent: str, level: float, spectrum: Tensor) -> None:
    quiet = level * spectrum
    estimate = (quiet if silent in ("estimate", "both") else 1.1 * spectrum).clone().requires_grad_()
    loss = find(name)()(estimate, quiet if silent in ("target", "both") else spectrum).total
    loss.backward()
    assert torch.isfinite(loss)
    assert estimate.grad is not None
    assert torch.isfinite(torch.view_as_real(estimate.grad)).all()


def test_errors_of_spectra_are_the_published_means() -> None:
    """mean (|Z| - |X|)^2, and mean(dRe^2) + mean(dIm^2): 3 + 4i against 1 is 16 and 4 + 16."""
    estimate, target = (torch.full((1, 1, 2, 3), value, dtype=torch.complex64) for value in (3 + 4j, 1))
    assert float(find("MagnitudeError")(weight=0.5)(estimate, target).total) == pytest.approx(0.5 * 16)
    assert float(find("ComplexError")(weight=0.5)(estimate, target).total) == pytest.approx(0.5 * 20)


@pytest.mark.parametrize("name", CATALOGUE["objective"])
def test_objectives_are_zero_at_the_true_prediction(name: str) -> None:
    """Fed the quantity it is trained to match (through any parametrisation), an objective vanishes."""
    torch.manual_seed(0)
    path, objective = OUVE(), find(name)()
    assert isinstance(objective, Objective)
    clean, noisy, noise = (torch.randn(3, 1, 8, 8, dtype=torch.complex64) for _ in range(3))
    t = torch.tensor([0.1, 0.5, 0.9])
    x = path.mean(clean, noisy, t) + bcast(path.std(t), noise) * noise
    for kind, value in (
        ("clean", clean),
        ("mean", path.mean(clean, noisy, t)),
        ("score", -noise / bcast(path.std(t), noise)),
    ):
        loss = objective(Prediction(path, x, noisy, t, kind, value), truth(clean, noise))  # type: ignore[arg-type]
        assert float(loss.total) == pytest.approx(0.0, abs=1e-6)
        worse = objective(Prediction(path, x, noisy, t, kind, 1.1 * value), truth(clean, noise))  # type: ignore[arg-type]
        assert float(worse.total) > 1e-4


def test_score_matching_is_the_published_sum() -> None:
    """mean over items of 1/2 sum |sigma score + z|^2: 32 bins and z = 1 give 16 for a zero score."""
    path = OUVE()
    z = torch.ones(2, 1, 4, 8, dtype=torch.complex64)
    prediction = Prediction(path, z, z, torch.tensor([0.3, 0.7]), "score", torch.zeros_like(z))
    assert float(find("ScoreMatching")()(prediction, truth(z, z)).total) == pytest.approx(16.0)
    assert float(find("ScoreMatching")(per_bin=True)(prediction, truth(z, z)).total) == pytest.approx(0.5)


def test_edm_weights_stay_with_their_items() -> None:
    """mean(w_b l_b), not the reference's B x B product: unequal items, checked by hand."""
    path = OUVE()
    t = torch.tensor([0.2, 0.5, 0.9])
    clean = torch.zeros(3, 1, 2, 2, dtype=torch.complex64)
    error = torch.tensor([1.0, 2.0, 3.0]).to(torch.complex64).reshape(3, 1, 1, 1).expand(3, 1, 2, 2)
    prediction = Prediction(path, clean, clean, t, "mean", error)
    sigma = path.std(t)
    weight = (sigma**2 + 0.01) / (sigma * 0.1) ** 2
    expected = float((weight * 0.5 * 4 * torch.tensor([1.0, 4.0, 9.0])).mean())
    objective = find("DenoiserMatching")(weighting="edm", sigma_data=0.1)
    assert float(objective(prediction, truth(clean, clean)).total) == pytest.approx(expected, rel=1e-6)


def test_the_published_edm_weighting_is_a_product_of_sums() -> None:
    """mean_b(w_b) sum_b(l_b), which for one item is the paired value."""
    torch.manual_seed(0)
    path, t = OUVE(), torch.tensor([0.2, 0.5, 0.9])
    clean, error = (torch.randn(3, 1, 2, 2, dtype=torch.complex64) for _ in range(2))
    prediction = Prediction(path, clean, clean, t, "mean", clean + error)
    sigma = path.std(t)
    weight = (sigma**2 + 0.01) / (sigma * 0.1) ** 2
    each = 0.5 * error.abs().square().sum((1, 2, 3))
    literal, paired = (find("DenoiserMatching")(weighting=w) for w in ("edm-as-published", "edm"))
    expected = float(weight.mean() * each.sum())
    assert float(literal(prediction, truth(clean, clean)).total) == pytest.approx(expected, rel=1e-5)
    one = Prediction(path, clean[:1], clean[:1], t[:1], "mean", (clean + error)[:1])
    alone = truth(clean[:1], clean[:1])
    assert float(literal(one, alone).total) == pytest.approx(float(paired(one, alone).total), rel=1e-6)


@pytest.mark.parametrize("items", [1, 3])
def test_data_matching_is_the_published_sum(items: int) -> None:
    """mean_b 1/2 sum |x^ - x|^2 / (F N) + 0.001 mean_b 1/2 sum |w^ - w| / T: the same for one item as for several."""
    torch.manual_seed(0)
    path, features = OUVE(), CompressedSTFT(62, 32)
    wave = 0.1 * torch.randn(1, 1, 992).expand(items, 1, 992)
    clean = features.encode(wave)
    estimate = clean + 0.01 * torch.randn(clean.shape[1:], dtype=clean.dtype)
    true = Truth(clean, clean, wave, lambda z: features.decode(z, 992))
    t = torch.full((items,), 0.5)
    objective = find("DataMatching")(waves=(find("L1")(weight=0.001 / 2),))
    loss = objective(Prediction(path, clean, clean, t, "clean", estimate), true)
    spectral = 0.5 * (estimate - clean)[0].abs().square().sum() / clean[0].numel()
    temporal = 0.5 * (features.decode(estimate, 992) - wave)[0].abs().sum() / 992
    assert loss.parts.keys() == {"data", "l1"}
    assert float(loss.total) == pytest.approx(float(spectral + 0.001 * temporal), rel=1e-5)


def test_limited_si_sdr_is_limit_minus_si_sdr() -> None:
    torch.manual_seed(0)
    target = torch.randn(1, 1, 8_000)
    noise = torch.randn_like(target)
    noise -= (noise * target).sum() / target.square().sum() * target
    estimate = 3.0 * (target + 0.1 * noise * target.norm() / noise.norm())  # SI-SDR 20 dB, any gain
    assert float(find("LimitedSISDR")(limit_db=60.0)(estimate, target).parts["si_sdr"]) == pytest.approx(40.0, abs=1e-3)


@pytest.mark.parametrize("amplitude", [0.0, 1e-8, 1e-7, 1e-6, 1e-5])
def test_silence_is_no_good_estimate(target: Tensor, amplitude: float) -> None:
    """The error of an estimate of nothing is nothing; its SI-SDR is the worst all the same."""
    torch.manual_seed(1)
    unrelated = torch.randn_like(target)
    loss = find("LimitedSISDR")(limit_db=40.0)
    assert float(loss(amplitude * unrelated, target).parts["si_sdr"]) > 39.0
    assert float(loss(target, target).parts["si_sdr"]) == pytest.approx(0.0, abs=1e-3)


def test_joined_losses_keep_their_parts_apart() -> None:
    one = Loss({"a": torch.tensor(2.0)}, {"a": 0.5})
    two = Loss({"b": torch.tensor(3.0)}, {"b": 2.0})
    joined = Loss.joined([one, two])
    assert float(joined.total) == 7.0
    with pytest.raises(ValueError, match="two losses have a part named a"):
        Loss.joined([one, one])


class Says(nn.Module):
    """A net that says the same whatever it is asked."""

    def __init__(self, answer: Tensor):
        super().__init__()
        self.answer = answer

    def forward(self, inputs: Tensor, _: Tensor) -> Tensor:
        return self.answer.expand_as(inputs[:, :1])


def test_a_residual_net_that_gives_zero_leaves_the_recording_where_noise_hides_it() -> None:
    """Residual: at s >> sigma_data the estimate is y; at s << sigma_data it is x_t read as clean."""
    path, silent = OUVE(), Says(torch.zeros(1))
    torch.manual_seed(0)
    clean, noisy, noise = (0.1 * torch.randn(2, 1, 8, 8, dtype=torch.complex64) for _ in range(3))
    residual = find("Residual")(sigma_data=0.1)
    for t, expected in ((1.0, noisy), (1e-4, clean)):
        at = torch.full((2,), t)
        x = path.mean(clean, noisy, at) + bcast(path.std(at), noise) * noise
        estimate = residual.predict(silent, x, noisy, at, path).clean
        assert torch.allclose(estimate, expected, atol=0.02)


def test_edm_weights_of_data_prediction_are_one_over_c_out_squared() -> None:
    """What a Residual net is trained on is its own output's error: unit weight in the net's own scale."""
    path, t = OUVE(), torch.tensor([0.2, 0.8])
    torch.manual_seed(0)
    clean, noisy, noise, wrong = (torch.randn(2, 1, 4, 4, dtype=torch.complex64) for _ in range(4))
    x = path.mean(clean, noisy, t) + bcast(path.std(t), noise) * noise
    residual = find("Residual")(sigma_data=0.1)
    right, off = (residual.predict(Says(f * wrong), x, noisy, t, path) for f in (0.0, 1.0))
    apart = Prediction(path, x, noisy, t, "clean", clean + off.clean - right.clean)
    loss = find("DataMatching")(weighting="edm", sigma_data=0.1)(apart, truth(clean, noise))
    assert float(loss.total) == pytest.approx(0.5 * float(wrong.abs().square().mean()), rel=1e-4)
