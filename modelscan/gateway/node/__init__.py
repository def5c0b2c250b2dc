"""This machine as a node of another control plane: what it reports, and how it stays listed."""
