"""The registry over HTTP: ``/v1/registry`` and the hub's shapes under ``/hf``."""
