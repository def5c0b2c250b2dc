"""Finds models by names and words."""
