"""Hugging Face (or a mirror of it): fetching and parsing apart.

Anonymous unless the setting ``hf_token`` names a token; no variable of the environment is read
here. Traps that the parsers know: an unknown repository answers 401 to anonymous callers, in
``tree`` the SHA-256 is ``lfs.oid`` (``oid`` is a git hash), ``gguf.total`` counts parameters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from modelscan.catalog.records import HUGGINGFACE, SourceRecord
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
from modelscan.net.client import Answer, HttpClient
from modelscan.net.errors import HttpError

BRANCH = "main"
PAGE = 1000
MAX_PAGES = 50
_EXPAND = (
    "downloads", "likes", "tags", "pipeline_tag", "library_name", "gated", "private",
    "createdAt", "lastModified", "safetensors", "gguf", "sha", "cardData",
)  # fmt: skip
_NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?')
_RELATION = re.compile(r"^base_model:(adapter|finetune|quantized|merge):(.+)$")


@dataclass(frozen=True, slots=True)
class HuggingFace:
    """A hub to ask. ``token`` is the secret itself, never shown."""

    http: HttpClient
    endpoint: str
    token: str | None = None

    def __repr__(self) -> str:
        return f"HuggingFace({public(self.endpoint)!r})"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    @property
    def _list_url(self) -> str:
        """Listings carry only what is asked for."""
        return f"{self.endpoint}/api/models?" + "&".join(f"expand={name}" for name in _EXPAND)

    def info(self, repo: str, revision: str | None = None) -> RepoInfo:
        """One repository with its files' sizes and hashes."""
        path = f"/api/models/{repo}" + (f"/revision/{quote(revision, safe='')}" if revision else "")
        answer = self._get(repo, self.endpoint + path, {"blobs": "true"})
        return parse_info(answer.json())

    def files(self, repo: str, revision: str | None = None) -> tuple[WeightFile, ...]:
        """Every file of a revision, page by page."""
        url = f"{self.endpoint}/api/models/{repo}/tree/{quote(revision or BRANCH, safe='')}"
        found: list[WeightFile] = []
        for payload in self._pages(repo, url, {"recursive": "true", "expand": "false"}):
            found.extend(parse_tree(payload))
        return tuple(sorted(found, key=lambda f: f.path))

    def file_url(self, repo: str, path: str, revision: str | None = None) -> str:
        """The address of one file."""
        return f"{self.endpoint}/{repo}/resolve/{quote(revision or BRANCH, safe='')}/{quote(path)}"

    def page_url(self, repo: str) -> str:
        """The address a person opens."""
        return public(f"{self.endpoint}/{repo}")

    def search(self, words: str, *, limit: int = 20, **filters: str) -> list[RepoInfo]:
        """Repositories by name, most downloaded first."""
        query = {"search": words, "sort": "downloads", "limit": str(limit)}
        found: list[RepoInfo] = []
        asked = {key: value for key, value in {**query, **filters}.items() if value}
        for payload in self._pages("", self._list_url, asked):
            found.extend(parse_search(payload))
            if len(found) >= limit:
                break
        return found[:limit]

    def adapters_of(self, repo: str, *, limit: int = 10) -> list[RepoInfo]:
        """The most downloaded adapters that name this repository as their base."""
        return self.search("", limit=limit, filter=f"base_model:adapter:{repo}")

    def popular(self, limit: int) -> tuple[SourceRecord, ...]:
        """The most downloaded text models, for ``catalog sync``."""
        query: dict[str, str] = {
            "sort": "downloads", "limit": str(min(limit, PAGE)),
            "filter": "text-generation",
        }  # fmt: skip
        found: dict[str, SourceRecord] = {}
        for payload in self._pages("", self._list_url, query, cached=True):
            for info in parse_search(payload):
                found[info.repo] = record(info)
            if len(found) >= limit:
                break
        if not found:
            raise RemoteError(
                f"{public(self.endpoint)} lists no models", hint="modelscan config show"
            )
        return tuple(found.values())[:limit]

    def explain(self, error: HttpError, repo: str) -> ModelscanError:
        """What a refused request means for a person."""
        return explain(error, repo, self.page_url(repo), has_token=self.token is not None)

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
            following = _NEXT.search(answer.headers.get("link", ""))
            address = following[1] if following else None
            if address and urlsplit(address).netloc != urlsplit(self.endpoint).netloc:
                address = None  # a mirror that passes on links to the original: one page is all


def _with(url: str, params: Mapping[str, str]) -> str:
    joined = "&".join(f"{quote(k)}={quote(v, safe='')}" for k, v in params.items())
    return url + ("&" if "?" in url else "?") + joined if joined else url


def explain(error: HttpError, repo: str, page: str, *, has_token: bool) -> ModelscanError:
    """401, 403 and 404 in words; every other failure as it is."""
    code = error.headers.get("x-error-code", "")
    details = {"repo": repo, "status": error.status}
    if not repo or error.status not in (401, 403, 404):
        return error
    token = "modelscan config set hf_token env:HF_TOKEN"  # noqa: S105 - a command, not a token
    if code == "GatedRepo":
        step = "ask for access there" if has_token else f"accept its terms there, then {token}"
        return AuthError(
            f"{repo} is gated: its owner lets in only people who accepted its terms",
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
        f"{repo} does not exist, or is private: the hub answers {error.status} to both when "
        "asked without a token",
        hint=f"check the spelling; for a private repository: {token}",
        code="unknown_or_private", details=details,
    )  # fmt: skip


def parse_info(payload: Any) -> RepoInfo:
    """``GET /api/models/{id}`` and a row of the search. Raises RemoteError when it is neither."""
    data = mapping(payload)
    repo = text(data.get("id")) or text(data.get("modelId"))
    if repo is None:
        raise RemoteError("the hub sent something that is not a description of a repository")
    card, config = mapping(data.get("cardData")), mapping(data.get("config"))
    tags = strings(data.get("tags"))
    gguf, gated = mapping(data.get("gguf")), data.get("gated")
    counts = _counts(mapping(data.get("safetensors")).get("parameters"))
    base, relation = _base(card, tags)
    total = whole(mapping(data.get("safetensors")).get("total")) or sum(counts.values()) or None
    return RepoInfo(
        source=HUGGINGFACE,
        repo=repo,
        commit=text(data.get("sha")),
        task=text(data.get("pipeline_tag")),
        library=text(data.get("library_name")) or text(card.get("library_name")),
        license=next(iter(strings(card.get("license"))), None) or _tagged(tags, "license:"),
        license_name=text(card.get("license_name")),
        license_url=text(card.get("license_link")),
        tags=tags,
        languages=strings(card.get("language")),
        base_models=base,
        base_relation=relation,
        datasets=strings(card.get("datasets")) or _all_tagged(tags, "dataset:"),
        spaces=strings(data.get("spaces")),
        gated=None if gated is None else bool(gated),
        gated_kind=text(gated),
        private=flag(data.get("private")),
        downloads=whole(data.get("downloads")),
        likes=whole(data.get("likes")),
        created_at=text(data.get("createdAt")),
        last_modified=text(data.get("lastModified")),
        parameters=counts,
        total_parameters=total or whole(gguf.get("total")),
        context_tokens=whole(gguf.get("context_length")) or None,
        architecture=text(gguf.get("architecture")) or text(config.get("model_type")),
        quantization=_method(config),
        files=parse_siblings(data.get("siblings")),
        size_bytes=whole(data.get("usedStorage")),
    )


def parse_search(payload: Any) -> list[RepoInfo]:
    """``GET /api/models``: a list of rows; raises RemoteError when it is no list."""
    if not isinstance(payload, list):
        raise RemoteError("the hub sent something that is not a list of models")
    return [parse_info(row) for row in rows(payload) if row.get("id") or row.get("modelId")]


def parse_siblings(payload: Any) -> tuple[WeightFile, ...]:
    """The files of a model's description; sizes and hashes where ``blobs`` was asked."""
    found = [
        WeightFile(str(row["rfilename"]), whole(row.get("size")), _sha(mapping(row.get("lfs"))))
        for row in rows(payload)
        if text(row.get("rfilename"))
    ]
    return tuple(sorted(found, key=lambda f: f.path))


def parse_tree(payload: Any) -> tuple[WeightFile, ...]:
    """``GET …/tree``: files only; the hash is ``lfs.oid``, never ``oid``."""
    if not isinstance(payload, list):
        raise RemoteError("the hub sent something that is not a list of files")
    return tuple(
        WeightFile(str(row["path"]), whole(row.get("size")), _sha(mapping(row.get("lfs"))))
        for row in rows(payload)
        if row.get("type") == "file" and text(row.get("path"))
    )


def _sha(lfs: Mapping[str, Any]) -> str | None:
    value = text(lfs.get("sha256")) or text(lfs.get("oid"))
    value = value.removeprefix("sha256:") if value else None
    return value.lower() if value and re.fullmatch(r"[0-9a-fA-F]{64}", value) else None


def _counts(value: Any) -> dict[str, int]:
    counts = {str(k): whole(v) for k, v in mapping(value).items()}
    return {dtype: count for dtype, count in sorted(counts.items()) if count}


def _tagged(tags: tuple[str, ...], prefix: str) -> str | None:
    return next(iter(_all_tagged(tags, prefix)), None)


def _all_tagged(tags: tuple[str, ...], prefix: str) -> tuple[str, ...]:
    return tuple(tag[len(prefix) :] for tag in tags if tag.startswith(prefix))


def _base(card: Mapping[str, Any], tags: tuple[str, ...]) -> tuple[tuple[str, ...], str | None]:
    """Base models and how this one derives from them (the hub's own tags say which way)."""
    found = [match for tag in tags if (match := _RELATION.match(tag))]
    relation = text(card.get("base_model_relation")) or (found[0][1] if found else None)
    named = strings(card.get("base_model")) or tuple(dict.fromkeys(m[2] for m in found))
    return named, relation


def _method(config: Mapping[str, Any]) -> str | None:
    quantization = mapping(config.get("quantization_config"))
    method = text(quantization.get("quant_method"))
    bits = whole(quantization.get("bits"))
    if method is None:
        return None
    known = {"awq": "AWQ", "fp8": "FP8", "mxfp4": "MXFP4", "bitsandbytes": "BNB-4bit"}
    if method == "gptq":
        return f"GPTQ-Int{bits or 4}"
    return known.get(method.lower(), method)
