"""``modelscan registry``."""
