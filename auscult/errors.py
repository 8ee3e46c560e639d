"""Errors that say what came, what was allowed and what to do, in one line.

Every error that a user can cause is an :class:`AuscultError`; the command line prints it without a
traceback and exits with code 2. Anything else that surfaces is a bug of ours.
"""

import difflib
import importlib
import importlib.util
from collections.abc import Collection, Iterable
from types import ModuleType

EXTRA_OF_MODULE = {
    "torch": "torch",
    "accelerate": "train",
    "tensorboard": "train",
    "pesq": "eval",
    "pystoi": "eval",
    "pyloudnorm": "eval",
    "speechmos": "eval",
    "pyarrow": "eval",
    "matplotlib": "eval",
    "jinja2": "eval",
    "sklearn": "eval",
    "av": "codecs",
    "wandb": "wandb",
    "ray": "ray",
    "transformers": "text",
    "pyroomacoustics": "rooms",
    "onnx": "dev",
    "onnxscript": "dev",
}


class AuscultError(Exception):
    """Base of all errors a user can cause and mend."""


class AudioError(AuscultError):
    """A recording cannot be used: missing, not audio, empty, not finite, ..."""


class OutputError(AuscultError):
    """A result cannot be written where it was asked for."""


class RestorationError(AuscultError):
    """A model gives no usable result, or is asked for what it cannot do."""


class DataError(AuscultError):
    """Manifests, folders or pairs do not fit together."""


class RecipeError(AuscultError):
    """A recipe names something unknown, or a value of the wrong type."""


class CheckpointError(AuscultError):
    """A file is not a checkpoint we can read, or does not fit the net it is meant for."""


class TrustError(CheckpointError):
    """A file asks for code outside auscult that the user has not declared trusted."""


class TrainingError(AuscultError):
    """A run cannot start or continue."""


class EvaluationError(AuscultError):
    """An evaluation cannot start or continue, or its numbers contradict what is known of its data."""


class MissingExtra(AuscultError):
    """An optional dependency is not installed."""


def need(module: str, purpose: str) -> ModuleType:
    """Import an optional dependency, or say the exact line that installs it.

    Raises:
        MissingExtra: ``module`` is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        root = module.partition(".")[0]
        if error.name is not None and error.name.partition(".")[0] != root:
            raise
        raise _missing(root, purpose) from error


def check_installed(module: str, purpose: str) -> None:
    """Refuse early, without the seconds that importing costs.

    Raises:
        MissingExtra: ``module`` is not installed.
    """
    if importlib.util.find_spec(module) is None:
        raise _missing(module, purpose)


def _missing(root: str, purpose: str) -> MissingExtra:
    extra = EXTRA_OF_MODULE[root]
    return MissingExtra(f"{purpose} needs the package '{root}', which is not installed: pip install 'auscult[{extra}]'")


def nearest(word: str, allowed: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` when something close to ``word`` is allowed, else an empty string."""
    close = difflib.get_close_matches(word, list(allowed), n=1, cutoff=0.6)
    return f" (did you mean '{close[0]}'?)" if close else ""


def few(names: Collection[str], most: int = 4) -> str:
    """The first names of a collection, for messages."""
    shown = sorted(names)[:most]
    return (", ".join(shown) + (", ..." if len(names) > most else "")) or "none"
