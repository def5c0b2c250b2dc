"""``modelscan catalog``: which models there are."""
