"""``modelscan engine``."""
