"""The folders of bundled facts and examples: in the wheel, or in the checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def bundled_dir() -> Path:
    """The folder of bundled facts: ``modelscan/_catalogs`` in a wheel, else ``catalogs/``."""
    return _bundled("_catalogs", "catalogs")


def bundled_bytes(name: str) -> bytes:
    """The content of a bundled file of facts, which is the same for a version of modelscan."""
    return (bundled_dir() / name).read_bytes()


def examples_dir() -> Path:
    """The folder of runnable examples: ``modelscan/_examples`` in a wheel, else ``examples/``."""
    return _bundled("_examples", "examples")


def docs_dir() -> Path:
    """The folder of the manual: ``modelscan/_docs`` in a wheel, else ``docs/``."""
    return _bundled("_docs", "docs")


def schemas_dir() -> Path:
    """The folder of JSON Schemas: of documents, and in ``files/`` of the files people write."""
    return _PACKAGE / "schemas"


def _bundled(in_wheel: str, in_checkout: str) -> Path:
    installed = _PACKAGE / in_wheel
    return installed if installed.is_dir() else _PACKAGE.parent / in_checkout
