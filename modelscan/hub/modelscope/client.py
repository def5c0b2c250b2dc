"""Requests to ModelScope (or a mirror): the OpenAPI for facts, the older API for files.

The older API reports failures with HTTP 200, its ``Data`` may be a plain list, listings are cut at
3,000 entries without notice, and the default branch is ``master``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from modelscan.core.errors import ModelscanError
from modelscan.core.foreign import mapping, rows, whole
from modelscan.core.json_reader import json_value
from modelscan.core.model import WeightFile
from modelscan.hub.endpoint import Endpoint
from modelscan.hub.modelscope.parse import (
    failure,
    file_rows,
    parse_files,
    parse_info,
    parse_listing,
    unknown,
    unwrap_legacy,
    unwrap_openapi,
)
from modelscan.hub.repo_info import RepoInfo
from modelscan.net.address import public
from modelscan.net.errors import HttpError

BRANCH = "master"
PAGE = 50  # the server's maximum
WINDOW = 3000  # page_number x page_size must not exceed it
FILES_LIMIT = 3000  # a listing of this length may be incomplete
MAX_LISTINGS = 64  # requests for a repository with more files than that


@dataclass(frozen=True, slots=True)
class Listing:
    """Files of a revision; ``complete`` is False if the server left some out."""

    files: tuple[WeightFile, ...]
    complete: bool = True


@dataclass(frozen=True, slots=True, repr=False)
class ModelScope(Endpoint):
    """Facts, files and searches of ModelScope; ``headers`` are for the OpenAPI."""

    @property
    def legacy_headers(self) -> dict[str, str]:
        """Headers for the older API and for downloads."""
        return {"Cookie": f"m_session_id={self.token}"} if self.token else {}

    def info(self, repo: str, revision: str | None = None) -> RepoInfo:
        """The facts of one repository, without its files."""
        url = f"{self.endpoint}/openapi/v1/models/{repo}"
        return parse_info(self._ask(repo, url, {}, self.headers, unwrap_openapi))

    def files(self, repo: str, revision: str | None = None) -> Listing:
        """All files; an incomplete listing is requested again, folder by folder."""
        entries = self._files(repo, revision, "", recursive=True)
        if len(entries) < FILES_LIMIT:
            return Listing(parse_files(entries))
        return self._walk(repo, revision, entries)

    def _walk(self, repo: str, revision: str | None, first: list[Mapping[str, Any]]) -> Listing:
        entries = {str(row.get("Path")): row for row in first}
        folders, requests, complete = [""], 0, True
        while folders:
            folder = folders.pop()
            if requests >= MAX_LISTINGS:
                return Listing(parse_files(entries.values()), complete=False)
            children = self._files(repo, revision, folder, recursive=False)
            requests += 1
            complete = complete and len(children) < FILES_LIMIT
            entries.update((str(row.get("Path")), row) for row in children)
            for child in [str(r.get("Path")) for r in children if r.get("Type") == "tree"]:
                descendants = self._files(repo, revision, child, recursive=True)
                requests += 1
                entries.update((str(row.get("Path")), row) for row in descendants)
                if len(descendants) >= FILES_LIMIT:
                    folders.append(child)
        return Listing(parse_files(entries.values()), complete)

    def _files(
        self, repo: str, revision: str | None, root: str, *, recursive: bool
    ) -> list[Mapping[str, Any]]:
        query = {"Revision": revision or BRANCH, "Recursive": str(recursive)}
        url = f"{self.endpoint}/api/v1/models/{repo}/repo/files"
        parameters = {**query, **({"Root": root} if root else {})}
        return file_rows(self._ask(repo, url, parameters, self.legacy_headers, unwrap_legacy))

    def file_url(self, repo: str, path: str, revision: str | None = None) -> str:
        """The address of one file."""
        query = f"Revision={quote(revision or BRANCH, safe='')}&FilePath={quote(path, safe='')}"
        return f"{self.endpoint}/api/v1/models/{repo}/repo?{query}"

    def page_url(self, repo: str) -> str:
        """The repository's web page."""
        return public(f"{self.endpoint}/models/{repo}")

    def search(self, words: str, *, limit: int = 20, task: str | None = None) -> list[RepoInfo]:
        """Repositories by name, most downloaded first."""
        results: list[RepoInfo] = []
        for page in range(1, WINDOW // PAGE + 1):
            data = self._page(words, page, task)
            results.extend(parse_listing(data))
            total = whole(mapping(data).get("total_count"))
            if len(results) >= min(limit, total if total is not None else limit):
                break
            if not rows(mapping(data).get("models")):
                break
        return results[:limit]

    def _page(self, words: str, page: int, task: str | None) -> Any:
        query = {"page_number": str(page), "page_size": str(PAGE), "sort": "downloads"}
        query |= {"search": words} if words else {}
        query |= {"filter.task": task} if task else {}
        url = f"{self.endpoint}/openapi/v1/models"
        return self._ask("", url, query, self.headers, unwrap_openapi)

    def explain(self, error: HttpError, repo: str) -> ModelscanError:
        """The error that a user can act on for a failed request."""
        try:
            body = json_value(error.body)
        except ValueError:
            body = None
        if isinstance(body, dict) and error.status != 429 and (error.status or 0) < 500:
            api_error = failure(body, repo)
            if api_error is not None:
                return api_error
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
