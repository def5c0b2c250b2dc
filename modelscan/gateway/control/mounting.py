"""Further parts of the control application, which other rooms bring along: the pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from starlette.requests import Request
from starlette.responses import Response

from modelscan.gateway.control.handler import Handler
from modelscan.gateway.control.problems import HttpProblem

if TYPE_CHECKING:
    from modelscan.gateway.control.deployments_api import DeploymentsApi
    from modelscan.gateway.control.gateway import Gateway
    from modelscan.gateway.metrics.families import MetricFamily

Refuse = Callable[[Request, HttpProblem], Response | None]


@dataclass(frozen=True, slots=True)
class Mounted:
    """``handlers`` by the paths of ``scopes.PATHS``; ``refuse`` answers refusals in a form of its
    own where it can (None: it cannot)."""

    handlers: Mapping[str, Handler]
    refuse: Refuse | None = None


class MountHost(Protocol):
    """What a part gets of the application that it is mounted in."""

    gateway: Gateway
    figures: Callable[[], Iterable[MetricFamily]]
    deployments: DeploymentsApi


Mount = Callable[[MountHost], Mounted]
"""Makes a part, once the application that it is mounted in exists."""
