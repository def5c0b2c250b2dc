"""Speculative decoding that a catalog recommends for a repository, independent of the engine."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, get_args

from modelscan.core.foreign import text, whole

if TYPE_CHECKING:
    from modelscan.engines.option_names import OptionPair
    from modelscan.engines.version_tables import VersionFacts

Method = Literal["mtp", "ngram", "eagle3"]
_DEFAULT_TOKENS = 1


class Speculation(NamedTuple):
    """``tokens``: drafted in each step; ``draft``: the drafting model's repository; ``longest`` and
    ``shortest``: words that ``ngram`` looks up, None: the engine's own.
    """

    method: Method
    tokens: int = _DEFAULT_TOKENS
    draft: str | None = None
    longest: int | None = None
    shortest: int | None = None


class SpeculativeMethods(Protocol):
    """An engine's module of speculative decoding: ``OPTION`` sets the method."""

    OPTION: str

    def problem(self, method: str, classes: Iterable[str], facts: VersionFacts) -> str | None:
        """Why this version cannot draft by a method for a model of these classes; None if it can,
        or it is not known.
        """

    def options(self, wanted: Speculation) -> tuple[OptionPair, ...]:
        """The options of a recommended method."""


def stated(config: Mapping[str, Any] | None) -> Speculation | None:
    """A catalog's ``speculative_config``; None if it is off, or of a method that has no name here.

    A drafting model is a repository: another name is one of that catalog's server.
    """
    if not config or config.get("enabled") is False:
        return None
    method, draft = text(config.get("algorithm")), text(config.get("draft_model"))
    if method not in get_args(Method) or (method == "eagle3" and "/" not in (draft or "")):
        return None
    return Speculation(
        method,  # type: ignore[arg-type]  # one of the literals
        whole(config.get("num_draft_tokens")) or _DEFAULT_TOKENS,
        draft,
        whole(config.get("ngram_max_match_length")),
        whole(config.get("ngram_min_match_length")),
    )


def method_of(config: str | None) -> str | None:
    """The ``method`` of a speculative configuration in JSON; None without one."""
    try:
        table = json.loads(config or "{}")
    except (ValueError, RecursionError):
        return None
    return text(table.get("method")) if isinstance(table, dict) else None
