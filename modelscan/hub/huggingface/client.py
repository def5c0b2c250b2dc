"""Requests to Hugging Face (or a mirror). The parsers are in ``parse``.

Anonymous unless the setting ``hf_token`` is set; no token is read from the environment. The hub
answers 401 to anonymous requests for unknown repositories.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from modelscan.core.errors import AuthError, ModelscanError, UsageError
from modelscan.core.model import WeightFile
from modelscan.hub.endpoint import Endpoint
from modelscan.hub.huggingface.parse import parse_info, parse_search, parse_tree
from modelscan.hub.repo_info import RepoInfo
from modelscan.hub.stored_login import consent_command
from modelscan.net.address import public
from modelscan.net.client import Answer
from modelscan.net.errors import HttpError

BRANCH = "main"
PAGE = 1000
MAX_PAGES = 50
_EXPAND = (
    "downloads", "likes", "tags", "pipeline_tag", "library_name", "gated", "private",
    "createdAt", "lastModified", "safetensors", "gguf", "sha", "cardData",
)  # fmt: skip
_NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?')


@dataclass(frozen=True, slots=True, repr=False)
class HuggingFace(Endpoint):
    """Facts, files and searches of Hugging Face."""

    @property
    def _list_url(self) -> str:
        """The address of listings, which contain only the requested fields."""
        return f"{self.endpoint}/api/models?" + "&".join(f"expand={name}" for name in _EXPAND)

    def info(self, repo: str, revision: str | None = None) -> RepoInfo:
        """The facts of one repository, with its files' sizes and hashes."""
        path = f"/api/models/{repo}" + (f"/revision/{quote(revision, safe='')}" if revision else "")
        answer = self._get(repo, self.endpoint + path, {"blobs": "true"})
        return parse_info(answer.json())

    def files(self, repo: str, revision: str | None = None) -> tuple[WeightFile, ...]:
        """All files of a revision, over all pages."""
        url = f"{self.endpoint}/api/models/{repo}/tree/{quote(revision or BRANCH, safe='')}"
        files: list[WeightFile] = []
        for payload in self._pages(repo, url, {"recursive": "true", "expand": "false"}):
            files.extend(parse_tree(payload))
        return tuple(sorted(files, key=lambda f: f.path))

    def file_url(self, repo: str, path: str, revision: str | None = None) -> str:
        """The address of one file."""
        return f"{self.endpoint}/{repo}/resolve/{quote(revision or BRANCH, safe='')}/{quote(path)}"

    def page_url(self, repo: str) -> str:
        """The repository's web page."""
        return public(f"{self.endpoint}/{repo}")

    def search(self, words: str, *, limit: int = 20, **filters: str) -> list[RepoInfo]:
        """Repositories by name, most downloaded first."""
        query = {"search": words, "sort": "downloads", "limit": str(limit)}
        results: list[RepoInfo] = []
        parameters = {key: value for key, value in {**query, **filters}.items() if value}
        for payload in self._pages("", self._list_url, parameters):
            results.extend(parse_search(payload))
            if len(results) >= limit:
                break
        return results[:limit]

    def adapters_of(self, repo: str, *, limit: int = 10) -> list[RepoInfo]:
        """The most downloaded adapters with this repository as their base."""
        return self.search("", limit=limit, filter=f"base_model:adapter:{repo}")

    def most_downloaded(self, limit: int) -> list[RepoInfo]:
        """The most downloaded text models, revalidating the cached listing."""
        query: dict[str, str] = {
            "sort": "downloads", "limit": str(min(limit, PAGE)),
            "filter": "text-generation",
        }  # fmt: skip
        by_repo: dict[str, RepoInfo] = {}
        for payload in self._pages("", self._list_url, query, cached=True):
            by_repo |= {info.repo: info for info in parse_search(payload)}
            if len(by_repo) >= limit:
                break
        return list(by_repo.values())[:limit]

    def explain(self, error: HttpError, repo: str) -> ModelscanError:
        """The error that a user can act on for a failed request."""
        return explain(
            error,
            repo,
            self.page_url(repo),
            has_token=self.token is not None,
            consent=consent_command(),
        )

    def _get(
        self, repo: str, url: str, params: Mapping[str, str], *, cached: bool = False
    ) -> Answer:
        try:
            return self.http.get(url, params=params or None, headers=self.headers, cached=cached)
        except HttpError as error:
            raise self.explain(error, repo) from error

    def _pages(
        self, repo: str, url: str, params: Mapping[str, str], *, cached: bool = False
    ) -> Iterator[Any]:
        """Follow ``Link: rel="next"`` on the same host, at most ``MAX_PAGES`` times."""
        address: str | None = _with(url, params)
        for _ in range(MAX_PAGES):
            if address is None:
                return
            answer = self._get(repo, address, {}, cached=cached)
            yield answer.json()
            next_link = _NEXT.search(answer.headers.get("link", ""))
            address = next_link[1] if next_link else None
            if address and urlsplit(address).netloc != urlsplit(self.endpoint).netloc:
                address = None  # a mirror that links to the original host: only one page


def _with(url: str, params: Mapping[str, str]) -> str:
    joined = "&".join(f"{quote(k)}={quote(v, safe='')}" for k, v in params.items())
    return url + ("&" if "?" in url else "?") + joined if joined else url


def explain(
    error: HttpError, repo: str, page: str, *, has_token: bool, consent: str
) -> ModelscanError:
    """The error for a status of 401, 403 or 404; other errors unchanged. ``consent`` is the command
    that makes a token known.
    """
    code = error.headers.get("x-error-code", "")
    details = {"repo": repo, "status": error.status}
    if not repo or error.status not in (401, 403, 404):
        return error
    if code == "GatedRepo":
        step = "request access there" if has_token else f"accept its terms there, then: {consent}"
        return AuthError(
            f"{repo} is gated: only users who accepted its terms have access",
            hint=f"open {page} — {step}", code="gated", details=details,
        )  # fmt: skip
    if code == "RevisionNotFound":
        return UsageError(f"{repo} has no such revision", hint=f"open {page}", details=details)
    if code == "EntryNotFound":
        return UsageError(f"{repo} has no such file", code="no_file", details=details)
    if error.status == 404:
        return UsageError(f"the hub has no repository {repo}", code="unknown_repo",
                          hint="modelscan catalog search", details=details)  # fmt: skip
    if has_token:
        return AuthError(f"the hub refused the configured token for {repo} ({error.status})",
                         hint="check the setting hf_token: modelscan config get hf_token",
                         details=details)  # fmt: skip
    return AuthError(
        f"{repo} does not exist, or is private: without a token the hub answers "
        f"{error.status} in both cases",
        hint=f"check the spelling; for a private repository: {consent}",
        code="unknown_or_private", details=details,
    )  # fmt: skip
