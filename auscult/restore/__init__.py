"""The one inference path: file or array in, file or array out."""

from auscult.restore.models import load as load
