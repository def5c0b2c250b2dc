"""SGLang's official container images."""

from __future__ import annotations

from modelscan.engines.container import ContainerImages, ImageName

_REPOSITORY = "docker.io/lmsysorg/sglang"

# Tags for AMD name a ROCm release and a card (v0.4.5-rocm630), which no version tells.
IMAGES = ContainerImages(
    {"nvidia": ImageName(f"{_REPOSITORY}:latest", f"{_REPOSITORY}:v{{version}}")},
    any_user=False,
    shares_memory=True,
    source="github.com/sgl-project/sglang docs/docs/get-started/install.mdx, docker/compose.yaml",
)
