"""Names and parameters of Python packages, read from their unpacked sources without importing.

``Sources`` follows re-exports (``from .x import y``, star imports, lazy tables) to the definition,
and lists the keywords that a function, class (its ``__init__`` or fields, with those of bases) or
method accepts.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Found:
    """A definition with the file that has it."""

    file: Path
    node: ast.AST

    def place(self, root: Path) -> str:
        """``package/module.py:12``."""
        return f"{self.file.relative_to(root).as_posix()}:{getattr(self.node, 'lineno', 1)}"


@dataclass(frozen=True)
class Accepted:
    """Keywords that are listed, and whether others are passed on (``**kwargs``)."""

    keywords: frozenset[str]
    others: bool


class Sources:
    """Packages below one folder, each with its top-level name."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._found: dict[tuple[str, str], list[Found]] = {}
        self._texts: dict[Path, str] = {}

    @functools.cache  # noqa: B019 - one object per check
    def tree(self, file: Path) -> ast.Module:
        """The parsed file."""
        return ast.parse(file.read_text(encoding="utf-8", errors="replace"))

    def module(self, name: str) -> Path | None:
        """The file of a module; None where there is none."""
        place = self.root.joinpath(*name.split("."))
        for file in (place / "__init__.py", place.with_suffix(".py")):
            if file.is_file():
                return file
        return None

    def find(self, module: str, name: str) -> list[Found]:
        """Definitions that ``from module import name`` may give: modules choose by platform."""
        key = (module, name)
        if key not in self._found:
            self._found[key] = []  # a module that imports itself in a circle adds nothing
            self._found[key] = list(self._search(module, name))
        return self._found[key]

    def _search(self, module: str, name: str) -> Iterator[Found]:
        file = self.module(module)
        if file is not None:
            found = [*self._here(file, name), *self._imported(file, module, name)]
            yield from found
            if not found:
                yield from self._lazy(file, module, name)
        submodule = self.module(f"{module}.{name}")
        if submodule is not None:
            yield Found(submodule, self.tree(submodule))

    def dotted(self, path: str) -> Iterator[Found]:
        """Definitions of ``package.module.Class.method``."""
        parts = path.split(".")
        whole = self.module(path)
        if whole is not None:
            yield Found(whole, self.tree(whole))
        for end in range(len(parts) - 1, 0, -1):
            module = ".".join(parts[:end])
            if self.module(module) is None:
                continue
            found = list(self.find(module, parts[end]))
            for name in parts[end + 1 :]:
                found = [inner for one in found for inner in self.member(one, name)]
            yield from found
            return

    def _here(self, file: Path, name: str) -> Iterator[Found]:
        for node in self._statements(self.tree(file)):
            if (isinstance(node, _DEFINITIONS) and node.name == name) or name in _assigned(node):
                yield Found(file, node)

    def _statements(self, tree: ast.Module) -> Iterator[ast.stmt]:
        """Statements of the module, also those below ``if`` and ``try``."""
        stack = list(tree.body)
        while stack:
            node = stack.pop(0)
            yield node
            if isinstance(node, (ast.If, ast.Try)):
                for part in ("body", "orelse", "finalbody"):
                    stack += getattr(node, part, [])

    def _imported(self, file: Path, module: str, name: str) -> Iterator[Found]:
        for node in self._statements(self.tree(file)):
            if not isinstance(node, ast.ImportFrom):
                continue
            source = self._absolute(file, module, node)
            for alias in node.names:
                if (alias.asname or alias.name) == name or alias.name == "*":
                    wish = name if alias.name == "*" else alias.name
                    yield from self.find(source, wish)

    def _absolute(self, file: Path, module: str, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = module.split(".")
        up = node.level - (1 if file.name == "__init__.py" else 0)
        base = parts[: len(parts) - up] if up else parts
        return ".".join([*base, *([node.module] if node.module else [])])

    def _lazy(self, file: Path, module: str, name: str) -> Iterator[Found]:
        """A name of a lazy module: its only definition in the package. transformers lists some
        names by their modules' ``__all__``."""
        text = file.read_text(encoding="utf-8", errors="replace")
        if "." in module or ("Lazy" not in text and name not in text):
            return
        for other in self._with_text(self.root / module.split(".")[0], name):
            found = [one for one in self._here(other, name) if isinstance(one.node, _DEFINITIONS)]
            yield from found[:1]

    def _with_text(self, package: Path, name: str) -> Iterator[Path]:
        texts = (f"class {name}", f"def {name}")
        for file in sorted(package.resolve().rglob("*.py")):
            if file not in self._texts:
                self._texts[file] = file.read_text(encoding="utf-8", errors="replace")
            if any(text in self._texts[file] for text in texts):
                yield package / file.relative_to(package.resolve())

    def member(self, found: Found, name: str) -> Iterator[Found]:
        """A method of a class, or a definition in a module, those of bases last."""
        if isinstance(found.node, ast.Module):
            yield from self._here(found.file, name)
            yield from self._imported(found.file, self._name(found.file), name)
        if not isinstance(found.node, ast.ClassDef):
            return
        for node in found.node.body:
            if (isinstance(node, _DEFINITIONS) and node.name == name) or name in _assigned(node):
                yield Found(found.file, node)
        for base in self.bases(found):
            yield from self.member(base, name)

    def _name(self, file: Path) -> str:
        parts = file.relative_to(self.root).with_suffix("").parts
        return ".".join(parts).removesuffix(".__init__")

    def bases(self, found: Found) -> Iterator[Found]:
        """The base classes that are in these packages."""
        assert isinstance(found.node, ast.ClassDef)
        for base in found.node.bases:
            node = base.value if isinstance(base, ast.Subscript) else base
            name = ast.unparse(node).rpartition(".")[2]
            choices = [
                *self._here(found.file, name),
                *self._imported(found.file, self._name(found.file), name),
            ]
            yield from [one for one in choices if one.node is not found.node][:1]

    def accepts(self, found: Found) -> Accepted:
        """The keywords of a call of it."""
        node = found.node
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return _of_function(node)
        if not isinstance(node, ast.ClassDef):
            return Accepted(frozenset(), True)
        fields = {
            item.target.id
            for item in node.body
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
        }
        own = next(
            (n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None
        )
        start = _of_function(own) if own is not None else Accepted(frozenset(), False)
        inherited = (
            [self.accepts(base) for base in self.bases(found)]
            if own is None or start.others
            else []
        )
        keywords = start.keywords.union(
            fields if own is None else (), *(one.keywords for one in inherited)
        )
        others = start.others if own is not None else any(one.others for one in inherited)
        return Accepted(frozenset(keywords), others)

    def methods(self, name: str, packages: tuple[str, ...]) -> Iterator[Found]:
        """Every method or function of that name in these packages."""
        for package in packages:
            for file in self._with_text(self.root / package, name):
                for node in ast.walk(self.tree(file)):
                    if isinstance(node, ast.FunctionDef) and node.name == name:
                        yield Found(file, node)


def _assigned(node: ast.stmt) -> set[str]:
    """The names that an assignment defines."""
    if isinstance(node, ast.Assign):
        targets: list[ast.expr] = node.targets
    else:
        targets = [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _of_function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Accepted:
    names = [one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return Accepted(frozenset(names) - {"self", "cls"}, node.args.kwarg is not None)
