"""The fake hub's ModelScope side: the OpenAPI and the legacy API, with their habits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support.hub_content import File, Repo, is_lfs

if TYPE_CHECKING:
    from support.fake_hub import FakeHub, Reply, Seen

FILES_LIMIT = 3000  # a listing is cut there without a word
PAGE_LIMIT = 50
REQUEST_ID = "5f0b2a4e-0000-4000-8000-000000000001"


def reply(hub: FakeHub, seen: Seen) -> Reply | None:
    """The answer, or None when the path is not ModelScope's."""
    parts = [part for part in seen.path.split("/") if part]
    if parts[:3] == ["openapi", "v1", "models"]:
        return _openapi(hub, seen, parts[3:])
    if parts[:3] == ["api", "v1", "models"] and len(parts) >= 5:
        return _legacy(hub, seen, "/".join(parts[3:5]), "/".join(parts[5:]))
    return None


def _make(*args: Any, **kwargs: Any) -> Reply:
    from support.fake_hub import Reply

    return Reply(*args, **kwargs)


def _openapi_error(status: int, code: str, message: str) -> Reply:
    body = {"success": False, "code": code, "message": message, "request_id": REQUEST_ID}
    return _make(body, status)


def _openapi(hub: FakeHub, seen: Seen, rest: list[str]) -> Reply:
    if len(rest) == 2:
        repo = hub.scope.get("/".join(rest))
        if repo is None:
            return _openapi_error(404, "ResourceNotFound", "Model does not exist.")
        return _make({"success": True, "data": _row(repo), "request_id": REQUEST_ID})
    page = int(seen.query.get("page_number", ["1"])[0])
    size = int(seen.query.get("page_size", ["10"])[0])
    if size > PAGE_LIMIT or page * size > 3000:
        return _openapi_error(400, "InputParameterError", "page_size is out of range")
    words = seen.query.get("search", [""])[0].lower()
    owner = seen.query.get("owner", [""])[0]
    task = seen.query.get("filter.task", [""])[0]
    found = [
        repo for repo in sorted(hub.scope.values(), key=lambda r: (-r.downloads, r.id))
        if words in repo.id.lower() and (not owner or repo.id.split("/")[0] == owner)
        and (not task or repo.pipeline_tag == task)
    ]  # fmt: skip
    data = {
        "models": [_row(repo) for repo in found[(page - 1) * size : page * size]],
        "total_count": len(found), "page_number": page, "page_size": size,
    }  # fmt: skip
    return _make({"success": True, "data": data, "request_id": REQUEST_ID})


def _row(repo: Repo) -> dict[str, Any]:
    return {
        "id": repo.id, "display_name": repo.card.get("display_name"), "description": None,
        "license": repo.card.get("license"), "tags": repo.tags,
        "tasks": [repo.pipeline_tag] if repo.pipeline_tag else [],
        "downloads": repo.downloads, "likes": repo.likes,
        "file_size": sum(file.size for file in repo.files.values()), "private": repo.private,
        "gated": bool(repo.gated), "login_required": bool(repo.gated),
        "created_at": repo.created_at[:19] + "Z", "last_modified": repo.last_modified[:19] + "Z",
    }  # fmt: skip


def _legacy_error(status: int, code: int, message: str) -> Reply:
    body = {"Code": code, "Message": message, "RequestId": REQUEST_ID, "Success": False}
    return _make(body, status)


def _legacy_data(data: Any) -> Reply:
    return _make({"Code": 200, "Data": data, "Message": "success", "RequestId": REQUEST_ID,
                  "Success": True})  # fmt: skip


def _legacy(hub: FakeHub, seen: Seen, repo_id: str, action: str) -> Reply:
    repo = hub.scope.get(repo_id)
    if repo is None:  # the soft error: a failure with HTTP 200
        return _legacy_error(200, 10010205001, "模型不存在")
    if repo.gated and "m_session_id=" not in seen.headers.get("cookie", ""):
        return _legacy_error(200, 10010103001, "user not logged in")
    if action == "":
        return _legacy_data(_detail(repo))
    if action == "revisions":
        branches = [{"Revision": name} for name in repo.branches if name != "main"]
        return _legacy_data({"RevisionMap": {"Branches": branches, "Tags": []}})
    found = repo.at(seen.query.get("Revision", ["master"])[0])
    if found is None:
        return _legacy_error(200, 10010205002, "revision does not exist")
    commit, files = found
    if action == "repo/files":
        return _files(seen, commit, files)
    if action == "repo":
        return _download(hub, seen, files)
    return _legacy_error(404, 404, "Not Found")


def _detail(repo: Repo) -> dict[str, Any]:
    owner, _, name = repo.id.partition("/")
    return {
        "Path": owner, "Name": name, "License": repo.card.get("license"), "Downloads":
        repo.downloads, "Tags": repo.tags, "Revision": "master",
        "BaseModel": repo.card.get("base_model") or [], "Libraries": ["transformers"],
    }  # fmt: skip


def _files(seen: Seen, commit: str, files: dict[str, File]) -> Reply:
    root = seen.query.get("Root", [""])[0].strip("/")
    recursive = seen.query.get("Recursive", ["False"])[0].lower() == "true"
    rows: dict[str, dict[str, Any]] = {}
    for path, file in sorted(files.items()):
        if root and not path.startswith(root + "/"):
            continue
        inner = path[len(root) + 1 :] if root else path
        folders = inner.split("/")[:-1]
        for depth in range(1, len(folders) + 1):
            name = "/".join(([root] if root else []) + folders[:depth])
            rows.setdefault(name, _file_row(name, commit, None))
            if not recursive:
                break
        if recursive or not folders:
            rows[path] = _file_row(path, commit, file)
    shown = list(rows.values())[:FILES_LIMIT]
    latest = {"ShortId": commit[:8], "CommittedDate": 1753546348}
    return _legacy_data({"Files": shown, "LatestCommitter": latest})


def _file_row(path: str, commit: str, file: File | None) -> dict[str, Any]:
    return {
        "CommitMessage": "update", "CommittedDate": 1753546348, "CommitterName": "someone",
        "InCheck": False, "IsLFS": is_lfs(path, file), "Mode": "33188" if file else "16384",
        "Name": path.split("/")[-1], "Path": path, "Revision": commit,
        "Sha256": file.sha256 if file else "", "Size": file.size if file else 0,
        "Type": "blob" if file else "tree",
    }  # fmt: skip


def _download(hub: FakeHub, seen: Seen, files: dict[str, File]) -> Reply:
    path = seen.query.get("FilePath", [""])[0]
    if path not in files:
        return _legacy_error(404, 10010205003, "file does not exist")
    file = files[path]
    if is_lfs(path, file):
        return _make(b"", 302, {"Location": f"{hub.cdn_url}/{file.sha256}"})
    return _make(b"", 200, {"Content-Type": "application/octet-stream"}, file=file)
