"""Servers that were started outside modelscan, as a target."""
