"""Every fact about a model with its sources, its fit on this machine, and comparisons of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from modelscan.core.fit import Fit
from modelscan.core.here import ModelHere
from modelscan.core.model import (
    Capabilities,
    Model,
    Offering,
    Provenance,
    Spec,
    TokenLimits,
    Variant,
)
from modelscan.core.reference import parse_reference
from modelscan.models.fit import fit_of
from modelscan.models.hub_facts import with_hub_facts

if TYPE_CHECKING:
    from modelscan.core.machine import Machine
    from modelscan.state.config import Config


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The facts of a ``core.model.Model`` that are not lists of their own. Unknown is None."""

    id: str
    name: str
    lab: str | None
    family: str | None
    description: str | None
    task: str | None
    open_weights: bool | None
    license: str | None
    parameters: int | None
    active_parameters: int | None
    capabilities: Capabilities
    limits: TokenLimits
    modalities_in: tuple[str, ...] | None
    modalities_out: tuple[str, ...] | None
    knowledge: str | None
    release_date: str | None
    last_updated: str | None
    status: str | None
    tags: tuple[str, ...]
    aliases: tuple[str, ...]
    benchmarks: tuple[Mapping[str, Any], ...]
    downloads: int | None


@dataclass(frozen=True, slots=True)
class OtherValue:
    """The value of another source for the same field."""

    source: str
    value: Any


@dataclass(frozen=True, slots=True)
class FieldOrigin:
    """The source of a field's value, and the sources that have another value."""

    source: str
    retrieved_at: str | None
    others: tuple[OtherValue, ...]


@dataclass(frozen=True, slots=True)
class ComparedModel:
    """One model: facts, then its providers, recipes and downloads."""

    model: ModelFacts
    offerings: tuple[Offering, ...]
    specs: tuple[Spec, ...]
    variants: tuple[Variant, ...]
    repos: tuple[str, ...]
    provenance: Mapping[str, FieldOrigin]
    architecture: Mapping[str, Any] | None
    deployable: bool
    fit: Fit


@dataclass(frozen=True, slots=True)
class ModelInfo(ComparedModel):
    """One model, with open ``alternatives`` (ids) if its weights are closed."""

    alternatives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Models in the order of the request, and for each the entries of the routing file."""

    models: tuple[ComparedModel, ...]
    here: tuple[ModelHere, ...] = ()


def is_closed(model: Model) -> bool:
    """Nothing to download: weights are marked closed, and no source lists any."""
    return model.open_weights is False and not model.variants


def find_info(
    text: str, machine: Machine, config: Config
) -> tuple[Model, ModelInfo, tuple[str, ...]]:
    """The model that ``text`` names, every fact about it, and notes about how the name was read.

    Raises UsageError for an unknown or ambiguous name, and the hub's errors for a repository.
    """
    from modelscan.catalog.alternatives import among
    from modelscan.catalog.hub_model import catalog_or_hub_model
    from modelscan.catalog.index.current import open_index
    from modelscan.catalog.search.spelled_names import note

    index = open_index(config.paths)
    try:
        model = catalog_or_hub_model(index, text, config)
        alternatives = tuple(among(index, model)) if is_closed(model) else ()
        noted = note(index, parse_reference(text).value, model)
    finally:
        index.close()
    info = ModelInfo(**_facts_of(model, machine, config), alternatives=alternatives)
    return model, info, (noted,) if noted else ()


def find_comparison(
    texts: Sequence[str], machine: Machine, config: Config
) -> tuple[tuple[Model, ...], Comparison]:
    """The models of these names. Raises UsageError for an unknown or ambiguous one."""
    from modelscan.catalog.search.lookup import find_model

    models = tuple(find_model(text, config.paths) for text in texts)
    compared = tuple(ComparedModel(**_facts_of(model, machine, config)) for model in models)
    return models, Comparison(compared)


def _facts_of(model: Model, machine: Machine, config: Config) -> dict[str, Any]:
    """The fields of ``ComparedModel``; the variants with a hub's stored answers."""
    fit = fit_of(model, machine, config)
    model = with_hub_facts(model, config.paths)
    facts = {field.name: getattr(model, field.name) for field in fields(ModelFacts)}
    return {
        "model": ModelFacts(**facts),
        "offerings": model.offerings,
        "specs": model.specs,
        "variants": model.variants,
        "repos": model.repos,
        "provenance": {name: _origin(p) for name, p in sorted(model.provenance.items())},
        "architecture": model.architecture,
        "deployable": not is_closed(model),
        "fit": fit,
    }


def _origin(origin: Provenance) -> FieldOrigin:
    others = tuple(OtherValue(source, value) for source, value in origin.others)
    return FieldOrigin(origin.source, origin.retrieved_at, others)
