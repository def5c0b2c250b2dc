"""Where things live. Derived on demand, never at import; asking does not create anything.

``MODELSCAN_HOME`` moves every directory below one folder; otherwise platformdirs decides.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


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


def paths(environ: Mapping[str, str] | None = None) -> Paths:
    """The folders in force for this environment."""
    env = os.environ if environ is None else environ
    home = env.get("MODELSCAN_HOME")
    if home:
        base = Path(home).expanduser().absolute()
        return Paths(base / "config", base / "cache", base / "data", base / "state")
    import platformdirs

    dirs = platformdirs.PlatformDirs("modelscan", appauthor=False)
    return Paths(
        Path(dirs.user_config_dir),
        Path(dirs.user_cache_dir),
        Path(dirs.user_data_dir),
        Path(dirs.user_state_dir),
    )
