"""One model on a GPUStack server: found by its marker, created or changed, stopped, deleted.

Every model that modelscan creates has a marker in its description: after a lost answer the model is
found by it, and a model without it belongs to others and is never changed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from modelscan.core.errors import AuthError, ModelscanError, RemoteError, UsageError
from modelscan.targets.gpustack.body import identity
from modelscan.targets.gpustack.client import Client
from modelscan.targets.gpustack.drift import same
from modelscan.targets.gpustack.types import (
    RemoteInstance,
    RemoteModel,
    parse_instance,
    parse_model,
)

GONE_S = 60.0
_POLL_S = 0.4
_LOOKUP_S = 30.0  # the longest outage before a create counts as failed
_LOOKUP_PAUSE_S = 1.0


def by_name(client: Client, name: str) -> RemoteModel | None:
    """The server's model of exactly that name, with or without our marker."""
    for row in client.list("models", search=name):
        if row.get("name") == name:
            return parse_model(row)
    return None


def is_ours(model: RemoteModel, marker: str | None) -> bool:
    """Whether it has the marker of this deployment."""
    return bool(marker) and str(marker) in (model.raw.get("description") or "")


def find(client: Client, name: str, marker: str | None) -> RemoteModel | None:
    """Find the model carrying our marker, even if renamed. A model of this name without our marker
    does not match."""
    model = by_name(client, name)
    if model is not None and is_ours(model, marker):
        return model
    if not marker:
        return None
    everything = [parse_model(row) for row in client.list("models")]
    return next((model for model in everything if is_ours(model, marker)), None)


def check_scope(client: Client) -> None:
    """Raises AuthError for a key that may create models but not use them: the deploy could not
    be verified.
    """
    try:
        client.infer("models", None, what="ask the models it would create")
    except AuthError:
        raise
    except ModelscanError:
        return  # any other error will be raised by the deploy itself


def check_free(client: Client, name: str, marker: str | None, *, take_over: bool) -> None:
    """Raises UsageError if a model without our marker has the name and may not be replaced."""
    model = by_name(client, name)
    if model is None or is_ours(model, marker) or take_over:
        return
    where = client.connection.name
    raise UsageError(
        f"{where} has a model '{name}' that this modelscan did not create",
        hint=f"modelscan discover --adopt {name} --target {where}   (or another --name)",
        code="name_taken",
    )


def ensure(
    client: Client, body: Mapping[str, Any], marker: str | None, *, take_over: bool
) -> RemoteModel:
    """The one model with this body, created or changed as needed, also after lost answers.

    A create is sent once; if its answer is lost, the server is queried for the model for as long as
    a restart of the server takes.
    """
    name = str(body["name"])
    check_free(client, name, marker, take_over=take_over)
    model = find(client, name, marker) or (by_name(client, name) if take_over else None)
    if model is not None:
        return _bring(client, model, body)
    try:
        return parse_model(client.post("models", body, what=f"create {name}"))
    except ModelscanError as error:
        if not (isinstance(error, RemoteError) or error.code == "already_exists"):
            raise
        model = _look_up(client, name, marker)
        if model is None:
            raise
        return model


def _look_up(client: Client, name: str, marker: str | None) -> RemoteModel | None:
    """Look the model up until the server answers. Raises RemoteError if it stays unreachable."""
    deadline = time.monotonic() + _LOOKUP_S
    while True:
        try:
            return find(client, name, marker)
        except RemoteError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_LOOKUP_PAUSE_S)


def _bring(client: Client, model: RemoteModel, body: Mapping[str, Any]) -> RemoteModel:
    """Change a model to ``body``. Its instances keep their old parameters until they end."""
    differing = [key for key, value in body.items() if not same(model.raw.get(key), value)]
    if set(differing) - {"replicas", "description", "enable_model_route"} and model.replicas:
        change(client, model, {**body, "replicas": 0})
        until_gone(client, model)
    return change(client, model, body)


def change(client: Client, model: RemoteModel, fields: Mapping[str, Any]) -> RemoteModel:
    """PUT: fields that are not sent stay; name, source and repository are always sent (else
    422).
    """
    body = {**identity(model.raw), **fields}
    return parse_model(client.put(f"models/{model.id}", body, what=f"change {model.name}"))


def instances(client: Client, model_id: int) -> list[RemoteInstance]:
    """The model's instances."""
    rows = client.list("model-instances", model_id=model_id)
    return [parse_instance(row) for row in rows if int(row.get("model_id") or model_id) == model_id]


def stop(client: Client, model: RemoteModel, patience_s: float = GONE_S) -> None:
    """Set the replicas to 0 and wait until no instance is left."""
    if model.replicas:
        change(client, model, {"replicas": 0})
    until_gone(client, model, patience_s)


def until_gone(client: Client, model: RemoteModel, patience_s: float = GONE_S) -> None:
    """Wait for the instances to end. Raises RemoteError if some are left after ``patience_s``."""
    deadline = time.monotonic() + patience_s
    while remaining := instances(client, model.id):
        if time.monotonic() > deadline:
            raise RemoteError(
                f"{model.name} still has {len(remaining)} instance(s) after {patience_s:g} s "
                f"({', '.join(i.state for i in remaining)})",
                hint=f"modelscan stop {model.name}", code="not_stopped",
            )  # fmt: skip
        time.sleep(_POLL_S)


def delete(client: Client, model: RemoteModel) -> None:
    """Delete and verify: a 200 alone proves nothing."""
    client.delete(f"models/{model.id}", what=f"delete {model.name}")
    remaining = by_name(client, model.name)
    if remaining is not None and remaining.id == model.id:
        raise RemoteError(
            f"{client.connection.name} reported {model.name} as deleted, but it still exists",
            hint=f"modelscan remove {model.name}", code="not_removed",
        )  # fmt: skip
