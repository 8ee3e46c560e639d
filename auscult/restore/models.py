"""Opening a model for restoration: the built-in one without torch, checkpoints and run folders with it."""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from auscult.allocator import keep_freed_memory
from auscult.audio.resample import fit_length
from auscult.errors import CheckpointError, RecipeError, RestorationError, need
from auscult.features.frames import FrameStep
from auscult.features.normalise import Normalise, Statistics
from auscult.hub.runs import best_checkpoint
from auscult.restore.references import NOTHING, Told, unconditioned
from auscult.restore.stream import ChunkStream, FrameStream, Stream, Wave
from auscult.rng import Draws, Key
from auscult.units import samples

if TYPE_CHECKING:
    from auscult.hub.bundle import Weights
    from auscult.methods.base import Extension, Method, Nets
    from auscult.restore.engine import Restorer

BUILT_IN = "default"
BUCKETS = 4
"""Lengths that compiled nets are called with: a chunk, its half, quarter and eighth."""
Precision = Literal["fp32", "bf16"]


class Model(ABC):
    """What the engine needs of a model: its rate, its way of normalising, and streams."""

    name: str
    rate_hz: int
    normalise: Normalise
    conditions: tuple[str, ...] = ()
    """The names of what it may be told beside the signal."""
    extension: Extension | None = None
    """What it takes if it extends the band."""

    @abstractmethod
    def stream(self, keys: Sequence[Key], told: Told = NOTHING, together: int = 1) -> Stream:
        """A restoration of normalised samples at ``rate_hz``, one channel a key.

        Channels share calls of the net but never each other's samples, noise or what they are told: a channel's
        answer is the same alone and among others. Models that extend the band may restore the ``together`` channels
        of a recording as one item.

        Raises:
            RestorationError: told something that the model could not heed.
        """


class FrameModel(Model):
    """A causal model: frames of a plain STFT through a step with a state."""

    def __init__(self, name: str, rate_hz: int, step: FrameStep, normalise: Normalise):
        self.name, self.rate_hz, self.normalise, self._step = name, rate_hz, normalise, step

    def stream(self, keys: Sequence[Key], told: Told = NOTHING, together: int = 1) -> Stream:
        if told or together > 1:
            raise unconditioned(self.name)
        return FrameStream(self._step, len(keys))


@dataclass(frozen=True)
class Cut:
    """How signals are cut for models that need whole ones.

    Raises:
        RestorationError: chunks that do not outlast their overlap.
    """

    chunk_s: float = 10.0
    overlap_s: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.overlap_s < self.chunk_s:
            raise RestorationError(
                f"chunks of {self.chunk_s} s cannot overlap by {self.overlap_s} s; give 0 <= overlap < chunk"
            )


class ChunkModel(Model):
    """A method that needs whole signals: overlapping chunks, cross-faded.

    ``compile`` has torch compile the nets, once for each length they meet; so that these are few, shorter signals are
    extended by silence to one of them.
    """

    def __init__(
        self,
        name: str,
        method: Method,
        nets: Nets,
        device: str,
        cut: Cut,
        precision: Precision,
        compile: bool = False,
    ):
        self.name, self.rate_hz = name, method.rate_hz
        piecewise = method.normalise.per == "piece"
        self.normalise, self._own = (Normalise(), method.normalise) if piecewise else (method.normalise, Normalise())
        self._method, self._device, self.conditions = method, device, method.conditions
        self.extension = method.extension
        self._nets, self._precision = _compiled(nets, device) if compile else nets, precision
        self._chunk, self._overlap = samples(cut.chunk_s, self.rate_hz), samples(cut.overlap_s, self.rate_hz)
        self._lengths = [self._chunk // 2**i for i in reversed(range(BUCKETS))] if compile else []

    def stream(self, keys: Sequence[Key], told: Told = NOTHING, together: int = 1) -> Stream:
        import torch

        conditions = {name: torch.from_numpy(values[::together]).to(self._device) for name, values in told.items()}

        def restore(wave: Wave, index: int) -> Wave:
            half = torch.autocast(torch.device(self._device).type, torch.bfloat16, enabled=self._precision == "bf16")
            with torch.inference_mode(), half:
                length = next((length for length in self._lengths if length >= wave.shape[1]), wave.shape[1])
                gain = self._own.gain(Statistics.of(wave[:, None]))[:, None]
                items = torch.from_numpy(fit_length(gain * wave, length)).unflatten(0, (-1, together))
                draws = Draws.of(key.child(index) for key in keys[::together])
                # A method of a user's own need not know of conditions.
                given = (conditions,) if self.conditions or self.extension else ()
                restored = self._method.restore(self._nets, items.to(self._device), draws, *given)
                return restored.flatten(0, 1).float().cpu().numpy()[:, : wave.shape[1]] / gain

        return ChunkStream(restore, self._chunk, self._overlap, len(keys))


def load(
    model: str | Path = BUILT_IN,
    device: str = "auto",
    trust: Collection[str] = (),
    overrides: Sequence[str] = (),
    weights: Weights = "auto",
    cut: Cut = Cut(),
    precision: Precision = "fp32",
    compile: bool = False,
) -> Restorer:
    """Open a model for restoration.

    Args:
        model: ``"default"`` (built in, needs no torch), a checkpoint file, or a run folder (its best checkpoint).
        device: ``auto``, ``cpu``, ``cuda`` ... for models that run on torch.
        trust: packages whose classes a checkpoint may name.
        overrides: settings of the method, ``sampler.steps=10``.
        weights: averaged (``ema``) or raw (``net``) weights; ``auto`` takes averaged ones where there are any.
        cut: how signals are cut for models that need whole ones.
        precision: ``bf16`` computes nets of whole signals in half precision (faster, slightly different).
        compile: have torch compile nets of whole signals; minutes at first, worth it for long work on a GPU.

    Raises:
        CheckpointError, TrustError, RecipeError, MissingExtra: as the file at hand gives cause.
        RestorationError: nothing to compile, or nothing to compile with.
    """
    from auscult.restore.engine import Restorer

    if str(model) == BUILT_IN:
        refuse_settings(overrides)
        if compile:
            raise RestorationError(
                "the built-in model runs on onnxruntime, which compiles it already; leave --compile out"
            )
        return Restorer(built_in())
    path = checkpoint_of(Path(model))
    need("torch", f"the model {path.name}")
    from auscult.hub.opening import open_method

    method, nets, _ = open_method(path, trust, overrides, weights)
    return Restorer(model_of(path.stem, method, nets, pick_device(device), cut, precision, compile))


def refuse_settings(overrides: Sequence[str]) -> None:
    """The built-in model takes none.

    Raises:
        RecipeError: there are some.
    """
    if overrides:
        raise RecipeError(f"the built-in model has no settings, so '{overrides[0]}' cannot be set")


def refuse_unconditioned(model: str | Path) -> None:
    """Refuse what only models that are conditioned on noise understand, without building a net.

    Raises:
        RestorationError: the model is not. CheckpointError: there is none.
    """
    if str(model) == BUILT_IN:
        raise unconditioned("the built-in model")
    path = checkpoint_of(Path(model))
    need("torch", f"the model {path.name}")
    from auscult.hub.opening import hears_noise, read_checkpoint, settled

    if not hears_noise(settled(read_checkpoint(path).meta, str(path))):
        raise unconditioned(path.stem)


def built_in() -> Model:
    """The built-in model on onnxruntime."""
    from auscult.restore.onnx import OnnxStep

    step = OnnxStep(Path(str(resources.files("auscult") / "weights" / "default.onnx")))
    return FrameModel(BUILT_IN, step.rate_hz, step, Normalise())


def checkpoint_of(path: Path) -> Path:
    """The file to open: a checkpoint itself, or the best one of a run folder.

    Raises:
        CheckpointError: neither exists.
    """
    if path.is_dir():
        return best_checkpoint(path)
    if not path.is_file():
        raise CheckpointError(f"no model '{path}': give {BUILT_IN}, a checkpoint file or a run folder")
    return path


def model_of(
    name: str,
    method: Method,
    nets: Nets,
    device: str,
    cut: Cut = Cut(),
    precision: Precision = "fp32",
    compile: bool = False,
) -> Model:
    """A method and its nets as a model, frame by frame if it is causal: what validation restores with, too."""
    for net in nets.values():
        net.to(device)
    if device == "cpu":
        keep_freed_memory()
    if (step := method.frame_step(nets)) is not None:
        if compile:
            raise RestorationError(f"{name} restores frame by frame; --compile is for models of whole signals")
        if method.normalise.per == "piece":
            raise RecipeError(f"normalise.per: {name} restores frame by frame, not in pieces; set it to file")
        return FrameModel(name, method.rate_hz, step, method.normalise)
    return ChunkModel(name, method, nets, device, cut, precision, compile)


def _compiled(nets: Nets, device: str) -> Nets:
    """The nets, to be compiled when they meet a length for the first time.

    Raises:
        RestorationError: the CPU's code needs a C++ compiler, and there is none.
    """
    import torch

    compiler = os.environ.get("CXX", "g++")
    if device == "cpu" and shutil.which(compiler) is None:
        raise RestorationError(f"--compile needs a C++ compiler on the CPU, '{compiler}' is not there; leave it out")
    return {name: torch.compile(net, dynamic=False) for name, net in nets.items()}


def pick_device(device: str) -> str:
    """A device that is there; ``auto`` is the first GPU, else the CPU.

    Raises:
        RestorationError: no such device on this machine.
    """
    import torch

    there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    there += ["mps"] if torch.backends.mps.is_available() else []
    if device == "auto":
        return there[1] if len(there) > 1 else "cpu"
    if device == "cuda" and "cuda:0" in there:
        return "cuda:0"
    if device not in there:
        raise RestorationError(f"no device '{device}' on this machine; there is {', '.join(there)}")
    return device
