"""``modelscan bench``: one file per command."""
