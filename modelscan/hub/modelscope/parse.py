"""What ModelScope answers, as values: the OpenAPI for facts, the older API for files.

Traps: the older API reports failures with HTTP 200 and its ``Data`` may be a bare list.
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
    """``{success, data}``; raises what its error code means."""
    data = mapping(body)
    if data.get("success") is True and "data" in data:
        return data["data"]
    raise failure(data, repo) or RemoteError("ModelScope sent an answer of an unknown form")


def unwrap_legacy(body: Any, repo: str) -> Any:
    """``{Code, Data, Success}``, which reports failures with HTTP 200 too."""
    data = mapping(body)
    if data.get("Success") is not False and data.get("Code") in (200, "200") and "Data" in data:
        return data["Data"]
    raise failure(data, repo) or RemoteError("ModelScope sent an answer of an unknown form")


def failure(body: Mapping[str, Any], repo: str) -> ModelscanError | None:
    """The error an envelope describes; None when it describes none."""
    code = body.get("code") if body.get("code") is not None else body.get("Code")
    said = text(body.get("message")) or text(body.get("Message")) or ""
    if code is None and not said:
        return None
    lowered = f"{code} {said}".lower()
    if code == "ResourceNotFound" or any(word in lowered for word in _MISSING):
        return unknown(repo)
    if code == "InvalidAuthentication" or any(word in lowered for word in _NO_LOGIN):
        return AuthError(
            f"ModelScope wants a login for {repo or 'this'}: {said or code}",
            hint="modelscan config set modelscope_token env:MODELSCOPE_API_TOKEN",
            details={"repo": repo, "code": code},
        )
    if code == "RateLimitExceed":
        return RemoteError("ModelScope answered: too many requests", code="rate_limited",
                           hint="try again later")  # fmt: skip
    return RemoteError(f"ModelScope refused: {said or code} (code {code})", details={"repo": repo})


def unknown(repo: str) -> UsageError:
    """The error for a repository that is not there."""
    return UsageError(
        f"ModelScope has no repository {repo}",
        code="unknown_repo", hint="modelscan catalog search", details={"repo": repo},
    )  # fmt: skip


def parse_info(payload: Any) -> RepoInfo:
    """A model of the OpenAPI; raises RemoteError when it is none."""
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
    """A page of the OpenAPI's listing; raises RemoteError when it is none."""
    models = mapping(payload).get("models")
    if not isinstance(models, list):
        raise RemoteError("ModelScope sent something that is not a list of models")
    return [parse_info(row) for row in rows(models) if "/" in str(row.get("id"))]


def file_rows(payload: Any) -> list[Mapping[str, Any]]:
    """The entries of a listing: a bare list, or under ``Files``."""
    return rows(payload if isinstance(payload, list) else mapping(payload).get("Files"))


def parse_files(entries: Any) -> tuple[WeightFile, ...]:
    """Entries as files, folders left out, sorted."""
    found = [
        WeightFile(str(row["Path"]), whole(row.get("Size")), text(row.get("Sha256")))
        for row in entries
        if row.get("Type", "blob") != "tree" and text(row.get("Path"))
    ]
    return tuple(sorted(found, key=lambda f: f.path))
