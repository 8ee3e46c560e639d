"""How loud a signal is, and how loud what is left when nobody speaks: measured while it streams past. numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from auscult.restore.stream import Wave
from auscult.units import to_db


@dataclass(frozen=True)
class Levels:
    """Mean level and noise floor of a signal, dB re full scale."""

    mean_db: float
    floor_db: float


class Meter:
    """Level and noise floor of a stream, from the powers of its 20 ms frames."""

    def __init__(self, rate_hz: int):
        self._frame = max(1, round(0.02 * rate_hz))
        self._rest = np.zeros(0, np.float32)
        self._powers: list[Float32[ndarray, " N"]] = []

    def add(self, wave: Wave) -> None:
        """The next samples."""
        mono = np.concatenate([self._rest, wave.mean(axis=0)])
        whole = mono.size // self._frame * self._frame
        self._rest = mono[whole:]
        self._powers.append(np.square(mono[:whole]).reshape(-1, self._frame).mean(axis=1))

    @property
    def levels(self) -> Levels:
        """Mean power, and the power that the quietest tenth of the sounding frames does not exceed."""
        powers = self._all()
        if not powers.any():
            return Levels(to_db(0.0), to_db(0.0))
        return Levels(to_db(float(powers.mean())), to_db(float(np.quantile(powers[powers > 0], 0.1))))

    def _all(self) -> Float32[ndarray, " N"]:
        powers = np.concatenate([*self._powers, np.zeros(0, np.float32)])
        return powers if powers.size or not self._rest.size else np.square(self._rest).mean(keepdims=True)
