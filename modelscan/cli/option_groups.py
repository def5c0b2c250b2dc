"""Options that belong together, as a dataclass: its fields are options.

    @grouped
    def deploy(model: str, place: Place) -> Document: ...

A parameter whose type is a dataclass is replaced by the options that its fields are annotated with.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints


def grouped(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with every group of options spread out."""
    own = inspect.signature(function, eval_str=True).parameters
    groups = {name: p.annotation for name, p in own.items() if _is_group(p)}

    @functools.wraps(function)
    def command(**given: Any) -> Any:
        values = {
            name: kind(**{field.name: given.pop(field.name) for field in dataclasses.fields(kind)})
            for name, kind in groups.items()
        }
        return function(**given, **values)

    parameters = [p for name, one in own.items() for p in _spread(one, groups.get(name))]
    del vars(command)["__wrapped__"]  # Typer must see the new signature
    vars(command)["__signature__"] = inspect.Signature(parameters)
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def _is_group(parameter: inspect.Parameter) -> bool:
    """A dataclass with a default for each field; ``Wanted`` has none and is another decorator's."""
    kind = parameter.annotation
    return dataclasses.is_dataclass(kind) and all(
        field.default is not dataclasses.MISSING for field in dataclasses.fields(kind)
    )


def _spread(parameter: inspect.Parameter, group: type[Any] | None) -> list[inspect.Parameter]:
    keyword = inspect.Parameter.KEYWORD_ONLY
    if group is None:
        return [parameter.replace(kind=keyword)]
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(f.name, keyword, default=f.default, annotation=hints[f.name])
        for f in dataclasses.fields(group)
    ]
