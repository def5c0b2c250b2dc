"""A file's bytes as they arrive: for downloads, which take as long as they take.

Only silence is limited in time. What has arrived was handed on before a connection breaks, so a
caller that kept it goes on from there.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from modelscan.net.errors import HttpError, host_of, public, reason_of, status_error
from modelscan.net.wire import phases, refuse_downgrade

if TYPE_CHECKING:
    import httpx

MAX_REDIRECTS = 5
_ERROR_BODY_BYTES = 2048
_END_OF_FILE = 416
_PARTIAL = 206


def stream(
    client: httpx.Client, url: str, start: int, headers: Mapping[str, str], silence_s: float
) -> Iterator[bytes]:
    """The bytes from ``start`` to the end; nothing where the file ends there.

    Raises HttpError: ``no_ranges`` where the server would begin at another place, ``broken`` for a
    connection that failed or fell silent.
    """
    import httpx

    sent = {**headers, "Accept-Encoding": "identity"}
    if start:
        sent["Range"] = f"bytes={start}-"
    extensions = {"timeout": phases(silence_s)}
    request = client.build_request("GET", url, headers=sent, extensions=extensions)
    try:
        for _ in range(MAX_REDIRECTS + 1):
            response = client.send(request, stream=True, follow_redirects=False)
            with contextlib.closing(response):
                if response.next_request is None:
                    yield from _body(url, response, start)
                    return
                refuse_downgrade(request, response.next_request)
                request = response.next_request
    except httpx.HTTPError as error:
        raise HttpError(
            f"{host_of(url)}: {reason_of(error)}", url=url, code="broken", hint="try again"
        ) from error
    raise HttpError(
        f"{public(url)} was redirected more than {MAX_REDIRECTS} times", url=url, code="redirects",
        hint="check the endpoint: modelscan config show",
    )  # fmt: skip


def _body(url: str, response: httpx.Response, start: int) -> Iterator[bytes]:
    if response.status_code == _END_OF_FILE and start:
        return
    if response.status_code >= 300:
        said = b"".join(part for part, _ in zip(response.iter_bytes(), range(1), strict=False))
        headers = {name.lower(): value for name, value in response.headers.items()}
        raise status_error(url, response.status_code, headers, said[:_ERROR_BODY_BYTES])
    if start and not _begins_at(start, response):
        raise HttpError(
            f"{host_of(url)} sends no parts of files", url=url, status=response.status_code,
            code="no_ranges",
        )  # fmt: skip
    yield from response.iter_bytes()


def _begins_at(start: int, response: httpx.Response) -> bool:
    said = re.match(r"bytes (\d+)-", response.headers.get("content-range", ""))
    return response.status_code == _PARTIAL and said is not None and int(said[1]) == start
