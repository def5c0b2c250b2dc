"""The routing file in the formats of ``route export``."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from modelscan.deploy.route_bundle import bundle
from modelscan.routing.answers import RoutesExported
from modelscan.routing.edit import load_plain
from modelscan.routing.exports.plano import plano_config
from modelscan.routing.file import read_text
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.world import World

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.state.config import Config


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
        values = bundle(data, deployments())
        return RoutesExported(format, json.dumps(values, indent=1, ensure_ascii=False) + "\n")
    import yaml

    plano, warnings = plano_config(file, world)
    text = yaml.safe_dump(plano, sort_keys=False, allow_unicode=True, width=4096)
    return RoutesExported(format, text, warnings)
