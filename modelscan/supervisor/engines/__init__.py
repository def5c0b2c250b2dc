"""Engines of this machine: list, install, choose, remove."""
