"""Further parts of the control application, which other rooms bring along: the pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from modelscan.gateway.control.problems import HttpProblem

if TYPE_CHECKING:
    from modelscan.gateway.control.app import ControlApp

Handler = Callable[[Request], Awaitable[Response]]
Refuse = Callable[[Request, HttpProblem], Response | None]


@dataclass(frozen=True, slots=True)
class Mounted:
    """``handlers`` by the paths of ``scopes.PATHS``; ``refuse`` answers refusals in a form of its
    own where it can (None: it cannot)."""

    handlers: Mapping[str, Handler]
    refuse: Refuse | None = None


Mount = Callable[["ControlApp"], Mounted]
"""Makes a part, once the application that it is mounted in exists."""
