"""Sphinx configuration: MyST Markdown, no theme beyond what ships with Sphinx, nothing loaded from outside."""

import re
from pathlib import Path

project = "auscult"
author = "the auscult developers"
version = release = re.search(r'"(.+)"', Path("../auscult/version.py").read_text().splitlines()[-1])[1]
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": "Restores degraded speech, and says why a model is worse than it should be."}
