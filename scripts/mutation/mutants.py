"""Mutants of one module: each replaces one expression of the source, the rest stays as it is."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.LShift: ast.RShift,
    ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
_FUNCTIONS = {
    "min": "max", "max": "min", "any": "all", "all": "any", "ceil": "floor", "floor": "ceil",
}  # fmt: skip
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one module. ``before`` and ``after`` are the changed lines, stripped."""

    path: str
    scope: str  # qualified name of the function or class, "" at module level
    line: int  # 1-based, of the changed expression
    first: int  # lines of the statement that holds it (a compound statement: its header)
    last: int
    at_import: bool  # runs when the module is imported, in no function
    before: str
    after: str
    source: str  # the whole mutated module

    @property
    def key(self) -> str:
        """What identifies the mutant while other lines move."""
        return f"{self.path}|{self.scope}|{self.before}|{self.after}"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a node stands: its scope and the statement around it."""

    scope: str
    statement: ast.stmt
    at_import: bool


def mutants_of(path: str, source: str) -> list[Mutant]:
    """All mutants of a module's text, in the order of their lines."""
    mutants = []
    for node, place in _nodes(ast.parse(source)):
        for changed in _changes(node):
            mutants.append(_mutant(path, source, node, changed, place))
    return sorted(mutants, key=lambda mutant: (mutant.line, mutant.key))


def _nodes(tree: ast.Module) -> Iterator[tuple[ast.expr | ast.AugAssign, _Place]]:
    for statement in tree.body:
        yield from _of_statement(statement, "", True)


def _of_statement(
    statement: ast.stmt, scope: str, at_import: bool
) -> Iterator[tuple[ast.expr | ast.AugAssign, _Place]]:
    """The nodes of one statement that may be mutated; annotations and assertions are none."""
    if isinstance(statement, ast.Assert | ast.Import | ast.ImportFrom | ast.Raise):
        return
    place = _Place(scope, statement, at_import)
    if isinstance(statement, ast.AugAssign):
        yield statement, place
    inner, inside = scope, at_import
    if isinstance(statement, _Function | ast.ClassDef):
        inner = f"{scope}.{statement.name}".lstrip(".")
        inside = at_import and isinstance(statement, ast.ClassDef)
    for expression in _expressions(statement):
        for node in _walk(expression):
            yield node, place
    for child in _statements(statement):
        yield from _of_statement(child, inner, inside)


def _expressions(statement: ast.stmt) -> Iterator[ast.expr]:
    if isinstance(statement, _Function):
        arguments = statement.args
        yield from (value for value in (*arguments.defaults, *arguments.kw_defaults) if value)
        return
    if isinstance(statement, ast.ClassDef):
        return
    if isinstance(statement, ast.AnnAssign):
        if statement.value is not None:
            yield statement.value
        return
    for child in ast.iter_child_nodes(statement):
        if isinstance(child, ast.expr):
            yield child
        elif isinstance(child, ast.withitem):
            yield child.context_expr


def _statements(statement: ast.stmt) -> Iterator[ast.stmt]:
    for child in ast.iter_child_nodes(statement):
        if isinstance(child, ast.stmt):
            yield child
        elif isinstance(child, ast.ExceptHandler | ast.match_case):
            yield from child.body


def _walk(expression: ast.expr) -> Iterator[ast.expr]:
    """An expression and those inside it; text is not mutated (an f-string has no positions)."""
    if isinstance(expression, ast.JoinedStr):
        return
    yield expression
    for child in ast.iter_child_nodes(expression):
        if isinstance(child, ast.expr):
            yield from _walk(child)
        elif isinstance(child, ast.keyword):
            yield from _walk(child.value)
        elif isinstance(child, ast.comprehension):
            for part in (child.iter, *child.ifs):
                yield from _walk(part)


def _changes(node: ast.expr | ast.AugAssign) -> Iterator[ast.AST]:
    """What may stand in a node's place."""
    if isinstance(node, ast.Compare):
        yield from _compared(node)
    elif isinstance(node, ast.BinOp | ast.AugAssign):
        if type(node.op) in _ARITHMETIC:
            yield _with(node, op=_ARITHMETIC[type(node.op)]())
    elif isinstance(node, ast.BoolOp):
        yield from _joined(node)
    elif isinstance(node, ast.UnaryOp):
        if isinstance(node.op, ast.Not):
            yield node.operand
    elif isinstance(node, ast.Constant):
        yield from _constants(node)
    elif isinstance(node, ast.Call):
        yield from _called(node)
    elif isinstance(node, ast.Slice):
        yield from _sliced(node)


def _with(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _compared(node: ast.Compare) -> Iterator[ast.AST]:
    for index, operator in enumerate(node.ops):
        other = _COMPARISONS[type(operator)]()
        yield _with(node, ops=[*node.ops[:index], other, *node.ops[index + 1 :]])


def _joined(node: ast.BoolOp) -> Iterator[ast.AST]:
    yield _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
    if isinstance(node.op, ast.Or):  # the default left out
        rest = node.values[:-1]
        yield rest[0] if len(rest) == 1 else _with(node, values=rest)


def _constants(node: ast.Constant) -> Iterator[ast.AST]:
    value = node.value
    if isinstance(value, bool):
        yield _with(node, value=not value)
    elif isinstance(value, int | float):
        yield _with(node, value=value + 1)
        if value > 0:
            yield _with(node, value=value - 1)


def _called(node: ast.Call) -> Iterator[ast.AST]:
    function = node.func
    if isinstance(function, ast.Name) and function.id in _FUNCTIONS:
        yield _with(node, func=_with(function, id=_FUNCTIONS[function.id]))
    elif isinstance(function, ast.Attribute) and function.attr in _FUNCTIONS:
        yield _with(node, func=_with(function, attr=_FUNCTIONS[function.attr]))


def _sliced(node: ast.Slice) -> Iterator[ast.AST]:
    """One more at either end; bounds that are numbers change as numbers."""
    for name in ("lower", "upper"):
        bound = getattr(node, name)
        if bound is not None and not isinstance(bound, ast.Constant):
            yield _with(node, **{name: ast.BinOp(bound, ast.Add(), ast.Constant(1))})


def _mutant(
    path: str, source: str, node: ast.expr | ast.AugAssign, changed: ast.AST, place: _Place
) -> Mutant:
    text = ast.unparse(ast.fix_missing_locations(changed))
    if not isinstance(node, ast.AugAssign | ast.Slice | ast.Constant):
        text = f"({text})"
    lines = source.splitlines(keepends=True)
    first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    head = lines[first].encode()[: node.col_offset].decode()
    tail = lines[last].encode()[node.end_col_offset or 0 :].decode()
    new = f"{head}{text}{tail}"
    statement = place.statement
    return Mutant(
        path, place.scope, node.lineno, statement.lineno, _end(statement), place.at_import,
        _flat("".join(lines[first : last + 1])), _flat(new),
        "".join((*lines[:first], new, *lines[last + 1 :])),
    )  # fmt: skip


def _flat(text: str) -> str:
    return " ".join(text.split())


def _end(statement: ast.stmt) -> int:
    """The last line of a statement, of a compound one's header."""
    body = getattr(statement, "body", None)
    if isinstance(body, list) and body:
        return max(statement.lineno, int(body[0].lineno) - 1)
    return statement.end_lineno or statement.lineno
