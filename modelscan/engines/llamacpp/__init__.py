"""llama.cpp: embedded (xllamacpp) or a llama-server program. Everything it knows, pure."""

from modelscan.core.workload import Backend

NAME: Backend = "llama.cpp"
