"""Nodes at the control plane: who may register, what they report, which of them get requests."""
