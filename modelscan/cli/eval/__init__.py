"""``modelscan eval``."""
