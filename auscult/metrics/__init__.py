"""Metrics: facts, a validation and a pure function on arrays. A metric never imports a net."""
