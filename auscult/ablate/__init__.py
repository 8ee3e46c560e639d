"""Ladders: what each part of a model is worth, by arms that differ from one another in one thing."""
