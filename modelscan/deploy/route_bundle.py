"""A bundle: the routing file with what its deployments were started with, to restore elsewhere.

It contains references to keys, never a key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from modelscan.core.jsonform import to_json
from modelscan.routing.effective import depth_of, thinking_of

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.routing.facts import Known

SCHEMA = "modelscan.routing.bundle/1"


def bundle(
    data: Any, deployments: Sequence[Deployment], entries: Iterable[Known] = ()
) -> dict[str, Any]:
    """The file's values and the deployments that its entries name, as JSON values.

    ``entries`` say of each entry whose machine it is and how deep it works: for readers only.
    """
    routing = data.get("routing") if isinstance(data, Mapping) else None
    direct = (routing or {}).get("direct") or {}
    named = {one.get("deployment") for one in direct.get("providers") or ()}
    rows = [_deployment(one) for one in deployments if one.name in named]
    described = [
        {"name": one.name, "tier": one.route.tier, "depth": depth_of(one, thinking_of(one, None))}
        for one in entries
    ]
    return {
        "schema": SCHEMA, "routing": routing or {}, "deployments": rows, "entries": described,
    }  # fmt: skip


def _deployment(one: Deployment) -> dict[str, Any]:
    """What a deployment runs: the model and its revision, the engine, every option."""
    plan = one.plan
    request = one.request
    body: dict[str, Any] = {"name": one.name, "model": one.model, "backend": one.backend}
    if plan is not None:
        body |= {
            "repo": plan.repo, "source": plan.source, "revision": plan.revision,
            "files": list(plan.files), "quantization": plan.quantization,
            "backend_version": plan.backend_version, "context_tokens": plan.context_tokens,
            "parallel": plan.parallel, "parameters": list(plan.parameters),
        }  # fmt: skip
    if request is not None:
        body["workload"] = to_json(request.workload)
    return body
