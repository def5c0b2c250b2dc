"""The packages of the gateway, which an installation without the extra lacks."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from modelscan.core.errors import UsageError

FILE_NAME = "server.sqlite3"
_PACKAGES = (
    "sqlalchemy", "alembic", "starlette", "uvicorn", "httptools", "uvloop", "prometheus_client",
)  # fmt: skip


def require_extra(what: str) -> None:
    """Raises UsageError with the command that installs what is missing."""
    missing = _missing()
    if missing:
        raise UsageError(
            f"{what} needs {', '.join(missing)}, which this installation lacks",
            hint=f"pip install {' '.join(missing)}",
            code="missing_package",
        )


def _missing() -> list[str]:
    return [name for name in _PACKAGES if importlib.util.find_spec(name) is None]


def has_records(state: Path) -> bool:
    """Whether the server's database is there and can be read; opens nothing."""
    return (state / FILE_NAME).is_file() and not _missing()
