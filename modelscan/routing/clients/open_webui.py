"""Open WebUI: environment variables, which it keeps from its first start on."""

from __future__ import annotations

import json

from modelscan.routing.clients.types import PROVIDER, ClientFile, ClientProgram, ServedGateway


def _files(offer: ServedGateway) -> tuple[ClientFile, ...]:
    names = [route.name for route in offer.routes]
    connection = {
        "enable": True, "prefix_id": PROVIDER, "model_ids": names, "connection_type": "local",
    }  # fmt: skip
    values = {
        "ENABLE_OPENAI_API": "true",
        "OPENAI_API_BASE_URLS": offer.api,
        "OPENAI_API_KEYS": f"${{{offer.key_variable}}}" if offer.key_variable else "none",
        "OPENAI_API_CONFIGS": json.dumps({"0": connection}),
        # Without this, values that were changed after the first start are ignored.
        "ENABLE_PERSISTENT_CONFIG": "False",
    }
    return (ClientFile(None, "env", values),)


CLIENT = ClientProgram("open-webui", "Open WebUI", _files)
