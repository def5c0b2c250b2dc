"""Where things live. Derived on demand, never at import; asking does not create anything.

``MODELSCAN_HOME`` moves every directory below one folder; otherwise platformdirs decides.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modelscan.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class Paths:
    """The four folders and the files with a fixed place in them."""

    config: Path
    cache: Path
    data: Path
    state: Path

    @property
    def user_config_file(self) -> Path:
        return self.config / "config.toml"

    @property
    def routing_file(self) -> Path:
        return self.config / "routing.yaml"

    @property
    def overlay_dir(self) -> Path:
        return self.config / "catalogs"

    @property
    def store_file(self) -> Path:
        return self.state / "modelscan.sqlite3"

    @property
    def locks_dir(self) -> Path:
        return self.state / "locks"

    @property
    def deployments_dir(self) -> Path:
        return self.state / "deployments"

    @property
    def catalog_dir(self) -> Path:
        return self.cache / "catalog"

    @property
    def models_dir(self) -> Path:
        return self.data / "models"


def expand(text: str | Path) -> Path:
    """The path with ``~`` filled in; raises UsageError for the home of a user who is not here."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise UsageError(
            f"'{text}': there is no such home folder", hint="write the whole path, without ~"
        ) from error


def paths(environ: Mapping[str, str] | None = None) -> Paths:
    """The folders in force for this environment."""
    env = os.environ if environ is None else environ
    home = env.get("MODELSCAN_HOME")
    if home:
        base = expand(home).absolute()
        return Paths(base / "config", base / "cache", base / "data", base / "state")
    import platformdirs

    dirs = platformdirs.PlatformDirs("modelscan", appauthor=False)
    return Paths(
        Path(dirs.user_config_dir),
        Path(dirs.user_cache_dir),
        Path(dirs.user_data_dir),
        Path(dirs.user_state_dir),
    )
