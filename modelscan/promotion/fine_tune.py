"""``registry version add --from``: a folder or the record of a run as the facts of a version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.adapter import LoraAdapter
from modelscan.core.errors import UsageError
from modelscan.deploy.registered import weights_facts
from modelscan.formats.peft import CONFIG
from modelscan.hub import checksums
from modelscan.models.adapters import read_adapter
from modelscan.promotion.lineage import lineage_of
from modelscan.promotion.run_record import read_run
from modelscan.registry.types import RegistryVersionFacts, WeightsFile
from modelscan.state.paths import expand

if TYPE_CHECKING:
    from modelscan.state.config import Config
    from modelscan.state.server.database import ServerDatabase

# Of a folder with a model: weights, and what a server needs to load them. Checkpoints of a training
# (optimizer states, logs) are no part of a version.
_KEPT = (".safetensors", ".gguf", ".json", ".jinja", ".model", ".txt", ".tiktoken")
_NOT_KEPT = ("optimizer", "scheduler", "rng_state", "trainer_state", "training_args", "events.out")


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
    lineage = lineage_of(run, adapter, base, config, database)
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


def _adapter(place: Path) -> LoraAdapter | None:
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


def _files(place: Path, adapter: LoraAdapter | None) -> Iterator[WeightsFile]:
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
