"""Weights from a hub: resumed, verified, pinned to a revision."""
