"""The reference page of the paths of ``modelscan serve``, from the table of scopes."""

from __future__ import annotations

from modelscan.gateway.control.openapi import INFERENCE
from modelscan.gateway.control.scopes import PATHS, PathScope


def http_page() -> str:
    """Every path with the scope that it needs."""
    rows = [f"| `POST {path}` | infer | {what} |" for path, what in INFERENCE]
    rows += [
        f"| `{' '.join(row.methods)} {_path(row)}` | {_scope(row)} | {row.what} |" for row in PATHS
    ]
    return "\n".join((
        "# Paths of `modelscan serve`\n",
        "Without a key configured, this machine's programs may use everything. A key with the "
        "scope admin may, too. Errors are in the dialect of the path: OpenAI's, Anthropic's, or "
        "`application/problem+json` (RFC 9457). `/openapi.json` is this table for programs.\n",
        "| path | scope | what |",
        "|---|---|---|",
        *rows,
        "| other `/v1/…` | infer | passed to the backend of the model unchanged |",
    )) + "\n"  # fmt: skip


def _path(row: PathScope) -> str:
    return row.path.replace(":path", "")


def _scope(row: PathScope) -> str:
    scope = " or ".join(row.scopes)
    return f"{scope}; none where only this machine can connect" if row.open_on_loopback else scope
