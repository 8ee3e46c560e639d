"""The one place where a per-item value meets a batch of signals, and the names of axes.

Letters used in annotations everywhere: B batch, C channel, T samples, F frequency bins, N frames, D embedding.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def bcast(value: "Tensor", like: "Tensor") -> "Tensor":
    """Give a per-item value ``[B]`` (or a scalar) trailing axes so that it scales items of ``like``, ``[B, ...]``.

    Raises:
        ValueError: ``value`` is neither a scalar nor one number an item. A silent broadcast between the
            two would mix items of a batch.
    """
    if value.ndim == 0:
        return value
    if value.shape != like.shape[:1]:
        raise ValueError(f"a per-item value has shape ({like.shape[0]},), not {tuple(value.shape)}")
    return value.reshape(-1, *(1,) * (like.ndim - 1))
