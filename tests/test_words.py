"""The language stays plain: no banned words in docstrings, comments and texts; docstrings exist."""

from __future__ import annotations

import ast
import functools
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "modelscan"
FILES = sorted(PACKAGE.rglob("*.py"))

# (pattern, what to write instead). A pattern matches whole words, in any case.
BANNED = (
    (r"nobody|somebody|whoever|whosoever|everybody", "name the user, process or component"),
    (r"said|told|tells? (?:us|you)", "who reports, states or returns what"),
    (r"beside", "next to, in addition to"),
    (r"anew|afresh", "again"),
    (r"(?:is|are|was|were) asked(?: for)?|asked for|that ask(?:s|ed)? for", "requested, selected"),
    (r"lies? (?:in|on|at|below)|stands? for|stands? (?:in|on|at)", "is in, means"),
    (r"as good as (?:none|nothing)|in vain|for good measure", "say what happens"),
    (r"mends?|mended", "corrects"),
    (r"there is no telling|no use|of no avail", "does not help"),
    (r"as it were|so to speak|say,", "say it directly"),
    (r"(?:what|who|which) is wanted|as wanted|wanted (?:one|ones)", "requested, required"),
    (r"ours|theirs|his|her", "name the owner"),
    (r"the very|very (?:name|file|first|last)", "exactly this"),
    (r"a riddle|tongue|in life|in truth|forsooth|lest|hence|whence|thereof|thereby|wherein",
     "everyday English"),
    (r"this house|of the house|in the house", "the package"),
)  # fmt: skip
_BANNED = [(re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE), hint) for pattern, hint in BANNED]

# (file, text) that stays: foreign text that is matched, names in stored data.
ALLOWED = (
    ("state/records.py", "the engine was told to stop (SIGTERM)"),  # written by older releases
)

# Public functions that need no docstring: their name, type and class say everything.
NO_DOCSTRING = frozenset[str]()


def texts(source: str) -> Iterator[tuple[int, str]]:
    """(line, text) of each comment and string literal, docstrings and f-string parts included."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, node.value


def banned_in(text: str) -> Iterator[str]:
    for pattern, hint in _BANNED:
        for match in pattern.finditer(text):
            yield f"'{match.group(0)}' — write instead: {hint}"


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_plain_words(file: Path) -> None:
    """Docstrings, comments and messages use no narrative or unclear words."""
    place = file.relative_to(PACKAGE).as_posix()
    allowed = [text for name, text in ALLOWED if name == place]
    faults = []
    for line, text in texts(file.read_text(encoding="utf-8")):
        for kept in allowed:
            text = text.replace(kept, "")
        faults += [f"{place}:{line}: {fault}" for fault in banned_in(text)]
    assert not faults, "\n" + "\n".join(faults)


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def public(
    tree: ast.AST, prefix: str = "", inherited: frozenset[str] = frozenset()
) -> Iterator[tuple[str, Definition]]:
    """(qualified name, node) of public classes, functions and methods, but for ``inherited``."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, DEFINITIONS) or node.name.startswith("_"):
            continue
        if node.name not in inherited:
            yield prefix + node.name, node
        if isinstance(node, ast.ClassDef):
            yield from public(node, f"{prefix}{node.name}.", inherited_methods(node))


def base_names(node: ast.ClassDef) -> list[str]:
    """The last part of each base's name: ``click.Group`` is ``Group``."""
    bases = [base.value if isinstance(base, ast.Subscript) else base for base in node.bases]
    return [ast.unparse(base).rpartition(".")[2] for base in bases]


def inherited_methods(node: ast.ClassDef) -> frozenset[str]:
    """Methods whose documentation is that of a base class or of the protocol they fulfil."""
    if set(base_names(node)) & {"Protocol", "ABC"}:
        return frozenset()
    methods = {item.name for item in node.body if isinstance(item, DEFINITIONS)}
    if node.bases:
        return frozenset(methods)
    fulfilled = [names for names in protocols() if names <= methods]
    return frozenset(name for names in fulfilled for name in names)


@functools.cache
def protocols() -> tuple[frozenset[str], ...]:
    """The methods of each protocol in the package."""
    return tuple(
        frozenset(item.name for item in node.body if isinstance(item, DEFINITIONS))
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and "Protocol" in base_names(node)
    )


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_public_names_have_docstrings(file: Path) -> None:
    """Each module, public class, function and method says what it is."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    place = file.relative_to(PACKAGE).as_posix()
    missing = [] if ast.get_docstring(tree) else [place]
    for name, node in public(tree):
        if not ast.get_docstring(node) and f"{place} {name}" not in NO_DOCSTRING:
            missing.append(f"{place} {name}")
    assert not missing, "\n" + "\n".join(missing)


def test_no_class_name_has_two_meanings() -> None:
    """A public class name is defined once in the package."""
    places: dict[str, list[str]] = {}
    for file in FILES:
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                place = file.relative_to(PACKAGE).as_posix()
                places.setdefault(node.name, []).append(place)
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


@pytest.mark.parametrize(
    "text", ["as the user said", "Nobody answers", "it stands beside", "begin anew"]
)
def test_the_check_finds_banned_words(text: str) -> None:
    assert list(banned_in(text))


def test_only_inherited_methods_need_no_docstring() -> None:
    source = """
class Plain:
    def shown(self) -> None: ...
class Special(Plain):
    def shown(self) -> None: ...
class Shape(Protocol):
    def shown(self) -> None: ...
"""
    names = [name for name, _ in public(ast.parse(source))]
    assert names == ["Plain", "Plain.shown", "Special", "Shape", "Shape.shown"]
