"""docs/reference/errors.md: every error code with what is reported and the next step, read from the
places that raise it.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from modelscan.core import errors

PACKAGE = Path(__file__).resolve().parent.parent / "modelscan"
_MOST = 3  # texts of one code that are shown
_LONGEST = 160
_HTTP = "HttpProblem"
_NO_TEXT = "the message names the cause"
_HEAD = """\
# Errors

A command that fails prints `error: …` and, where there is one, `hint: …` with the next step; with
`--json` it prints a document whose `error.code` is a code of this page. `…` is what differs from
case to case. Codes stay; texts may become better.
"""
_HTTP_HEAD = """\
## Over HTTP

Refusals of the gateway's own paths: `application/problem+json` with `code`, and `detail` for
people. Inference paths answer in the dialect of the client.
"""


@dataclass(frozen=True, slots=True)
class Raised:
    """One place that raises an error; unknown texts are None."""

    code: str
    status: str
    message: str | None
    hint: str | None


def errors_page() -> str:
    """Both tables."""
    raised, refused = _split(every_place())
    return "\n".join((
        _HEAD, "| code | exit | what is reported | next step |", "|---|---|---|---|",
        *_rows(raised), "", _HTTP_HEAD, "| code | status | what is reported |", "|---|---|---|",
        *(row.rpartition(" | ")[0] + " |" for row in _rows(refused)),
    )) + "\n"  # fmt: skip


def _split(places: Iterable[tuple[str, Raised]]) -> tuple[list[Raised], list[Raised]]:
    rows = list(places)
    return [one for name, one in rows if name != _HTTP], [
        one for name, one in rows if name == _HTTP
    ]


def _rows(places: Iterable[Raised]) -> Iterator[str]:
    by_code: dict[str, list[Raised]] = defaultdict(list)
    for place in places:
        by_code[place.code].append(place)
    for code, same in sorted(by_code.items()):
        status = ", ".join(sorted({one.status for one in same}))
        told = defaults().get(code) or _cell([one.message for one in same]) or _NO_TEXT
        hint = "" if code in defaults() else _cell([one.hint for one in same])
        yield f"| `{code}` | {status} | {told} | {hint or '–'} |"


def _cell(texts: Iterable[str | None]) -> str:
    known = list(dict.fromkeys(text for text in texts if text))[:_MOST]
    return "<br>".join(_shown(text) for text in known)


def _shown(text: str) -> str:
    flat = " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
    flat = flat.replace("[", "\\[").replace("_", "\\_")
    return flat if len(flat) <= _LONGEST else f"{flat[:_LONGEST].rsplit(' ', 1)[0]} …"


def every_place() -> Iterator[tuple[str, Raised]]:
    """The class that is raised, and the place, for every error with a code of its own."""
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield from _place(node)


def _place(call: ast.Call) -> Iterator[tuple[str, Raised]]:
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
    given = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    if name == _HTTP and len(call.args) > 1:
        code = _text(call.args[1])
        message = _text(call.args[2]) if len(call.args) > 2 else None
        if code and isinstance(call.args[0], ast.Constant):
            yield name, Raised(code, str(call.args[0].value), message, None)
    elif name in exit_codes():
        code = _text(given["code"]) if "code" in given else _default_code(name)
        message = _text(call.args[0]) if call.args else None
        if code and "…" not in code:
            hint = _text(given.get("hint"))
            yield name, Raised(code, str(exit_codes()[name]), message, hint)


@cache
def exit_codes() -> Mapping[str, int]:
    """The exit status of every class of errors, by its name."""
    known = {
        name: kind.exit_code
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.ModelscanError)
    }
    below = list(_classes())
    while found := {
        name: known[base] for name, base in below if base in known and name not in known
    }:
        known |= found
    return known


@cache
def defaults() -> Mapping[str, str]:
    """What the codes of errors without one of their own mean."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    known = [kind for kind in kinds if issubclass(kind, errors.ModelscanError)]
    first = {kind.default_code: (kind.__doc__ or "").partition("\n")[0] for kind in known}
    return first | {errors.ModelscanError.default_code: "The operation failed."}


def _classes() -> Iterator[tuple[str, str]]:
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                yield from (
                    (node.name, base.id) for base in node.bases if isinstance(base, ast.Name)
                )


def _default_code(name: str) -> str | None:
    kind = vars(errors).get(name)
    own = isinstance(kind, type) and issubclass(kind, errors.ModelscanError)
    return str(kind.default_code) if own and kind else None


def _text(node: ast.expr | None) -> str | None:
    """A text as written, with ``…`` for what is filled in; None: it is made elsewhere."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
        return "".join(str(part) for part in parts)
    if isinstance(node, ast.IfExp):
        return _text(node.body) or _text(node.orelse)
    return None
