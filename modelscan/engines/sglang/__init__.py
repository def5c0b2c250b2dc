"""SGLang: everything it knows, pure."""

from modelscan.core.workload import Backend

NAME: Backend = "sglang"
