"""Degradations: draw the parameters, then apply them. What was drawn stays with the pair."""
