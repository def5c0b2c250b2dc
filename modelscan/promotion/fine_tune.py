"""``registry version add --from``: a folder or the record of a run as the facts of a version.

``run.json`` is an object with ``output`` (or ``output_dir``, ``adapter``, ``checkpoint``): the
folder or file that the run wrote, relative to itself; and, as far as known, ``base``,
``base_revision``, ``method``, ``run_id``, ``dataset`` (a file or a digest), ``dataset_digest``.
A recipe's ``manifest.json`` has the same keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelscan.core.adapter import Adapter, facts_of
from modelscan.core.errors import UsageError
from modelscan.core.json_reader import json_value
from modelscan.deploy.registered import weights_facts
from modelscan.formats.peft import CONFIG
from modelscan.hub import checksums
from modelscan.models.adapters import read_adapter
from modelscan.models.templates import local_template
from modelscan.promotion.candidate import candidate_model, find_version, place_of
from modelscan.registry.names import PREFIX, parse_reference
from modelscan.registry.refused import RegistryRefused
from modelscan.registry.types import Lineage, RegistryVersionFacts, WeightsFile
from modelscan.state.paths import expand

if TYPE_CHECKING:
    from modelscan.registry.types import ModelVersion
    from modelscan.state.config import Config
    from modelscan.state.server.database import ServerDatabase

_OUTPUTS = ("output", "output_dir", "adapter", "checkpoint", "path")
_MOST_BYTES = 16 << 20
# Of a folder with a model: weights, and what a server needs to load them. Checkpoints of a training
# (optimizer states, logs) are no part of a version.
_KEPT = (".safetensors", ".gguf", ".json", ".jinja", ".model", ".txt", ".tiktoken")
_NOT_KEPT = ("optimizer", "scheduler", "rng_state", "trainer_state", "training_args", "events.out")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tekken.json")
_SHA256_LENGTH = 64


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """What a run's record states; None: nothing."""

    output: Path
    base: str | None = None
    base_revision: str | None = None
    method: str | None = None
    run: str | None = None
    run_digest: str | None = None
    dataset_digest: str | None = None


def facts_from(
    path: Path, base: str | None, config: Config, database: ServerDatabase
) -> RegistryVersionFacts:
    """The facts of a fine-tune. ``base``: ``SLUG@V`` or MODEL; None: as its files state it.

    Raises UsageError for a folder without a model or an adapter, for damaged files, and for a base
    that is not known.
    """
    run = read_run(path.expanduser())
    place = run.output
    adapter = _adapter(place)
    base = base or run.base or (adapter.base if adapter is not None else None)
    lineage = _lineage(run, adapter, base, config, database)
    files = tuple(_files(place, adapter))
    if not files:
        raise UsageError(
            f"{place} has no weights: neither {CONFIG}, .safetensors nor .gguf files",
            hint="give the folder that the training wrote",
            code="no_weights",
        )
    facts = RegistryVersionFacts(
        weights_url=place.resolve().as_uri(),
        format=adapter.format if adapter is not None else _format(files),
        files=files,
        size_bytes=sum(one.size_bytes or 0 for one in files),
        lineage=lineage,
    )
    return facts if adapter is not None else _with_model_facts(facts, place, config)


def is_fine_tune(text: str, base: str | None) -> bool:
    """Whether ``--from`` names the result of a training: with ``--base``, the record of a run, or
    an adapter. Everything else is MODEL.
    """
    path = expand(text)
    if not path.exists():
        return base is not None
    if base is not None or path.name == CONFIG or (path / CONFIG).is_file():
        return True
    if path.suffix == ".json" and path.name != "config.json":
        return True
    return path.suffix == ".gguf" and read_adapter(path).method == "LORA"


def read_run(path: Path) -> TrainingRun:
    """A folder or a weight file as it is, a JSON file as the record of a run."""
    if not path.exists():
        raise UsageError(
            f"there is no file or folder '{path}'",
            hint="modelscan registry version add SLUG --from DIR --base MODEL",
            code="no_such_file",
        )
    if path.is_dir() or path.suffix != ".json":
        return TrainingRun(path)
    try:
        data = path.read_bytes()[:_MOST_BYTES]
        record = json_value(data)
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no JSON: {error}", code="bad_run") from error
    output = _output(record) if isinstance(record, Mapping) else None
    if not isinstance(record, Mapping) or output is None:
        raise UsageError(
            f"{path} does not say where its result is: it has none of {', '.join(_OUTPUTS)}",
            hint='{"output": "adapter", "base": "org/model", "dataset": "train.jsonl"}',
            code="bad_run",
        )
    place = path.parent / output
    if not place.exists():
        raise UsageError(
            f"the result of {path} is not there: {place}", hint="run it, then add the version",
            code="no_such_file",
        )  # fmt: skip
    return TrainingRun(
        output=place,
        base=_text(record, "base", "base_model"),
        base_revision=_text(record, "base_revision", "revision"),
        method=_text(record, "method", "recipe"),
        run=_text(record, "run_id", "run", "artifact_name", "name"),
        run_digest=hashlib.sha256(data).hexdigest(),
        dataset_digest=_dataset(record, path.parent),
    )


def _output(record: Mapping[str, Any]) -> str | None:
    """The path of the result; of a manifest, an object may have it as ``path``."""
    for key in _OUTPUTS:
        value = record.get(key)
        if isinstance(value, Mapping):
            value = value.get("path")
        if isinstance(value, str) and value:
            return value
    return None


def _dataset(record: Mapping[str, Any], folder: Path) -> str | None:
    """The digest as stated, else of the file that is named."""
    stated = _text(record, "dataset_digest", "dataset_sha256")
    value = record.get("dataset")
    if isinstance(value, Mapping):
        stated = stated or _text(value, "sha256", "digest")
        value = value.get("path")
    if stated is not None or not isinstance(value, str):
        return stated
    if len(value) == _SHA256_LENGTH and set(value) <= set("0123456789abcdef"):
        return value
    file = folder / value
    if file.is_file():
        return checksums.sha256(file)
    raise UsageError(
        f"the dataset {file} is not there, so that its digest is not known",
        hint="write its digest as dataset_digest",
        code="no_such_file",
    )


def _text(record: Mapping[str, Any], *keys: str) -> str | None:
    values = (record.get(key) for key in keys)
    return next((value for value in values if isinstance(value, str) and value), None)


def _adapter(place: Path) -> Adapter | None:
    """The adapter in a place; None: it is a whole model. Raises UsageError for a broken one."""
    whole = place.is_dir() and not (place / CONFIG).is_file()
    if whole or (place.is_file() and place.suffix != ".gguf"):
        return None
    adapter = read_adapter(place)
    if place.is_file() and adapter.method != "LORA":
        return None  # a model's own GGUF file
    if adapter.faults:
        raise UsageError(
            f"the adapter in {place} cannot be used: {adapter.faults[0].reason}",
            hint=f"modelscan registry check-adapter {place} --base MODEL",
            code="bad_adapter",
        )
    return adapter


def _lineage(
    run: TrainingRun, adapter: Adapter | None, base: str | None, config: Config,
    database: ServerDatabase,
) -> Lineage:  # fmt: skip
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


def _files(place: Path, adapter: Adapter | None) -> Iterator[WeightsFile]:
    """The files of a version with their checksums, in order of their paths."""
    if place.is_file():
        yield WeightsFile(
            path=place.name, size_bytes=place.stat().st_size, sha256=checksums.sha256(place)
        )
        return
    names = [one for one in sorted(place.iterdir()) if one.is_file() and _is_kept(one.name)]
    if adapter is None and not any(one.suffix in (".safetensors", ".gguf") for one in names):
        return
    for file in names:
        yield WeightsFile(
            path=file.name, size_bytes=file.stat().st_size, sha256=checksums.sha256(file)
        )


def _is_kept(name: str) -> bool:
    left_out = name.startswith((".", "README")) or any(word in name for word in _NOT_KEPT)
    return name.endswith(_KEPT) and not left_out


def _format(files: Iterable[WeightsFile]) -> str:
    return "gguf" if any(one.path.endswith(".gguf") for one in files) else "safetensors"


def _with_model_facts(
    facts: RegistryVersionFacts, place: Path, config: Config
) -> RegistryVersionFacts:
    """Quantization, license, memory and context of a whole model."""
    read = weights_facts(str(place), config).version
    return replace(
        read, weights_url=facts.weights_url, files=facts.files, size_bytes=facts.size_bytes,
        lineage=facts.lineage,
    )  # fmt: skip
