"""Ollama's official container images."""

from __future__ import annotations

from modelscan.engines.container import CPU, ContainerImages, ImageName

_REPOSITORY = "docker.io/ollama/ollama"
_IMAGE = ImageName(f"{_REPOSITORY}:latest", f"{_REPOSITORY}:{{version}}")

IMAGES = ContainerImages(
    {
        CPU: _IMAGE, "nvidia": _IMAGE,
        "amd": ImageName(f"{_REPOSITORY}:rocm", f"{_REPOSITORY}:{{version}}-rocm"),
    },
    any_user=False,
    shares_memory=False,
    source="github.com/ollama/ollama docs/docker",
)  # fmt: skip
