"""The model JSON of stable-audio-tools as types, with the defaults of the program that reads it.

Only what is implemented here is allowed: options that have other values in the published program (transformers,
patches, memory tokens, norms of queries and keys, ...) have one here, and a file that asks for another is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import pydantic

from auscult.bounds import Count, Whole

TextModel = Literal[
    "t5-small", "t5-base", "t5-large", "google/flan-t5-small", "google/flan-t5-base", "google/flan-t5-large"
]
TEXT_WIDTHS: Mapping[str, int] = {"small": 512, "base": 768, "large": 1024}
"""Widths of the encoders' last hidden states."""
Eps = Annotated[float, pydantic.Field(ge=1e-5, le=1e-5)]


class Open(pydantic.BaseModel):
    """A part of the file of which other keys change nothing in the nets."""


class Closed(pydantic.BaseModel):
    """A part of the file every key of which may change the nets: the unknown are refused, as are unknown values."""

    model_config = pydantic.ConfigDict(extra="forbid")


class Attention(Closed):
    """Options of attention."""

    qk_norm: Literal["none"] = "none"
    differential: Literal[False] = False
    feat_scale: Literal[False] = False


class Feed(Closed):
    """Options of the feed-forward layers."""

    mult: Literal[4] = 4
    no_bias: Literal[False] = False
    glu: Literal[True] = True
    use_conv: Literal[False] = False


class Norm(Closed):
    """Options of the norms."""

    bias: Literal[False] = False
    fix_scale: Literal[False] = False
    force_fp32: bool = False
    eps: Eps = 1e-5


class DiT(Closed):
    """``model.diffusion.config``."""

    io_channels: Count
    embed_dim: Count
    depth: Count
    num_heads: Count
    transformer_type: Literal["continuous_transformer"]
    cond_token_dim: Whole = 0
    project_cond_tokens: bool = True
    global_cond_dim: Whole = 0
    project_global_cond: bool = True
    input_concat_dim: Whole = 0
    prepend_cond_dim: Whole = 0
    global_cond_type: Literal["prepend", "adaLN"] = "prepend"
    timestep_cond_type: Literal["global"] = "global"
    timestep_embed_dim: None = None
    diffusion_objective: str | None = None
    patch_size: Literal[1] = 1
    causal: Literal[False] = False
    rotary_pos_emb: Literal[True] = True
    zero_init_branch_outputs: bool = True
    conformer: Literal[False] = False
    use_sinusoidal_emb: Literal[False] = False
    use_abs_pos_emb: Literal[False] = False
    num_memory_tokens: Literal[0] = 0
    sliding_window: None = None
    final_cross_attn_ix: Literal[-1] = -1
    remove_norms: Literal[False] = False
    layer_scale: Literal[False] = False
    add_rope: Literal[False] = False
    attn_kwargs: Attention = Attention()
    ff_kwargs: Feed = Feed()
    norm_kwargs: Norm = Norm()


class Half(Closed):
    """What the codec's two halves share."""

    channels: Count = 128
    latent_dim: Count
    c_mults: tuple[Count, ...]
    strides: tuple[Count, ...]
    use_snake: Literal[True]
    antialias_activation: Literal[False] = False


class EncoderSizes(Half):
    """``encoder.config`` of the codec."""

    in_channels: Count = 2


class DecoderSizes(Half):
    """``decoder.config`` of the codec."""

    out_channels: Count = 2
    final_tanh: Literal[False]  # where it is absent, the program takes true
    use_nearest_upsample: Literal[False] = False


class Encoder(Open):
    """The first half of the codec."""

    type: Literal["oobleck"]
    config: EncoderSizes


class Decoder(Open):
    """The second half of the codec."""

    type: Literal["oobleck"]
    config: DecoderSizes


class Bottleneck(Open):
    """Between them."""

    type: Literal["vae"]


class Codec(Closed):
    """``model.pretransform.config``."""

    encoder: Encoder
    decoder: Decoder
    bottleneck: Bottleneck
    latent_dim: Count
    downsampling_ratio: Count
    io_channels: Count
    in_channels: Count | None = None
    out_channels: Count | None = None
    soft_clip: Literal[False] = False


class Pretransform(Open):
    """``model.pretransform``."""

    type: Literal["autoencoder"]
    config: Codec
    scale: float = 1.0


class TextSizes(Closed):
    """Options of a text encoder."""

    t5_model_name: TextModel = "t5-base"
    max_length: Count = 128
    enable_grad: bool = False
    project_out: bool = False


class TextEncoder(Open):
    """A text as tokens."""

    id: str
    type: Literal["t5"]
    config: TextSizes = TextSizes()


class NumberSizes(Closed):
    """The span of a number."""

    min_val: float
    max_val: float


class NumberConditioner(Open):
    """A number as a token."""

    id: str
    type: Literal["number"]
    config: NumberSizes


Conditioner = Annotated[TextEncoder | NumberConditioner, pydantic.Field(discriminator="type")]


class Conditioning(Open):
    """``model.conditioning``."""

    cond_dim: Count
    configs: tuple[Conditioner, ...]


class Diffusion(Open):
    """``model.diffusion``: the net, and which condition has which role."""

    type: Literal["dit"]
    config: DiT
    diffusion_objective: str = "v"
    cross_attention_cond_ids: tuple[str, ...] = ()
    global_cond_ids: tuple[str, ...] = ()
    input_concat_ids: tuple[str, ...] = ()
    prepend_cond_ids: tuple[str, ...] = ()


class Model(Open):
    """``model``."""

    pretransform: Pretransform
    conditioning: Conditioning
    diffusion: Diffusion
    io_channels: Count


class File(Open):
    """The file."""

    model_type: Literal["diffusion_cond"]
    sample_rate: Count
    sample_size: Count
    audio_channels: Count = 2
    model: Model
