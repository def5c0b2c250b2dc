"""Downloads of ModelScope repositories: resumed by byte ranges, into ``data/models/modelscope``.

ModelScope has no commit ids, so files are pinned by their SHA-256.
"""

from __future__ import annotations

from pathlib import Path

from modelscan.core.model import WeightFile
from modelscan.core.reference import Kind, Reference
from modelscan.hub import cache as hub_cache
from modelscan.hub.downloads.resume import fetch_into
from modelscan.hub.downloads.types import Moved
from modelscan.hub.repository import Hub
from modelscan.state.config import Config
from modelscan.state.files import ensure_dir


class ModelScopeStore:
    """See ``types.WeightStore``. An incomplete file is named ``NAME.part``."""

    def __init__(self, config: Config, hub: Hub | None) -> None:
        self._config, self._hub = config, hub

    def folder(self, repo: str, revision: str) -> Path:
        """The folder of this revision."""
        return hub_cache.folder("modelscope", repo, revision, self._config)

    def fetch(self, repo: str, revision: str, file: WeightFile, moved: Moved) -> Path:
        """Download or resume one file."""
        assert self._hub is not None
        target = self.folder(repo, revision) / file.path
        ensure_dir(target.parent)
        # A part of another version of the file must not be resumed.
        part = target.with_name(f"{target.name}.{(file.sha256 or revision)[:12]}.part")
        reference = Reference(Kind.MODELSCOPE, repo, revision)
        hub = self._hub
        fetch_into(part, file, lambda start: hub.stream(reference, file.path, start), moved)
        part.replace(target)
        return target

    def discard(self, path: Path) -> None:
        """Delete the file."""
        path.unlink(missing_ok=True)
