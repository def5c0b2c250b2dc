"""The node's side of the conversation with its control plane: one request per message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from modelscan.core.errors import AuthError, ModelscanError, RemoteError, UsageError
from modelscan.core.json_reader import json_value
from modelscan.gateway.node.record import Membership
from modelscan.gateway.node.wire import HEARTBEAT, KEY_HEADER, LEAVE, REGISTER
from modelscan.net.address import checked, public
from modelscan.net.client import HttpClient
from modelscan.net.errors import HttpError
from modelscan.net.exchange import HttpSettings, json_body
from modelscan.net.transport import transport_for
from modelscan.state.config import Config
from modelscan.state.secrets import resolve

_MAX_ANSWER_BYTES = 4 << 20
_REFUSED = (401, 403)
Outcome = Literal["accepted", "unknown_host", "conflict", "refused", "unreachable"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a message. ``problem``: why it was not accepted, as a sentence.

    ``conflict``: another run of this host is registered, and counts until it is silent.
    """

    outcome: Outcome
    problem: str | None = None
    hint: str | None = None


class ControlPlane:
    """One control plane. The key is resolved for each message: a file may have a newer one."""

    def __init__(self, membership: Membership, config: Config, timeout_s: float) -> None:
        self.membership = membership
        self.url = membership.url.rstrip("/")
        files = membership.files
        self._settings = HttpSettings(
            timeout_s=timeout_s, offline=config.offline, pauses_s=(), ca_file=files.ca,
            cert_file=files.cert, key_file=files.key,
        )  # fmt: skip

    def register(self, body: Mapping[str, Any]) -> Delivery:
        """Send a registration."""
        return self._tell(REGISTER, body)

    def heartbeat(self, body: Mapping[str, Any]) -> Delivery:
        """Send a heartbeat; ``unknown_host``: the control plane lost or removed this host."""
        return self._tell(HEARTBEAT, body)

    def leave(self, body: Mapping[str, Any]) -> Delivery:
        """Send the last message."""
        return self._tell(LEAVE, body)

    def _tell(self, path: str, body: Mapping[str, Any]) -> Delivery:
        kind, data = json_body(body)
        try:
            with HttpClient(self._settings, transport_for(self.url, self._settings)) as client:
                limits = client.settings.limits(max_bytes=_MAX_ANSWER_BYTES, max_redirects=0)
                client.send(
                    "POST", self.url + path, headers={**kind, **self._credentials()}, body=data,
                    limits=limits,
                )  # fmt: skip
        except HttpError as error:
            return _failed(self.url, path, error)
        except ModelscanError as error:  # offline, a missing key, a CA file that cannot be used
            return Delivery("refused", error.message, error.hint)
        return Delivery("accepted")

    def _credentials(self) -> dict[str, str]:
        reference = self.membership.key
        if reference is None:
            return {}
        key = resolve(reference)
        return {"Authorization": f"Bearer {key}", KEY_HEADER: key}


def check_url(url: str) -> str:
    """The root of a control plane, without a trailing /v1. Raises UsageError for other text."""
    root = checked(url.strip()).rstrip("/").removesuffix("/v1")
    parts = urlsplit(root)
    if parts.username or parts.password or parts.query:
        raise UsageError(
            f"{public(url)}: give only the address of the control plane",
            hint="modelscan node join http://127.0.0.1:8900 --key env:NODE_KEY",
        )
    return root


def _failed(url: str, path: str, error: HttpError) -> Delivery:
    status = error.status
    if status is None or status >= 500 or status in (408, 429):
        return Delivery("unreachable", error.message, error.hint)
    detail = _detail(error.body)
    if status == 404 and path != REGISTER and "path_not_found" not in detail:
        return Delivery("unknown_host")
    if status == 409:
        text = f"{url} has another run of this host: {detail}"
        return Delivery("conflict", text, "modelscan node join URL --name OTHER")
    if status in _REFUSED:
        return Delivery("refused", f"{url} refuses the key ({status}): {detail}",
                    "modelscan key create NODE --scope node  # at the control plane")  # fmt: skip
    if status == 404:
        return Delivery("refused", f"{url} has no {path}: it is no control plane of this version",
                    f"curl {url}/health")  # fmt: skip
    return Delivery(
        "refused", f"{url} refuses this node ({status}): {detail}", "modelscan node status"
    )


def _detail(body: bytes) -> str:
    """What an error's body says: problem+json, OpenAI's or GenieHive's form, else its text."""
    try:
        value = json_value(body)
    except ValueError:
        return body.decode("utf-8", "replace")[:200].strip()
    if isinstance(value, dict):
        inner = value.get("error")
        found = inner.get("message") if isinstance(inner, dict) else None
        texts = (value.get("detail"), found, value.get("title"), inner)
        return str(next((one for one in texts if one), value))[:300]
    return str(value)[:300]


def raise_for(delivery: Delivery) -> None:
    """Raise what a command reports: AuthError for a refusal, RemoteError without an answer."""
    if delivery.outcome in ("accepted", "unknown_host"):
        return
    text = delivery.problem or "the control plane did not accept the message"
    if delivery.outcome == "refused":
        raise AuthError(text, hint=delivery.hint, code="node_refused")
    raise RemoteError(text, hint=delivery.hint, code="control_plane")
