"""A catalog model with a hub's facts about its repositories: files with sizes, and config.json.

Both come from the kept answers (``hub.answers_kept``), with or without a network.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.architecture import PARTIAL
from modelscan.core.model import Provenance, Variant
from modelscan.formats.files import projectors
from modelscan.hub.answers_kept import KeptAnswers
from modelscan.hub.repo_info import RepoInfo

if TYPE_CHECKING:
    from modelscan.core.model import Model
    from modelscan.hub.answers_kept import FileHeader, FileList
    from modelscan.state.paths import Paths


def with_hub_facts(model: Model, paths: Paths) -> Model:
    """The model with the variants of listed repositories, and the config.json that was read.

    Repositories that do not exist lose their variants. Unchanged if no answer is kept.
    """
    kept = KeptAnswers.at(paths)
    if not kept.folder.is_dir():
        return model
    model = _with_conversions(model, kept)
    return _with_config(replace(model, variants=tuple(_variants(model, kept))), kept)


def header_of(model: Model, variant: Variant, paths: Paths) -> FileHeader | None:
    """The header of a file of the variant's repository, where no config.json is known."""
    if model.architecture is not None and not model.architecture.get(PARTIAL):
        return None
    if variant.format != "gguf":
        return None
    return KeptAnswers.at(paths).header(variant.source, variant.repo)


def searched(model: Model, paths: Paths) -> bool:
    """Whether a hub was queried for the GGUF repositories of a model."""
    kept = KeptAnswers.at(paths)
    return any(kept.conversions("huggingface", repo) is not None for repo in model.repos[:1])


def _with_conversions(model: Model, kept: KeptAnswers) -> Model:
    """The GGUF repositories that a hub listed for a model, where the catalog has none."""
    if any(variant.format == "gguf" for variant in model.variants):
        return model
    for repo in model.repos[:1]:
        found = kept.conversions("huggingface", repo)
        names = found.repositories if found else ()
        added = (Variant(name, "gguf", None, link_reason=f"{repo} is its base") for name in names)
        return replace(model, variants=(*model.variants, *added))
    return model


def _variants(model: Model, kept: KeptAnswers) -> Iterator[Variant]:
    """GGUF variants of listed repositories in the place of the first one, all others unchanged."""
    done: set[tuple[str, str]] = set()
    for variant in model.variants:
        key = (variant.source, variant.repo)
        listed = kept.files(*key) if variant.format == "gguf" else None
        if listed is None:
            yield variant
        elif key not in done:
            done.add(key)
            yield from _listed(listed, variant)


def _listed(listed: FileList, known: Variant) -> Iterator[Variant]:
    """The variants of one repository, with its projector among their files."""
    from modelscan.hub.variants import variants

    if listed.files is None:
        return
    info = RepoInfo(
        listed.source, listed.repo, listed.commit, gated=listed.gated, files=listed.files,
        downloads=listed.downloads or known.downloads,
    )  # fmt: skip
    projector = tuple(projectors(listed.files)[:1])
    for variant in variants(info):
        if variant.files:
            yield replace(
                variant,
                files=(*variant.files, *projector),
                link_reason=known.link_reason,
                modelscope_repo=known.modelscope_repo,
                listing="whole" if listed.complete else None,
                listed_at=listed.retrieved_at,
            )


def _with_config(model: Model, kept: KeptAnswers) -> Model:
    """The config.json that was read, where the catalog has none or only a table's sizes."""
    if model.architecture is not None and not model.architecture.get(PARTIAL):
        return model
    own = [v for v in model.variants if v.repo in model.repos]
    for variant in dict.fromkeys((*own, *model.variants)):
        stated = kept.config(variant.source, variant.repo)
        if stated is not None and stated.config is not None:
            origin = Provenance(f"{variant.source} ({variant.repo})", stated.retrieved_at)
            provenance = {**model.provenance, "architecture": origin}
            return replace(model, architecture=stated.config, provenance=provenance)
    return model
