"""Packets that never arrive: the Gilbert model of losses on a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from auscult.bounds import Positive, Range, Share
from auscult.degrade.base import Banks, Degradation, Drawn, Signal, uniform
from auscult.errors import RecipeError

Concealment = Literal["silence", "repeat"]


@dataclass(frozen=True)
class PacketLoss(Degradation):
    """Lose packets of what is heard, in bursts (Gilbert 1960: a two-state Markov chain).

    A share of all packets drawn from ``loss`` is lost, in bursts of ``burst_packets`` on average. What is lost sounds
    as ``conceal`` says: silence, or the last packet that arrived once more.

    Raises:
        RecipeError: a share outside 0 to below 1, or bursts shorter than a packet.
    """

    loss: Range = (0.05, 0.3)
    burst_packets: Range = (1.0, 3.0)
    packet_ms: Positive = 20.0
    conceal: Concealment = "silence"
    probability: Share = 1.0

    def __post_init__(self) -> None:
        if self.loss[0] < 0.0 or self.loss[1] >= 1.0:
            raise RecipeError(f"PacketLoss: loss is a share from 0 to below 1, this is {list(self.loss)}")
        if self.burst_packets[0] < 1.0:
            raise RecipeError(f"PacketLoss: a burst has at least 1 packet, burst_packets is {list(self.burst_packets)}")

    def draw(self, rng: np.random.Generator, samples: int, rate_hz: int, banks: Banks) -> Drawn:
        chain = {"loss": uniform(rng, self.loss), "burst_packets": uniform(rng, self.burst_packets)}
        return {**chain, "packet_ms": self.packet_ms, "conceal": self.conceal, "seed": int(rng.integers(2**31))}

    def apply(self, signal: Signal, drawn: Drawn, banks: Banks) -> Signal:
        packet = max(1, round(drawn["packet_ms"] * 1e-3 * signal.rate_hz))
        count = -(-signal.noisy.shape[1] // packet)
        rng = np.random.Generator(np.random.Philox(key=drawn["seed"]))
        lost = gilbert(rng, count, drawn["loss"], drawn["burst_packets"])
        # Where each packet's sound comes from: itself, or the last that arrived.
        source = np.maximum.accumulate(np.where(lost, -1, np.arange(count)))
        padded = np.pad(signal.noisy, ((0, 0), (0, count * packet - signal.noisy.shape[1])))
        packets = padded.reshape(-1, count, packet)
        heard = packets[:, source] if drawn["conceal"] == "repeat" else packets
        silent = source < 0 if drawn["conceal"] == "repeat" else lost
        heard = np.where(silent[:, None], np.float32(0.0), heard)
        return signal.heard(heard.reshape(padded.shape)[:, : signal.noisy.shape[1]])


def gilbert(rng: np.random.Generator, count: int, loss: float, burst: float) -> Bool[ndarray, " count"]:
    """Which packets are lost: bursts end with chance 1 / ``burst``, and begin so that the share ``loss`` is lost."""
    end = 1.0 / burst
    begin = min(1.0, end * loss / (1.0 - loss))
    chances = rng.random(count)
    lost = np.zeros(count, bool)
    now = bool(rng.random() < loss)  # the chain begins in its stationary state
    for i, chance in enumerate(chances):
        now = chance >= end if now else chance < begin
        lost[i] = now
    return lost
