"""The only reader of pickles: it never imports or calls anything a file names.

A PyTorch archive is a zip with ``*/data.pkl`` and raw storages. Its pickle is run on a machine whose ``find_class``
knows a short list of harmless constructors of our own; every other name, whether a Lightning class or ``os.system``,
becomes an :class:`Inert` object that remembers what it was asked to be.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from auscult.errors import CheckpointError

_STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
}


HOSTILE = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    RuntimeError,  # RecursionError among them
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What a damaged or hostile pickle can provoke in the machine that runs it."""


class Inert:
    """Stands for an object of a class we do not build: its name, arguments and state, and nothing that runs."""

    name = "?"

    def __init__(self, *arguments: Any, **keywords: Any):
        self.arguments, self.keywords = arguments, keywords
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def append(self, item: Any) -> None:
        """Pickles of list subclasses append; nothing is kept."""

    def extend(self, items: Any) -> None:
        """Pickles of list subclasses extend; nothing is kept."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Pickles of dict subclasses set items; nothing is kept."""

    def __hash__(self) -> int:
        return id(self)


def read_archive(path: Path) -> Any:
    """The object in a PyTorch file: tensors, numbers, text and containers; the rest as inert objects.

    Raises:
        CheckpointError: not a PyTorch archive, damaged, or a pickle that asks for something malformed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entry = next((name for name in archive.namelist() if name.endswith("/data.pkl")), None)
            if entry is None:
                raise CheckpointError(f"{path}: a zip file, but not a PyTorch archive (no data.pkl in it)")
            if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
                raise CheckpointError(f"{path}: a compressed zip file; PyTorch archives are not compressed")
            return _Reader(archive, entry).load()
    except zipfile.BadZipFile as error:
        raise CheckpointError(
            f"{path}: neither safetensors nor a PyTorch archive ({error}); files of PyTorch before 1.6 must be "
            "saved again by a newer one"
        ) from error
    except HOSTILE as error:
        message = f"{path}: damaged or hostile PyTorch archive ({type(error).__name__}: {error})"
        raise CheckpointError(message) from error


def foreign_classes(value: Any) -> set[str]:
    """Names of the inert objects in a payload, for reports."""
    if isinstance(value, Inert):
        return {value.name}
    if isinstance(value, dict):
        return set().union(*(foreign_classes(item) for item in value.values()))
    if isinstance(value, list | tuple):
        return set().union(*(foreign_classes(item) for item in value))
    return {value.name} if isinstance(value, type) and issubclass(value, Inert) else set()


class _Reader(pickle.Unpickler):
    def __init__(self, archive: zipfile.ZipFile, entry: str):
        super().__init__(io.BytesIO(archive.read(entry)), encoding="utf-8")
        self._archive, self._folder = archive, entry.removesuffix("data.pkl")
        self._storages: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (known := _HARMLESS.get((module, name))) is not None:
            return known
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        return type("Inert", (Inert,), {"name": f"{module}.{name}"})

    def persistent_load(self, pid: Any) -> Tensor:
        kind, dtype, key, _, numel = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise pickle.UnpicklingError(f"unknown storage {pid!r:.80}")
        if key not in self._storages:
            raw = bytearray(self._archive.read(f"{self._folder}data/{key}"))
            self._storages[key] = torch.frombuffer(raw, dtype=dtype) if raw else torch.empty(0, dtype=dtype)
        if self._storages[key].numel() < int(numel):
            raise pickle.UnpicklingError(f"storage {key} is shorter than it claims")
        return self._storages[key]


class _Harmless:
    """A constructor of ours that a pickle may call; without attributes, so that no pickle can change it."""

    __slots__ = ()


class _BuildTensor(_Harmless):
    __slots__ = ()

    def __call__(self, storage: Tensor, offset: int, size: Any, stride: Any, *_: Any) -> Tensor:
        if math.prod(size) > storage.numel():
            raise pickle.UnpicklingError("a tensor larger than its storage")
        # as_strided refuses to reach beyond the storage.
        return torch.as_strided(storage, size, stride, offset).clone()


class _BuildParameter(_Harmless):
    __slots__ = ()

    def __call__(self, data: Tensor, *_: Any) -> Tensor:
        return data


class _NumpyType(_Harmless):
    """A numpy dtype: only its code is kept, and only plain numbers are ever made of it."""

    __slots__ = ("code",)

    def __init__(self, code: str):
        self.code = str(code)

    def __setstate__(self, state: Any) -> None:
        """Byte order and flags are not needed for scalars written on a little-endian machine."""


class _BuildType(_Harmless):
    __slots__ = ()

    def __call__(self, code: str, *_: Any) -> _NumpyType:
        return _NumpyType(code)


class _BuildScalar(_Harmless):
    __slots__ = ()

    def __call__(self, dtype: _NumpyType, raw: bytes) -> Any:
        if dtype.code[:1] not in ("f", "i", "u", "b"):
            raise pickle.UnpicklingError(f"numpy scalar of type {dtype.code}")
        return np.frombuffer(raw, dtype=dtype.code)[0].item()


class _Encode(_Harmless):
    __slots__ = ()

    def __call__(self, text: str, encoding: str = "latin1") -> bytes:
        return text.encode("latin1")


_HARMLESS: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,
    ("torch._utils", "_rebuild_tensor_v2"): _BuildTensor(),
    ("torch._utils", "_rebuild_parameter"): _BuildParameter(),
    ("_codecs", "encode"): _Encode(),
    ("numpy", "dtype"): _BuildType(),
    ("numpy.core.multiarray", "scalar"): _BuildScalar(),
    ("numpy._core.multiarray", "scalar"): _BuildScalar(),
}
