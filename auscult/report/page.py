"""One self-contained HTML file from a template: styles, scripts, pictures and audio inside, nothing from outside."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from auscult.audio.clip import Clip
from auscult.errors import need
from auscult.files import write_bytes
from auscult.plain import without_gaps
from auscult.version import __version__

TEMPLATES = Path(__file__).parent / "templates"
MEDIA = {".png": "image/png", ".flac": "audio/flac", ".wav": "audio/wav", ".svg": "image/svg+xml"}


def write_page(path: Path, template: str, **values: Any) -> None:
    """Render ``templates/<template>`` (which extends ``base.html``) and write it aside.

    Templates are autoescaped; ``include_raw('x.css')`` inlines a file, ``data(value)`` puts JSON into a script.

    Raises:
        MissingExtra: jinja2 is not installed. OutputError: the file cannot be written.
    """
    jinja2 = need("jinja2", "a report page")
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.undefined = jinja2.StrictUndefined
    environment.globals |= {"include_raw": _include_raw, "data": script_data, "version": __version__}
    write_bytes(path, environment.get_template(template).render(**values).encode())


def media_uri(data: bytes, suffix: str) -> str:
    """Bytes as a ``data:`` address."""
    return f"data:{MEDIA[suffix]};base64,{base64.b64encode(data).decode()}"


def flac(clip: Clip) -> bytes:
    """16-bit FLAC, which every browser plays."""
    out = io.BytesIO()
    soundfile.write(out, np.clip(clip.wave, -1.0, 1.0).T, clip.rate_hz, format="FLAC", subtype="PCM_16")
    return out.getvalue()


def script_data(value: Any) -> Any:
    """JSON that is safe inside ``<script type="application/json">``; numbers that do not exist are null."""
    import markupsafe  # comes with jinja2

    text = json.dumps(without_gaps(value), separators=(",", ":"), default=str, allow_nan=False)
    return markupsafe.Markup(text.replace("<", "\\u003c"))


def _include_raw(name: str) -> Any:
    import markupsafe

    return markupsafe.Markup((TEMPLATES / name).read_text(encoding="utf-8"))
