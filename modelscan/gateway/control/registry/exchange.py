"""What the registry's requests have in common: ETags, bodies, causes as statuses, threads."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from modelscan.core.errors import ModelscanError
from modelscan.gateway.control.problems import HttpProblem
from modelscan.gateway.control.threads import in_database
from modelscan.registry.refused import RefusalCause, RegistryRefused

T = TypeVar("T")
MOST_BODY = 2 * 1024 * 1024
_JSON = ("application/json", "application/merge-patch+json")
_ETAG = re.compile(r'(W/)?"([^"]*)"')
_STATUS: Mapping[RefusalCause, int] = {
    "invalid": 422,
    "unknown_model": 404,
    "unknown_version": 404,
    "unknown_alias": 404,
    "unknown_tag": 404,
    "exists": 409,
    "stale": 412,
    "version_published": 409,
    "not_published": 409,
    "policy": 403,
    "in_use": 409,
    "unknown_curation": 404,
    "closed": 409,
    "same_person": 409,
    "gate_not_met": 409,
    "unmatched": 422,
    "ambiguous": 409,
}


async def in_thread(work: Callable[[], T]) -> T:
    """Run work on the database in a thread; refusals become problems."""
    try:
        return await in_database(work)
    except RegistryRefused as refused:
        raise problem_of(refused) from None
    except ModelscanError as error:
        raise HttpProblem(503, error.code, error.message, retry_s=1) from None


def problem_of(refused: RegistryRefused) -> HttpProblem:
    """A refusal as an answer; a stale ETag comes with the current one."""
    headers = {} if refused.etag is None else {"etag": quoted(refused.etag)}
    members: dict[str, Any] = dict(refused.details)
    members |= {} if refused.etag is None else {"etag": refused.etag}
    return HttpProblem(
        _STATUS[refused.cause], refused.cause, refused.message, members=members, headers=headers
    )


def quoted(etag: str) -> str:
    """An ETag as a header has it."""
    return f'"{etag}"'


def expected_etags(request: Request, *, required: bool) -> frozenset[str] | None:
    """The ETags of ``If-Match``, ``*`` as it is; None: there is no such header.

    Raises HttpProblem 428 where it is required. Weak ETags match nothing.
    """
    text = request.headers.get("if-match")
    if text is None:
        if required:
            raise HttpProblem(
                428, "if_match_required", "this request needs If-Match with the ETag that was read"
            )
        return None
    if text.strip() == "*":
        return frozenset("*")
    return frozenset(etag for weak, etag in _ETAG.findall(text) if not weak and etag != "*")


def is_known(request: Request, etag: str) -> bool:
    """Whether ``If-None-Match`` has this ETag (without quotes), weak or not."""
    text = request.headers.get("if-none-match")
    if text is None:
        return False
    return text.strip() == "*" or etag in (value for _, value in _ETAG.findall(text))


async def json_body(request: Request, *, needed: bool = True) -> dict[str, Any]:
    """The JSON object of a request. Raises HttpProblem 400, 413 or 415."""
    length = request.headers.get("content-length", "")
    body = b"" if length.isdigit() and int(length) > MOST_BODY else await request.body()
    if len(body) > MOST_BODY or (not body and length.isdigit() and int(length) > MOST_BODY):
        raise HttpProblem(413, "too_large", f"the body is larger than {MOST_BODY:,} bytes")
    if not body and not needed:
        return {}
    kind = request.headers.get("content-type", _JSON[0]).partition(";")[0].strip().lower()
    if kind not in _JSON:
        raise HttpProblem(415, "media_type", f"the body is {' or '.join(_JSON)}, not {kind}")
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise HttpProblem(
            400, "malformed_request", f"the body is no JSON object: {error}"
        ) from None


def record_answer(
    request: Request, body: bytes, etag: str, status: int = 200, **headers: str
) -> Response:
    """A record with its ETag; 304 where the client has it."""
    lines = {"etag": quoted(etag), "cache-control": "private, no-cache", **headers}
    if status == 200 and request.method in ("GET", "HEAD") and is_known(request, etag):
        return Response(status_code=304, headers=lines)
    return Response(body, status, lines, media_type="application/json")
