"""Bringing evidence: a module a kind. Each function gives the evidence or raises ``Absent`` with what it would take."""
