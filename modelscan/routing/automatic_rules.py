"""Compiles the rules of the role ``auto``: the file's, or the built-in ones. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.routing.automatic import plain_words
from modelscan.routing.built_in import role_named
from modelscan.routing.effective import effective_policy
from modelscan.routing.facts import Known
from modelscan.routing.lookup import find_route
from modelscan.routing.role_format import RuleFields
from modelscan.routing.table import AutomaticRule, RouteEntry

if TYPE_CHECKING:
    from modelscan.routing.parsed import RoutingFile

DEFAULT = "default"  # the target that means the default provider
BUILT_IN_RULES = (
    RuleFields(role=DEFAULT, tools=True, thinking="on"),
    RuleFields(role=DEFAULT, images=True),
    RuleFields(
        role=DEFAULT,
        keywords=["debug", "refactor", "prove", "proof", "derive", "algorithm", "architecture",
                  "step by step", "stack trace", "traceback", "race condition", "root cause"],
        thinking="on",
    ),
    RuleFields(role="fast", max_characters=600),
)  # fmt: skip


def automatic_rules(
    file: RoutingFile,
    entries: Sequence[Known],
    routes: Mapping[str, RouteEntry],
    default: str | None,
) -> tuple[AutomaticRule, ...]:
    """The compiled rules; one whose target cannot be found is left out."""
    written = file.automatic
    rules = BUILT_IN_RULES if written is None or written.rules is None else tuple(written.rules)
    otherwise = (written and written.otherwise) or DEFAULT
    by_place = {entry.place: entry for entry in entries}
    compiled: list[AutomaticRule] = []
    for rule in (*rules, RuleFields(role=otherwise)):
        name = default if rule.role == DEFAULT else rule.role
        found = find_route(routes, name) if name else None
        if found is not None:
            entry = _with_thinking(file, found.entry, rule, by_place)
            compiled.append(_compiled(rule, entry))
    return tuple(compiled)


def _compiled(rule: RuleFields, entry: RouteEntry) -> AutomaticRule:
    words = tuple(plain_words(word) for word in rule.keywords or ())
    return AutomaticRule(
        entry=entry,
        reason=f"auto: {' and '.join(conditions(rule)) or 'no other rule holds'} -> {entry.name}"
        + ("" if rule.thinking == "keep" else f", thinking {rule.thinking}"),
        min_characters=rule.min_characters,
        max_characters=rule.max_characters,
        tools=rule.tools,
        images=rule.images,
        keywords=words,
    )


def conditions(rule: RuleFields) -> Iterator[str]:
    """The conditions of a rule in words."""
    if rule.tools is not None:
        yield "the request offers tools" if rule.tools else "the request offers no tools"
    if rule.images is not None:
        yield "the request has images" if rule.images else "the request has no images"
    if rule.min_characters is not None:
        yield f"at least {rule.min_characters:,} characters"
    if rule.max_characters is not None:
        yield f"at most {rule.max_characters:,} characters"
    if rule.keywords:
        yield f"the last message has one of: {', '.join(rule.keywords)}"


def _with_thinking(
    file: RoutingFile, entry: RouteEntry, rule: RuleFields, entries: Mapping[int, Known]
) -> RouteEntry:
    """The route with another setting of thinking; keep: as it is."""
    if rule.thinking == "keep":
        return entry
    role = role_named(file, entry.name) if entry.kind == "role" else None
    candidates = (
        replace(one, policy=effective_policy(entries[one.backend], role, rule.thinking))
        for one in entry.candidates
    )
    return replace(entry, candidates=tuple(candidates))
