"""Published corpora of pairs, made from their source recordings: one file a corpus, one line of :data:`CORPORA`.

A :class:`~auscult.data.corpora.base.Corpus` says which items there are and how one is made;
:mod:`~auscult.data.corpora.prepare` does the rest for all of them: workers, resumption, manifests, checksums.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from auscult.errors import DataError, nearest

CORPORA: Mapping[str, str] = MappingProxyType(
    {
        "vbdmd": "auscult.data.corpora.vbdmd:VoiceBankDemand",
        "wsj0-chime3": "auscult.data.corpora.wsj0:Wsj0Chime3",
        "wsj0-qut": "auscult.data.corpora.wsj0:Wsj0Qut",
        "wsj0-reverb": "auscult.data.corpora.reverb:Wsj0Reverb",
        "ears-wham": "auscult.data.corpora.ears:EarsWham",
        "ears-reverb": "auscult.data.corpora.ears:EarsReverb",
        "esc50-ood": "auscult.data.corpora.esc50:Esc50Unseen",
    }
)
"""Every corpus by name."""


def corpus_named(name: str) -> Any:
    """The class of a corpus.

    Raises:
        DataError: no corpus of that name.
    """
    if name not in CORPORA:
        raise DataError(f"no corpus '{name}'{nearest(name, CORPORA)}; known are {', '.join(CORPORA)}")
    module, _, kind = CORPORA[name].partition(":")
    return getattr(importlib.import_module(module), kind)
