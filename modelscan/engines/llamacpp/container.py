"""llama.cpp's official container images."""

from __future__ import annotations

from modelscan.engines.container import CPU, ContainerImages, ImageName

_REPOSITORY = "ghcr.io/ggml-org/llama.cpp"
PROGRAM = "/app/llama-server"  # the entry point of every ``server`` image


def _image(tag: str) -> ImageName:
    return ImageName(f"{_REPOSITORY}:{tag}", f"{_REPOSITORY}:{tag}-{{version}}")


IMAGES = ContainerImages(
    {
        CPU: _image("server"), "nvidia": _image("server-cuda"), "amd": _image("server-rocm"),
        "intel": _image("server-intel"),
    },
    any_user=True,  # /app is copied as root, readable by all; nothing is written
    shares_memory=False,
    source="github.com/ggml-org/llama.cpp docs/docker.md, .devops/*.Dockerfile; versions such as "
    "server-cuda12-b9603 in its package list",
)  # fmt: skip
