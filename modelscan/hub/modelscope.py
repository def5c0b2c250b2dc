"""ModelScope (or a mirror of it): the OpenAPI for facts, the older API for files.

Traps that the parsers know: the older API reports failures with HTTP 200, its ``Data`` may be a
bare list, a listing is cut at 3,000 entries without a word, and the default branch is ``master``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from modelscan.catalog.curated import curated
from modelscan.catalog.records import MODELSCOPE, SourceRecord
from modelscan.core.errors import AuthError, ModelscanError, RemoteError, UsageError
from modelscan.core.model import WeightFile
from modelscan.hub.repo_info import (
    RepoInfo,
    flag,
    mapping,
    record,
    rows,
    strings,
    text,
    whole,
)
from modelscan.net.address import public
from modelscan.net.client import HttpClient
from modelscan.net.errors import HttpError

BRANCH = "master"
PAGE = 50  # the server refuses more
WINDOW = 3000  # page_number x page_size may not pass it
FILES_LIMIT = 3000  # a listing of that length may have been cut
MAX_LISTINGS = 64  # requests spent on a repository with more files than that
_MISSING = ("不存在", "not exist", "not found")
_NO_LOGIN = ("not logged in", "未登录", "login", "accesstoken")


# Organisations that mirror other labs' repositories under the repository's own name.
MIRRORS = frozenset({
    "01ai", "ai-modelscope", "iic", "llm-research", "mirror013", "nv-community", "openai-mirror",
    "shanghai_ai_laboratory", "xorbits",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Listing:
    """Files of a revision; ``complete`` is False where the server hid some."""

    files: tuple[WeightFile, ...]
    complete: bool = True


@dataclass(frozen=True, slots=True)
class ModelScope:
    """A hub to ask. ``token`` is the secret itself, never shown."""

    http: HttpClient
    endpoint: str
    token: str | None = None

    def __repr__(self) -> str:
        return f"ModelScope({public(self.endpoint)!r})"

    @property
    def headers(self) -> dict[str, str]:
        """For the OpenAPI."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    @property
    def legacy_headers(self) -> dict[str, str]:
        """For the older API and for downloads."""
        return {"Cookie": f"m_session_id={self.token}"} if self.token else {}

    def info(self, repo: str, revision: str | None = None) -> RepoInfo:
        """One repository's facts, without its files."""
        url = f"{self.endpoint}/openapi/v1/models/{repo}"
        return parse_info(self._ask(repo, url, {}, self.headers, unwrap_openapi))

    def files(self, repo: str, revision: str | None = None) -> Listing:
        """Every file; a listing that was cut is asked again folder by folder."""
        entries = self._files(repo, revision, "", recursive=True)
        if len(entries) < FILES_LIMIT:
            return Listing(parse_files(entries))
        return self._walk(repo, revision, entries)

    def _walk(self, repo: str, revision: str | None, first: list[Mapping[str, Any]]) -> Listing:
        found = {str(row.get("Path")): row for row in first}
        waiting, spent, complete = [""], 0, True
        while waiting:
            folder = waiting.pop()
            if spent >= MAX_LISTINGS:
                return Listing(parse_files(found.values()), complete=False)
            here = self._files(repo, revision, folder, recursive=False)
            spent += 1
            complete = complete and len(here) < FILES_LIMIT
            found.update((str(row.get("Path")), row) for row in here)
            for child in [str(r.get("Path")) for r in here if r.get("Type") == "tree"]:
                below = self._files(repo, revision, child, recursive=True)
                spent += 1
                found.update((str(row.get("Path")), row) for row in below)
                if len(below) >= FILES_LIMIT:
                    waiting.append(child)
        return Listing(parse_files(found.values()), complete)

    def _files(
        self, repo: str, revision: str | None, root: str, *, recursive: bool
    ) -> list[Mapping[str, Any]]:
        query = {"Revision": revision or BRANCH, "Recursive": str(recursive)}
        url = f"{self.endpoint}/api/v1/models/{repo}/repo/files"
        asked = {**query, **({"Root": root} if root else {})}
        return file_rows(self._ask(repo, url, asked, self.legacy_headers, unwrap_legacy))

    def file_url(self, repo: str, path: str, revision: str | None = None) -> str:
        """The address of one file."""
        query = f"Revision={quote(revision or BRANCH, safe='')}&FilePath={quote(path, safe='')}"
        return f"{self.endpoint}/api/v1/models/{repo}/repo?{query}"

    def page_url(self, repo: str) -> str:
        """The address a person opens."""
        return public(f"{self.endpoint}/models/{repo}")

    def search(self, words: str, *, limit: int = 20, task: str | None = None) -> list[RepoInfo]:
        """Repositories by name, most downloaded first."""
        found: list[RepoInfo] = []
        for page in range(1, WINDOW // PAGE + 1):
            data = self._page(words, page, task)
            found.extend(parse_listing(data))
            total = whole(mapping(data).get("total_count"))
            if len(found) >= min(limit, total if total is not None else limit):
                break
            if not rows(mapping(data).get("models")):
                break
        return found[:limit]

    def _page(self, words: str, page: int, task: str | None) -> Any:
        query = {"page_number": str(page), "page_size": str(PAGE), "sort": "downloads"}
        query |= {"search": words} if words else {}
        query |= {"filter.task": task} if task else {}
        url = f"{self.endpoint}/openapi/v1/models"
        return self._ask("", url, query, self.headers, unwrap_openapi)

    def popular(self, limit: int) -> tuple[SourceRecord, ...]:
        """The most downloaded text models, for ``catalog sync``."""
        infos = self.search("", limit=limit, task="text-generation")
        found = {info.repo: record_of(info) for info in infos}
        if not found:
            raise RemoteError(
                f"{public(self.endpoint)} lists no models", hint="modelscan config show"
            )
        return tuple(found.values())

    def explain(self, error: HttpError, repo: str) -> ModelscanError:
        """What a refused request means for a person."""
        try:
            body = json.loads(error.body)
        except (ValueError, RecursionError):
            body = None
        if isinstance(body, dict) and error.status != 429 and (error.status or 0) < 500:
            refused = failure(body, repo)
            if refused is not None:
                return refused
        if error.status == 404 and repo:
            return unknown(repo)
        return error

    def _ask(
        self,
        repo: str,
        url: str,
        params: Mapping[str, str],
        headers: Mapping[str, str],
        unwrap: Any,
    ) -> Any:
        try:
            answer = self.http.get(url, params=params or None, headers=headers)
        except HttpError as error:
            raise self.explain(error, repo) from error
        return unwrap(answer.json(), repo)


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
        source=MODELSCOPE,
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


def record_of(info: RepoInfo) -> SourceRecord:
    """A record that may be joined to another hub's model of the same name, where that is safe.

    Anyone may publish under a famous name: only labs, converters and mirrors keep the bare name,
    by which records are joined; everybody else's owner is part of it.
    """
    owner = info.repo.partition("/")[0].lower()
    known = curated()
    trusted = known.lab(owner) is not None or owner in known.converters or owner in MIRRORS
    made = record(info)
    return made if trusted else replace(made, name=info.repo)


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
