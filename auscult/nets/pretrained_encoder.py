"""A noise encoder that others have trained: a model of transformers that hears waves."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from auscult.bounds import Count
from auscult.errors import RecipeError, need
from auscult.nets.noise_encoder import TINY, Encoder
from auscult.nets.reference import NoiseReference


class PretrainedEncoder(Encoder):
    """One token from the frames of a pretrained model: mean and deviation over time, a layer, normalisation.

    ``folder`` is what ``save_pretrained`` writes, and is needed wherever a checkpoint of the net is opened. The model
    is opened by ``transformers.AutoModel``, takes a wave at the rate of the method, and answers with frames
    (``last_hidden_state``): WavLM, HuBERT, wav2vec 2.0, data2vec and their kin do. Models that want mel spectra
    (CLAP, AST) or that transformers does not have (BEATs) do not fit.

    Args:
        folder: of the model.
        width: of the token.
        train: let the model learn with the rest; else it stays as it is.

    Raises:
        MissingExtra: transformers is not installed.
        RecipeError: the folder holds no such model.
    """

    count = 1

    def __init__(self, folder: Path, width: Count = 512, train: bool = False):
        super().__init__()
        self.folder, self.width, self.learns = folder, width, train

    def attach(self, bins: int) -> None:
        transformers = need("transformers", "a pretrained noise encoder")
        try:
            self.model: nn.Module = transformers.AutoModel.from_pretrained(str(self.folder), local_files_only=True)
        except (OSError, ValueError) as error:
            raise RecipeError(f"folder: {self.folder} holds no model that transformers opens ({error})") from error
        self.model.requires_grad_(self.learns)
        self.out = nn.Linear(2 * self.model.config.hidden_size, self.width)
        self.norm = nn.LayerNorm(self.width)

    def forward(self, reference: NoiseReference) -> Float[Tensor, "B K D"]:
        # One by one, each at its own length: models differ in what they make of padding.
        with torch.set_grad_enabled(self.learns and torch.is_grad_enabled()):
            waves = zip(reference.wave, reference.samples.tolist(), strict=True)
            heard = torch.stack([self._heard(wave[:, :length]) for wave, length in waves])
        return self.norm(self.out(heard))[:, None]

    def _heard(self, wave: Float[Tensor, "1 T"]) -> Float[Tensor, " D2"]:
        if not wave.shape[1]:
            return wave.new_zeros(self.out.in_features)
        frames = self.model(wave).last_hidden_state[0]
        return torch.cat([frames.mean(0), frames.var(0, correction=0).clamp_min(TINY).sqrt()])
