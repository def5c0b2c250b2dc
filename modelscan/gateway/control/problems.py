"""Errors of the control application in the form of the path: OpenAI's, Ollama's, problem+json."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

_OPENAI = "/v1/models"


class HttpProblem(Exception):
    """A request that is refused. ``code`` is for scripts; ``retry_s``: send it again then.

    ``members`` are more fields of the answer, ``headers`` more header lines.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        retry_s: float | None = None,
        members: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_s = retry_s
        self.members = dict(members or {})
        self.headers = dict(headers or {})


def problem_answer(request: Request, problem: HttpProblem) -> Response:
    """The answer in the dialect of the path (RFC 9457 problem+json, or OpenAI's)."""
    headers = {"WWW-Authenticate": "Bearer"} if problem.status == 401 else {}
    headers |= problem.headers
    if problem.retry_s is not None:
        headers["Retry-After"] = str(math.ceil(problem.retry_s))
    if request.url.path.startswith(_OPENAI):
        kind = "authentication_error" if problem.status == 401 else "invalid_request_error"
        error = {"message": problem.detail, "type": kind, "param": None, "code": problem.code}
        return JSONResponse({"error": error}, problem.status, headers)
    if request.url.path.startswith(("/api/", "/hf/")):  # Ollama's clients, and the hub's
        return JSONResponse({"error": problem.detail}, problem.status, headers)
    body = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        **problem.members,
    }
    return JSONResponse(body, problem.status, headers, media_type="application/problem+json")
