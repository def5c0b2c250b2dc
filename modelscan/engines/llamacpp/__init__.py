"""llama.cpp: embedded (xllamacpp) or a llama-server program. Pure."""

from modelscan.core.workload import Backend

NAME: Backend = "llama.cpp"
