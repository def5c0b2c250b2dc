"""Runs inside the peers' environment: hf-mem itself, its network answered from standard input.

Input: JSON lines {"model", "config", "header", "context", "kv_dtype"}; output: one JSON line each
with hf-mem's own "memory" and "kv_cache" in bytes. Nothing leaves the process.
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
from typing import Any

import hf_mem  # type: ignore[import-not-found]  # noqa: F401  (only in the peers' venv)
import httpx2  # type: ignore[import-not-found,unused-ignore]

peer = sys.modules["hf_mem.run"]  # the package exports a function of the same name


def answering(job: dict[str, Any]) -> httpx2.MockTransport:
    """A hub that knows one model: a file list, config.json and one safetensors header."""
    header = json.dumps(job["header"]).encode()
    body = struct.pack("<Q", len(header)) + header

    def answer(request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        if "/tree/" in path:
            files = ["config.json", "model.safetensors"]
            return httpx2.Response(200, json=[{"path": name, "type": "file"} for name in files])
        if path.endswith("config.json"):
            return httpx2.Response(200, json=job["config"])
        if path.endswith("model.safetensors"):
            first, last = request.headers["Range"].removeprefix("bytes=").split("-")
            return httpx2.Response(206, content=body[int(first) : int(last) + 1])
        return httpx2.Response(404)

    return httpx2.MockTransport(answer)


def run(job: dict[str, Any]) -> dict[str, Any]:
    real = httpx2.AsyncClient

    def client(**options: Any) -> httpx2.AsyncClient:
        return real(transport=answering(job), timeout=options.get("timeout"))

    httpx2.AsyncClient = client  # type: ignore[misc,assignment]
    try:
        result = asyncio.run(
            peer.arun(
                model_id=job["model"],
                revision="main",
                experimental=True,
                max_model_len=job["context"],
                kv_cache_dtype=job["kv_dtype"],
            )
        )
    except Exception as error:  # noqa: BLE001 - a peer's failure is a result of the comparison
        return {"error": f"{type(error).__name__}: {error}"[:200]}
    finally:
        httpx2.AsyncClient = real  # type: ignore[misc]
    return {"memory": result.memory, "kv_cache": result.kv_cache}


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
