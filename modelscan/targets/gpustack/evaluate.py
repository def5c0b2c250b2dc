"""GPUStack's own evaluation of a request: a cross-check of our plan, never its replacement."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from modelscan.core.deployment import ClusterRecord, Deployment
from modelscan.core.errors import AuthError, ModelscanError, UsageError
from modelscan.core.evaluation import Evaluation
from modelscan.core.units import format_bytes
from modelscan.targets.gpustack.client import Client
from modelscan.targets.gpustack.states import one_line

_TELL_FRACTION = 0.25  # a difference in bytes worth a word
_COULD_NOT_JUDGE = re.compile(
    r"name resolution|max retries|connection (?:failed|refused|error|reset)|timed? ?out|"
    r"failed to resolve|unreachable|couldn't connect|offline mode",
    re.IGNORECASE,
)


def evaluate(client: Client, body: Mapping[str, Any], cluster_id: int | None) -> Evaluation | None:
    """GPUStack's own opinion, as a cross-check. None when it cannot be asked.

    The answer is 200 also when it means no: every message field is read. ``decided`` is False for
    a no that only says that the hub was out of reach.
    """
    request: dict[str, Any] = {"model_specs": [dict(body)]}
    if cluster_id is not None:
        request["cluster_id"] = cluster_id
    try:
        answer = client.post("model-evaluations", request, what="evaluate", timeout_s=60.0)
        return opinion(answer["results"][0])
    except AuthError:
        raise
    except UsageError as error:  # a request that is refused here would be refused as a create
        return opinion({"compatible": False, "error_message": error.message})
    except (ModelscanError, KeyError, IndexError, TypeError, AttributeError):
        return None


def opinion(result: Mapping[str, Any]) -> Evaluation:
    """One result of an evaluation. Pure."""
    messages = [
        *(result.get("compatibility_messages") or ()),
        *(result.get("scheduling_messages") or ()),
        *([result["error_message"]] if result.get("error_message") else ()),
    ]
    texts = [one_line(str(message)) or "" for message in messages]
    claim = result.get("resource_claim") or {}
    return Evaluation(
        compatible=bool(result.get("compatible")) and not result.get("error"),
        decided=not any(_COULD_NOT_JUDGE.search(text) for text in texts),
        messages=tuple(texts),
        vram_bytes=claim.get("vram"),
        ram_bytes=claim.get("ram"),
    )


def disagreement(deployment: Deployment) -> str | None:
    """Where the server's evaluation and our plan say different things; None where they agree."""
    remote = deployment.remote
    evaluation = remote.evaluation if isinstance(remote, ClusterRecord) else None
    if evaluation is None:
        return None
    reasons = "; ".join(evaluation.messages) or "it gives no reason"
    if not evaluation.compatible:
        verb = "refuses" if evaluation.decided else "could not judge"
        return f"{deployment.target}'s own evaluation {verb} it, our plan says it fits: {reasons}"
    claimed = evaluation.vram_bytes
    devices = deployment.plan.estimate.per_gpu if deployment.plan else ()
    ours = sum(device.budget_bytes or device.total_bytes for device in devices)
    if claimed and ours and abs(claimed - ours) > _TELL_FRACTION * max(claimed, ours):
        return (
            f"{deployment.target} would reserve {format_bytes(claimed)}, "
            f"our plan counts {format_bytes(ours)}"
        )
    return None
