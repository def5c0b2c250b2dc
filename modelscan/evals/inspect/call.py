"""What was measured of one request to a model; it travels in the metadata of inspect's output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inspect_ai.model import ModelOutput

_METADATA = "modelscan_call"


@dataclass(slots=True)
class CallMeasured:
    """One request: seconds until the first token, and the id that the server's answer names."""

    started_at: float = 0.0
    ttft_s: float | None = None
    request_id: str | None = None


def note(output: ModelOutput, call: CallMeasured) -> None:
    """Put it into an output."""
    values = {"ttft_s": call.ttft_s, "request_id": call.request_id}
    output.metadata = {**(output.metadata or {}), _METADATA: values}


def measured(output: ModelOutput | None) -> CallMeasured:
    """What was measured of an output; nothing of another provider's."""
    values = (output.metadata or {}).get(_METADATA) if output is not None else None
    if not isinstance(values, dict):
        return CallMeasured()
    return CallMeasured(ttft_s=values.get("ttft_s"), request_id=values.get("request_id"))
