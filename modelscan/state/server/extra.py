"""The packages of the gateway, which an installation without the extra lacks."""

from __future__ import annotations

import importlib.util

from modelscan.core.errors import UsageError

_PACKAGES = ("sqlalchemy", "alembic", "starlette", "uvicorn", "httptools", "uvloop")


def require_extra(what: str) -> None:
    """Raises UsageError with the command that installs what is missing."""
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"{what} needs {', '.join(missing)}, which this installation lacks",
            hint=f"pip install {' '.join(missing)}",
            code="missing_package",
        )
