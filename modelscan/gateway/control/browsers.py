"""What a browser's requests must be: to this gateway's own name, changes from its own pages."""

from __future__ import annotations

import re
from collections.abc import Sequence

from starlette.requests import Request

from modelscan.gateway.control.problems import HttpProblem

_READING = ("GET", "HEAD", "OPTIONS")
_OWN_SITE = ("same-origin", "none")


def from_browser(request: Request) -> bool:
    """Whether a web page may have sent it: browsers add these headers, no page can omit them."""
    return "origin" in request.headers or "sec-fetch-site" in request.headers


def check_host(request: Request, hosts: Sequence[str] | None) -> None:
    """Raises HttpProblem (421) for a foreign name that was made to point here; None: all are
    accepted. The workers check it, too, but not of requests with a key that is wrong.
    """
    name = host_name(request.headers.get("host", ""))
    if hosts is not None and name and name not in {one.lower().strip("[]") for one in hosts}:
        raise HttpProblem(421, "foreign_host", f"the host name {name} is not one of this gateway's")


def host_name(value: str) -> str:
    """The Host header's value in lower case, without a port; all of it where that is no number."""
    value = value.strip().lower()
    if value.startswith("["):
        name, _, rest = value[1:].partition("]")
    else:
        name, colon, port = value.partition(":")
        rest = colon + port
    return name if re.fullmatch(r"(:\d*)?", rest, re.ASCII) else value


def check_site(request: Request) -> None:
    """Raises HttpProblem (403) for a change that a page of another origin sends: another port is
    another origin, too.
    """
    if request.method in _READING or not from_browser(request):
        return
    site = request.headers.get("sec-fetch-site", "same-origin")
    place = request.headers.get("origin", "").partition("://")[2].lower()
    origin = request.headers.get("origin")
    if site not in _OWN_SITE or (
        origin is not None and place != request.headers.get("host", "").lower()
    ):
        raise HttpProblem(403, "foreign_page", "pages of other origins may not change anything")
