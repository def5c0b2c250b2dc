"""The documents of recipes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

Produces = Literal["adapter", "model", "gguf", "dataset"]
Hardware = Literal["local", "cpu", "gpu_small", "gpu_large", "gpu_several"]
"""Cost class: this machine; a job's processor; one GPU of up to 24 GiB; one larger GPU; several."""

RecipeCost = TypedDict("RecipeCost", {"class": Hardware, "usd_per_hour": float | None})
"""``usd_per_hour``: None = not known."""


@dataclass(frozen=True, slots=True)
class RecipeFile:
    """A file of the rendered folder. ``sha256``: of its content."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that a recipe reads. ``hashed``: ``whole``, or ``ends`` (its size, first and last
    MiB) for a file of more than 4 GiB.
    """

    path: str
    size_bytes: int
    sha256: str
    hashed: Literal["whole", "ends"] = "whole"


@dataclass(frozen=True, slots=True)
class RecipeModel:
    """A model that a recipe starts from: a local folder or file, or a repository of a hub.

    ``sha256``: of the list of the local files and their digests; None for a repository.
    """

    name: str
    path: str | None
    repository: str | None
    revision: str | None
    sha256: str | None
    format: str
    quantization: str | None
    parameters: int | None
    weight_bytes: int | None
    files: tuple[InputFile, ...] = ()


@dataclass(frozen=True, slots=True)
class RecipeDataset:
    """Conversations, JSON Lines. ``rows``: usable ones; ``longest_chars``: of one conversation."""

    path: str
    sha256: str
    size_bytes: int
    rows: int
    duplicates: int
    longest_chars: int


@dataclass(frozen=True, slots=True)
class RecipePaths:
    """Absolute paths: what is read, and what ``recipe run`` writes. None: not part of it."""

    base: str | None
    dataset: str | None
    adapter: str | None
    checkpoint: str | None
    output: str | None


@dataclass(frozen=True, slots=True)
class RecipeNeeds:
    """Bytes, None where the model's shape is not known. ``gpu_bytes``: on one GPU, 0: none;
    ``gpu_parts``: what they consist of. ``optional_gpu``: a processor is enough, but slower.
    """

    gpu_bytes: int | None
    disk_bytes: int | None
    host_bytes: int | None
    gpu_parts: dict[str, int] = field(default_factory=dict)
    optional_gpu: bool = False
    assumptions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecipeFit:
    """Whether it can run where it was rendered for. ``would_fit``: what would."""

    verdict: Literal["fits", "does_not_fit", "unknown"]
    where: str
    reasons: tuple[str, ...] = ()
    would_fit: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecipeRun:
    """A finished run. ``exit_code``: of the script; ``outputs``: every file it wrote."""

    finished_at: str
    exit_code: int
    seconds: float
    outputs: tuple[RecipeFile, ...]
    adapter: str | None
    log: str


@dataclass(frozen=True, slots=True)
class RecipeJob:
    """A job on Hugging Face's machines. ``flavor``: the kind of machine."""

    flavor: str
    hardware: str
    gpu_memory_bytes: int | None
    timeout: str


@dataclass(frozen=True, slots=True)
class RenderedRecipe:
    """A recipe as a folder: what it reads and writes, what it needs, how it is run.

    ``command`` is what ``recipe run`` starts. ``leaves_machine``: everything that other machines
    receive when it runs. ``publish``: the line that uploads the result, which is never run.
    """

    artifact_name: str
    recipe: str
    method: str
    dir: str
    files: tuple[RecipeFile, ...]
    base: RecipeModel
    others: tuple[RecipeModel, ...]
    dataset: RecipeDataset | None
    paths: RecipePaths
    parameters: dict[str, Any]
    python: str
    requirements: tuple[str, ...]
    command: tuple[str, ...]
    needs: RecipeNeeds
    fit: RecipeFit
    leaves_machine: tuple[str, ...]
    cost: RecipeCost
    job: RecipeJob | None
    produces: Produces
    publish: str | None
    next: tuple[str, ...] = ()
    run: RecipeRun | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecipeMethodRow:
    """A method of a recipe. ``dataset``: whether one is required."""

    name: str
    description: str
    dataset: Literal["required", "optional", "none"]


@dataclass(frozen=True, slots=True)
class RecipeSetting:
    """A setting of ``--set``: its default and the values that it accepts."""

    name: str
    default: Any
    accepts: str


@dataclass(frozen=True, slots=True)
class RecipeRow:
    """A recipe that can be rendered."""

    name: str
    description: str
    produces: Produces
    methods: tuple[RecipeMethodRow, ...]
    settings: tuple[RecipeSetting, ...]
    python: str
    requirements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecipeList:
    """Every recipe."""

    recipes: tuple[RecipeRow, ...]
