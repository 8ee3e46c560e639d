"""One step of denoising at times of the path: does the net's answer, read as the method reads it, bring x_t nearer?

Beside it stand the anchor y, the best linear combination of y and the state, and other readings of the same answer.
Common random numbers: an item has the same noise at every time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex, Float
from numpy import ndarray
from torch import Tensor, nn

from auscult.conditions.noise_reference import no_reference
from auscult.diagnose.clock import Clock
from auscult.methods.bridge import BridgeResidual
from auscult.methods.conditioning import condition_of
from auscult.methods.guidance import Telling
from auscult.methods.parametrisation import (
    DataPrediction,
    Denoiser,
    NegativeScore,
    Net,
    Parametrisation,
    Residual,
    ScaledScore,
    Scaling,
)
from auscult.methods.score import ScoreModel
from auscult.paths.base import LinearPath, Prediction, Times, times
from auscult.rng import Draws, Key
from auscult.shapes import bcast

SHARES = (0.05, 0.25, 0.5, 0.95)
"""Of the path's last time that has noise."""

Spectrum = Complex[Tensor, "B 1 F N"]


@dataclass(frozen=True)
class Subject:
    """A score model or bridge, its net with all that it is told, and normalised clips."""

    method: ScoreModel
    net: Net
    clean: Float[Tensor, "B 1 T"]
    noisy: Float[Tensor, "B 1 T"]
    keys: tuple[Key, ...]

    def draws(self, *what: str | int) -> Draws:
        """The clips' own generators, the same for every question of that name."""
        return Draws.of(key.child(*what) for key in self.keys)


@dataclass(frozen=True)
class State:
    """Examples at one time with what the net said: F, and its reading."""

    clean: Spectrum
    anchor: Spectrum
    x: Spectrum
    t: Times
    output: Tensor
    read: Spectrum


@dataclass(frozen=True)
class Profile:
    """SNR of clean estimates in dB, [times, clips]: of the net, the anchor y, and the linear combination."""

    t: tuple[float, ...]
    net: Float[ndarray, "times clips"]
    anchor: Float[ndarray, "times clips"]
    linear: Float[ndarray, "times clips"]

    @property
    def gain(self) -> Float[ndarray, "times clips"]:
        """Of the net over the linear combination."""
        return self.net - self.linear


@torch.inference_mode()
def states(subject: Subject, t_eps: float) -> list[State]:
    """The clips at every time."""
    method, path = subject.method, subject.method.path
    clean, anchor = method.encode(subject.clean), method.encode(subject.noisy)
    noise = subject.draws("one step").normal_like(clean)
    found = []
    for share in SHARES:
        t = times(max(share * path.t_start, t_eps), clean)
        at = path.marginal(clean, anchor, t)
        x = at.mean + bcast(at.std, noise) * noise
        recorder = _Recorder(subject.net)
        read = method.predict(recorder, x, anchor, anchor, t).clean
        found.append(State(clean, anchor, x, t, recorder.output, read))
    return found


class _Recorder:
    """A net that keeps its last output."""

    output: Tensor

    def __init__(self, net: Net):
        self._net = net

    def __call__(self, inputs: Tensor, t: Times) -> Tensor:
        self.output = self._net(inputs, t)
        return self.output


def profile(found: Sequence[State], path: LinearPath) -> Profile:
    """How good the net's reading is at every time."""
    rows = [[snr_db(one, state.clean) for one in (state.read, state.anchor, _linear(state, path))] for state in found]
    net, anchor, linear = np.moveaxis(np.array(rows), 1, 0)
    return Profile(tuple(float(state.t[0]) for state in found), net, anchor, linear)


def snr_db(estimate: Spectrum, clean: Spectrum) -> Float[ndarray, " clips"]:
    """Energy of the clean spectrum over that of the error; -60 dB at least."""
    error = (estimate - clean).abs().square().sum((1, 2, 3)).double()
    energy = clean.abs().square().sum((1, 2, 3)).double()
    ratio: ndarray = (10 * torch.log10(energy / error.clamp_min(1e-20))).cpu().numpy()
    return np.nan_to_num(ratio, nan=-60.0).clip(-60.0, 90.0)


def _linear(state: State, path: LinearPath) -> Spectrum:
    """The best real combination of y and the state, one for all clips."""
    u = path.clean_from_mean(state.x, state.anchor, state.t)
    columns = torch.stack([torch.view_as_real(z).flatten() for z in (u, state.anchor)], 1).double()
    target = torch.view_as_real(state.clean).flatten().double()
    weights = torch.linalg.lstsq(columns, target[:, None]).solution[:, 0].to(u.real.dtype)
    return weights[0] * u + weights[1] * state.anchor


def readings(state: State, method: ScoreModel) -> Iterator[tuple[str, Spectrum]]:
    """The same answer F read otherwise; nothing is asked of the net again."""
    path, x, anchor, t, output = method.path, state.x, state.anchor, state.t, state.output
    std = path.std(t)
    scales: Mapping[str, Callable[[Tensor], Tensor]] = {
        "with the opposite sign": lambda f: -f,
        "times sigma": lambda f: f * bcast(std, f),
        "over sigma": lambda f: f / bcast(std, f),
        "times t": lambda f: f * bcast(t, f),
        "over t": lambda f: f / bcast(t, f),
        "minus, times sigma": lambda f: -f * bcast(std, f),
        "minus, over sigma": lambda f: -f / bcast(std, f),
    }
    for name, scale in scales.items():
        answer = scale(output)
        yield name, method.predict(lambda *_, answer=answer: answer, x, anchor, anchor, t).clean
    noisy_mean = x - bcast(std, x) * output
    as_score = Prediction(path, x, anchor, t, "score", output)
    yield "as the score", as_score.clean
    yield "as minus the score", Prediction(path, x, anchor, t, "score", -output).clean
    yield "as the clean spectrum", output
    yield "as the mean", Prediction(path, x, anchor, t, "mean", output).clean
    yield "as the noise", Prediction(path, x, anchor, t, "mean", noisy_mean).clean
    yield "as minus the noise", Prediction(path, x, anchor, t, "mean", 2 * x - noisy_mean).clean
    yield "as the residual beside the noisy spectrum", anchor + output


OTHERS: Mapping[str, Parametrisation] = {
    "as NegativeScore": NegativeScore(),
    "as ScaledScore, c_out 1/sigma": ScaledScore(Scaling(c_out="1/sigma")),
    "as Denoiser": Denoiser(),
    "as DataPrediction": DataPrediction(),
    "as DataPrediction with EDM's scalings": DataPrediction(Scaling("edm", "edm", "edm")),
    "as Residual": Residual(),
    "as BridgeResidual": BridgeResidual(),
}


@torch.inference_mode()
def other_readings(subject: Subject, found: Sequence[State], clock: Clock) -> dict[str, Float[ndarray, "times clips"]]:
    """SNR of clean estimates under all other readings and, asked anew while there is time, other parametrisations."""
    snrs: dict[str, list[ndarray]] = {}
    for state in found:
        for name, clean in readings(state, subject.method):
            snrs.setdefault(name, []).append(snr_db(clean, state.clean))
    path = subject.method.path
    for name, one in OTHERS.items():
        for state in found:
            if clock.left <= 0:
                return {name: np.stack(rows) for name, rows in snrs.items()}
            read = one.predict(subject.net, state.x, state.anchor, state.t, path, state.anchor).clean
            snrs.setdefault(name, []).append(snr_db(read, state.clean))
    return {name: np.stack(rows) for name, rows in snrs.items()}


def untold(method: ScoreModel, net: nn.Module, noisy: Float[Tensor, "B 1 T"]) -> Net:
    """The net with nothing to be told; one with a noise condition is told that there is no reference."""
    condition = condition_of(net)
    if condition is None:
        return net
    with torch.inference_mode():
        return Telling(net, condition.encode(no_reference(noisy, method.features)))
