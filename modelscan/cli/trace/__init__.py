"""``modelscan trace``."""
