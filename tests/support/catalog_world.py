"""A small world for ``catalog sync``: models.dev, GPUStack, both hubs, all on the fake hub."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from support.fake_hub import FakeHub
from support.hub_content import llama_tensors, parameters, safetensors

from modelscan.catalog.index.layout import synced_index
from modelscan.catalog.index.read import Index
from modelscan.core.model import Model
from modelscan.state import targets
from modelscan.state.paths import paths

NAMES = ["gpustack", "huggingface", "models.dev", "modelscope", "user"]
# Which requests are a source's own.
PREFIX = {
    "models.dev": "/api.json",
    "gpustack": "/v2",
    "huggingface": "/api/models",
    "modelscope": "/openapi",
}

# Runs the command line with an empty bundle, so that only what was synced is in the catalog.
DRIVER = """
import sys
from modelscan.catalog.index import publish
publish.bundled_snapshots = lambda: {}
from modelscan.cli.app import run
sys.exit(run(sys.argv[1:]))
"""


def row(model_id: str, **facts: Any) -> dict[str, Any]:
    """A provider's row in models.dev's shape."""
    return {
        "id": model_id, "name": model_id.split("/")[-1], "attachment": False, "reasoning": False,
        "tool_call": True, "release_date": "2025-04-28", "last_updated": "2025-04-28",
        "modalities": {"input": ["text"], "output": ["text"]}, "open_weights": True,
        "limit": {"context": 32768, "output": 8192}, "cost": {"input": 0.1, "output": 0.2}, **facts,
    }  # fmt: skip


def api(*rows: dict[str, Any]) -> bytes:
    models = {r["id"]: r for r in rows}
    provider = {"id": "acme-cloud", "name": "Acme", "env": ["ACME_KEY"], "npm": "@acme/sdk",
                "doc": "https://acme.invalid", "models": models}  # fmt: skip
    return json.dumps({"acme-cloud": provider}).encode()


def model_set(number: int, name: str) -> dict[str, Any]:
    return {
        "name": name, "id": number, "description": "d", "order": None, "home": "https://a.invalid",
        "icon": None, "categories": ["llm"], "capabilities": ["context/32K", "tools"], "size": 8.2,
        "activated_size": None, "size_unit": None, "licenses": ["apache-2.0"],
        "release_date": "2025-04-28", "source_name": "builtin", "source_type": "builtin",
    }  # fmt: skip


def spec(repo: str, quantization: str, **facts: Any) -> dict[str, Any]:
    return {
        "source": "huggingface", "huggingface_repo_id": repo, "backend": "vLLM", "mode": "standard",
        "quantization": quantization, "backend_parameters": ["--max-model-len=32768"],
        "gpu_filters": None, "env": None, "model_scope_model_id": None, **facts,
    }  # fmt: skip


def fill(hub: FakeHub, models: int = 6) -> FakeHub:
    """Put the same few models into every source."""
    tensors = llama_tensors()
    rows = [row(f"qwen/qwen3-{i}b", canonical_model_id=f"alibaba/qwen3-{i}b")
            for i in range(1, models + 1)]  # fmt: skip
    closed = row("openai/gpt-closed", open_weights=False, canonical_model_id="openai/gpt-closed")
    hub.documents["/api.json"] = api(*rows, closed)
    hub.documents["/models.json"] = json.dumps(
        {"alibaba/qwen3-1b": {**rows[0], "license": "apache-2.0",
                              "weights": [{"label": "w", "url": "https://huggingface.co/Qwen/Qwen3-1B"}]}}
    ).encode()  # fmt: skip
    hub.gpustack_key = "gpustack_0011"
    hub.model_sets = [model_set(1, "Qwen3-1B")]
    hub.specs = {1: [spec("Qwen/Qwen3-1B", "BF16"), spec("Qwen/Qwen3-1B-FP8", "FP8")]}
    for i in range(1, models + 1):
        hub.add(f"Qwen/Qwen3-{i}B", {"model.safetensors": safetensors(tensors)},
                tags=["text-generation", "safetensors"], card={"license": "apache-2.0"},
                safetensors=parameters(tensors), downloads=1000 - i)  # fmt: skip
        hub.add(f"Qwen/Qwen3-{i}B", {"model.safetensors": safetensors(tensors)}, on="ms")
    return hub


def environment(hub: FakeHub) -> dict[str, str]:
    return {
        **hub.environment(),
        "GPUSTACK_SECRET": "gpustack_0011",
        "MODELSCAN_HTTP_TIMEOUT_S": "15",
    }


def target(hub: FakeHub) -> None:
    """What ``modelscan target add`` writes."""
    targets.put(paths(), targets.TargetConfig("stack", hub.url, "env:GPUSTACK_SECRET"))


def models() -> dict[str, Model]:
    index = Index(synced_index(paths()))
    try:
        made = [index.model(number) for number in range(1, index.count() + 1)]
    finally:
        index.close()
    return {model.id: model for model in made}


def untimed(model: Model) -> Model:
    """The model without the times of its provenance."""
    kept = {
        field: dataclasses.replace(origin, retrieved_at=None)
        for field, origin in model.provenance.items()
    }
    return dataclasses.replace(model, provenance=kept)
