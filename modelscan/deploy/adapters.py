"""``registry check-adapter``: an adapter against a base and the engine to serve it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.adapter import Adapter, AdapterCheck, AdapterFacts, facts_of, failures
from modelscan.core.workload import Backend, Workload
from modelscan.deploy.machine import machine_here
from modelscan.engines.adapter_rules import adapter_checks
from modelscan.engines.registry import ENGINES, engine
from modelscan.models.adapters import base_match, read_adapter
from modelscan.models.resolve import load_subject

if TYPE_CHECKING:
    from modelscan.core.architecture import ModelShape
    from modelscan.core.plan import ResolvedModel
    from modelscan.engines.engine import Engine
    from modelscan.state.config import Config


@dataclass(frozen=True, slots=True)
class AdapterOption:
    """An option with which the engine loads the adapter; ``value`` None: a bare switch."""

    name: str
    value: str | None


@dataclass(frozen=True, slots=True)
class AdapterChecked:
    """An adapter, what was checked and the options that it needs. ``fits``: False where a check
    fails; None where one is not known.

    ``backend_version`` None: no version is installed here, and the newest known one counts.
    """

    adapter: AdapterFacts
    path: str
    base: str
    backend: Backend
    backend_version: str | None
    fits: bool | None
    checks: tuple[AdapterCheck, ...]
    engine_options: tuple[AdapterOption, ...]


def check_adapter(
    path: Path, base: str, config: Config, backend: Backend | None = None,
    version: str | None = None,
) -> AdapterChecked:  # fmt: skip
    """Check an adapter against a model and an engine: as ``deploy --adapter`` does.

    ``backend`` None: the engine that modelscan prefers for the files' format. Raises UsageError
    for an unknown model and where there are no files.
    """
    adapter = read_adapter(path)
    one = engine(backend or _preferred(adapter))
    model = load_subject(base, config, Workload(backend=one.name, backend_version=version))
    adapter = replace(adapter, base_match=base_match(adapter, model, base, config.paths))
    version = version or _installed(one.name, config)
    checks = adapter_checks(one, adapter, _shape(model, one), version)
    options: Iterable[tuple[str, str | None]] = ()
    if not failures(checks):
        options = one.adapter_options((adapter,), version)
    return AdapterChecked(
        facts_of(adapter), adapter.path, model.id, one.name, version, _fits(checks), checks,
        tuple(AdapterOption(name, value) for name, value in options),
    )  # fmt: skip


def _preferred(adapter: Adapter) -> Backend:
    """The engine of the lowest cost that loads the format of the adapter's base."""
    wanted = "gguf" if adapter.format == "gguf" else "safetensors"
    able = [one for one in ENGINES.values() if wanted in one.formats and not one.own_server]
    return min(able, key=lambda one: one.preference).name


def _installed(backend: Backend, config: Config) -> str | None:
    here = machine_here(config, backend=backend).engines
    return next((one.version for one in here if one.name == backend), None)


def _shape(model: ResolvedModel, one: Engine) -> ModelShape | None:
    """The base as the engine would load it; another format of it where there is none."""
    loaded = [c for c in model.candidates if c.variant.format in one.formats]
    chosen = next(iter(loaded or model.candidates), None)
    return None if chosen is None else chosen.shape


def _fits(checks: Iterable[AdapterCheck]) -> bool | None:
    states = {check.state for check in checks}
    if "fails" in states:
        return False
    return None if "unknown" in states else True
