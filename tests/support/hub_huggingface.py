"""The fake hub's Hugging Face side: model info, search, tree, paths-info, resolve and its CDN."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from support.hub_content import File, Repo, is_lfs

if TYPE_CHECKING:
    from support.fake_hub import FakeHub, Reply, Seen


def reply(hub: FakeHub, seen: Seen) -> Reply | None:
    """The answer, or None when the path is not Hugging Face's."""
    parts = [part for part in seen.path.split("/") if part]
    if seen.path.startswith("/cdn/"):
        return _cdn(hub, parts[1])
    if parts[:2] == ["api", "whoami-v2"]:
        return _whoami(hub, seen)
    if parts == ["api", "models"]:
        return _search(hub, seen)
    if parts[:2] == ["api", "models"] and len(parts) >= 4:
        return _api(hub, seen, "/".join(parts[2:4]), parts[4:])
    if len(parts) >= 5 and parts[2] == "resolve":
        return _resolve(hub, seen, "/".join(parts[:2]), parts[3], "/".join(parts[4:]))
    return None


def _make(*args: Any, **kwargs: Any) -> Reply:
    from support.fake_hub import Reply

    return Reply(*args, **kwargs)


def token_of(seen: Seen) -> str | None:
    scheme, _, token = seen.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" and token else None


def _error(status: int, text: str, code: str | None = None) -> Reply:
    headers = {"X-Error-Message": text}
    if code:
        headers["X-Error-Code"] = code
    return _make({"error": text}, status, headers)


def _refusal(hub: FakeHub, seen: Seen, repo_id: str, *, content: bool) -> Reply | None:
    """Why this repository may not be read: the hub hides what does not exist behind 401."""
    token = token_of(seen)
    if token is not None and token not in hub.tokens:
        return _error(401, "Invalid credentials in Authorization header")
    repo = hub.repos.get(repo_id)
    if repo is None or not hub.may_read(repo, token):
        if token is None:
            code = None if seen.path.startswith("/api/") else "RepoNotFound"
            return _error(401, "Invalid username or password.", code)
        return _error(404, "Repository not found", "RepoNotFound")
    if repo.gated and content and token not in hub.granted:
        text = (
            f"Access to model {repo_id} is restricted. You must have access to it and be "
            f"authenticated to access it. Please log in."
        )
        return _error(401 if token is None else 403, text, "GatedRepo")
    return None


def _whoami(hub: FakeHub, seen: Seen) -> Reply:
    if token_of(seen) in hub.tokens:
        return _make({"type": "user", "name": "someone", "auth": {"type": "access_token"}})
    return _error(401, "Invalid username or password.")


def _search(hub: FakeHub, seen: Seen) -> Reply:
    query = {name: values[-1] for name, values in seen.query.items()}
    words = query.get("search", "").lower()
    found = [
        repo for repo in hub.repos.values()
        if words in repo.id.lower() and (not repo.private or token_of(seen) in hub.tokens)
        and (not query.get("author") or repo.id.split("/")[0] == query["author"])
        and (not query.get("pipeline_tag") or repo.pipeline_tag == query["pipeline_tag"])
        and all(tag in _tags(repo) for tag in seen.query.get("filter", []))
    ]  # fmt: skip
    keys = {"downloads": lambda r: -r.downloads, "likes": lambda r: -r.likes}
    found.sort(key=keys.get(query.get("sort", ""), lambda r: r.id))
    start = int(query.get("cursor") or 0)
    end = start + min(int(query.get("limit") or 1000), hub.page_size)
    headers = {}
    if end < len(found):
        again = urlencode({**seen.query, "cursor": end}, doseq=True)
        headers["Link"] = f'<{hub.url}/api/models?{again}>; rel="next"'
    full = query.get("full", "").lower() in ("1", "true")
    expand = [*seen.query.get("expand", []), *seen.query.get("expand[]", [])]
    rows = [_expanded(repo, expand) if expand else _listed(repo, full) for repo in found[start:end]]
    return _make(rows, 200, headers)


def _expanded(repo: Repo, names: list[str]) -> dict[str, Any]:
    """Only what was asked for, besides the ids."""
    known = {**_listed(repo, full=True), "cardData": repo.card, "safetensors": _counts(repo),
             "gguf": repo.gguf}  # fmt: skip
    kept = {name: known[name] for name in names if known.get(name) is not None}
    return {"_id": known["_id"], "id": repo.id, **kept}


def _counts(repo: Repo) -> dict[str, Any] | None:
    if not repo.safetensors:
        return None
    return {"parameters": repo.safetensors, "total": sum(repo.safetensors.values())}


def _tags(repo: Repo) -> list[str]:
    made = [*repo.tags]
    base = repo.card.get("base_model")
    for name in [base] if isinstance(base, str) else base or []:
        made.append(f"base_model:{name}")
    if repo.card.get("license"):
        made.append(f"license:{repo.card['license']}")
    return [*dict.fromkeys([*made, "region:us"])]


def _listed(repo: Repo, full: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "_id": hashlib.sha1(repo.id.encode()).hexdigest()[:24], "id": repo.id,
        "modelId": repo.id, "likes": repo.likes, "trendingScore": 0, "private": repo.private,
        "downloads": repo.downloads, "tags": _tags(repo), "pipeline_tag": repo.pipeline_tag,
        "library_name": repo.library_name, "createdAt": repo.created_at,
    }  # fmt: skip
    if full:
        row |= {"author": repo.id.split("/")[0], "sha": repo.sha, "gated": repo.gated,
                "lastModified": repo.last_modified,
                "siblings": [{"rfilename": path} for path in sorted(repo.files)]}  # fmt: skip
    return row


def _api(hub: FakeHub, seen: Seen, repo_id: str, rest: list[str]) -> Reply:
    if repo_id in hub.redirects:
        path = seen.path.replace(repo_id, hub.redirects[repo_id])
        return _make(b"", 307, {"Location": path})
    refused = _refusal(hub, seen, repo_id, content=False)
    if refused is not None:
        return refused
    repo = hub.repos[repo_id]
    if rest[:1] == ["refs"]:
        branches = [
            {"name": n, "ref": f"refs/heads/{n}", "targetCommit": c}
            for n, c in repo.branches.items() if n != "master"
        ]  # fmt: skip
        return _make({"branches": branches, "converts": [], "tags": []})
    revision = rest[1] if len(rest) > 1 else "main"
    found = repo.at(revision)
    if found is None:
        return _error(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    commit, files = found
    if rest[:1] == ["tree"]:
        return _tree(hub, seen, commit, files, "/".join(rest[2:]))
    if rest[:1] == ["paths-info"]:
        return _paths_info(seen, files)
    return _make(_info(repo, commit, files, seen))


def _info(repo: Repo, commit: str, files: dict[str, File], seen: Seen) -> dict[str, Any]:
    blobs = seen.query.get("blobs", ["0"])[-1].lower() in ("1", "true")
    info = {
        **_listed(repo, full=True), "sha": commit, "disabled": False, "cardData": repo.card,
        "model-index": None, "config": repo.config or {}, "spaces": repo.spaces,
        "siblings": [_sibling(path, file, blobs) for path, file in sorted(files.items())],
        "usedStorage": sum(file.size for file in files.values()),
    }  # fmt: skip
    if repo.safetensors:
        info["safetensors"] = _counts(repo)
    if repo.gguf:
        info["gguf"] = repo.gguf
    return info


def _sibling(path: str, file: File, blobs: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"rfilename": path}
    if blobs:
        row |= {"size": file.size, "blobId": file.git_oid}
        if is_lfs(path, file):
            row["lfs"] = {"sha256": file.sha256, "size": file.size, "pointerSize": 135}
    return row


def _entry(path: str, file: File) -> dict[str, Any]:
    row: dict[str, Any] = {"type": "file", "oid": file.git_oid, "size": file.size, "path": path}
    if is_lfs(path, file):
        row["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": 135}
    return row


def _tree(hub: FakeHub, seen: Seen, commit: str, files: dict[str, File], under: str) -> Reply:
    recursive = seen.query.get("recursive", [""])[-1].lower() in ("1", "true")
    rows: dict[str, dict[str, Any]] = {}
    for path, file in sorted(files.items()):
        if under and not path.startswith(under + "/"):
            continue
        inner = path[len(under) + 1 :] if under else path
        folders = inner.split("/")[:-1]
        for depth in range(1, len(folders) + 1):
            name = "/".join(([under] if under else []) + folders[:depth])
            rows.setdefault(name, {"type": "directory", "oid": "0" * 40, "size": 0, "path": name})
            if not recursive:
                break
        if recursive or not folders:
            rows[path] = _entry(path, file)
    start = int(seen.query.get("cursor", ["0"])[-1])
    end = start + hub.page_size
    headers = {"X-Repo-Commit": commit}
    if end < len(rows):
        query = {k: v[-1] for k, v in seen.query.items()} | {"cursor": str(end)}
        headers["Link"] = f'<{hub.url}{seen.path}?{urlencode(query)}>; rel="next"'
    return _make(list(rows.values())[start:end], 200, headers)


def _paths_info(seen: Seen, files: dict[str, File]) -> Reply:
    asked = seen.query.get("paths", [])
    if "_body" in seen.query:
        asked = json.loads(seen.query["_body"][0]).get("paths", [])
    return _make([_entry(path, files[path]) for path in asked if path in files])


def _resolve(hub: FakeHub, seen: Seen, repo_id: str, revision: str, path: str) -> Reply:
    if repo_id in hub.redirects:
        return _make(b"", 307, {"Location": seen.path.replace(repo_id, hub.redirects[repo_id])})
    refused = _refusal(hub, seen, repo_id, content=True)
    if refused is not None:
        return refused
    found = hub.repos[repo_id].at(revision)
    if found is None:
        return _error(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    commit, files = found
    if path not in files:
        reply = _error(404, "Entry not found", "EntryNotFound")
        reply.headers["X-Repo-Commit"] = commit
        return reply
    file = files[path]
    headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
    if not is_lfs(path, file):
        headers |= {"ETag": f'"{file.git_oid}"', "Content-Type": "application/octet-stream"}
        return _make(b"", 200, headers, file=file)
    headers |= {
        "X-Linked-Size": str(file.size), "X-Linked-ETag": f'"{file.sha256}"',
        "ETag": f'"{file.sha256}"', "Location": f"{hub.cdn_url}/{file.sha256}",
    }  # fmt: skip
    return _make(b"Found. Redirecting", 302, headers)


def _cdn(hub: FakeHub, sha256: str) -> Reply:
    for repo in [*hub.repos.values(), *hub.scope.values()]:
        for files in repo.commits.values():
            for path, file in files.items():
                if is_lfs(path, file) and file.sha256 == sha256:
                    headers = {"ETag": f'"{sha256}"', "Content-Type": "application/octet-stream"}
                    return _make(b"", 200, headers, file=file)
    return _error(404, "no such object")
