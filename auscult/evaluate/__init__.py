"""Scoring restored speech."""
