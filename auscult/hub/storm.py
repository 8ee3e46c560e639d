"""Whole checkpoints of StoRM (sp-uhh/storm): predictor and score net together, or one of them alone.

Its nets carry the names of SGMSE's but are other nets: smaller, and fed 2x - 1. What they are is not in the files'
settings, so their tensors tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from auscult.errors import CheckpointError
from auscult.hub.contents import Contents
from auscult.hub.lightning import Container, named_tensors
from auscult.hub.sgmse import PREFIX, VARIANTS, Node, features_node, normalise_node, rate_of, score_method, tensors_of
from auscult.nets.ncsnpp import STORM, V1

VARIANT = VARIANTS["ncsnpp"]
LARGE: dict[str, Any] = {**V1, "centered": False}
LEVELS = 4
SMALL = 36
"""Modules of the small score net (its predictor has two fewer); the large one has 77."""
STEPS = 50
"""Of the published script."""
SIGNS = ("spatial_channels", "input_channels", "discriminative")
"""Settings that only StoRM writes."""
PREDICTOR, SCORE = "denoiser_net.", "score_net."
CENTRED = (
    "its nets are fed 2x - 1, as the published code of 2023 does; a file trained by later code, which feeds x, "
    "needs --set net.centered=true (and denoiser.centered=true)"
)


def fits(payload: Any) -> bool:
    """Whether a file holds nets of StoRM."""
    state = payload.get("state_dict") if isinstance(payload, dict) else None
    if not isinstance(state, dict):
        return False
    tensors, settings = named_tensors(state), payload.get("hyper_parameters")
    if any(key.startswith((PREDICTOR, SCORE)) for key in tensors):
        return True
    signed = isinstance(settings, dict) and any(sign in settings for sign in SIGNS)
    return f"{PREFIX}output_layer.weight" in tensors and (signed or _spectra(tensors, PREFIX) == 1)


def read(payload: Mapping[str, Any]) -> Contents:
    """What a file holds.

    Raises:
        CheckpointError: settings or tensors that make no method.
    """
    container = Container.of(payload)
    if any(key.startswith((PREDICTOR, SCORE)) for key in container.state):
        name, method, prefixes = "StoRM", both(container), {"denoiser": PREDICTOR, "net": SCORE}
    elif _spectra(container.state, PREFIX) == 1:
        name, method, prefixes = "StoRM predictor", predictor(container), {"net": PREFIX}
    else:
        name, method, prefixes = "StoRM score model", score(container, PREFIX), {"net": PREFIX}
    tensors, ignored, notes = tensors_of(container, method, prefixes)
    if "centered" not in container.settings:
        notes.append(CENTRED)
    return Contents(name, method, tensors, container.step, ignored, tuple(notes))


def both(container: Container) -> Node:
    """Predictor and score model together.

    Raises:
        CheckpointError: the score net takes another number of spectra than its condition says.
    """
    settings, method = container.settings, score(container, SCORE)
    spectra = method["net"]["sources"]
    condition = settings.get("condition", "both" if spectra == 3 else "noisy")
    if spectra != (3 if condition == "both" else 2):
        raise CheckpointError(f"its condition is '{condition}', but its score net takes {2 * spectra} real channels")
    share = settings.get("weighting_denoiser_to_score", 0.5)
    return {
        **method,
        "type": "StoRM",
        "denoiser": net_node(container, PREDICTOR),
        "condition": condition,
        "joint": settings.get("mode") != "regen-freeze-denoiser",
        "denoiser_weight": share,
        "score_weight": 1 - share,
    }


def predictor(container: Container) -> Node:
    """The predictor alone: a regression on compressed spectra."""
    settings = container.settings
    features = features_node(settings, VARIANT)
    same = {key: features[key] for key in ("exponent", "n_fft", "hop", "window")}
    return {
        "type": "Regression",
        "rate_hz": rate_of(settings, features["n_fft"])[0],
        "features": features,
        "net": net_node(container, PREFIX),
        "losses": [{"type": "CompressedSpectrum", "magnitude": 0.0, "complex": 1.0, **same}],
        "normalise": normalise_node(settings),
        "frame_grid": 64,
    }


def score(container: Container, prefix: str) -> Node:
    """The score model alone."""
    method, _ = score_method(container.settings, VARIANT, net_node(container, prefix))
    method["sampler"]["steps"] = STEPS
    return method


def net_node(container: Container, prefix: str) -> Node:
    """The net of a prefix: small or large by its number of modules, the widths of the small one by its tensors.

    Raises:
        CheckpointError: it is neither.
    """
    state, modules = container.state, f"{prefix}all_modules."
    count = len({key.removeprefix(modules).partition(".")[0] for key in state if key.startswith(modules)})
    timed = f"{modules}1.weight" in state and state[f"{modules}1.weight"].ndim == 2
    node = {"type": "NCSNpp", **(STORM if count <= SMALL else LARGE), "sources": _spectra(state, prefix)}
    if count <= SMALL:
        stem = 3 if timed else 1
        blocks = [f"{stem + 1 + 3 * level}.Conv_0" for level in range(LEVELS)]
        channels, *widths = (_width(state, f"{modules}{name}.weight") for name in (str(stem), *blocks))
        node |= {"channels": channels, "multipliers": [width // max(channels, 1) for width in widths]}
    if not timed:
        node |= {"timed": False, "time_scaling": "none"}
    return node | {key: container.settings[key] for key in ("centered",) if key in container.settings}


def _spectra(state: Mapping[str, Tensor], prefix: str) -> int:
    """Complex maps that a net takes: half of the channels its last layer gets."""
    return _width(state, f"{prefix}output_layer.weight", axis=1) // 2


def _width(state: Mapping[str, Tensor], key: str, axis: int = 0) -> int:
    if key not in state or state[key].ndim <= axis:
        raise CheckpointError(f"its nets are not those of StoRM: there is no {key}")
    return state[key].shape[axis]
