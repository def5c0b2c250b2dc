"""Send a real request to an entry of the routing file and say what came of it."""

from __future__ import annotations

import time
from typing import Any

from modelscan.core.errors import OfflineError
from modelscan.core.route import Route
from modelscan.routing.schema import is_loopback
from modelscan.state.secrets import redact, resolve


def try_route(route: Route, *, chat: bool, timeout_s: float, offline: bool) -> dict[str, Any]:
    """``{ok, endpoint, status, models, answer, elapsed_s, detail}``; unknown parts are None.

    ``/v1/models`` costs no tokens; only with ``chat`` one token is asked for. Raises OfflineError
    for a host beyond this machine under ``--offline``, AuthError when the key is missing.
    """
    import httpx

    endpoint = route.base_url.rstrip("/") + "/v1"
    if offline and not is_loopback(httpx.URL(endpoint).host):
        raise OfflineError(
            f"{endpoint} is not on this machine and --offline is set",
            hint=f"modelscan route test {route.name}",
        )
    headers = {"Authorization": f"Bearer {resolve(route.api_key)}"} if route.api_key else {}
    result: dict[str, Any] = {
        "ok": False, "endpoint": endpoint, "status": None, "models": None, "answer": None,
        "elapsed_s": None, "detail": None,
    }  # fmt: skip
    started = time.monotonic()
    try:
        with httpx.Client(headers=headers, timeout=timeout_s) as client:
            _list_models(client, endpoint, route, result)
            if result["ok"] and chat:
                _ask(client, endpoint, route, result)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        result.update(ok=False, detail=redact(str(error) or type(error).__name__))
    result["elapsed_s"] = round(time.monotonic() - started, 4)
    return result


def _list_models(client: Any, endpoint: str, route: Route, result: dict[str, Any]) -> None:
    answer = client.get(f"{endpoint}/models")
    result["status"] = answer.status_code
    if answer.status_code != 200:
        result["detail"] = f"/models answered {answer.status_code}: {_excerpt(answer)}"
        return
    served = _model_ids(answer)
    result["models"] = served
    wanted = route.served_model or route.model
    result["ok"] = served is not None and wanted in served
    if served is None:
        result["detail"] = "/models did not answer with a list of models"
    elif wanted not in served:
        result["detail"] = f"'{wanted}' is not among the {len(served)} served models"
    else:
        result["detail"] = "the model is served"


def _model_ids(answer: Any) -> list[str] | None:
    try:
        body = answer.json()
        if "items" in body:  # GPUStack 0.7 answers this path with its own list of models
            return [str(row["name"]) for row in body["items"]]
        return [str(row["id"]) for row in body["data"]]
    except (ValueError, KeyError, TypeError):
        return None


def _ask(client: Any, endpoint: str, route: Route, result: dict[str, Any]) -> None:
    body = {
        "model": route.served_model or route.model,
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 1,
    }
    path = "chat/completions"
    if "embedding" in route.tags:
        path, body = "embeddings", {"model": body["model"], "input": "Hello"}
    answer = client.post(f"{endpoint}/{path}", json=body)
    result["status"] = answer.status_code
    text = _answer_text(answer, path) if answer.status_code == 200 else None
    result["answer"] = text
    result["ok"] = text is not None
    result["detail"] = (
        "the model answered"
        if text is not None
        else f"/{path} answered {answer.status_code}: {_excerpt(answer)}"
    )


def _answer_text(answer: Any, path: str) -> str | None:
    """The text of a completion ("" counts: one token may be a control token); None if broken."""
    try:
        if path == "embeddings":
            return f"{len(answer.json()['data'][0]['embedding'])} dimensions"
        message = answer.json()["choices"][0]["message"]
        return str(message.get("content") or message.get("reasoning_content") or "")
    except (ValueError, KeyError, TypeError, IndexError):
        return None


def _excerpt(answer: Any) -> str:
    return redact(" ".join(str(answer.text).split())[:200])
