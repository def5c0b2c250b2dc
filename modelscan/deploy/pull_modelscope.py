"""Files of ModelScope repositories: resumed by byte ranges, into ``data/models/modelscope``.

The hub names no commit, so the pin is each file's SHA-256: what was pulled is known by it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from modelscan.catalog.hub import Hub
from modelscan.core.errors import RemoteError
from modelscan.core.model import WeightFile
from modelscan.core.reference import Kind, Reference
from modelscan.core.units import MIB
from modelscan.deploy import hub_cache
from modelscan.state.config import Config
from modelscan.state.files import ensure_dir, explain_os_errors

_PART_BYTES = 8 * MIB


class ModelScopeStore:
    """See ``deploy.pull.Store``. A file is ``NAME.part`` until it is whole."""

    def __init__(self, config: Config, hub: Hub | None) -> None:
        self._config, self._hub = config, hub

    def folder(self, repo: str, revision: str) -> Path:
        return hub_cache.folder("modelscope", repo, revision, self._config)

    def fetch(
        self, repo: str, revision: str, file: WeightFile, moved: Callable[[int], None]
    ) -> Path:
        assert self._hub is not None
        target = self.folder(repo, revision) / file.path
        ensure_dir(target.parent)
        # Parts of another version of the file must not be continued.
        part = target.with_name(f"{target.name}.{(file.sha256 or revision)[:12]}.part")
        reference = Reference(Kind.MODELSCOPE, repo, revision)
        with explain_os_errors(target), open(part, "ab") as stream:
            have = stream.seek(0, 2)
            if file.size_bytes is not None and have > file.size_bytes:
                have = stream.truncate(0)
            moved(have)
            while file.size_bytes is None or have < file.size_bytes:
                wanted = min(_PART_BYTES, (file.size_bytes or have + _PART_BYTES) - have)
                data = self._hub.fetch_range(reference, file.path, have, wanted)
                if not data:
                    break
                stream.write(data)
                have += len(data)
                moved(len(data))
        if file.size_bytes is not None and have < file.size_bytes:
            raise RemoteError(
                f"{file.path} of {repo} ended after {have} of {file.size_bytes} bytes",
                hint="try again: what has arrived is kept and resumed", code="download_failed",
            )  # fmt: skip
        part.replace(target)
        return target

    def discard(self, path: Path) -> None:
        path.unlink(missing_ok=True)
