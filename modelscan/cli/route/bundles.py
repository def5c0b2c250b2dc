"""``modelscan route export|import --bundle``: routes with what they serve, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelscan.cli.context import Context
from modelscan.cli.document import Block, Document, Fields, Note, Table
from modelscan.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class BundleWritten:
    """A written bundle; ``sha256`` is of the whole file, ``body_sha256`` of what it deploys."""

    file: Path
    sha256: str
    body_sha256: str
    deployments: tuple[str, ...]
    receipts: int


def export_document(context: Context, file: Path, routes: Sequence[str]) -> Document[Any]:
    """Write the bundle of the named routes, or of all."""
    import hashlib

    from modelscan.promotion.bundle import written
    from modelscan.promotion.bundle_export import bundle_of
    from modelscan.state.files import write_atomic

    bundle = bundle_of(context.config, context.workspace.list(), routes)
    text = written(bundle)
    write_atomic(file, text)
    answer = BundleWritten(
        file, hashlib.sha256(text.encode()).hexdigest(), bundle.body_sha256,
        tuple(one.name for one in bundle.body.deployments), bundle.receipts.requests,
    )  # fmt: skip
    pairs = [
        ("file", file), ("body", answer.body_sha256), ("receipts", answer.receipts),
        ("deployments", ", ".join(answer.deployments)),
    ]  # fmt: skip
    return Document("route.bundle", answer, [Fields(pairs)], [str(file)])


def import_document(
    context: Context, file: Path, folders: Sequence[Path], *, replace: bool, dry_run: bool
) -> Document[Any]:
    """Deploy what a bundle says and add its routes; with ``dry_run`` only compare."""
    from modelscan.cli.deployment_view import service
    from modelscan.cli.interrupt import interruptible
    from modelscan.promotion.bundle import read
    from modelscan.promotion.bundle_files import BundleOptions
    from modelscan.promotion.bundle_import import import_bundle

    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot read {file}: {error.strerror}", hint="modelscan route export --bundle FILE"
        ) from error
    options = BundleOptions(tuple(folders), replace, dry_run)
    with context.output.status(f"reading {file}") as status, interruptible():
        answer = import_bundle(
            read(data, str(file)), str(file), options, context.config, service(), status.update
        )
    pairs = [
        ("body", answer.body_sha256), ("deployments", ", ".join(answer.deployments)),
        ("entries", ", ".join(answer.entries)),
    ]  # fmt: skip
    blocks: list[Block] = [Fields(pairs)]
    if answer.differences:
        rows = [(one.deployment, one.field, one.bundle, one.here) for one in answer.differences]
        columns = ("DEPLOYMENT", "FIELD", "BUNDLE", "HERE")
        blocks.append(Table(columns, rows, folded=("BUNDLE", "HERE")))
    else:
        blocks.append(Note("nothing differs from where the bundle was written"))
    if dry_run:
        blocks.append(Note("nothing was deployed and nothing was written (--dry-run)"))
    return Document(
        "route.bundle.import", answer, blocks, list(answer.deployments), answer.warnings
    )
