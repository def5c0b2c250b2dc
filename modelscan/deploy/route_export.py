"""The routing file in the formats of ``route export``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from modelscan.deploy.route_bundle import bundle
from modelscan.routing.answers import RoutesExported
from modelscan.routing.edit import load_plain
from modelscan.routing.exports.plano import ENV_FILE, plano_config, variable_names
from modelscan.routing.facts import known_entries
from modelscan.routing.file import read_text
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.world import World
from modelscan.state.files import write_atomic

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.state.config import Config


def write_plano_files(path: Path, file: RoutingFile, world: World) -> tuple[str, ...]:
    """For mode plano_embedded: Plano's file, and the names of the variables for the container.

    The second one has no values: Docker takes those of your shell. Returns what is left out.
    """
    if file.embedded is None:
        return ()
    plano, warnings = plano_config(file, world)
    write_atomic(path.parent / file.embedded.config_path, _yaml(plano))
    names = variable_names(file, plano)
    if names:
        write_atomic(path.with_name(ENV_FILE), "".join(f"{name}\n" for name in names))
    return warnings


def export_routes(
    format: Literal["plano", "bundle"],
    file: RoutingFile,
    world: World,
    config: Config,
    deployments: Callable[[], Sequence[Deployment]],
) -> RoutesExported:
    """The text of the file in that format. Keys are references in every format."""
    if format == "bundle":
        data = load_plain(read_text(config.routing_file) or "")
        entries = known_entries(file.routes, file.providers, world)
        values = bundle(data, deployments(), entries)
        return RoutesExported(format, json.dumps(values, indent=1, ensure_ascii=False) + "\n")
    plano, warnings = plano_config(file, world)
    return RoutesExported(format, _yaml(plano), warnings)


def _yaml(values: Mapping[str, Any]) -> str:
    import yaml

    text: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=4096)
    return text
