"""How numbers were measured: the fingerprint that must be equal before two of them are compared."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from auscult.audio.resample import QUALITY
from auscult.evaluate.rows import Item
from auscult.evaluate.sources import Opening
from auscult.metrics.base import Metric
from auscult.plain import leaves
from auscult.restore.models import BUILT_IN, checkpoint_of, refuse_settings
from auscult.version import __version__

SCHEMA = 1


@dataclass(frozen=True)
class Description:
    """What a model says of itself; ``conditioned``: it takes a noise reference.

    ``hears``: of super-resolution, what it is told beside the recording (``text``, ``rolloff``); None: it is none.
    """

    facts: Mapping[str, Any]
    generative: bool
    conditioned: bool
    hears: frozenset[str] | None = None


def protocol_of(metrics: Sequence[Metric], items: Sequence[Item]) -> dict[str, Any]:
    """Everything about the measuring that can change a number: metrics, conversions, items."""
    return {
        "schema": SCHEMA,
        "auscult": __version__,
        "metrics": {metric.label: _measure(metric) for metric in metrics},
        "resampler": f"soxr {QUALITY} {metadata.version('soxr')}",
        "channels": "scored one by one, averaged",
        "data": {data: _listed([i for i in items if i.data == data]) for data in dict.fromkeys(i.data for i in items)},
    }


def _measure(metric: Metric) -> str:
    return f"{metric.version} at {metric.rate_hz} Hz" if metric.rate_hz is not None else metric.version


def _listed(items: Sequence[Item]) -> dict[str, Any]:
    lines = [f"{item.name} {item.samples}" for item in items]
    return {"items": len(items), "rate_hz": sorted({item.rate_hz for item in items}), "list": list_hash(lines)}


def content_hash(paths: Iterable[Path]) -> str:
    """Hash of files' bytes, in order: whether what was scored is still what is there."""
    whole = hashlib.sha256()
    for path in paths:
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()[:16]


def list_hash(lines: Sequence[str]) -> str:
    """Hash of a list of items, whatever its order."""
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16]


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """What two records differ in, by dotted name with both values."""
    flat_a, flat_b = dict(leaves(a)), dict(leaves(b))
    return [
        f"{key}: {flat_a.get(key, 'absent')} against {flat_b.get(key, 'absent')}"
        for key in dict.fromkeys([*flat_a, *flat_b])
        if flat_a.get(key) != flat_b.get(key)
    ]


def describe(opening: Opening) -> Description:
    """A model's identity and settings, every default in view; no net is built.

    Raises:
        CheckpointError, TrustError, RecipeError: as :func:`auscult.load`.
    """
    from auscult.hub.bundle import sha256

    if opening.model == BUILT_IN:
        path = Path(str(resources.files("auscult") / "weights" / "default.onnx"))
        refuse_settings(opening.overrides)
        return Description({"kind": "model", "model": BUILT_IN, "sha256": sha256(path)}, False, False)
    from auscult.hub.opening import hears_beside, hears_noise, read_checkpoint, settled

    path = checkpoint_of(Path(opening.model))
    found = read_checkpoint(path)
    method = settled(found.meta, str(path), opening.trust, opening.overrides)
    averaged = opening.weights != "net" and any(name.startswith("ema.") for name in found.tensors)
    facts: dict[str, Any] = {
        "kind": "model",
        "model": str(opening.model),
        "checkpoint": path.name,
        "sha256": sha256(path),
        "origin": found.meta.origin,
        "step": found.meta.step,
        "weights": "averaged" if averaged else "raw",
        "method": method.as_dict(),
        "precision": opening.precision,
        "chunk_s": opening.cut.chunk_s,
        "overlap_s": opening.cut.overlap_s,
    }
    generative = method.target.generative  # type: ignore[attr-defined]
    return Description(facts, generative, hears_noise(method), hears_beside(method))
