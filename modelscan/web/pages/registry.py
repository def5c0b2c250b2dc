"""Registry: which models are trusted, and what waits for an approval?"""

from __future__ import annotations

from collections.abc import Sequence

from modelscan.registry.curation import Curation
from modelscan.registry.policy import TagPolicies
from modelscan.registry.types import RegistryFilter, RegistryPage
from modelscan.web.visit import View, Visit

_FILTERS = ("q", "tag", "license", "family", "cursor")


def wanted(visit: Visit) -> RegistryFilter:
    """The filter behind an address."""
    tag = visit.text("tag")
    return RegistryFilter(
        text=visit.text("q") or None, tags=(tag,) if tag else (),
        license=visit.text("license") or None, family=visit.text("family") or None,
    )  # fmt: skip


def view(
    visit: Visit, page: RegistryPage, waiting: Sequence[Curation], policies: TagPolicies
) -> View:
    """The page."""
    more = visit.link(cursor=page.next_cursor) if page.next_cursor else None
    return View("registry.html", {
        "title": "Registry", "models": page.items, "more": more, "waiting": waiting[:100],
        "narrowed": any(map(visit.text, _FILTERS)),
        "needed": {tag: policy.approvals for tag, policy in policies.tags.items()},
    })  # fmt: skip
