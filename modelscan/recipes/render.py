"""A recipe rendered into a folder: script, environment, manifest. Nothing is started or sent."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelscan import __version__
from modelscan.core.errors import UsageError
from modelscan.core.jsonform import to_json
from modelscan.recipes.bases import FoundModel, find_model
from modelscan.recipes.chat_data import check_dataset
from modelscan.recipes.fitting import Alternative, fit, room_of
from modelscan.recipes.flavors import cost_of, find_flavor, job_of, smallest_flavor
from modelscan.recipes.folder_text import readme
from modelscan.recipes.job_fit import fit_job
from modelscan.recipes.kind import RecipeCase
from modelscan.recipes.leaving import job_leaves, local_leaves
from modelscan.recipes.manifest import (
    README,
    REQUIREMENTS,
    SCRIPT,
    RecipeManifest,
    is_recipe,
    read_manifest,
    write_folder,
)
from modelscan.recipes.naming import artifact_name, digest_of
from modelscan.recipes.registry import find_recipe
from modelscan.recipes.script_files import environment_of, script_text
from modelscan.recipes.shown import shown
from modelscan.recipes.types import RecipePaths
from modelscan.state.paths import expand

if TYPE_CHECKING:
    from modelscan.core.machine import Machine
    from modelscan.recipes.kind import RecipeKind, RecipeMethod
    from modelscan.recipes.types import RecipeDataset, RecipeFit, RecipeNeeds, RenderedRecipe
    from modelscan.state.config import Config


@dataclass(frozen=True, slots=True)
class RecipeWish:
    """What is rendered. ``models``: the base first; ``out``: the folder, default: the artefact's
    name in the working directory; ``flavor``: of a job, default: the smallest that is large enough.
    """

    recipe: str
    models: tuple[str, ...]
    method: str | None = None
    dataset: Path | None = None
    out: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    job: bool = False
    flavor: str | None = None


def render(wish: RecipeWish, config: Config, machine: Machine, today: date) -> RenderedRecipe:
    """Write the folder and return its document; a folder with the same recipe stays as it is.

    Raises UsageError (exit 2) for an unknown recipe, method, model or dataset and a folder that is
    in use, NotDeployableError (exit 3) for models that the recipe cannot use.
    """
    draft = drafted(wish, config, today)
    folder = _folder(wish.out, draft.name)
    if is_recipe(folder) and read_manifest(folder).artifact_name == draft.name:
        return shown(folder)
    _check_folder(folder)
    manifest = draft.manifest(machine, _free_disk(folder))
    texts = {
        SCRIPT: draft.script,
        REQUIREMENTS: "".join(f"{line}\n" for line in manifest.requirements),
        README: readme(manifest),
    }
    write_folder(folder, manifest, texts)
    return shown(folder)


def drafted(wish: RecipeWish, config: Config, today: date) -> RecipeDraft:
    """Everything but the folder. Raises as ``render``."""
    kind = find_recipe(wish.recipe, wish.models[0] if wish.models else "", wish.method)
    method = kind.method(wish.method)
    values = kind.values(method, wish.settings)
    _check_counts(kind, wish)
    dataset = _dataset(kind, method, wish)
    found = tuple(find_model(text, kind, config) for text in wish.models)
    case = RecipeCase(
        found[0].model, tuple(one.model for one in found[1:]), tuple(one.shape for one in found),
        method, values, dataset,
    )  # fmt: skip
    case = replace(case, parameters={**values, **kind.tools(case)})
    warnings = (*(text for one in found for text in one.warnings), *kind.check(case))
    return RecipeDraft(kind, case, found, script_text(kind), today, wish, warnings)


@dataclass(frozen=True, slots=True)
class RecipeDraft:
    """A checked recipe that is not written yet."""

    kind: RecipeKind
    case: RecipeCase
    found: tuple[FoundModel, ...]
    script: str
    today: date
    wish: RecipeWish
    warnings: tuple[str, ...]

    @property
    def name(self) -> str:
        """The artefact's name, from everything that decides the result."""
        case = self.case
        models = [(m.repository, m.revision, m.sha256) for m in (case.base, *case.others)]
        inputs: dict[str, Any] = {
            "recipe": self.kind.name, "method": case.method.name, "models": models,
            "dataset": case.dataset and case.dataset.sha256, "parameters": to_json(case.parameters),
            "script": digest_of({"text": self.script}), "job": self.wish.job,
            "flavor": self.wish.flavor,
        }  # fmt: skip
        day = self.today.strftime("%Y%m%d")
        return artifact_name(case.base.name, case.method.name, day, inputs)

    def manifest(self, machine: Machine, disk_bytes: int | None) -> RecipeManifest:
        """With the needs and the verdict for this machine or the job's. Raises UsageError for an
        unknown flavor.
        """
        case, environment = self.case, environment_of(self.script)
        needs = self.kind.size(case)
        flavor = self._flavor(needs)
        verdict = (
            self.local_fit(needs, machine, disk_bytes)
            if flavor is None
            else fit_job(needs, flavor, self.kind.gpu)
        )
        return RecipeManifest(
            artifact_name=self.name, recipe=self.kind.name, method=case.method.name,
            created_on=self.today.strftime("%Y%m%d"), modelscan=__version__,
            base=case.base, others=case.others, dataset=case.dataset, paths=self._paths(),
            parameters=dict(case.parameters), python=environment.python,
            requirements=environment.requirements, needs=needs, fit=verdict,
            leaves_machine=local_leaves(case) if flavor is None else job_leaves(case, self.gated),
            cost=cost_of(flavor), job=job_of(flavor) if flavor else None, gated=self.gated,
            produces=self._produces(), warnings=self.warnings,
        )  # fmt: skip

    @property
    def gated(self) -> bool:
        """Whether a repository is only given to people who accepted its terms."""
        return any(one.gated is True for one in self.found)

    def local_fit(self, needs: RecipeNeeds, machine: Machine, disk_bytes: int | None) -> RecipeFit:
        """The verdict for this machine."""
        room = room_of(machine, self.kind.gpu, disk_bytes)
        return fit(needs, room, self.kind.gpu, self._alternatives())

    def _flavor(self, needs: RecipeNeeds) -> Any:
        if not self.wish.job:
            if self.wish.flavor is not None:
                raise UsageError("--flavor is of a job: add --job", hint="--job --flavor l4x1")
            return None
        if not self.kind.jobs:
            raise UsageError(
                f"the recipe {self.kind.name} runs on this machine only, with programs or files "
                "of it", hint="leave out --job",
            )  # fmt: skip
        if self.wish.flavor is not None:
            return find_flavor(self.wish.flavor)
        return smallest_flavor(needs.gpu_bytes, optional_gpu=needs.optional_gpu)

    def _produces(self) -> Any:
        full = self.kind.produces == "adapter" and self.case.parameters.get("adapter") is False
        return "model" if full else self.kind.produces

    def _paths(self) -> RecipePaths:
        base, dataset = self.case.base.path, self.case.dataset
        path = dataset.path if dataset else None
        kind = self._produces()
        if self.kind.produces == "adapter":
            adapter = "adapter" if kind == "adapter" else None
            return RecipePaths(base, path, adapter, "checkpoints", None)
        output = {"gguf": f"{self.name}.gguf", "dataset": "data"}.get(kind, "output")
        return RecipePaths(base, path, None, None, output)

    def _alternatives(self) -> Iterator[Alternative]:
        """Other methods, and smaller sequences and batches, each with what it needs."""
        case, kind = self.case, self.kind
        for method in kind.methods:
            if method.name == case.method.name or (method.dataset == "required") > bool(
                case.dataset
            ):
                continue
            values = {**case.parameters, **method.fixed}
            other = replace(case, method=method, parameters=values)
            yield Alternative(f"--method {method.name}", kind.size(other))
        tokens, batch = case.parameters.get("sequence_tokens"), case.parameters.get("batch")
        while tokens and batch and tokens > 256:
            tokens, batch = tokens // 2, 1
            values = {**case.parameters, "sequence_tokens": tokens, "batch": 1}
            text = f"--set sequence_tokens={tokens} --set batch=1"
            yield Alternative(text, kind.size(replace(case, parameters=values)))


def _check_counts(kind: RecipeKind, wish: RecipeWish) -> None:
    if kind.least_models <= len(wish.models) <= kind.most_models:
        return
    if kind.most_models == 1:
        raise UsageError(
            f"the recipe {kind.name} starts from one model, here {len(wish.models)}",
            hint=f"modelscan recipe render {kind.name} MODEL",
            code="model_count",
        )
    raise UsageError(
        f"the recipe {kind.name} needs {kind.least_models} to {kind.most_models} models, "
        f"here {len(wish.models)}",
        hint=f"modelscan recipe render {kind.name} BASE MODEL --method {kind.methods[0].name}",
        code="model_count",
    )


def _dataset(kind: RecipeKind, method: RecipeMethod, wish: RecipeWish) -> RecipeDataset | None:
    if wish.dataset is None:
        if method.dataset != "required":
            return None
        raise UsageError(
            f"{kind.name} {method.name} needs conversations: --dataset FILE.jsonl",
            hint="modelscan trace dataset chats.jsonl --license CC-BY-4.0 --yes writes one",
            code="no_dataset",
        )
    if method.dataset == "none":
        raise UsageError(f"{kind.name} {method.name} uses no dataset", hint="leave out --dataset")
    return check_dataset(expand(wish.dataset))


def _folder(out: Path | None, name: str) -> Path:
    return (Path.cwd() / name if out is None else expand(out)).resolve()


def _check_folder(folder: Path) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    what = "has other files" if folder.is_dir() else "is a file"
    raise UsageError(
        f"{str(folder)!r} {what}: a recipe is rendered into a folder of its own",
        hint=f"--out {shlex.quote(str(folder) + '-new')}",
        code="folder_in_use",
    )


def _free_disk(folder: Path) -> int | None:
    existing = next(one for one in (folder, *folder.parents) if one.is_dir())
    try:
        return shutil.disk_usage(existing).free
    except OSError:
        return None
