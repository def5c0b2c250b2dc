"""The passport for any reference: a model, a hub's repository, a file or a folder."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelscan.catalog.passport.facts import Passport, from_model
from modelscan.catalog.passport.from_hub import from_hub
from modelscan.core.errors import RemoteError
from modelscan.core.reference import Kind, Reference, parse_reference
from modelscan.hub.neighbours.find import find_neighbour

if TYPE_CHECKING:
    from modelscan.core.model import Model
    from modelscan.state.config import Config


@dataclass(frozen=True, slots=True)
class PassportAnswer(Passport):
    """A passport and the query it answers."""

    query: str = ""


def passport_answer(query: str, passport: Passport) -> PassportAnswer:
    """``passport`` as the answer to ``query``."""
    values: dict[str, Any] = {f.name: getattr(passport, f.name) for f in fields(Passport)}
    return PassportAnswer(**values, query=query)


def find_passport(text: str, config: Config, *, checksum: bool = False) -> PassportAnswer:
    """License, lineage, exact parameters, and files with their SHA-256.

    ``checksum`` computes the SHA-256 of local files, which reads all of them. Raises UsageError for
    an unknown name, RemoteError if a hub fails and the catalog has no facts either.
    """
    reference = parse_reference(text)
    if reference.kind is Kind.PATH:
        passport = _local(reference.value, checksum=checksum)
    elif reference.kind is Kind.NEIGHBOUR:
        found = find_neighbour(reference.value)
        passport = _local(found.folder or found.files[0], checksum=checksum)
    elif reference.kind is Kind.NAME:
        passport = _by_name(text, config)
    else:
        passport = _hub_or_catalog(reference, text, config)
    return passport_answer(text, passport)


def _local(path: str, *, checksum: bool) -> Passport:
    from modelscan.catalog.passport.from_local import local_passport

    return local_passport(Path(path), checksum=checksum)


def _by_name(text: str, config: Config) -> Passport:
    """The passport of a catalog model: from its hub, or from the catalog if it has no
    repository.
    """
    from modelscan.catalog.search.lookup import find_model

    model = find_model(text, config.paths)
    local = next((v.repo for v in model.variants if v.source == "local_path"), None)
    if local is not None:
        return replace(_local(local, checksum=False), id=model.id)
    reference = _repository(text, model, config)
    if reference is None:
        return _without_weights(model, config)
    return replace(_hub_or_catalog(reference, text, config, model), id=model.id)


def _hub_or_catalog(
    reference: Reference, text: str, config: Config, model: Model | None = None
) -> Passport:
    """The passport from the hub; from the catalog if the hub fails or the network is off."""
    from modelscan.catalog.search.lookup import find_known
    from modelscan.hub.repository import Hub

    try:
        with Hub.from_config(config) as hub:
            return from_hub(hub, reference)
    except RemoteError as error:
        model = model or find_known(text, config.paths)
        if model is None:
            raise
        note = f"no facts from the hub ({error.message}): these are the catalog's"
        return replace(from_model(model), repo=reference.value, warnings=(note,))


def _repository(text: str, model: Model, config: Config) -> Reference | None:
    """The repository named by ``text``, else the model's released weights."""
    variants = {v.repo: v for v in model.variants}
    exact = next((r for r in (*model.repos, *variants) if r.lower() == text.lower()), None)
    repo = exact or next(iter((*model.repos, *variants)), None)
    if repo is None:
        return None
    variant = variants.get(repo)
    if variant is not None and variant.source == "modelscope":
        return Reference(Kind.MODELSCOPE, repo)
    prefers_modelscope = config.source == "modelscope"
    if variant is not None and variant.modelscope_repo and prefers_modelscope:
        return Reference(Kind.MODELSCOPE, variant.modelscope_repo)
    return Reference(Kind.HUGGINGFACE, repo)


def _without_weights(model: Model, config: Config) -> Passport:
    from modelscan.catalog.alternatives import open_alternatives

    if model.open_weights is False:
        note = f"{model.name} has closed weights: only its owner can run it"
        alternatives = open_alternatives(model, config.paths)
        return replace(from_model(model, alternatives=alternatives), warnings=(note,))
    note = f"the catalog has no repository with weights for {model.id}"
    return replace(from_model(model), warnings=(note,))
