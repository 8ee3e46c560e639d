"""Checkpoints: our file, the restricted unpickler, importers of others' files."""
