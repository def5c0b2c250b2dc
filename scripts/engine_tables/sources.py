"""The files of one release as syntax trees: nothing of an engine is imported or run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any


@dataclass
class Sources:
    """``texts``: path in the package -> text. Trees are parsed once."""

    texts: Mapping[str, str]
    _trees: dict[str, ast.Module] = field(default_factory=dict)

    def tree(self, path: str) -> ast.Module:
        """The tree of a file; an empty one where there is no such file or it does not parse."""
        if path not in self._trees:
            try:
                self._trees[path] = ast.parse(self.texts.get(path, "").lstrip("\ufeff"))
            except SyntaxError:
                self._trees[path] = ast.Module([], [])
        return self._trees[path]

    def under(self, folder: str) -> Iterator[str]:
        """The paths of the Python files in a folder and its subfolders."""
        prefix = folder.rstrip("/") + "/"
        return (p for p in sorted(self.texts) if p.startswith(prefix) and p.endswith(".py"))

    def first(self, *paths: str) -> str:
        """The first of these files that the release has; "" for none."""
        return next((path for path in paths if path in self.texts), "")

    def values(self, path: str) -> dict[str, ast.expr]:
        """Names assigned at module level, in every branch; the last assignment counts."""
        return dict(_assigned(self.tree(path).body))


def _assigned(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    for node in body:
        if isinstance(node, ast.Assign):
            yield from ((t.id, node.value) for t in node.targets if isinstance(t, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            yield node.target.id, node.value
        elif isinstance(node, ast.If):
            yield from _assigned([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            yield from _assigned(node.body)


def literal(node: ast.AST | None, names: Mapping[str, ast.expr] | None = None) -> Any:
    """The value of constants, lists and dicts of them, names, sums of lists; None otherwise."""
    names = names or {}
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        rest = {key: value for key, value in names.items() if key != node.id}
        return literal(names.get(node.id), rest)
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return list(_elements(node, names))
    if isinstance(node, ast.Dict):
        return dict(_items(node, names))
    if isinstance(node, ast.BinOp):
        left, right = literal(node.left, names), literal(node.right, names)
        return _combined(node.op, left, right)
    if isinstance(node, ast.Call) and len(node.args) == 1 and _called(node) in _CONTAINERS:
        return literal(node.args[0], names)
    return None


_CONTAINERS = ("list", "set", "frozenset", "sorted", "tuple", "dict")


def _called(node: ast.Call) -> str:
    return ast.unparse(node.func)


def _combined(operator: ast.operator, left: Any, right: Any) -> Any:
    if isinstance(left, list) and isinstance(right, list):
        return left + right
    if isinstance(left, int) and isinstance(right, int) and isinstance(operator, ast.Mult):
        return left * right
    return None


def _elements(node: ast.List | ast.Tuple | ast.Set, names: Mapping[str, ast.expr]) -> Iterator[Any]:
    for element in node.elts:
        if isinstance(element, ast.Starred):
            yield from literal(element.value, names) or ()
        else:
            value = literal(element, names)
            yield ast.unparse(element) if value is None else value


def _items(node: ast.Dict, names: Mapping[str, ast.expr]) -> Iterator[tuple[Any, Any]]:
    for key, value in zip(node.keys, node.values, strict=True):
        if key is None:
            yield from (literal(value, names) or {}).items()
            continue
        found = literal(value, names)
        yield literal(key, names), ast.unparse(value) if found is None else found


def returned(function: ast.AST) -> list[Any]:
    """What a function returns: constants as they are, the rest as its text."""
    values = [n.value for n in ast.walk(function) if isinstance(n, ast.Return) and n.value]
    found = [(literal(value), ast.unparse(value)) for value in values]
    return [text if value is None else value for value, text in found]


def function(tree: ast.AST, name: str) -> ast.FunctionDef | None:
    """The first function of this name, methods included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return node
    return None


def fields(tree: ast.AST, *classes: str) -> Iterator[tuple[str, ast.AnnAssign]]:
    """The annotated fields of these classes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name in classes:
            for statement in node.body:
                if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                    yield statement.target.id, statement


def long_options(tree: ast.AST) -> Iterator[tuple[list[str], dict[str, ast.expr]]]:
    """Every ``add_argument`` with long names: the names without dashes, and its keywords."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and _called(node).endswith("add_argument")):
            continue
        names = [a.value for a in node.args if isinstance(a, ast.Constant)]
        longs = [str(n)[2:] for n in names if str(n).startswith("--")]
        if longs:
            yield longs, {k.arg: k.value for k in node.keywords if k.arg}


@dataclass(frozen=True, slots=True)
class Place:
    """A class and the file that it is in."""

    path: str
    node: ast.ClassDef


class Classes:
    """The classes of a package: their bases and methods are looked up across its files."""

    def __init__(self, sources: Sources, package: str) -> None:
        self.sources, self.package = sources, package
        self._local: dict[str, dict[str, ast.ClassDef | str]] = {}
        self._imports: dict[str, dict[str, tuple[str, str]]] = {}

    def path_of(self, module: str) -> str:
        """The file of a dotted module; "" if the package has none."""
        path = module.replace(".", "/")
        return self.sources.first(f"{path}.py", f"{path}/__init__.py")

    def find(self, path: str, name: str, depth: int = 0) -> Place | None:
        """The class that ``name`` means in a file, through its imports."""
        if not path or depth > 8:
            return None
        self._load(path)
        local = self._local[path].get(name)
        if isinstance(local, ast.ClassDef):
            return Place(path, local)
        if isinstance(local, str):
            return self.find(path, local, depth + 1)
        module, original = self._imports[path].get(name, ("", ""))
        return self.find(self.path_of(module), original, depth + 1) if module else None

    def lineage(self, path: str, name: str) -> Iterator[tuple[str, ast.ClassDef | None]]:
        """Its own name and those of its bases, with their classes where the package has them."""
        seen: set[tuple[str, str]] = set()
        queue = [(path, name)]
        while queue:
            where, wanted = queue.pop(0)
            if (where, wanted) in seen:
                continue
            seen.add((where, wanted))
            place = self.find(where, wanted)
            yield wanted, place.node if place else None
            if place:
                queue += [(place.path, base) for base in _bases(place.node)]

    def method(self, path: str, name: str, method: str) -> ast.FunctionDef | None:
        """The method of a class or of the first base that defines it."""
        for _, node in self.lineage(path, name):
            for statement in node.body if node else ():
                if isinstance(statement, ast.FunctionDef) and statement.name == method:
                    return statement
        return None

    def _load(self, path: str) -> None:
        if path in self._local:
            return
        local: dict[str, ast.ClassDef | str] = {}
        imports: dict[str, tuple[str, str]] = {}
        for node in _top(self.sources.tree(path).body):
            if isinstance(node, ast.ClassDef):
                local[node.name] = node
            elif isinstance(node, ast.ImportFrom):
                module = self._module(path, node)
                imports |= {a.asname or a.name: (module, a.name) for a in node.names}
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
                local |= {t.id: node.value.id for t in node.targets if isinstance(t, ast.Name)}
        self._local[path], self._imports[path] = local, imports

    def _module(self, path: str, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = PurePosixPath(path).with_suffix("").parts
        base = parts[: len(parts) - node.level]
        return ".".join((*base, *([node.module] if node.module else [])))


def _top(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        if isinstance(node, ast.If):
            yield from _top([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            yield from _top(node.body)
        else:
            yield node


def _bases(node: ast.ClassDef) -> Iterator[str]:
    for base in node.bases:
        inner = base.value if isinstance(base, ast.Subscript) else base
        if isinstance(inner, ast.Name):
            yield inner.id
        elif isinstance(inner, ast.Attribute):
            yield inner.attr


def dtypes(function: ast.AST | None) -> str:
    """``float16,bfloat16`` of the torch types that a function names, in order."""
    text = ast.unparse(function) if function else ""
    names = [name.replace("half", "float16") for name in re.findall(r"torch\.(\w+)", text)]
    return ",".join(n for n in dict.fromkeys(names) if n.startswith(("float", "bfloat", "int")))
