"""The reference page of the paths of ``modelscan serve``, from the table of scopes."""

from __future__ import annotations

from modelscan.core.access import SCOPES
from modelscan.gateway.control.scopes import TABLE
from modelscan.gateway.scopes import PathScope


def http_page() -> str:
    """Every path with the scopes that may use it."""
    columns = " | ".join(SCOPES)
    return "\n".join((
        "# Paths of `modelscan serve`\n",
        "A key needs one of the scopes that are marked; admin may do everything. Without any key "
        "configured, this machine's programs may use everything. `here`: no key is needed where "
        "only this machine can connect. Errors are in the dialect of the path: OpenAI's, "
        "Anthropic's, or `application/problem+json` (RFC 9457). `/openapi.json` is this table for "
        "programs; each of its cells is tested.\n",
        f"| path | {columns} | no key | what |",
        "|---|" + ":-:|" * (len(SCOPES) + 1) + "---|",
        *(_line(row) for row in TABLE),
    )) + "\n"  # fmt: skip


def _line(row: PathScope) -> str:
    cells = ["✓" if scope in (*row.scopes, "admin") else "" for scope in SCOPES]
    open_to = "everywhere" if row.public else "here" if row.open_on_loopback else ""
    methods, path = " ".join(row.methods), row.path.replace(":path", "")
    return f"| `{methods} {path}` | {' | '.join(cells)} | {open_to} | {row.what} |"
