"""Which entries may serve a role, and in which order. Pure.

Gates first: an entry that one of them excludes is refused, with the reason. Then the preferences,
which restrict only where something remains, then the strategy's order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from modelscan.routing.facts import (
    Known,
    can_do,
    context_window,
    family_name,
    why_unusable,
)
from modelscan.routing.memo import TableMemo
from modelscan.routing.role_format import RoleFields, SelectionFields
from modelscan.routing.scoring import (
    ROLE_WEIGHTS,
    Signals,
    bench_signal,
    runtime_signal,
    score,
    text_signal,
    trust,
)
from modelscan.routing.table import Strategy
from modelscan.routing.world import ProviderObservation

NO_SELECTION = SelectionFields()


class Choice(NamedTuple):
    """An entry that may serve, with its score by signal."""

    entry: Known
    signals: Signals
    score: float


class Refused(NamedTuple):
    """An entry that may not serve, and why, as a sentence."""

    entry: Known
    reason: str


class RolePool(NamedTuple):
    """A role's entries in the order of preference, and the refused ones in the file's order."""

    choices: tuple[Choice, ...]
    refused: tuple[Refused, ...]


def strategy_of(role: RoleFields) -> Strategy:
    """The strategy's one name: ``loaded_first`` is ``scored``."""
    name = (role.routing_policy or NO_SELECTION).strategy
    return "scored" if name == "loaded_first" else name


def role_pool(
    entries: Sequence[Known], role: RoleFields, memo: TableMemo | None = None
) -> RolePool:
    """The entries that a role may use; ``memo``: what is known of them from the last time."""
    selection = role.routing_policy or NO_SELECTION
    refused: list[Refused] = []
    passed: list[Known] = []
    for entry in _in_order(entries, selection.providers):
        reason = _gated(entry, role, selection, memo)
        if reason is None:
            passed.append(entry)
        else:
            refused.append(Refused(entry, f"{entry.name} {reason}"))
    for name, keep in _preferences(selection):
        passed = _prefer(passed, refused, name, keep)
    choices = [_chosen(entry, role, selection, memo) for entry in passed]
    if strategy_of(role) == "scored":
        choices.sort(key=lambda one: -one.score)
    refused.sort(key=lambda one: one.entry.place)
    return RolePool(tuple(choices), tuple(refused))


def _in_order(entries: Sequence[Known], names: Sequence[str] | None) -> Iterable[Known]:
    """The named entries first, as they are named."""
    if names is None:
        return entries
    place = {name: at for at, name in enumerate(names)}
    return sorted(entries, key=lambda one: (place.get(one.name, len(place)), one.place))


def _gated(
    entry: Known, role: RoleFields, selection: SelectionFields, memo: TableMemo | None
) -> str | None:
    if memo is None:
        return _gate(entry, role, selection)
    return memo.made(entry, ("gate", role.role_id), lambda: _gate(entry, role, selection))


def _chosen(
    entry: Known, role: RoleFields, selection: SelectionFields, memo: TableMemo | None
) -> Choice:
    if memo is None:
        return _choice(entry, role, selection)
    made = memo.made(entry, ("choice", role.role_id), lambda: _choice(entry, role, selection))
    return made if made.entry.place == entry.place else made._replace(entry=entry)


def _gate(entry: Known, role: RoleFields, selection: SelectionFields) -> str | None:
    """Why an entry may not serve the role, as words after its name; None: it may."""
    if selection.providers is not None and entry.name not in selection.providers:
        return f"is not among the role's providers ({', '.join(selection.providers)})"
    unusable = why_unusable(entry)
    if unusable is not None:
        return unusable
    if entry.route.model is None:
        return "serves many models: a role needs an entry with a model"
    if not can_do(entry, role.operation):
        return f"is not for {role.operation}"
    if selection.tiers is not None and entry.route.tier not in selection.tiers:
        return f"is {entry.route.tier.replace('_', ' ')}, not {' or '.join(selection.tiers)}"
    return _tags(entry, selection) or _context(entry, selection)


def _tags(entry: Known, selection: SelectionFields) -> str | None:
    missing = [tag for tag in selection.requires_tags or () if tag not in entry.tags]
    return f"lacks the tag {', '.join(missing)}" if missing else None


def _context(entry: Known, selection: SelectionFields) -> str | None:
    if selection.min_context is None:
        return None
    tokens = context_window(entry).tokens
    if tokens is not None and tokens < selection.min_context:
        return f"has {tokens:,} tokens of context; the role needs {selection.min_context:,}"
    return None


def _preferences(selection: SelectionFields) -> list[tuple[str, Callable[[Known], bool]]]:
    """Restrictions that count only where an entry remains, with the reason for the others."""
    rules: list[tuple[str, Callable[[Known], bool]]] = []
    if selection.tiers is None and selection.providers is None:
        reason = "is a third party's, and an own entry can serve; allow it with tiers"
        rules.append((reason, lambda entry: entry.route.tier != "third_party"))
    if selection.min_context is not None:
        reason = f"has an unknown context; another entry has the {selection.min_context:,} tokens"
        rules.append((reason, lambda entry: context_window(entry).tokens is not None))
    if selection.require_loaded:
        rules.append(("is not loaded, another entry is", lambda one: bool(one.seen.runtime.loaded)))
    for family in selection.preferred_families or ():
        reason = f"is of another family than {family}"
        rules.append((reason, lambda one, name=family: is_of_family(one, name)))  # type: ignore[misc]
    return rules


def _prefer(
    passed: list[Known], refused: list[Refused], reason: str, keep: Callable[[Known], bool]
) -> list[Known]:
    kept = [entry for entry in passed if keep(entry)]
    if not kept:
        return passed
    refused += [Refused(one, f"{one.name} {reason}") for one in passed if not keep(one)]
    return kept


def is_of_family(entry: Known, family: str) -> bool:
    """Whether an entry's family is this one or a variant of it: ``Qwen3`` has qwen3-coder, but
    neither qwen3.5 nor qwen:32b."""
    name, wanted = family_name(entry), _plain(family)
    if name is None:
        return False
    return _plain(name) == wanted or _plain(name).startswith(f"{wanted}-")


@lru_cache(maxsize=4096)
def _plain(text: str) -> str:
    """``Llama 3`` and ``llama-3`` are one spelling."""
    return re.sub(r"[ _]+", "-", text.strip().lower())


def _choice(entry: Known, role: RoleFields, selection: SelectionFields) -> Choice:
    signals = role_signals(entry, role, selection)
    return Choice(entry, signals, score(signals, ROLE_WEIGHTS))


def role_signals(entry: Known, role: RoleFields, selection: SelectionFields) -> Signals:
    """The signals of an entry for a role; ``None`` where one does not apply."""
    wanted = " ".join(filter(None, (role.display_name, role.description)))
    task = " ".join([wanted, *(selection.preferred_labels or ())]) or role.role_id
    families = selection.preferred_families
    preferred = [is_of_family(entry, family) for family in families or ()]
    profile = selection.guardrail_profile
    workloads = selection.agentic_benchmark_workloads or (role.role_id,)
    return measured(
        Signals(
            text=text_signal(task, entry_texts(entry)),
            family=float(any(preferred)) if families else None,
            guardrail=None if profile == "none" else float(profile in entry.route.tags),
        ),
        entry.seen,
        tuple(workloads),
    )


def measured(signals: Signals, seen: ProviderObservation, workloads: Sequence[str] = ()) -> Signals:
    """The signals with what was observed: speed by the share of right answers, and results."""
    return signals._replace(
        runtime=runtime_signal(seen.runtime) * trust(workloads, seen.results),
        bench=bench_signal(workloads, seen.results),
    )


def entry_texts(entry: Known) -> tuple[str, ...]:
    """The texts that a task's words are looked for in."""
    texts = (entry.name, entry.route.model, entry.route.served_model, family_name(entry))
    return (*filter(None, texts), *entry.route.tags, *entry.model.tags, *entry.model.texts)
