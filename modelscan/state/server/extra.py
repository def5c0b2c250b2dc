"""The packages of the gateway, which an installation without the extra lacks."""

from __future__ import annotations

import importlib.util

from modelscan.core.errors import UsageError

_PACKAGES = (
    "sqlalchemy", "alembic", "starlette", "uvicorn", "httptools", "uvloop", "prometheus_client",
    "jinja2",
)  # fmt: skip


def require_extra(what: str) -> None:
    """Raises UsageError with the command that installs what is missing."""
    require_package(what, *_PACKAGES)


def require_package(what: str, *names: str) -> None:
    """Raises UsageError with the command that installs those of the packages that are missing."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"{what} needs {', '.join(missing)}, which this installation lacks",
            hint=f"pip install {' '.join(missing)}",
            code="missing_package",
        )
