"""``catalogs/aliases.yaml`` as values: labs and their organizations, converters, curated links."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from modelscan.core.yaml_reader import yaml_value
from modelscan.formats.repo_names import owner
from modelscan.state.bundled import bundled_dir

_JOINTS = re.compile(r"[-_ ]")  # ai21-labs is ai21labs


@dataclass(frozen=True, slots=True)
class Curated:
    """Curated facts that no rule can derive. All keys are in lower case."""

    reviewed: str | None = None  # RFC 3339 UTC
    orgs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # lab -> its organizations
    labs: Mapping[str, str] = field(default_factory=dict)  # any name of a lab -> lab
    converters: frozenset[str] = frozenset()
    families: Mapping[str, str] = field(default_factory=dict)  # first word -> lab
    moving: frozenset[str] = frozenset()
    brands: frozenset[str] = frozenset()
    derived_words: frozenset[str] = frozenset()  # of changed weights, in repositories' names
    packing_words: frozenset[str] = frozenset()  # of the same weights in another format
    endings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # lab -> omissible endings
    known_repositories: tuple[str, ...] = ()
    known_repositories_of_unknown_format: tuple[str, ...] = ()
    known_conversions: Mapping[str, str] = field(default_factory=dict)  # repository -> its original
    known_formats: Mapping[str, str] = field(default_factory=dict)  # repository -> quantization
    # repository -> parameters, and the active ones of a mixture of experts
    known_parameters: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    known_architectures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    repositories: Mapping[str, str] = field(default_factory=dict)  # catalog id -> repository
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # catalog id -> other names
    ollama: Mapping[str, str] = field(default_factory=dict)  # Ollama's name:tag -> catalog id

    def lab(self, name: str | None) -> str | None:
        """The lab with that name or organization, or None."""
        if not name:
            return None
        plain = name.lower()
        return self.labs.get(plain) or self.labs.get(_JOINTS.sub("", plain))

    def lab_of_repo(self, repo: str) -> str | None:
        """The lab that owns a repository, or None."""
        return self.labs.get(owner(repo))

    def official(self, repo: str) -> bool:
        """True if a known lab published the repository; its name may still mark it as converted."""
        return owner(repo) in self.labs and owner(repo) not in self.converters


def from_mapping(data: Mapping[str, Any]) -> Curated:
    """The parsed YAML as values."""
    orgs: dict[str, tuple[str, ...]] = {}
    labs: dict[str, str] = {}
    for lab, entry in data.get("labs", {}).items():
        orgs[lab] = tuple(entry.get("orgs", ()))
        for name in (lab, *entry.get("orgs", ()), *entry.get("names", ())):
            labs[name.lower()] = lab
    return Curated(
        reviewed=data.get("reviewed"),
        orgs=orgs,
        labs=labs,
        converters=frozenset(o.lower() for o in data.get("converters", ())),
        families=dict(data.get("families", {})),
        moving=frozenset(data.get("moving", ())),
        brands=frozenset(data.get("brands", ())),
        derived_words=frozenset(data.get("derived_words", ())),
        packing_words=frozenset(data.get("packing_words", ())),
        endings={lab: tuple(words) for lab, words in data.get("endings", {}).items()},
        known_repositories=tuple(data.get("known_repositories", ())),
        known_repositories_of_unknown_format=tuple(
            data.get("known_repositories_of_unknown_format", ())
        ),
        known_conversions=dict(data.get("known_conversions", {})),
        known_formats=dict(data.get("known_formats", {})),
        known_parameters={k: tuple(v) for k, v in data.get("known_parameters", {}).items()},
        known_architectures=dict(data.get("known_architectures", {})),
        repositories={k.lower(): v for k, v in data.get("repositories", {}).items()},
        names={k: tuple(v) for k, v in data.get("names", {}).items()},
        ollama=dict(data.get("ollama", {})),
    )


@lru_cache(maxsize=1)
def curated() -> Curated:
    """The bundled file."""
    text = (bundled_dir() / "aliases.yaml").read_text(encoding="utf-8")
    return from_mapping(yaml_value(text))
