"""What a fine-tune comes from: its base, its run, and what it has kept of the base's files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.adapter import LoraAdapter, facts_of
from modelscan.core.errors import UsageError
from modelscan.hub import checksums
from modelscan.models.templates import local_template
from modelscan.promotion.candidate import candidate_model, find_version, place_of
from modelscan.promotion.run_record import TrainingRun
from modelscan.registry.names import PREFIX, parse_reference
from modelscan.registry.refused import RegistryRefused
from modelscan.registry.types import Lineage
from modelscan.state.paths import expand

if TYPE_CHECKING:
    from modelscan.registry.types import ModelVersion
    from modelscan.state.config import Config
    from modelscan.state.server.database import ServerDatabase

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tekken.json")


def lineage_of(
    run: TrainingRun, adapter: LoraAdapter | None, base: str | None, config: Config,
    database: ServerDatabase,
) -> Lineage:  # fmt: skip
    """Where the result of a run comes from. Raises UsageError for an adapter without a base."""
    if adapter is not None and base is None:
        raise UsageError(
            f"the adapter in {run.output} does not name its base",
            hint="modelscan registry version add SLUG --from DIR --base MODEL",
            code="unknown_base",
        )
    found = None if base is None else base_version(base, database)
    stated = adapter.revision if adapter is not None else None
    lineage = Lineage(
        base=None if found is None else found.name,
        base_model=base if found is None else None,
        base_revision=(found.revision if found else None) or run.base_revision or stated,
        method=run.method or (adapter.method.lower() if adapter is not None else None),
        run=run.run,
        run_digest=run.run_digest,
        dataset_digest=run.dataset_digest,
        adapter=adapter is not None,
        adapter_facts=None if adapter is None else facts_of(adapter),
    )
    return _with_kept_files(lineage, run.output, found, base, config, database)


def base_version(base: str, database: ServerDatabase) -> ModelVersion | None:
    """The version that a base names; None where it is MODEL. Raises RegistryRefused for
    ``SLUG@V`` without such a version."""
    try:
        reference = parse_reference(base)
    except RegistryRefused:
        return None
    try:
        return find_version(database, base).version
    except RegistryRefused as error:
        explicit = base.startswith(PREFIX) or reference.kind != "default"
        if explicit and error.cause != "unknown_model":
            raise
        if base.startswith(PREFIX) or reference.kind == "version":
            raise
        return None


def _with_kept_files(
    lineage: Lineage, place: Path, found: ModelVersion | None, base: str | None, config: Config,
    database: ServerDatabase,
) -> Lineage:  # fmt: skip
    """Whether tokenizer and chat template are those of the base, where both are files here.

    An adapter without a tokenizer of its own is served with the base's.
    """
    theirs = _base_folder(found, base, database)
    tokenizer, template = _tokenizer(place), local_template(place) if place.is_dir() else None
    same_tokenizer = None if theirs is None else tokenizer == _tokenizer(theirs)
    same_template = None if theirs is None else template == local_template(theirs)
    own = lineage.adapter and place.is_dir()
    if lineage.adapter and (not own or tokenizer is None):
        same_tokenizer = True
    if lineage.adapter and (not own or template is None):
        same_template = True
    return replace(lineage, tokenizer_kept=same_tokenizer, template_kept=same_template)


def _base_folder(
    found: ModelVersion | None, base: str | None, database: ServerDatabase
) -> Path | None:
    text = base
    if found is not None:
        text = candidate_model(database, found).model if found.lineage else place_of(found)
    folder = expand(text) if text else None
    return folder if folder is not None and folder.is_dir() else None


def _tokenizer(place: Path) -> str | None:
    """The digest of a folder's tokenizer; None without one."""
    folder = place if place.is_dir() else place.parent
    file = next((folder / name for name in _TOKENIZERS if (folder / name).is_file()), None)
    return None if file is None or not place.is_dir() else checksums.sha256(file)
