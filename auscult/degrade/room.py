"""Room responses from files, split into the early part (target) and the whole (what is heard)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from auscult.bounds import Range, Share
from auscult.degrade.base import Banks, Degradation, Drawn, Signal, Unusable, uniform


@dataclass(frozen=True)
class Room(Degradation):
    """Convolve with a measured room response.

    The direct path is moved to time zero and scaled to one, so that neither lag nor level changes. The target is
    the speech with the first ``early_ms`` after the direct path (0: the direct path alone, i.e. the dry speech). A
    response that rings longer than the drawn ``t60_s`` is shortened by an exponential decay: measured halls become
    rooms of any size. ``wet_db`` scales everything after the direct path's first 2 ms (a nearer or farther mouth).
    """

    t60_s: Range = (0.15, 1.0)
    wet_db: Range = (-9.0, 0.0)
    early_ms: float = 50.0
    bank: str = "room"
    probability: Share = 1.0

    def banks(self) -> Sequence[str]:
        return (self.bank,)

    def draw(self, rng: np.random.Generator, samples: int, rate_hz: int, banks: Banks) -> Drawn:
        index = int(rng.integers(len(banks[self.bank])))
        return {
            "index": index,
            **banks[self.bank].describe(index),
            "bank": self.bank,
            "t60_target_s": uniform(rng, self.t60_s),
            "wet_db": uniform(rng, self.wet_db),
            "early_ms": self.early_ms,
        }

    def apply(self, signal: Signal, drawn: Drawn, banks: Banks) -> Signal:
        bank = banks[drawn["bank"]]
        response = bank.read(drawn["index"], 0, bank.samples(drawn["index"]))[0]
        response = direct_first(response)
        response = shorten(response, signal.rate_hz, drawn.get("t60_s"), drawn["t60_target_s"])
        response[round(0.002 * signal.rate_hz) :] *= 10.0 ** (drawn["wet_db"] / 20.0)
        early = response[: 1 + round(drawn["early_ms"] * 1e-3 * signal.rate_hz)]
        return Signal(convolve(signal.clean, early), convolve(signal.noisy, response), signal.rate_hz)


def direct_first(response: Float32[ndarray, " T"]) -> Float32[ndarray, " T2"]:
    """Cut a response so that it begins at its direct path, scaled to one there.

    Raises:
        Unusable: the response is silent.
    """
    top = int(np.argmax(np.abs(response)))
    if response[top] == 0.0:
        raise Unusable("silent room", "the response holds only zeros")
    # The strongest sample may be a reflection: the direct path is the first within 6 dB of it.
    first = int(np.argmax(np.abs(response) >= 0.5 * abs(response[top])))
    return (response[first:] / response[first]).astype(np.float32)


def shorten(response: Float32[ndarray, " T"], rate_hz: int, t60_s: float | None, target_s: float) -> ndarray:
    """Impose an exponential decay such that the reverberation time falls from ``t60_s`` to ``target_s``.

    A response that is already shorter stays as it is; an unknown reverberation time counts as its length.
    """
    own_s = t60_s if t60_s is not None else response.size / rate_hz
    if target_s >= own_s:
        return response.copy()
    rate = np.log(1e3) * (1.0 / target_s - 1.0 / own_s)
    return (response * np.exp(-rate * np.arange(response.size) / rate_hz)).astype(np.float32)


def convolve(wave: Float32[ndarray, "C T"], response: Float32[ndarray, " R"]) -> Float32[ndarray, "C T"]:
    """Causal convolution, cut to the length of the signal."""
    from scipy.signal import oaconvolve

    return oaconvolve(wave, response[None], axes=1)[:, : wave.shape[1]].astype(np.float32)
