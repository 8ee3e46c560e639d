"""TF-GridNet checkpoints of ESPnet (V1, V2, V3): a state dict whose separator is the net; no other part has numbers.

Such a file does not hold its configuration. Version and sizes follow from names and shapes; what does not (hop, rate,
the stride of overlapping windows) is taken as ESPnet's recipes have it, and a note says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from auscult.errors import CheckpointError
from auscult.hub.bundle import load_net
from auscult.hub.contents import Contents, grouped
from auscult.hub.lightning import named_tensors
from auscult.nets.tfgridnet import TFGridNet, Version

PREFIX = "separator."
SIGNS = ("conv.0.weight", "deconv.weight", "blocks.0.intra_rnn.weight_hh_l0")
LSTM = [f"{kind}_l0{way}" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh") for way in ("", "_reverse")]
ATTENTION = {"Q": "query", "K": "key", "V": "value"}

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Sizes:
    """What names and shapes of a state dict tell. ``folded``: each recurrence ends in a transposed convolution."""

    version: Version
    layers: int
    hidden: int
    heads: int
    embedding: int
    kernel: int
    qk_channels: int
    bins: int | None
    sources: int
    folded: bool

    @classmethod
    def of(cls, state: State) -> Sizes:
        """Read a separator's tensors.

        Raises:
            CheckpointError: of a net for several microphones.
        """
        embedding, inputs = state["conv.0.weight"].shape[:2]
        if inputs != 2:
            raise CheckpointError(f"a TF-GridNet for {inputs // 2} microphones; only those for one can be read")
        first = "blocks.0."
        is_v1 = f"{first}intra_norm.gamma" in state
        gamma = state[f"{first}attn_conv_Q_0.2.gamma" if is_v1 else f"{first}attn_norm_Q.gamma"]
        bins = gamma.shape[-1]
        hidden, kernel = (state[f"{first}intra_rnn.weight_{side}_l0"].shape[1] for side in ("hh", "ih"))
        return cls(
            version="v1" if is_v1 else "v2" if bins > 1 else "v3",
            layers=len({key.split(".")[1] for key in state if key.startswith("blocks.")}),
            hidden=hidden,
            heads=sum(key.startswith(f"{first}attn_conv_Q_") for key in state) // 5 if is_v1 else gamma.shape[1],
            embedding=embedding,
            kernel=kernel // embedding,
            qk_channels=gamma.shape[-3],
            bins=bins if bins > 1 else None,
            sources=state["deconv.weight"].shape[1] // 2,
            folded=state[f"{first}intra_linear.weight"].dim() == 3,
        )

    @property
    def stride(self) -> int:
        """Between windows: their length where they do not overlap; 1, ESPnet's default, where they may."""
        return 1 if self.folded else self.kernel

    def node(self) -> dict[str, Any]:
        """The net as a section of a recipe."""
        names = ("version", "layers", "hidden", "heads", "embedding", "kernel", "stride", "qk_channels", "bins")
        return {"type": "TFGridNet", **{name: getattr(self, name) for name in names}, "sources": self.sources}


def fits(payload: Any) -> bool:
    """Whether a file holds a TF-GridNet of ESPnet."""
    return isinstance(payload, dict) and all(sign in _separator(payload) for sign in SIGNS)


def read(payload: Mapping[str, Any]) -> Contents:
    """The net's tensors in our names, and a method around it.

    Raises:
        CheckpointError: tensors are missing, or the net separates talkers or listens to several microphones.
    """
    state = _separator(payload)
    sizes = Sizes.of(state)
    if sizes.sources != 1:
        raise CheckpointError(
            f"this TF-GridNet separates {sizes.sources} talkers, and restoration has one answer; "
            "auscult.hub.espnet.net_of gives the net itself"
        )
    made = sources(sizes)
    tensors = {f"net.{ours}": source.made(state) for ours, source in made.items()}
    used = {name for source in made.values() for name in source.names}
    ignored = grouped(key for key in state if key not in used)
    method, note = _method(sizes)
    return Contents(f"TF-GridNet {sizes.version.upper()}", method, tensors, 0, ignored, (note,))


def net_of(payload: Mapping[str, Any], stride: int | None = None) -> TFGridNet:
    """The net of a file's payload, in evaluation mode, whatever its number of sources.

    Args:
        payload: what ``auscult.hub.unpickle.read_archive`` (or ``torch.load``) returns.
        stride: of the windows, where it is not what :attr:`Sizes.stride` takes.

    Raises:
        CheckpointError: as :func:`read`, separation apart.
    """
    state = _separator(payload)
    sizes = Sizes.of(state)
    net = TFGridNet(
        sizes.version, sizes.layers, sizes.hidden, sizes.heads, sizes.embedding, sizes.kernel,
        stride or sizes.stride, sizes.qk_channels, sizes.bins, sizes.sources,
    )  # fmt: skip
    load_net(net, {ours: source.made(state) for ours, source in sources(sizes).items()}, "the checkpoint")
    return net.eval()


@dataclass(frozen=True)
class Source:
    """Tensors of ESPnet that make one of ours, and how."""

    names: tuple[str, ...]
    make: Callable[..., Tensor]

    def made(self, state: State) -> Tensor:
        """Our tensor.

        Raises:
            CheckpointError: one of theirs is missing.
        """
        missing = [name for name in self.names if name not in state]
        if missing:
            raise CheckpointError(f"not a whole TF-GridNet: {missing[0]} is missing")
        return self.make(*(state[name] for name in self.names)).contiguous()


def sources(sizes: Sizes) -> dict[str, Source]:
    """Where each tensor of a net comes from, without the prefix ``separator.``."""
    table = {f"stem.{leaf}": Source((f"conv.0.{leaf}",), _same) for leaf in ("weight", "bias")}
    table |= {f"stem_norm.{leaf}": Source((f"conv.1.{leaf}",), _same) for leaf in ("weight", "bias")}
    table |= {"output.weight": Source(("deconv.weight",), _convolution), "output.bias": Source(("deconv.bias",), _same)}
    for block in (f"blocks.{index}" for index in range(sizes.layers)):
        table |= dict(_recurrence(sizes, f"{block}.across", f"{block}.intra"))
        table |= dict(_recurrence(sizes, f"{block}.along", f"{block}.inter"))
        table |= dict(_attention(sizes, f"{block}.attention", f"{block}."))
    return table


def _recurrence(sizes: Sizes, ours: str, theirs: str) -> Iterator[tuple[str, Source]]:
    leaves = ("gamma", "beta") if sizes.version == "v1" else ("weight", "bias")
    for own, leaf in zip(("weight", "bias"), leaves, strict=True):
        yield f"{ours}.norm.{own}", Source((f"{theirs}_norm.{leaf}",), torch.flatten)
    for leaf in LSTM:
        windows = sizes.folded and leaf.startswith("weight_ih")
        make = _position_major(sizes.kernel) if windows else _same
        yield f"{ours}.lstm.{leaf}", Source((f"{theirs}_rnn.{leaf}",), make)
    # A transposed convolution [2H, C, I] is a linear map to all positions of a window, which are then added up.
    unfolded = _projection if sizes.folded else _same
    yield f"{ours}.linear.weight", Source((f"{theirs}_linear.weight",), unfolded)
    yield f"{ours}.bias", Source((f"{theirs}_linear.bias",), _same)


def _attention(sizes: Sizes, ours: str, theirs: str) -> Iterator[tuple[str, Source]]:
    for leaf in ("weight", "bias"):
        names = tuple(name for kind in ATTENTION for name in _per_head(sizes, theirs, kind, f"0.{leaf}", leaf))
        yield f"{ours}.mix.{leaf}", Source(names, _joined)
        yield f"{ours}.out.{leaf}", Source((f"{theirs}attn_concat_proj.0.{leaf}",), _joined)
    for kind, own in ATTENTION.items():
        yield f"{ours}.{own}.slope", Source(_per_head(sizes, theirs, kind, "1.weight", "act.weight"), _joined)
        for own_leaf, leaf in (("weight", "gamma"), ("bias", "beta")):
            yield f"{ours}.{own}.{own_leaf}", Source(_per_head(sizes, theirs, kind, f"2.{leaf}", leaf), _affine)
    last = f"{theirs}attn_concat_proj"
    yield f"{ours}.out_norm.slope", Source((f"{last}.1.weight",), _same)
    yield f"{ours}.out_norm.weight", Source((f"{last}.2.gamma",), _affine)
    yield f"{ours}.out_norm.bias", Source((f"{last}.2.beta",), _affine)


def _per_head(sizes: Sizes, theirs: str, kind: str, v1: str, later: str) -> tuple[str, ...]:
    """V1 has a tensor a head, V2 and V3 one for all; the convolution is a module apart from norm and slope."""
    if sizes.version == "v1":
        return tuple(f"{theirs}attn_conv_{kind}_{head}.{v1}" for head in range(sizes.heads))
    return (f"{theirs}attn_{'conv' if v1.startswith('0') else 'norm'}_{kind}.{later}",)


def _same(tensor: Tensor) -> Tensor:
    return tensor


def _joined(*tensors: Tensor) -> Tensor:
    """Heads, or 1x1 convolutions as matrices, one after the other."""
    whole = torch.cat(tensors)
    return whole.flatten(1) if whole.dim() == 4 else whole


def _affine(*tensors: Tensor) -> Tensor:
    """[1, E, 1, F] a head, or [1, H, E, 1, F] of all: [H, F, E]."""
    return torch.cat([tensor.reshape(-1, tensor.shape[-3], tensor.shape[-1]) for tensor in tensors]).transpose(1, 2)


def _position_major(kernel: int) -> Callable[[Tensor], Tensor]:
    """Columns of an input matrix from channel-major windows (c I + i) to position-major ones (i C + c)."""
    return lambda weight: weight.unflatten(1, (-1, kernel)).transpose(1, 2).flatten(1)


def _projection(weight: Tensor) -> Tensor:
    return weight.permute(2, 1, 0).flatten(0, 1)


def _convolution(weight: Tensor) -> Tensor:
    """A transposed 3x3 convolution as a plain one: axes exchanged, kernel flipped."""
    return weight.transpose(0, 1).flip(2, 3)


def _separator(payload: Mapping[Any, Any]) -> dict[str, Tensor]:
    """The separator's tensors, of a model file, a trainer's checkpoint (``model``) or the separator alone."""
    inner = payload.get("model")
    tensors = named_tensors(inner if isinstance(inner, dict) else payload)
    within = {key.removeprefix(PREFIX): tensor for key, tensor in tensors.items() if key.startswith(PREFIX)}
    return within or tensors


def _method(sizes: Sizes) -> tuple[dict[str, Any], str]:
    """A method with what the file does not say taken from ESPnet's recipes, and the note about it."""
    n_fft = 2 * (sizes.bins - 1) if sizes.bins else 320
    rate_hz = 8_000 if n_fft <= 256 else 16_000
    taken = [f"rate_hz={rate_hz}", f"features.hop={n_fft // 2}"]
    taken += [] if sizes.bins else [f"features.n_fft={n_fft}"]
    taken += [f"net.stride={sizes.stride}"] if sizes.folded and sizes.kernel > 1 else []
    method = {
        "type": "Regression",
        "rate_hz": rate_hz,
        "normalise": {"kind": "std", "per": "piece"},
        "features": {"type": "CompressedSTFT", "n_fft": n_fft, "hop": n_fft // 2, "window": "hann",
                     "transform": "none"},
        "net": sizes.node(),
        "losses": [{"type": "MultiResolutionL1"}],
    }  # fmt: skip
    return method, f"not in the file and taken from ESPnet's recipes, change with --set: {', '.join(taken)}"
