"""The pages as a part of the gateway's control application, imported with their first request."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from modelscan.gateway.control.app import ControlApp, Mount
from modelscan.gateway.control.handler import LateHandlers
from modelscan.gateway.control.mounting import Mounted
from modelscan.gateway.control.problems import HttpProblem
from modelscan.gateway.control.scopes import PAGES

if TYPE_CHECKING:
    from modelscan.api import Workspace
    from modelscan.web.site import Site


def pages(workspace: Workspace) -> Mount:
    """The pages over these settings, for ``serve``."""

    def mount(control: ControlApp) -> Mounted:
        late = _LateSite(control, workspace)
        handlers = LateHandlers(lambda: late.site.handlers())
        return Mounted(handlers.at(row.path for row in PAGES), late.refused)

    return mount


class _LateSite:
    def __init__(self, control: ControlApp, workspace: Workspace) -> None:
        self._control = control
        self._workspace = workspace

    @cached_property
    def site(self) -> Site:
        """The pages of this gateway."""
        from modelscan.web.site import Site

        return Site(self._control, self._workspace)

    def refused(self, request: Request, problem: HttpProblem) -> Response | None:
        """A refusal as a page, for browsers that load one."""
        if "text/html" not in request.headers.get("accept", ""):
            return None
        return self.site.refused(request, problem)
