"""A noise encoder that others have trained: a model of transformers that hears."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from auscult.audio.resample import resample
from auscult.bounds import Count
from auscult.errors import RecipeError, need
from auscult.nets.noise_encoder import TINY, Encoder
from auscult.nets.reference import NoiseReference

PREPROCESSOR = "preprocessor_config.json"


class PretrainedEncoder(Encoder):
    """One token from what a pretrained model makes of the reference: a layer and normalisation over it.

    ``folder`` is what ``save_pretrained`` writes, and is needed wherever a checkpoint of the net is opened. The model
    is opened by ``transformers.AutoModel``. Where the folder holds a feature extractor (``preprocessor_config.json``),
    the wave is brought to its rate and through it: CLAP, AST and their kin see mel spectra; otherwise the model hears
    the wave itself at the rate of the method (WavLM, HuBERT, wav2vec 2.0, data2vec). CLAP answers with its projected
    audio embedding, other models with frames (``last_hidden_state``), of which mean and deviation are taken. A model
    that transformers does not have, such as BEATs, is an :class:`auscult.nets.noise_encoder.Encoder` of one's own,
    named in the recipe by its package.

    Args:
        folder: of the model.
        width: of the token.
        train: let the model learn with the rest; else it stays as it is.
        rate_hz: of the references; that of the method.

    Raises:
        MissingExtra: transformers is not installed.
        RecipeError: the folder holds no such model.
    """

    count = 1

    def __init__(self, folder: Path, width: Count = 512, train: bool = False, rate_hz: Count = 16_000):
        super().__init__()
        self.folder, self.width, self.learns, self.rate_hz = folder, width, train, rate_hz
        self._extractor: Any = None

    def attach(self, bins: int) -> None:
        transformers = need("transformers", "a pretrained noise encoder")
        try:
            self.model: Any = transformers.AutoModel.from_pretrained(str(self.folder), local_files_only=True)
            if (self.folder / PREPROCESSOR).is_file():
                extractors = transformers.AutoFeatureExtractor
                self._extractor = extractors.from_pretrained(str(self.folder), local_files_only=True)
        except (OSError, ValueError) as error:
            raise RecipeError(f"folder: {self.folder} holds no model that transformers opens ({error})") from error
        self.model.requires_grad_(self.learns)
        self.out = nn.Linear(self._told, self.width)
        self.norm = nn.LayerNorm(self.width)

    def forward(self, reference: NoiseReference) -> Float[Tensor, "B K D"]:
        # One by one, each at its own length: models differ in what they make of padding.
        with torch.set_grad_enabled(self.learns and torch.is_grad_enabled()):
            waves = zip(reference.wave, reference.samples.tolist(), strict=True)
            heard = torch.stack([self._heard(wave[:, :length]) for wave, length in waves])
        return self.norm(self.out(heard))[:, None]

    @property
    def _embeds(self) -> bool:
        """Whether the model answers with one embedding rather than with frames."""
        return bool(self.model.config.model_type == "clap")

    @property
    def _told(self) -> int:
        config = self.model.config
        return int(config.projection_dim if self._embeds else 2 * config.hidden_size)

    def _heard(self, wave: Float[Tensor, "1 T"]) -> Float[Tensor, " D"]:
        if not wave.shape[1]:
            return wave.new_zeros(self.out.in_features)
        seen = self._seen(wave)
        if self._embeds:
            return self.model.get_audio_features(**seen).pooler_output[0]
        frames = self.model(**seen).last_hidden_state[0]
        return torch.cat([frames.mean(0), frames.var(0, correction=0).clamp_min(TINY).sqrt()])

    def _seen(self, wave: Float[Tensor, "1 T"]) -> dict[str, Tensor]:
        """What the model is given."""
        if self._extractor is None:
            return {self.model.main_input_name: wave}
        rate_hz = int(self._extractor.sampling_rate)
        own = resample(wave.detach().cpu().numpy(), self.rate_hz, rate_hz)[0]
        given = self._extractor(own, sampling_rate=rate_hz, return_tensors="pt")
        return {name: value.to(wave.device) for name, value in given.items()}
