"""The folders and files of modelscan. Computed on demand, never at import; creates nothing.

``MODELSCAN_HOME`` puts all of them below one folder; otherwise platformdirs decides.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modelscan.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class Paths:
    """The four folders, and the files with a fixed place in them."""

    config: Path
    cache: Path
    data: Path
    state: Path

    @property
    def user_config_file(self) -> Path:
        """The user's settings file."""
        return self.config / "config.toml"

    @property
    def routing_file(self) -> Path:
        """The default routing file."""
        return self.config / "routing.yaml"

    @property
    def overlay_dir(self) -> Path:
        """The folder of the user's own catalog entries."""
        return self.config / "catalogs"

    @property
    def store_file(self) -> Path:
        """The database of this machine's records."""
        return self.state / "modelscan.sqlite3"

    @property
    def locks_dir(self) -> Path:
        """The folder of lock files."""
        return self.state / "locks"

    @property
    def deployments_dir(self) -> Path:
        """The folder with one subfolder per local deployment."""
        return self.state / "deployments"

    @property
    def engines_dir(self) -> Path:
        """The folder of installed engines."""
        return self.state / "engines"

    @property
    def engine_downloads_dir(self) -> Path:
        """The folder of downloaded engine archives and packages."""
        return self.cache / "engines"

    @property
    def catalog_dir(self) -> Path:
        """The folder of downloaded catalog data."""
        return self.cache / "catalog"

    @property
    def models_dir(self) -> Path:
        """The folder of weights that modelscan downloads itself."""
        return self.data / "models"


def expand(text: str | Path) -> Path:
    """The path with ``~`` replaced. Raises UsageError if that user has no home folder."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise UsageError(
            f"'{text}': this home folder does not exist", hint="write the full path, without ~"
        ) from error


def check_utf8(path: str, what: str) -> None:
    """Raises UsageError for a path with bytes that are not UTF-8: no record could name it."""
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{what} {os.fsencode(path)[:200]!r} is not UTF-8 text",
            hint="rename the folder, or choose another one",
            code="not_utf8",
        ) from error


def paths(environ: Mapping[str, str] | None = None) -> Paths:
    """The folders for this environment. Raises UsageError for a home that is not UTF-8 text."""
    env = os.environ if environ is None else environ
    home = env.get("MODELSCAN_HOME")
    if home:
        check_utf8(home, "MODELSCAN_HOME")
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
