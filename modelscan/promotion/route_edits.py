"""The routing file of a promotion: a share for the candidate, the switch, and the way back.

Each edit is one atomic change of the file, can be repeated, and touches only what the promotion
owns. The text before the first one is kept: where nothing else changed the file since, the way back
restores it to the byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from modelscan.core.route import Route
from modelscan.core.yaml_reader import Path as Place
from modelscan.promotion.types import ServedBefore
from modelscan.routing.edit import drop, entry_fields, load_plain, put
from modelscan.routing.file import change_text, read_text
from modelscan.routing.place_edit import REMOVED, set_value
from modelscan.state.files import write_atomic

_PROVIDERS: Place = ("routing", "direct", "providers")
_ROLE_KEYS = ("providers", "strategy", "weights")


class RouteEdits:
    """The edits of one promotion. ``kept`` is the file with the text before them."""

    def __init__(
        self, routing_file: Path, kept: Path, route: str, candidate: str, before: ServedBefore
    ) -> None:
        self.file = routing_file
        self.kept = kept
        self.route = route
        self.candidate = candidate
        self.before = before

    def share(self, entry: Route, share: float) -> None:
        """Give the candidate's entry a share of the route's requests."""
        label = f"canary of {self.route}: {self.candidate}"
        self._change(label, lambda text: self._shared(self._original(text), entry, share))

    def switch(self, entry: Route) -> None:
        """Let the route lead to the candidate only; ``entry`` is the candidate's."""
        label = f"promote {self.candidate} to {self.route}"
        self._change(label, lambda text: self._switched(self._original(text), entry))

    def restore(self, old: Route | None) -> bool:
        """Let the route lead to what it led to before. ``old``: that entry as it runs now; None:
        there was none. False where the file did not change.
        """
        label = f"roll back {self.route}"
        return change_text(self.file, lambda text: self._restored(text, old), label)

    def _change(self, label: str, edit: Callable[[str], str]) -> None:
        def change(text: str) -> str:
            self._keep(text)
            edited = edit(text)
            write_atomic(self._mark, _sha256(edited))
            return edited

        change_text(self.file, change, label)

    @property
    def _mark(self) -> Path:
        """The file with the digest of the text that the last edit wrote."""
        return self.kept.with_suffix(".after")

    def _keep(self, text: str) -> None:
        if not self.kept.is_file():
            write_atomic(self.kept, text)

    def _untouched(self, text: str) -> bool:
        """Whether the text is the one that this promotion's last edit wrote."""
        mark = read_text(self._mark)
        return mark is not None and mark == _sha256(text)

    def _original(self, text: str) -> str:
        """The text without what an earlier edit of this promotion added."""
        kept = read_text(self.kept)
        if kept is not None and self._untouched(text):
            return kept
        return self._reversed(text)

    def _restored(self, text: str, old: Route | None) -> str:
        kept = read_text(self.kept)
        if kept is not None and self._untouched(text) and _leads_to(kept, old):
            return kept
        text = self._reversed(text)
        if self.before.kind == "role":
            return text if old is None else put(text, entry_fields(old))
        if old is None:
            return drop(text, self.route)
        return put(text, entry_fields(replace(old, name=self.route)))

    def _reversed(self, text: str) -> str:
        """Without the candidate's entry and share; a role's policy as it was."""
        if self.before.kind == "role":
            for place, value in self._role_before(text):
                text = set_value(text, place, value)
        elif (at := _index(text, _PROVIDERS, "name", self.route)) is not None:
            text = set_value(text, (*_PROVIDERS, at, "canary"), REMOVED)
        return drop(text, self.candidate)

    def _shared(self, text: str, entry: Route, share: float) -> str:
        text = put(text, entry_fields(replace(entry, name=self.candidate)))
        if self.before.kind == "role":
            current = self.before.entry
            named = [*_role_policy(load_plain(text), self.route).get("providers", ())]
            providers = [*(named or ([current] if current else [])), self.candidate]
            weights = dict.fromkeys(providers[:1], 1 - share) | {self.candidate: share}
            values = {"providers": providers, "strategy": "weighted", "weights": weights}
            return self._with_role(text, values)
        at = _index(text, _PROVIDERS, "name", self.route)
        value = {"provider": self.candidate, "share": share}
        return text if at is None else set_value(text, (*_PROVIDERS, at, "canary"), value)

    def _switched(self, text: str, entry: Route) -> str:
        if self.before.kind != "role":
            return put(text, entry_fields(replace(entry, name=self.route)))
        text = put(text, entry_fields(replace(entry, name=self.candidate)))
        named = [*_role_policy(load_plain(text), self.route).get("providers", ())]
        others = [self.candidate if name == self.before.entry else name for name in named]
        providers = others if self.candidate in others else [self.candidate, *others]
        return self._with_role(text, {"providers": providers})

    def _with_role(self, text: str, values: Mapping[str, Any]) -> str:
        at = _index(text, ("routing", "roles"), "role_id", self.route)
        for key, value in values.items():
            text = set_value(text, ("routing", "roles", at or 0, "routing_policy", key), value)
        return text

    def _role_before(self, text: str) -> Iterator[tuple[Place, Any]]:
        """The role's own keys as they were, as far as this promotion changed them."""
        kept = read_text(self.kept)
        at = _index(text, ("routing", "roles"), "role_id", self.route)
        if kept is None or at is None:
            return
        policy, now = _role_policy(load_plain(kept), self.route), None
        now = _role_policy(load_plain(text), self.route)
        if self.candidate not in (now.get("providers") or ()):
            return
        place = ("routing", "roles", at, "routing_policy")
        if not policy and set(now) <= set(_ROLE_KEYS):
            yield place, REMOVED
            return
        for key in _ROLE_KEYS:
            if key in policy or key in now:
                yield (*place, key), policy.get(key, REMOVED)


def _leads_to(text: str, old: Route | None) -> bool:
    """Whether the kept text's entry has the address at which the old one runs now."""
    if old is None:
        return True
    at = _index(text, _PROVIDERS, "name", old.name)
    entries = _items(load_plain(text), _PROVIDERS)
    return at is not None and entries[at].get("base_url") == old.base_url


def _role_policy(data: Any, name: str) -> Mapping[str, Any]:
    for role in _items(data, ("routing", "roles")):
        if isinstance(role, Mapping) and role.get("role_id") == name:
            policy = role.get("routing_policy")
            return policy if isinstance(policy, Mapping) else {}
    return {}


def _items(data: Any, place: Place) -> list[Any]:
    for key in place:
        data = data.get(str(key)) if isinstance(data, Mapping) else None
    return data if isinstance(data, list) else []


def _index(text: str, place: Place, key: str, name: str) -> int | None:
    for at, item in enumerate(_items(load_plain(text), place)):
        if isinstance(item, Mapping) and item.get(key) == name:
            return at
    return None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
