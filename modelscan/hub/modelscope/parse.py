"""Parsers of ModelScope's responses: the OpenAPI for facts, the older API for files.

The older API reports failures with HTTP 200, and its ``Data`` may be a plain list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelscan.core.errors import AuthError, ModelscanError, RemoteError, UsageError
from modelscan.core.foreign import flag, mapping, rows, strings, text, whole
from modelscan.core.model import WeightFile
from modelscan.hub.repo_info import RepoInfo

_MISSING = ("不存在", "not exist", "not found")
_NO_LOGIN = ("not logged in", "未登录", "login", "accesstoken")


def unwrap_openapi(body: Any, repo: str) -> Any:
    """The data of ``{success, data}``. Raises the error for its error code."""
    data = mapping(body)
    if data.get("success") is True and "data" in data:
        return data["data"]
    raise failure(data, repo) or RemoteError("ModelScope sent an answer of an unknown form")


def unwrap_legacy(body: Any, repo: str) -> Any:
    """The data of ``{Code, Data, Success}``, which reports failures with HTTP 200 too."""
    data = mapping(body)
    if data.get("Success") is not False and data.get("Code") in (200, "200") and "Data" in data:
        return data["Data"]
    raise failure(data, repo) or RemoteError("ModelScope sent an answer of an unknown form")


def failure(body: Mapping[str, Any], repo: str) -> ModelscanError | None:
    """The error in a response body; None if it contains none."""
    code = body.get("code") if body.get("code") is not None else body.get("Code")
    message = text(body.get("message")) or text(body.get("Message")) or ""
    if code is None and not message:
        return None
    lowered = f"{code} {message}".lower()
    if code == "ResourceNotFound" or any(word in lowered for word in _MISSING):
        return unknown(repo)
    if code == "InvalidAuthentication" or any(word in lowered for word in _NO_LOGIN):
        return AuthError(
            f"ModelScope requires a login for {repo or 'this request'}: {message or code}",
            hint="modelscan config set modelscope_token env:MODELSCOPE_API_TOKEN",
            details={"repo": repo, "code": code},
        )
    if code == "RateLimitExceed":
        return RemoteError("ModelScope answered: too many requests", code="rate_limited",
                           hint="try again later")  # fmt: skip
    return RemoteError(
        f"ModelScope refused the request: {message or code} (code {code})", details={"repo": repo}
    )


def unknown(repo: str) -> UsageError:
    """The error for a repository that does not exist."""
    return UsageError(
        f"ModelScope has no repository {repo}",
        code="unknown_repo", hint="modelscan catalog search", details={"repo": repo},
    )  # fmt: skip


def parse_info(payload: Any) -> RepoInfo:
    """A model of the OpenAPI. Raises RemoteError if it is not one."""
    data = mapping(payload)
    repo = text(data.get("id"))
    if repo is None or "/" not in repo:
        raise RemoteError("ModelScope sent something that is not a description of a model")
    tags = strings(data.get("tags"))
    gated = flag(data.get("gated"))
    return RepoInfo(
        source="modelscope",
        repo=repo,
        task=next(iter(strings(data.get("tasks"))), None),
        library=next((t[len("library:") :] for t in tags if t.startswith("library:")), None),
        license=text(data.get("license")),
        tags=tags,
        gated=gated if not data.get("login_required") else True,
        private=flag(data.get("private")),
        downloads=whole(data.get("downloads")),
        likes=whole(data.get("likes")),
        created_at=text(data.get("created_at")),
        last_modified=text(data.get("last_modified")),
        description=text(data.get("description")),
        size_bytes=whole(data.get("file_size")) or None,
    )


def parse_listing(payload: Any) -> list[RepoInfo]:
    """A page of the OpenAPI's listing. Raises RemoteError if it is not one."""
    models = mapping(payload).get("models")
    if not isinstance(models, list):
        raise RemoteError("ModelScope sent something that is not a list of models")
    return [parse_info(row) for row in rows(models) if "/" in str(row.get("id"))]


def file_rows(payload: Any) -> list[Mapping[str, Any]]:
    """The entries of a listing: a plain list, or the list under ``Files``."""
    return rows(payload if isinstance(payload, list) else mapping(payload).get("Files"))


def parse_files(entries: Any) -> tuple[WeightFile, ...]:
    """The files among the entries (without folders), sorted by path."""
    files = [
        WeightFile(str(row["Path"]), whole(row.get("Size")), text(row.get("Sha256")))
        for row in entries
        if row.get("Type", "blob") != "tree" and text(row.get("Path"))
    ]
    return tuple(sorted(files, key=lambda f: f.path))
