"""Measurements: one program per question, run by make targets."""
