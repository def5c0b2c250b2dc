"""modelscan: which open model fits here, run it, verify it, and say where it is served."""

__version__ = "0.1.0"
