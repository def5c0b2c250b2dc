"""``modelscan node``."""
