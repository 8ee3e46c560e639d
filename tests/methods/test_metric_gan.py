"""The metric GAN: what its losses compare, what its labels are, and that an item without a label costs only itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from auscult.errors import RecipeError
from auscult.features.normalise import Normalise
from auscult.features.spectral import CompressedSTFT
from auscult.losses.base import Loss
from auscult.losses.spectral import ComplexError, MagnitudeError
from auscult.losses.waveform import L1
from auscult.methods import metric_gan
from auscult.methods.base import Batch
from auscult.methods.labels import Label, Labelling, Labels, answered, rated
from auscult.methods.metric_gan import MetricGAN
from auscult.methods.notes import gain
from auscult.nets.discriminators import MetricDiscriminator
from auscult.rng import Draws
from auscult.train.shares import gradient_shares

RATE_HZ = 16_000


class Scale(nn.Module):
    """Multiplies a spectrum."""

    def __init__(self, factor: float = 1.0):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, z: Tensor) -> Tensor:
        return z * self.factor


def method(factor: float = 1.0, **changes: object) -> MetricGAN:
    options: dict[str, object] = {
        "features": CompressedSTFT(400, 100, "hamming", exponent=0.3, factor=1.0),
        "spectrum_losses": (MagnitudeError(0.9), ComplexError(0.1)),
        "losses": (L1(0.2),),
    }
    return MetricGAN(Scale(factor), MetricDiscriminator(4), **{**options, **changes})  # type: ignore[arg-type]


def speech_like(seed: int, seconds: float = 1.0) -> np.ndarray:
    """Noise in syllables, which PESQ takes for utterances."""
    rng = np.random.default_rng(seed)
    samples = int(seconds * RATE_HZ)
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 4 * np.arange(samples) / RATE_HZ)
    return (0.1 * syllables * rng.standard_normal(samples)).astype(np.float32)


@pytest.fixture
def batch() -> Batch:
    clean = torch.from_numpy(np.stack([speech_like(0), speech_like(1)]))[:, None]
    raw = clean.square().mean((1, 2)).rsqrt()  # to unit RMS: 15 or so, as for CMGAN's files
    return Batch(clean * raw[:, None, None], clean * raw[:, None, None], raw, torch.tensor([RATE_HZ] * 2),
                 torch.zeros(2, dtype=torch.int64), {}, [[], []])  # fmt: skip


@pytest.fixture
def unlabelled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No worker processes: nothing is asked."""
    monkeypatch.setattr(Labelling, "ask", lambda *_: [])
    return iter([None])


def losses(gan: MetricGAN, batch: Batch, turn: str) -> Loss:
    nets = gan.nets()
    shared = gan.forward(nets, batch, Draws([0]))
    return gan.loss(turn, nets, batch, shared, Draws([0]))


@pytest.mark.usefixtures("unlabelled")
def test_the_perfect_estimate_costs_nothing_but_the_discriminators_doubt(batch: Batch) -> None:
    loss = losses(method(consistency=0.1, reanalysed=True), batch, "net")
    parts = {name: float(part.detach()) for name, part in loss.parts.items()}
    assert parts.pop("adversarial") > 0
    assert set(parts) == {"magnitude", "complex", "l1", "consistency"}
    assert max(parts.values()) < 1e-6
    assert loss.notes["gain"] == pytest.approx(1.0, abs=1e-5)


@pytest.mark.usefixtures("unlabelled")
def test_the_published_defect_charges_the_perfect_estimate(batch: Batch) -> None:
    """Its time term is mean |c y - y| = mean (1 - 1/c) |c y|, and its name says so in every row of a history."""
    loss = losses(method(reproduce_published_level_defect=True), batch, "net")
    expected = float(((1 - 1 / batch.gain[:, None, None]) * batch.clean).abs().mean())
    assert float(loss.parts["l1_against_unnormalised_clean"].detach()) == pytest.approx(expected, rel=1e-4)
    assert expected > 0.5
    assert "l1" not in loss.parts


@pytest.mark.usefixtures("unlabelled")
def test_with_the_defect_the_best_gain_is_below_one(batch: Batch) -> None:
    """Scaling the perfect answer down lowers the loss with the defect, and raises it without."""

    def of_gain(factor: float, defect: bool) -> float:
        z = factor**0.3  # of the compressed spectrum
        gan = method(z, adversarial=0.0, reproduce_published_level_defect=defect)
        return float(losses(gan, batch, "net").total.detach())

    assert of_gain(0.9, True) < 0.95 * of_gain(1.0, True)
    assert of_gain(0.9, False) > of_gain(1.0, False)


def test_labels_are_pesq_held_within_zero_and_one() -> None:
    clean = speech_like(0)
    assert rated(clean, clean, RATE_HZ).value == 1.0  # PESQ 4.64 would be 1.04
    noise = 0.1 * np.random.default_rng(1).standard_normal(RATE_HZ).astype(np.float32)
    noisy = rated(clean, clean + noise, RATE_HZ)
    assert noisy.value is not None
    assert 0.0 <= noisy.value < 0.5


def test_what_cannot_be_rated_says_why() -> None:
    clean, silence = speech_like(0), np.zeros(RATE_HZ, np.float32)
    assert rated(silence, clean, RATE_HZ) == Label(None, "clean is digital silence")
    assert rated(clean, np.full_like(clean, np.nan), RATE_HZ) == Label(None, "the estimate is not finite")
    assert rated(clean[:2_000], clean[:2_000], RATE_HZ) == Label(None, "shorter than 0.25 s")


def test_an_item_without_label_is_dropped_alone(monkeypatch: pytest.MonkeyPatch, batch: Batch) -> None:
    """The discriminator's estimate term is that of the labelled item; the cause is counted."""
    gan = method()
    nets = gan.nets()
    nets["discriminator"].eval()
    known = Labels.of([Label(None, "clean is digital silence"), Label(0.25)])
    monkeypatch.setattr(Labelling, "ask", lambda *_: [])
    monkeypatch.setattr(metric_gan, "answered", lambda _: known)
    shared = gan.forward(nets, batch, Draws([0]))
    loss = gan.loss("discriminator", nets, batch, shared, Draws([0]))
    rating = gan.rated(nets, batch.clean, batch.clean)[1]
    assert float(loss.parts["estimate"].detach()) == pytest.approx(float((rating.detach() - 0.25) ** 2), rel=1e-3)
    assert loss.dropped == {"clean is digital silence": 1}
    assert loss.notes["skipped"] == 0.0
    assert loss.notes["label"] == 0.25


def test_without_any_label_the_discriminator_learns_nothing(monkeypatch: pytest.MonkeyPatch, batch: Batch) -> None:
    """Clean pairs alone would teach it that everything is clean."""
    gan = method()
    monkeypatch.setattr(Labelling, "ask", lambda *_: [])
    monkeypatch.setattr(metric_gan, "answered", lambda _: Labels.of([Label(None, "x"), Label(None, "y")]))
    loss = losses(gan, batch, "discriminator")
    loss.total.backward()
    assert float(loss.total.detach()) == 0.0
    assert loss.notes["skipped"] == 1.0
    gradients = [p.grad for p in gan.nets()["discriminator"].parameters() if p.grad is not None]
    assert gradients
    assert not any(bool(gradient.any()) for gradient in gradients)


def test_workers_rate_while_the_net_learns_and_a_dead_one_costs_its_items_only() -> None:
    labelling = Labelling(RATE_HZ)
    clean = torch.from_numpy(speech_like(0))[None, None]
    assert answered(labelling.ask(clean, clean)).values.tolist() == [1.0]
    assert labelling._pool is not None
    questions = labelling.ask(clean, clean)
    for pid in list(labelling._pool._processes):
        os.kill(pid, signal.SIGKILL)
    found = answered(questions)
    assert found.known.all() or found.causes == {"a worker process died": 1}
    assert answered(labelling.ask(clean, clean)).known.all()  # a fresh pool


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spectrum_losses": (), "losses": ()}, "at least one is needed"),
        ({"losses": (), "reproduce_published_level_defect": True}, "acts on losses"),
        ({"rate_hz": 48_000}, "16000"),
    ],
)
def test_impossible_methods_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        method(**changes)


def test_gain_is_the_mean_over_items_that_are_heard() -> None:
    clean = torch.stack([torch.ones(1, 100), 2 * torch.ones(1, 100), torch.zeros(1, 100)])
    estimate = torch.stack([0.5 * torch.ones(1, 100), 2 * torch.ones(1, 100), torch.ones(1, 100)])
    assert gain(estimate, clean) == pytest.approx(0.75)
    assert gain(estimate, torch.zeros_like(clean)) == 1.0


def test_gradient_shares_and_cosines_in_closed_form() -> None:
    """At x = (1, 0): |grad 3 x_1| = 3, |grad x_2| = 1, |grad -2 x_1| = 2; shares of 6, cosines 0 and -1."""
    x = torch.tensor([1.0, 0.0], requires_grad=True)
    estimate = x * 1.0
    loss = Loss(
        {"a": estimate[0], "b": estimate[1], "c": -estimate[0]}, {"a": 3.0, "b": 1.0, "c": 2.0}, estimate=estimate
    )
    found = gradient_shares(loss)
    assert found["gradient_share"] == pytest.approx({"a": 1 / 2, "b": 1 / 6, "c": 1 / 3})
    assert found["gradient_cosine"] == pytest.approx({"a|b": 0.0, "a|c": -1.0, "b|c": 0.0})
    loss.total.backward()  # the graph is still there
    assert x.grad is not None
    assert gradient_shares(Loss({"a": x.sum()}, {"a": 1.0})) == {}


def test_gradient_shares_of_a_complex_estimate() -> None:
    z = torch.complex(torch.ones(3), torch.zeros(3)).requires_grad_()
    estimate = z * 1.0
    loss = Loss({"re": estimate.real.sum(), "im": estimate.imag.sum()}, {"re": 1.0, "im": 3.0}, estimate=estimate)
    assert gradient_shares(loss)["gradient_share"] == pytest.approx({"re": 0.25, "im": 0.75})
    assert gradient_shares(loss)["gradient_cosine"]["re|im"] == pytest.approx(0.0, abs=1e-6)


def test_the_level_of_training_is_that_of_restoration() -> None:
    assert method().normalise == Normalise("rms")
