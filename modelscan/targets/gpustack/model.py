"""One model on a GPUStack server: found by its marker, brought to what is wanted, ended, deleted.

Every model that modelscan creates carries a marker in its description: a create whose answer was
lost is found again by it, and a model without it is somebody else's and never touched.
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
_LOOKUP_S = 30.0  # how long an outage may last before a create counts as failed
_LOOKUP_PAUSE_S = 1.0


def by_name(client: Client, name: str) -> RemoteModel | None:
    """The server's model of exactly that name, with our marker or without."""
    for row in client.list("models", search=name):
        if row.get("name") == name:
            return parse_model(row)
    return None


def is_ours(model: RemoteModel, marker: str | None) -> bool:
    """Whether it carries the marker of this deployment."""
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
    """Raises AuthError for a key that may create models and not ask them: such a deploy could only
    end with a model that nobody verified."""
    try:
        client.infer("models", None, what="ask the models it would create")
    except AuthError:
        raise
    except ModelscanError:
        return  # whatever it is, the deploy itself will say it


def check_free(client: Client, name: str, marker: str | None, *, take_over: bool) -> None:
    """Raises UsageError when the name is of a model without our marker and not to be taken over."""
    model = by_name(client, name)
    if model is None or is_ours(model, marker) or take_over:
        return
    where = client.connection.name
    raise UsageError(
        f"{where} has a model '{name}' that modelscan did not make (or made elsewhere)",
        hint=f"modelscan adopt {name} --target {where}   (or another --name, or --replace)",
        code="name_taken",
    )


def ensure(
    client: Client, body: Mapping[str, Any], marker: str | None, *, take_over: bool
) -> RemoteModel:
    """One model with that body, whatever was lost on the way: now, before or by another command.

    A create is sent once; when its answer is lost, the server is asked whether the model is
    there, for as long as a restart of the server takes.
    """
    name = str(body["name"])
    check_free(client, name, marker, take_over=take_over)
    found = find(client, name, marker) or (by_name(client, name) if take_over else None)
    if found is not None:
        return _bring(client, found, body)
    try:
        return parse_model(client.post("models", body, what=f"create {name}"))
    except ModelscanError as error:
        if not (isinstance(error, RemoteError) or error.code == "already_exists"):
            raise
        found = _look_up(client, name, marker)
        if found is None:
            raise
        return found


def _look_up(client: Client, name: str, marker: str | None) -> RemoteModel | None:
    """Is it there? Asked until the server answers; raises RemoteError when it stays away."""
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
    """PUT: what is not sent stays; name, source and repository are always sent (else 422)."""
    body = {**identity(model.raw), **fields}
    return parse_model(client.put(f"models/{model.id}", body, what=f"change {model.name}"))


def instances(client: Client, model_id: int) -> list[RemoteInstance]:
    """The model's instances."""
    rows = client.list("model-instances", model_id=model_id)
    return [parse_instance(row) for row in rows if int(row.get("model_id") or model_id) == model_id]


def stop(client: Client, model: RemoteModel, patience_s: float = GONE_S) -> None:
    """Replicas to 0; done only when no instance is left."""
    if model.replicas:
        change(client, model, {"replicas": 0})
    until_gone(client, model, patience_s)


def until_gone(client: Client, model: RemoteModel, patience_s: float = GONE_S) -> None:
    """Raises RemoteError when instances are still there after so many seconds."""
    deadline = time.monotonic() + patience_s
    while left := instances(client, model.id):
        if time.monotonic() > deadline:
            raise RemoteError(
                f"{model.name} still has {len(left)} instance(s) after {patience_s:g} s "
                f"({', '.join(i.state for i in left)})",
                hint=f"modelscan stop {model.name}", code="not_stopped",
            )  # fmt: skip
        time.sleep(_POLL_S)


def delete(client: Client, model: RemoteModel) -> None:
    """Delete and verify: a 200 alone proves nothing."""
    client.delete(f"models/{model.id}", what=f"delete {model.name}")
    left = by_name(client, model.name)
    if left is not None and left.id == model.id:
        raise RemoteError(
            f"{client.connection.name} said it deleted {model.name}, but it is still there",
            hint=f"modelscan remove {model.name}", code="not_removed",
        )  # fmt: skip
