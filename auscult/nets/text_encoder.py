"""Texts as tokens. A text travels as its UTF-8 bytes, [B, L] with zeros behind its end, as every condition a tensor."""

from __future__ import annotations

import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from auscult.bounds import Count
from auscult.errors import RecipeError, need

Bytes = Int[Tensor, "B L"]


@dataclass(frozen=True)
class Spoken:
    """Tokens of a batch of texts, and which of them are there; the others are padding."""

    tokens: Float[Tensor, "B P D"]
    present: Bool[Tensor, "B P"]


class TextEncoder(nn.Module, ABC):
    """Texts to tokens of ``width``."""

    width: int

    @abstractmethod
    def forward(self, text: Bytes) -> Spoken:
        """Encode; an empty text has at most tokens that say so."""


class HashedWords(TextEncoder):
    """A learned vector for every word, by its hash: a small stand-in for a language model, learned with the net.

    It knows nothing of words that training did not hold, and two words may share a vector. For development, and for
    ladders whose captions are labels of a few words.

    Args:
        width: of a token.
        buckets: how many vectors there are.
        max_tokens: words that are heard; the rest of a text is not.
    """

    def __init__(self, width: Count = 64, buckets: Count = 512, max_tokens: Count = 16):
        super().__init__()
        self.width, self.buckets, self.max_tokens = width, buckets, max_tokens
        self.vectors = nn.Embedding(buckets, width)

    def forward(self, text: Bytes) -> Spoken:
        words = [re.findall(r"\w+", one.lower())[: self.max_tokens] for one in strings(text)]
        places = torch.zeros(len(words), self.max_tokens, dtype=torch.long)
        present = torch.zeros(len(words), self.max_tokens, dtype=torch.bool)
        for i, own in enumerate(words):
            present[i, : len(own)] = True
            places[i, : len(own)] = torch.tensor([zlib.crc32(word.encode()) % self.buckets for word in own])
        return Spoken(self.vectors(places.to(text.device)), present.to(text.device))


class T5Text(TextEncoder):
    """The encoder of a T5, frozen, with its texts cut or padded to ``max_tokens`` (Raffel et al. 2020).

    Its weights are no part of a checkpoint: ``folder`` is what ``save_pretrained`` writes (model and tokenizer), and is
    opened, without a network, when the first text comes. A linear layer takes its states to ``width`` where that is
    not ``own_width``, or where ``project`` asks for it.

    Raises:
        MissingExtra: transformers is not installed. RecipeError: the folder holds no T5 of ``own_width``.
    """

    def __init__(
        self,
        folder: Path,
        width: Count = 768,
        own_width: Count = 768,
        max_tokens: Count = 128,
        project: bool = False,
    ):
        super().__init__()
        self.folder, self.width, self.own_width, self.max_tokens = folder, width, own_width, max_tokens
        self.project = nn.Linear(own_width, width) if project or own_width != width else None
        self._opened: list[Any] = []  # not a module of this one: frozen, and in no checkpoint

    def forward(self, text: Bytes) -> Spoken:
        tokenizer, model = self._open(text.device)
        given = tokenizer(strings(text), padding="max_length", truncation=True, max_length=self.max_tokens,
                          return_tensors="pt")  # fmt: skip
        ids, mask = given["input_ids"].to(text.device), given["attention_mask"].to(text.device)
        with torch.no_grad():
            states = model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        return Spoken(states if self.project is None else self.project(states), mask.bool())

    def _open(self, device: torch.device) -> list[Any]:
        if not self._opened:
            transformers = need("transformers", "a text encoder")
            place = str(self.folder)
            try:
                tokenizer = transformers.AutoTokenizer.from_pretrained(place, local_files_only=True)
                model = transformers.T5EncoderModel.from_pretrained(place, local_files_only=True)
            except (OSError, ValueError) as error:
                raise RecipeError(
                    f"net.text.folder: {place} holds no T5 that transformers opens; give the folder that "
                    "save_pretrained wrote, --set net.text.folder=FOLDER"
                ) from error
            if model.config.d_model != self.own_width:
                raise RecipeError(f"net.text: own_width is {self.own_width}, the T5 in {place} {model.config.d_model}")
            self._opened = [tokenizer, model.requires_grad_(False).eval()]
        self._opened[1].to(device)
        return self._opened


def strings(text: Bytes) -> Sequence[str]:
    """The texts that bytes hold."""
    return [bytes(row).rstrip(b"\0").decode(errors="replace") for row in text.to("cpu", torch.uint8).tolist()]
