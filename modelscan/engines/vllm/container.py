"""vLLM's official container images."""

from __future__ import annotations

from modelscan.engines.container import CPU, ContainerImages, ImageName
from modelscan.engines.versions import Version

MODULE_MOVED: Version = (0, 32, 0)  # from the second of ``Vllm.package.modules`` to the first


def _image(repository: str) -> ImageName:
    return ImageName(f"{repository}:latest", f"{repository}:v{{version}}")


IMAGES = ContainerImages(
    {
        CPU: _image("public.ecr.aws/q9t5s3a7/vllm-cpu-release-repo"),
        "nvidia": _image("docker.io/vllm/vllm-openai"),
        "amd": _image("docker.io/vllm/vllm-openai-rocm"),
    },
    any_user=False,  # "currently designed to be run under the root user"
    shares_memory=True,
    source="docs.vllm.ai, deployment/docker: the images, and --ipc=host or --shm-size",
)
