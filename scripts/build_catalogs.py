"""``make catalogs``: rebuild ``catalogs/`` from pinned packages of PyPI and npm, then check it.

Snapshots of each source and the index made of them are replaced only when every check passes. The
same packages give the same bytes.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from modelscan.catalog.index.layout import FILE_NAME
from modelscan.catalog.index.write import build
from modelscan.catalog.merge.models import merge
from modelscan.catalog.records import SourceSnapshot, dump, load
from modelscan.models.minimum_memory import minimum_memory
from modelscan.state.files import write_atomic
from scripts import (
    catalogs_configs,
    catalogs_curated,
    catalogs_demo,
    catalogs_gpustack,
    catalogs_litgpt,
    catalogs_llmfit,
    catalogs_maxtext,
    catalogs_modelsdev,
    catalogs_qvac,
    catalogs_whichllm,
    catalogs_xinference,
)
from scripts.catalogs_architectures import verified
from scripts.catalogs_checks import check
from scripts.catalogs_packages import REPOSITORY

CATALOGS = REPOSITORY / "catalogs"
SOURCES: tuple[Callable[[], SourceSnapshot], ...] = (
    catalogs_configs.snapshot,
    catalogs_curated.snapshot,
    catalogs_demo.snapshot,
    catalogs_gpustack.snapshot,
    catalogs_litgpt.snapshot,
    catalogs_llmfit.snapshot,
    catalogs_maxtext.snapshot,
    catalogs_modelsdev.snapshot,
    catalogs_qvac.snapshot,
    catalogs_whichllm.snapshot,
    catalogs_xinference.snapshot,
)


def main(target: Path = CATALOGS) -> int:
    """Write snapshots and index below ``target``; 1 and nothing written when a check fails."""
    dumped = {}
    made_of, left_out = verified([make() for make in SOURCES])
    print("\n".join(left_out))
    for snapshot in made_of:
        dumped[snapshot.source] = dump(snapshot)
        print(f"{snapshot.source}: {len(snapshot.records)} entries, {snapshot.origin}")
    snapshots = [load(data) for data in dumped.values()]
    models = merge(snapshots)
    problems = check(models, snapshots)
    if problems:
        print("\n".join(f"PROBLEM {p}" for p in problems), file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / FILE_NAME
        build(models, made, sources=snapshots, least=minimum_memory)
        for source, data in dumped.items():
            write_atomic(target / "snapshots" / f"{source}.json.gz", data, mode=0o644)
        write_atomic(target / FILE_NAME, made.read_bytes(), mode=0o644)
    size = (target / FILE_NAME).stat().st_size
    print(f"{len(models)} models, index {size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(*(Path(argument) for argument in sys.argv[1:2])))
