"""llama.cpp: embedded (xllamacpp) or a llama-server program. Pure."""

from modelscan.core.workload import Backend

NAME: Backend = "llama.cpp"
OWNED_BY = "llamacpp"  # of its models in /v1/models
