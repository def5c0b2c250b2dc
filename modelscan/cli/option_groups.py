"""Groups of options as dataclasses whose fields are options.

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
    """The function with the options of each group as parameters of their own."""
    parameters = inspect.signature(function, eval_str=True).parameters
    groups = {name: p.annotation for name, p in parameters.items() if _is_group(p)}

    @functools.wraps(function)
    def command(**options: Any) -> Any:
        values = {
            name: kind(
                **{field.name: options.pop(field.name) for field in dataclasses.fields(kind)}
            )
            for name, kind in groups.items()
        }
        return function(**options, **values)

    spread = [p for name, one in parameters.items() for p in _spread(one, groups.get(name))]
    del vars(command)["__wrapped__"]  # so that Typer reads the new signature
    vars(command)["__signature__"] = inspect.Signature(spread)
    command.__annotations__ = {p.name: p.annotation for p in spread}
    return command


def _is_group(parameter: inspect.Parameter) -> bool:
    """Whether the type is a dataclass with a default for each field. ``SharedOptions`` has none; it
    belongs to ``workload_options``."""
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
