"""The origin of a model and the exact contents of its files."""
