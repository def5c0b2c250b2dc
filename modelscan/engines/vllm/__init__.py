"""vLLM. Pure."""

from modelscan.core.workload import Backend

NAME: Backend = "vllm"
