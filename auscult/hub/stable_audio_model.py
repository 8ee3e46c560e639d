"""A model of stable-audio-tools, its JSON and its weights, as a method of ours: FlowModel in latents of its codec.

Roles follow from the description: numbers whose span is 0 to 1 are roll-offs (the input's first, then the target's),
numbers named ``seconds_start`` and ``seconds_total`` are Stable Audio's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from auscult.errors import CheckpointError, few
from auscult.hub.bundle import Meta, sha256
from auscult.hub.contents import blank_nets
from auscult.hub.foreign import Import
from auscult.hub.stable_audio import Description, Number, read_description
from auscult.hub.stable_audio_weights import Parts, read_parts

SECONDS = ("seconds_start", "seconds_total")
FLOW = "rectified_flow"
STEPS = 100


def read_model(description: Path, weights: Path, text_folder: Path | None = None) -> Import:
    """Read both files without running anything in them; ``text_folder`` is where the text encoder's own weights lie.

    Raises:
        CheckpointError: as the readers of either; conditions in roles that are not known here; a part without weights.
    """
    said = read_description(description)
    parts = read_parts(weights, said)
    if parts.absent:
        raise CheckpointError(f"{weights}: has no {', '.join(parts.absent)}, which {description.name} describes")
    method, names = described_method(said, text_folder)
    tensors = placed(parts, names)
    wanted = {f"{net}.{key}" for net, made in blank_nets(method).items() for key in made.state_dict()}
    own = {key for key in tensors if not key.startswith("ema.")}
    if own != wanted:
        raise CheckpointError(f"{weights}: {few(own ^ wanted)} do not make the net that {description.name} describes")
    notes = (said.chain, *parts.notes, *_notes(said))
    origin = f"stable-audio-tools model {weights.name}, sha256 {sha256(weights)[:16]}"
    return Import(Meta(dict(method), description.stem, origin=origin), tensors, parts.ignored, notes)


def described_method(said: Description, text_folder: Path | None = None) -> tuple[dict[str, Any], dict[str, str]]:
    """The method as a section of a recipe, and where in its nets each number's embedder lies.

    Raises:
        CheckpointError: conditions in roles that are not known here.
    """
    rolloffs, seconds = _pair([n for n in said.numbers if n.id not in SECONDS]), _pair(_seconds(said))
    _check_roles(said, rolloffs, seconds)
    places = {n.id: f"rolloff.{side}" for n, side in zip(rolloffs, ("source", "target"), strict=False)}
    places |= {n.id: f"seconds.{side}" for n, side in zip(seconds, ("source", "target"), strict=False)}
    net: dict[str, Any] = {"type": "ConditionedDiT", "dit": dict(said.dit)}
    if said.texts:
        text = said.texts[0]
        net["text"] = {"type": "T5Text", "folder": str(text_folder or text.encoder), "width": said.width,
                       "own_width": text.width, "max_tokens": text.max_tokens, "project": text.projected}  # fmt: skip
    if rolloffs:
        net |= {"rolloff": {"type": "LearnedRolloff", "width": said.width}, "rolloff_role": _role(said, rolloffs)}
    if seconds:
        net["seconds"] = said.width
    features = {"type": "Latents", "codec": dict(said.codec), "scale": said.latent_scale}
    sampler = {"type": "FlowEuler", "steps": STEPS, "grid": {"type": "LinearQuadratic"}}
    method = {"type": "FlowModel", "rate_hz": said.rate_hz, "normalise": {"kind": "none"}, "features": features,
              "net": net, "times": {"type": "LogitNormal"}, "sampler": sampler}  # fmt: skip
    return method, places


def placed(parts: Parts, places: Mapping[str, str]) -> dict[str, Tensor]:
    """Tensors under the names of the method's nets."""
    made = {"codec.trained": torch.tensor(True)}
    for key, tensor in parts.tensors.items():
        plain = key.removeprefix("ema.")
        made[("" if plain == key else "ema.") + _place(plain, places)] = tensor
    return made


def _place(key: str, places: Mapping[str, str]) -> str:
    part, _, rest = key.partition(".")
    if part == "codec":
        return f"codec.net.{rest}"
    if part == "dit":
        return f"net.{key}"
    name, _, leaf = rest.partition(".")
    return f"net.text.project.{leaf}" if part == "text" else f"net.{places[name]}.{leaf}"


def _seconds(said: Description) -> list[Number]:
    return [number for name in SECONDS for number in said.numbers if number.id == name]


def _pair(numbers: Sequence[Number]) -> Sequence[Number]:
    """Both numbers or none.

    Raises:
        CheckpointError: one, or more than two.
    """
    if len(numbers) not in (0, 2):
        names = ", ".join(number.id for number in numbers)
        raise CheckpointError(f"numbers come in pairs here (roll-offs of input and target, {SECONDS}), not as {names}")
    return numbers


def _role(said: Description, numbers: Sequence[Number]) -> str:
    """Where the roll-offs enter."""
    as_tokens, as_vector = (numbers[0].id in ids for ids in (said.token_ids, said.global_ids))
    return "both" if as_tokens and as_vector else "tokens" if as_tokens else "vector"


def _check_roles(said: Description, rolloffs: Sequence[Number], seconds: Sequence[Number]) -> None:
    if any(tuple(number.config["span"]) != (0, 1) for number in rolloffs):
        raise CheckpointError(f"roll-offs lie in 0 to 1; {[(n.id, n.config['span']) for n in rolloffs]}")
    if any(tuple(number.config["span"]) != (0, 512) for number in seconds):
        raise CheckpointError(f"seconds lie in 0 to 512; {[(n.id, n.config['span']) for n in seconds]}")
    in_order = [number.id for number in (*rolloffs, *seconds)]
    vector = [name for name in in_order if name in said.global_ids]
    both = {number.id for number in seconds}
    if list(said.global_ids) != vector or not both <= {*said.token_ids} & {*said.global_ids} or said.prefix_ids:
        raise CheckpointError(
            f"conditions in roles that are not known here: tokens {said.token_ids}, vector {said.global_ids}, prefix "
            f"{said.prefix_ids}; known are roll-offs, then seconds, as tokens and vector, and texts as tokens"
        )
    if len(said.texts) > 1 or len(said.concat_ids) != 1:
        raise CheckpointError(f"one text and one latent beside the noisy one are known here, not {said.concat_ids}")


def _notes(said: Description) -> list[str]:
    notes = []
    if said.objective != FLOW:
        notes.append(f"trained for the objective {said.objective}: a start for training (--init-from), no restoration")
    if said.texts:
        notes.append(f"the weights of {said.texts[0].encoder} are not in it: --text FOLDER, or --set net.text.folder=")
    return notes
