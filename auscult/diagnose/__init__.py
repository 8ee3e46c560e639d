"""Instruments that measure what a model learned, beside how well it restores."""
