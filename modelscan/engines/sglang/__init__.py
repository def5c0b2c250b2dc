"""SGLang. Pure."""

from modelscan.core.workload import Backend

NAME: Backend = "sglang"
