"""Commands of ``modelscan recipe``."""
