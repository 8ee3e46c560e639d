"""Names and shapes of the TF-GridNet state dicts that ESPnet writes, listed from its published files' layout."""

from __future__ import annotations

import math

Shapes = dict[str, tuple[int, ...]]


def shapes(
    version: str, layers: int, hidden: int, embedding: int, kernel: int, stride: int, bins: int,
    heads: int = 4, qk: int | None = None, sources: int = 2,
) -> Shapes:  # fmt: skip
    """Every tensor of a separator; ``qk`` of V1 and V2 follows from the bins."""
    width = qk or math.ceil(512 / bins)
    found: Shapes = {
        "conv.0.weight": (embedding, 2, 3, 3), "conv.0.bias": (embedding,),
        "conv.1.weight": (embedding,), "conv.1.bias": (embedding,),
        "deconv.weight": (embedding, 2 * sources, 3, 3), "deconv.bias": (2 * sources,),
    }  # fmt: skip
    for layer in range(layers):
        block = f"blocks.{layer}."
        for axis in ("intra", "inter"):
            found |= {f"{block}{axis}_{name}": shape for name, shape in
                      recurrence(version, hidden, embedding, kernel, kernel != stride).items()}  # fmt: skip
        per_head = version == "v1"
        attention = attention_v1 if per_head else attention_v2
        found |= {block + name: shape for name, shape in
                  attention(heads, width, embedding, 1 if version == "v3" else bins).items()}  # fmt: skip
    return found


def recurrence(version: str, hidden: int, embedding: int, kernel: int, overlapping: bool) -> Shapes:
    found: Shapes = (
        {"norm.gamma": (1, embedding, 1, 1), "norm.beta": (1, embedding, 1, 1)}
        if version == "v1"
        else {"norm.weight": (embedding,), "norm.bias": (embedding,)}
    )
    for way in ("", "_reverse"):
        found |= {f"rnn.weight_ih_l0{way}": (4 * hidden, embedding * kernel), f"rnn.bias_ih_l0{way}": (4 * hidden,),
                  f"rnn.weight_hh_l0{way}": (4 * hidden, hidden), f"rnn.bias_hh_l0{way}": (4 * hidden,)}  # fmt: skip
    if version == "v1" or overlapping:
        return found | {"linear.weight": (2 * hidden, embedding, kernel), "linear.bias": (embedding,)}
    return found | {"linear.weight": (kernel * embedding, 2 * hidden), "linear.bias": (kernel * embedding,)}


def attention_v1(heads: int, qk: int, embedding: int, bins: int) -> Shapes:
    found = projection(embedding, bins)
    for kind, width in (("Q", qk), ("K", qk), ("V", embedding // heads)):
        for head in range(heads):
            name = f"attn_conv_{kind}_{head}"
            found |= {f"{name}.0.weight": (width, embedding, 1, 1), f"{name}.0.bias": (width,),
                      f"{name}.1.weight": (1,), f"{name}.2.gamma": (1, width, 1, bins),
                      f"{name}.2.beta": (1, width, 1, bins)}  # fmt: skip
    return found


def attention_v2(heads: int, qk: int, embedding: int, bins: int) -> Shapes:
    found = projection(embedding, bins)
    for kind, width in (("Q", qk), ("K", qk), ("V", embedding // heads)):
        conv, norm = f"attn_conv_{kind}", f"attn_norm_{kind}"
        found |= {f"{conv}.weight": (heads * width, embedding, 1, 1), f"{conv}.bias": (heads * width,),
                  f"{norm}.act.weight": (heads,), f"{norm}.gamma": (1, heads, width, 1, bins),
                  f"{norm}.beta": (1, heads, width, 1, bins)}  # fmt: skip
    return found


def projection(embedding: int, bins: int) -> Shapes:
    name = "attn_concat_proj"
    return {f"{name}.0.weight": (embedding, embedding, 1, 1), f"{name}.0.bias": (embedding,), f"{name}.1.weight": (1,),
            f"{name}.2.gamma": (1, embedding, 1, bins), f"{name}.2.beta": (1, embedding, 1, bins)}  # fmt: skip
