"""Plain calls of a GPUStack, apart from the client under test."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from typing import Any

from support.patience import REQUEST_S


def call(url: str, method: str, path: str, body: Any = None, login: str = "") -> Any:
    """The JSON answer. ``login``: a key, or ``user:password``. Raises OSError for any refusal."""
    if ":" in login:
        header = "Basic " + base64.b64encode(login.encode()).decode()
    else:
        header = f"Bearer {login}"
    request = urllib.request.Request(
        url + path, method=method, data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Authorization": header},
    )  # fmt: skip
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=REQUEST_S) as answer:
        text = answer.read().decode()
    return json.loads(text) if text else None
